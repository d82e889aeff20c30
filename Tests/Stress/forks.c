// Processes: fork from many threads' midst, vfork, posix_spawn, pipes between generations, shared memory, waits.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile int stop; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *churn(void *p) { while (!stop) { pthread_mutex_lock(&lock); free(malloc(100 + (rand() & 1023))); pthread_mutex_unlock(&lock); } return 0; }
static atomic_int reaped; static void child_ended(int s) { atomic_fetch_add(&reaped, 1); }
static void *in_child(void *p) { *(int *)p += 5; return 0; }

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "generation")) { int n = atoi(argv[2]); if (n == 0) { printf("last of its line %s\n", getenv("LINE") ? getenv("LINE") : "?"); return 9; }
        char left[12]; snprintf(left, sizeof left, "%d", n - 1); execl(argv[3], argv[0], "generation", left, argv[3], (char *)0); return 90; }
    const char *self = argc > 1 ? argv[1] : argv[0];
    struct sigaction a = {.sa_handler = child_ended, .sa_flags = SA_RESTART | SA_NOCLDSTOP}; sigaction(SIGCHLD, &a, 0);
    atomic_int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_t t[2]; for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, churn, 0);
    int sum = 0, status;
    for (int i = 0; i < 12; i++) {
        int ends[2]; if (pipe(ends)) return 2;
        pthread_mutex_lock(&lock); pid_t p = fork(); pthread_mutex_unlock(&lock);
        if (p == 0) { int mine = i; pthread_t c; pthread_create(&c, 0, in_child, &mine); pthread_join(c, 0); free(malloc(5000)); atomic_fetch_add(shared, mine); if (write(ends[1], &mine, sizeof mine) != sizeof mine) _exit(1); _exit(i); }
        int answer = -1; if (read(ends[0], &answer, sizeof answer) != sizeof answer) return 3; close(ends[0]); close(ends[1]);
        if (waitpid(p, &status, 0) != p || !WIFEXITED(status)) return 4;
        sum += answer + WEXITSTATUS(status);
    }
    for (int i = 0; i < 4; i++) { pid_t p = vfork(); if (p == 0) _exit(20 + i); waitpid(p, &status, 0); sum += WEXITSTATUS(status); }
    int ends[2]; if (pipe(ends)) return 5; posix_spawn_file_actions_t f; posix_spawn_file_actions_init(&f); posix_spawn_file_actions_adddup2(&f, ends[1], 1); posix_spawn_file_actions_addclose(&f, ends[0]);
    char *const arguments[] = {(char *)self, "generation", "3", (char *)self, 0}; char *const environment[] = {"LINE=ours", "PATH=/usr/bin", 0}; pid_t p;
    if (posix_spawn(&p, self, &f, 0, arguments, environment)) return 6;
    close(ends[1]); char text[100] = ""; size_t got = 0; for (ssize_t n; (n = read(ends[0], text + got, 90 - got)) > 0;) got += n; if (waitpid(p, &status, 0) != p) return 7; sum += WEXITSTATUS(status);
    pid_t group[5]; for (int i = 0; i < 5; i++) { group[i] = fork(); if (group[i] == 0) { pid_t g = fork(); if (g == 0) _exit(0); waitpid(g, 0, 0); if (i & 1) kill(getpid(), SIGKILL); _exit(30); } }
    int killed = 0, ended = 0; for (int i = 0; i < 5; i++) { if (waitpid(-1, &status, 0) < 0) return 8; if (WIFSIGNALED(status)) killed++; else ended += WEXITSTATUS(status); }
    siginfo_t info; p = fork(); if (p == 0) _exit(77); if (waitid(P_PID, p, &info, WEXITED | WNOWAIT) || info.si_status != 77 || waitpid(p, &status, 0) != p) return 10; errno = 0; if (waitpid(-1, &status, WNOHANG) != -1 || errno != ECHILD) return 11;
    stop = 1; for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    int good = sum == 66 + 126 + 86 + 9 && *shared == 126 && !strcmp(text, "last of its line ours\n") && killed == 2 && ended == 90 && reaped > 0;
    if (!good) printf("sum %d shared %d text %s killed %d ended %d reaped %d\n", sum, *shared, text, killed, ended, reaped);
    return !good;
}
