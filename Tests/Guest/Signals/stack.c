// The alternate signal stack.
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static char *area; static const size_t size = 65536; static volatile int depth; static sigjmp_buf back;
static int inside(void *p) { return (char *)p >= area && (char *)p < area + size; }
static void show(const char *what) { stack_t s; sigaltstack(0, &s); printf("%s: flags %x size %zu at %d\n", what, s.ss_flags, s.ss_size, s.ss_sp == area); }
static void handler(int signal, siginfo_t *i, void *context) {
    char here; ucontext_t *u = context; printf("signal %d on stack %d, context stack size %zu flags %x\n", signal, inside(&here), u->uc_stack.ss_size, u->uc_stack.ss_flags);
    show("inside"); stack_t other = {.ss_sp = area, .ss_size = size}; int r = sigaltstack(&other, 0); printf("change %d errno %d\n", r, r ? errno : 0);
    if (depth++ < 2) raise(signal == SIGUSR1 ? SIGUSR2 : SIGUSR1);
}
static void plain(int signal) { char here; printf("plain %d on stack %d\n", signal, inside(&here)); }
static void out(int signal) { char here; printf("overflow on stack %d\n", inside(&here)); siglongjmp(back, 1); }
static int deep(int n) { volatile char frame[4096]; frame[0] = n; return n > 100000000 ? 0 : deep(n + 1) + frame[0]; }

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0); area = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    show("none"); stack_t s = {.ss_sp = area, .ss_size = 1000}; int r = sigaltstack(&s, 0); printf("small %d errno %d\n", r, errno);
    s.ss_size = size; s.ss_flags = 77; r = sigaltstack(&s, 0); printf("bad flags %d errno %d\n", r, errno);
    r = sigaltstack((void *)8, 0); printf("bad pointer %d errno %d\n", r, errno);
    s.ss_flags = 0; printf("set %d\n", sigaltstack(&s, 0)); show("set");
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK}; sigaction(SIGUSR1, &a, 0); sigaction(SIGUSR2, &a, 0);
    raise(SIGUSR1); a.sa_flags = 0; a.sa_handler = plain; sigaction(SIGHUP, &a, 0); raise(SIGHUP);
    a.sa_handler = out; a.sa_flags = SA_ONSTACK; sigaction(SIGSEGV, &a, 0);
    for (int i = 0; i < 3; i++) if (sigsetjmp(back, 1) == 0) deep(0); else show("after overflow");
    s.ss_flags = SS_AUTODISARM; sigaltstack(&s, 0); show("autodisarm"); depth = 5; raise(SIGUSR1); // Newer x86 kernels give the stack back in another order than riscv ones: not compared.
    s.ss_flags = SS_DISABLE; sigaltstack(&s, 0); show("disabled"); depth = 5; raise(SIGUSR1);
    s.ss_flags = 0; sigaltstack(&s, 0); if (fork() == 0) { show("child"); _exit(0); } wait(0);
    // A stack that is not there: the program ends by SIGSEGV.
    fflush(stdout); pid_t p = fork(); if (p == 0) { signal(SIGSEGV, SIG_DFL); munmap(area, size); depth = 5; raise(SIGUSR1); _exit(1); } int status; waitpid(p, &status, 0); printf("no memory: signal %d\n", WTERMSIG(status));
}
