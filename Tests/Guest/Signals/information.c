// What siginfo_t says, by origin.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile siginfo_t got; static volatile int count; static volatile int got_tid;
static void handler(int s, siginfo_t *i, void *c) { memcpy((void *)&got, i, sizeof got); got_tid = syscall(SYS_gettid); count++; }
static void until(int n) { for (int i = 0; i < 2000 && count < n; i++) usleep(1000); }
static void *wait_thread(void *p) { *(int *)p = syscall(SYS_gettid); while (!count) usleep(1000); return 0; }
static void report(const char *what) { printf("%s: signo %d errno %d code %d", what, got.si_signo > 31 ? got.si_signo - SIGRTMIN + 100 : got.si_signo, got.si_errno, got.si_code); }
static void next(void) { count = 0; memset((void *)&got, 0, sizeof got); }

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0); struct rlimit none = {0, 0}; setrlimit(RLIMIT_CORE, &none);
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}; int list[] = {SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE, SIGIO, SIGURG, SIGRTMIN + 3, SIGVTALRM};
    for (int i = 0; i < 8; i++) sigaction(list[i], &a, 0);
    kill(getpid(), SIGUSR1); report("kill"); printf(" pid %d uid %d\n", got.si_pid == getpid(), got.si_uid == getuid()); next();
    raise(SIGUSR1); report("raise"); printf(" pid %d\n", got.si_pid == getpid()); next();
    sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_ptr = (void *)0x123456789abcdef}); report("sigqueue"); printf(" pid %d value %p\n", got.si_pid == getpid(), got.si_value.sival_ptr); next();
    siginfo_t own = {0}; own.si_code = -60; own.si_pid = 777; own.si_uid = 888; own.si_value.sival_int = 999; printf("rt_tgsigqueueinfo %ld\n", syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGUSR1, &own)); report("own"); printf(" %d %d %d\n", got.si_pid, got.si_uid, got.si_value.sival_int); next();
    own.si_code = 5; long forged = syscall(SYS_rt_sigqueueinfo, getppid(), 0, &own); printf("forged for another: %ld errno %d\n", forged, errno);
    struct itimerval t = {{0, 0}, {0, 5000}}; setitimer(ITIMER_REAL, &t, 0); until(1); report("itimer"); printf("\n"); next();
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 4711}; timer_t timer; timer_create(CLOCK_MONOTONIC, &e, &timer); struct itimerspec its = {{0, 0}, {0, 5000000}}; timer_settime(timer, 0, &its, 0); until(1); report("timer"); printf(" value %d overrun %d\n", got.si_value.sival_int, got.si_overrun); next(); timer_delete(timer);
    int tid = 0; pthread_t th; pthread_create(&th, 0, wait_thread, &tid); while (!tid) usleep(100); e.sigev_notify = SIGEV_THREAD_ID; e._sigev_un._tid = tid; timer_create(CLOCK_MONOTONIC, &e, &timer); timer_settime(timer, 0, &its, 0); until(1); report("timer of a thread"); printf(" in it %d\n", got_tid == tid); pthread_join(th, 0); next(); timer_delete(timer);
    pthread_create(&th, 0, wait_thread, &tid); pthread_kill(th, SIGUSR1); until(1); report("pthread_kill"); pthread_join(th, 0); printf(" in it %d\n", got_tid != getpid()); next();
    pid_t p = fork(); if (p == 0) _exit(42); until(1); report("child exit"); printf(" pid %d status %d\n", got.si_pid == p, got.si_status); waitpid(p, 0, 0); next();
    p = fork(); if (p == 0) { signal(SIGABRT, SIG_DFL); abort(); } until(1); report("child abort"); printf(" status %d\n", got.si_status); siginfo_t w; waitid(P_PID, p, &w, WEXITED | WNOWAIT); printf("waitid signo %d code %d status %d pid %d\n", w.si_signo, w.si_code, w.si_status, w.si_pid == p); waitpid(p, 0, 0); next();
    p = fork(); if (p == 0) { raise(SIGSTOP); _exit(7); } until(1); report("child stop"); printf(" status %d\n", got.si_status); int status; waitpid(p, &status, WUNTRACED); printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status)); next(); kill(p, SIGCONT); until(1); report("child continue or end"); printf("\n"); until(2); waitpid(p, &status, 0); printf("wait %d status %d\n", WIFEXITED(status), WEXITSTATUS(status)); next();
    int ends[2]; pipe(ends); close(ends[0]); int r = write(ends[1], "x", 1); printf("write %d errno %d\n", r, errno); report("pipe"); printf(" pid %d\n", got.si_pid == getpid()); next();
    pipe(ends); fcntl(ends[0], F_SETFL, O_ASYNC); fcntl(ends[0], F_SETOWN, getpid()); fcntl(ends[0], F_SETSIG, SIGRTMIN + 3); write(ends[1], "y", 1); until(1); report("sigio"); printf(" band %ld fd %d\n", got.si_band, got.si_fd == ends[0]); next();
    a.sa_flags |= SA_NOCLDWAIT; sigaction(SIGCHLD, &a, 0); p = fork(); if (p == 0) _exit(0); usleep(30000); r = waitpid(p, &status, 0); printf("no wait: %d errno %d\n", r, errno);
    a.sa_flags = SA_SIGINFO | SA_NOCLDSTOP; sigaction(SIGCHLD, &a, 0); next(); p = fork(); if (p == 0) { raise(SIGSTOP); _exit(0); } waitpid(p, &status, WUNTRACED); printf("quiet stop: %d\n", count); kill(p, SIGKILL); waitpid(p, &status, 0);
    r = kill(0x3ffffff, 0); printf("kill nobody %d errno %d\n", r, errno); r = kill(getpid(), 65); printf("bad signal %d errno %d\n", r, errno); printf("self 0: %d\n", kill(getpid(), 0));
}
