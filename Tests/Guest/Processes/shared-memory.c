// Processes that share memory and run beside their parent: CLONE_VM without CLONE_VFORK.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <signal.h>
static volatile int shared, go; static int parent;
static int child(void *a) { while (!go) usleep(1000); shared = 42 + (getpid() != parent) + 2 * (getppid() == parent); return 7; }
static int execs(void *a) { execl("/bin/echo", "echo", "executed", NULL); return 9; }
int main(void) {
    parent = getpid(); char *s = malloc(1 << 16); int st;
    int p = clone(child, s + (1 << 16), CLONE_VM | SIGCHLD, 0);
    if (p < 0) { perror("clone"); return 1; }
    usleep(20000); printf("before %d\n", shared); go = 1;
    int w = waitpid(p, &st, 0); printf("%d shared %d status %d\n", w == p, shared, WEXITSTATUS(st)); fflush(stdout);
    p = clone(execs, s + (1 << 16), CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, 0);
    w = waitpid(p, &st, 0); printf("%d status %d\n", w == p, WEXITSTATUS(st));
    go = 0; p = clone(child, s + (1 << 16), CLONE_VM | SIGCHLD, 0); kill(p, SIGKILL); w = waitpid(p, &st, 0); printf("%d killed by %d\n", w == p, WTERMSIG(st));
    for (int i = 0; i < 200; i++) { go = 1; p = clone(child, s + (1 << 16), CLONE_VM | SIGCHLD, 0); if (waitpid(p, &st, 0) != p || WEXITSTATUS(st) != 7) { printf("wrong %d\n", i); return 1; } }
    puts("200"); return 0;
}
