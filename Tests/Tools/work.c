// Does a known amount of work.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

volatile long sum;
__attribute__((noinline)) void leaf(int n) { sum += n; }
__attribute__((noinline)) void middle(int n) { for (int i = 0; i < 10; i++) leaf(n + i); }
__attribute__((noinline)) void never(void) { sum = 0; }

int main(int count, char **arguments) {
    void (*volatile indirect)(int) = middle;
    for (int i = 0; i < 1000; i++) indirect(i);
    if (count > 1) {
        pid_t child = fork();
        if (child == 0) { middle(1); _exit(0); }
        waitpid(child, 0, 0);
    }
    if (sum == 0) never();
    printf("%ld\n", sum);
    return 0;
}
