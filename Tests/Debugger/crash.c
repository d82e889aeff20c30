// Dies: in a thread, of what its argument says.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int numbers[3] = {1, 2, 0};
char *heap;
volatile int idle;

static void die(const char *how, int depth) {
    volatile double value = 2.5 * depth;
    if (depth < 3) { die(how, depth + 1); return; }
    if (!strcmp(how, "segv")) *(volatile int *)16 = 1;
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "ill")) __asm__ volatile("unimp");
    if (!strcmp(how, "term")) raise(SIGTERM);
    printf("%g\n", value);
}

static void *sleeper(void *how) { idle = 1; for (;;) pause(); return how; }
static void *spinner(void *how) { for (;;) numbers[2]++; return how; }
static void *victim(void *how) { numbers[1] = 42; die(how, 1); return how; }

int main(int count, char **arguments) {
    pthread_t threads[3];
    heap = strdup("on the heap");
    pthread_create(&threads[0], 0, sleeper, 0);
    pthread_create(&threads[1], 0, spinner, 0);
    while (!idle || !*(volatile int *)&numbers[2]) usleep(1000);
    pthread_create(&threads[2], 0, victim, count > 1 ? arguments[1] : "segv");
    pthread_join(threads[2], 0);
    return 0;
}
