// A thread changes what is watched while another one waits for it in a system call; for riscv32 too.
#include <pthread.h>
#include <stdio.h>

volatile long long large = 0x123456789abcdefLL;
volatile double ratio = 1.5;
volatile int watched;

static int add(int a, int b) { return a + b; }

static void *worker(void *number) {
    watched = add((int)(long)number, 1);
    return number;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, worker, (void *)41);
    pthread_join(thread, NULL);
    watched = 7;
    printf("%d %lld %g\n", watched, large, ratio);
    return 5;
}
