// Signals from everywhere: timers, other threads, other processes, faults, while system calls wait and while they do not.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_long ticks, hits, nested; static volatile int stop; static sigjmp_buf back; static volatile double kept;
static char alternate[65536]; static atomic_int on_alternate;

static void tick(int s) { int saved = errno; atomic_fetch_add(&ticks, 1); double d = ticks; kept = d * 1.5; errno = saved; }
static void hit(int s, siginfo_t *i, void *u) { atomic_fetch_add(&hits, 1); if (i->si_code != SI_TKILL && i->si_code != SI_QUEUE && i->si_code != SI_USER) _exit(40); raise(SIGUSR2); }
static void inner(int s) { atomic_fetch_add(&nested, 1); }
static void fault(int s, siginfo_t *i, void *u) { siglongjmp(back, s); }
static void overflow(int s, siginfo_t *i, void *u) { char here; on_alternate = &here >= alternate && &here < alternate + sizeof alternate; siglongjmp(back, s); }
static int sink; static int deep(int n) { volatile char frame[4096]; frame[0] = n; return n > 100000000 ? sink : deep(n + 1) + frame[0]; }
static void *spin(void *p) { uint64_t x = 1, y; double d = 1; while (!stop) { y = x; for (int i = 0; i < 1000; i++) x = x * 6364136223846793005ull + 1; for (int i = 0; i < 1000; i++) y = y * 6364136223846793005ull + 1; if (x != y) _exit(41); d = d * 1.000001 + 0.5; if (d != d) _exit(42); } return 0; }

int main(void) {
    struct sigaction a = {.sa_handler = tick, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &a, 0);
    a = (struct sigaction){.sa_sigaction = hit, .sa_flags = SA_SIGINFO | SA_RESTART}; sigaction(SIGUSR1, &a, 0);
    a = (struct sigaction){.sa_handler = inner, .sa_flags = SA_RESTART}; sigaction(SIGUSR2, &a, 0);
    struct itimerval often = {{0, 500}, {0, 500}}; setitimer(ITIMER_REAL, &often, 0);

    // Blocked before there are threads: each inherits the mask, so nobody but sigtimedwait and signalfd takes SIGRTMIN.
    sigset_t set, old; sigemptyset(&set); sigaddset(&set, SIGRTMIN); pthread_sigmask(SIG_BLOCK, &set, &old);
    pthread_t t[2]; for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, spin, 0);
    for (int i = 0; i < 60; i++) { pthread_kill(t[i & 1], SIGUSR1); if (i % 10 == 0) usleep(200); }

    int ends[2]; if (pipe(ends)) return 2;
    pid_t child = fork();
    if (child == 0) { for (int i = 0; i < 20; i++) { kill(getppid(), SIGUSR1); if (write(ends[1], "0123456789", 10) != 10) _exit(1); } _exit(6); }
    close(ends[1]); char text[300]; size_t got = 0; for (ssize_t n; (n = read(ends[0], text + got, 7)) > 0;) got += n;
    int status; while (waitpid(child, &status, 0) < 0) if (errno != EINTR) return 3;

    a = (struct sigaction){.sa_sigaction = fault, .sa_flags = SA_SIGINFO}; sigaction(SIGSEGV, &a, 0); sigaction(SIGBUS, &a, 0); sigaction(SIGILL, &a, 0); sigaction(SIGTRAP, &a, 0);
    volatile int faults = 0; char *page = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (volatile int i = 0; i < 40; i++) { int s = sigsetjmp(back, 1); if (s == 0) { if (i & 1) *(volatile char *)(page + i) = 1; else (void)*(volatile char *)(uintptr_t)(i * 8); } else faults += s == SIGSEGV; }
    if (sigsetjmp(back, 1) == 0) __builtin_trap(); else faults += 100;
    stack_t alt = {.ss_sp = alternate, .ss_size = sizeof alternate}; sigaltstack(&alt, 0);
    a = (struct sigaction){.sa_sigaction = overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK}; sigaction(SIGSEGV, &a, 0);
    if (sigsetjmp(back, 1) == 0) sink = deep(0); else faults += 1000;

    for (int i = 0; i < 5; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i * 7});
    int queued = 0; siginfo_t info; struct timespec brief = {0, 100000000};
    for (int i = 0; i < 3; i++) { int s; while ((s = sigtimedwait(&set, &info, &brief)) < 0 && errno == EINTR) {} if (s == SIGRTMIN) queued += info.si_value.sival_int; }
    int fd = signalfd(-1, &set, 0); struct signalfd_siginfo si; for (int i = 0; i < 2; i++) { ssize_t n; while ((n = read(fd, &si, sizeof si)) < 0 && errno == EINTR) {} if (n == sizeof si) queued += si.ssi_int; }
    struct timespec nap = {0, 3000000}, left; while (nanosleep(&nap, &left) && errno == EINTR) nap = left;

    stop = 1; for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    struct itimerval never = {{0, 0}, {0, 0}}; setitimer(ITIMER_REAL, &never, 0);
    child = fork(); if (child == 0) { signal(SIGTERM, SIG_DFL); for (;;) pause(); }
    kill(child, SIGTERM); waitpid(child, &status, 0);
    int good = got == 200 && faults == 1140 && on_alternate && queued == 70 && hits > 0 && nested >= hits && ticks > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    if (!good) printf("got %zu faults %d alternate %d queued %d hits %ld nested %ld ticks %ld status %x\n", got, faults, on_alternate, queued, hits, nested, ticks, status);
    return !good;
}
