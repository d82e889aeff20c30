// Masks, pending signals, their order, and waiting for them.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int order[64], values[64], count;
static void note(int signal, siginfo_t *info, void *c) {
    if (count < 64) { order[count] = signal; values[count] = info->si_code == SI_QUEUE ? info->si_value.sival_int : -1; count++; }
}
static void flush_order(const char *what) {
    printf("%s:", what);
    for (int i = 0; i < count; i++) printf(" %d/%d", order[i] >= SIGRTMIN ? 1000 + order[i] - SIGRTMIN : order[i], values[i]);
    printf("\n"); count = 0;
}
static void print_set(const char *what, sigset_t *s) {
    printf("%s:", what); for (int i = 1; i < 65; i++) if (i != 32 && i != 33 && sigismember(s, i)) printf(" %d", i); printf("\n");
}
static void nested(int signal) {
    sigset_t now; sigprocmask(SIG_BLOCK, 0, &now); print_set(signal == SIGUSR1 ? "in usr1" : "in usr2", &now);
    static int once; if (signal == SIGUSR1 && !once++) { kill(getpid(), SIGUSR2); kill(getpid(), SIGUSR1); printf("still in usr1\n"); }
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_SIGINFO}; sigset_t all, none, some, old;
    sigfillset(&all); sigemptyset(&none);
    for (int s = 1; s < 65; s++) if (s != SIGKILL && s != SIGSTOP && s != 32 && s != 33) if (sigaction(s, &a, 0)) printf("sigaction %d: %m\n", s);
    errno = 0; printf("KILL %d", sigaction(SIGKILL, &a, 0)); printf(" errno %d\n", errno);
    printf("0 and 65: %d %d\n", sigaction(0, &a, 0), sigaction(65, &a, 0));

    sigprocmask(SIG_SETMASK, &all, &old); print_set("old", &old);
    sigprocmask(SIG_BLOCK, 0, &old); print_set("all", &old);
    kill(getpid(), SIGTERM); kill(getpid(), SIGUSR1); kill(getpid(), SIGUSR1); kill(getpid(), SIGHUP); raise(SIGCHLD);
    for (int i = 0; i < 4; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 70}); sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 80}); sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 81});
    raise(SIGSEGV); raise(SIGTRAP);
    sigset_t waiting; sigpending(&waiting); print_set("pending", &waiting);
    sigprocmask(SIG_SETMASK, &none, 0); flush_order("delivered (last pushed runs first)");
    sigpending(&waiting); print_set("pending", &waiting);

    // One unblocked at a time.
    sigprocmask(SIG_SETMASK, &all, 0);
    for (int s = 1; s < 9; s++) if (s != SIGKILL) kill(getpid(), s);
    for (int s = 8; s > 0; s--) { sigemptyset(&some); sigaddset(&some, s); sigprocmask(SIG_UNBLOCK, &some, 0); }
    flush_order("one by one"); sigprocmask(SIG_SETMASK, &none, 0);

    // sa_mask, nesting, SA_NODEFER.
    a.sa_handler = nested; a.sa_flags = 0; sigemptyset(&a.sa_mask); sigaddset(&a.sa_mask, SIGHUP); sigaction(SIGUSR1, &a, 0); sigaction(SIGUSR2, &a, 0);
    kill(getpid(), SIGUSR1); sigprocmask(SIG_BLOCK, 0, &old); print_set("after", &old);
    a.sa_flags = SA_NODEFER; sigaction(SIGUSR2, &a, 0); kill(getpid(), SIGUSR2);
    struct sigaction read_back; sigaction(SIGUSR2, 0, &read_back); printf("flags %x handler %d\n", read_back.sa_flags & ~0x04000000, read_back.sa_handler == nested);

    // sigsuspend: the mask during the handler, and after.
    a.sa_sigaction = note; a.sa_flags = SA_SIGINFO; sigaction(SIGUSR1, &a, 0); sigaction(SIGALRM, &a, 0);
    sigemptyset(&some); sigaddset(&some, SIGUSR1); sigaddset(&some, SIGALRM); sigprocmask(SIG_SETMASK, &some, 0);
    kill(getpid(), SIGUSR1); printf("nothing yet %d\n", count);
    int result = sigsuspend(&none); printf("sigsuspend %d errno %d handlers %d\n", result, errno, count); flush_order("suspended");
    sigprocmask(SIG_BLOCK, 0, &old); print_set("mask back", &old);
    struct itimerval soon = {{0, 0}, {0, 20000}}; setitimer(ITIMER_REAL, &soon, 0); result = sigsuspend(&none); printf("timer %d errno %d\n", result, errno); flush_order("timer");

    // Calls with masks of their own.
    struct timespec second = {1, 0}, instant = {0, 0}; sigset_t open = none; sigaddset(&open, SIGHUP);
    kill(getpid(), SIGUSR1); result = ppoll(0, 0, &second, &open); printf("ppoll %d errno %d\n", result, errno); flush_order("ppoll");
    kill(getpid(), SIGUSR1); result = pselect(0, 0, 0, 0, &second, &open); printf("pselect %d errno %d\n", result, errno); flush_order("pselect");
    int epoll = epoll_create1(0); struct epoll_event event;
    kill(getpid(), SIGUSR1); result = epoll_pwait(epoll, &event, 1, 1000, &open); printf("epoll_pwait %d errno %d\n", result, errno); flush_order("epoll_pwait");
    result = ppoll(0, 0, &instant, &none); printf("nothing pending %d\n", result); sigprocmask(SIG_BLOCK, 0, &old); print_set("mask back", &old);
    int ends[2]; pipe(ends); write(ends[1], "x", 1); struct pollfd ready = {ends[0], POLLIN, 0};
    kill(getpid(), SIGUSR1); result = ppoll(&ready, 1, &second, &open); printf("ready and pending: %d\n", result); printf("handlers %d\n", count); sigsuspend(&none); flush_order("ready");

    // Waiting without handlers.
    siginfo_t info; sigset_t wait_set; sigemptyset(&wait_set); sigaddset(&wait_set, SIGUSR1); sigaddset(&wait_set, SIGRTMIN + 2); sigaddset(&wait_set, SIGFPE); sigprocmask(SIG_BLOCK, &wait_set, 0);
    sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 5}); kill(getpid(), SIGUSR1); kill(getpid(), SIGFPE);
    for (int i = 0; i < 4; i++) { result = sigtimedwait(&wait_set, &info, &instant); if (result < 0) printf("wait %d errno %d\n", result, errno); else printf("wait %d code %d value %d mine %d\n", result >= SIGRTMIN ? 1000 + result - SIGRTMIN : result, info.si_code, result > 31 ? info.si_value.sival_int : 0, info.si_pid == getpid()); }
    setitimer(ITIMER_REAL, &soon, 0); struct sigaction quick = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART}; sigaction(SIGALRM, &quick, 0); sigdelset(&some, SIGALRM); sigprocmask(SIG_SETMASK, &some, 0); sigprocmask(SIG_BLOCK, &wait_set, 0);
    result = sigtimedwait(&wait_set, &info, &second); printf("interrupted wait %d errno %d\n", result, errno); flush_order("alarm");

    int fd = signalfd(-1, &wait_set, SFD_NONBLOCK); struct signalfd_siginfo read_info; sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 9});
    printf("signalfd %zd", read(fd, &read_info, sizeof read_info)); printf(" value %d\n", read_info.ssi_int); result = read(fd, &read_info, sizeof read_info); printf("empty %d errno %d\n", result, errno);
    errno = 0; result = sigprocmask(77, &none, 0); printf("bad how %d errno %d\n", result, errno);
    // A child begins without pending signals, with its parent's mask.
    kill(getpid(), SIGUSR1); fflush(stdout);
    if (fork() == 0) { sigpending(&waiting); print_set("child pending", &waiting); sigprocmask(SIG_BLOCK, 0, &old); print_set("child mask", &old); _exit(0); }
    wait(0); sigpending(&waiting); print_set("parent pending", &waiting);
}
