// Forks and threads of a process that has no file descriptor left.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static void *thread(void *argument) { return (void *)(long)fib(15); }

int main(void) {
    struct rlimit limit = { 64, 64 };
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = 0;
    while (open("/dev/null", O_RDONLY) >= 0) count++;
    printf("%s\n", count > 50 ? "full" : "not full");
    fflush(stdout);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (i % 2) _exit(fib(10 + i % 3));
            pid_t other = fork();
            if (other == 0) _exit(fib(9));
            int status;
            waitpid(other, &status, 0);
            _exit(WEXITSTATUS(status));
        }
        // The parent goes on translating new code meanwhile.
        char text[100];
        snprintf(text, sizeof text, "%d %g %s %x", i, i / 3.0, "text", i);
        int status;
        waitpid(child, &status, 0);
        printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
        fflush(stdout);
    }
    pthread_t t;
    void *result = 0;
    pthread_create(&t, 0, thread, 0);
    pthread_join(t, &result);
    printf("%ld\n", (long)result);
    fflush(stdout);
    return 0;
}
