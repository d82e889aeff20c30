// Clocks, sleeping and timers.
#include "show.h"
#include <sys/times.h>
#include <sys/timex.h>

static volatile int count, value;
static void handler(int s, siginfo_t *i, void *u) { (void)s; (void)u; count++; value = i->si_value.sival_int; }

int main(void) {
    struct timespec a, b;
    for (int c = 0; c <= 11; c++) { printf("%d ", c); SHOW(clock_gettime(c, &a)); SHOW(clock_getres(c, &b)); }
    SHOW(syscall(SYS_clock_gettime, 0, BAD));
    SHOW(clock_gettime(CLOCK_MONOTONIC, &a));
    struct timespec t = {0, 20000000}, left;
    SHOW(nanosleep(&t, &left));
    SHOW(clock_gettime(CLOCK_MONOTONIC, &b));
    long passed = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
    TRUE(passed >= 20000000 && passed < 5000000000);
    b.tv_nsec += 10000000; if (b.tv_nsec >= 1000000000) { b.tv_sec++; b.tv_nsec -= 1000000000; }
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &b, NULL));
    t.tv_nsec = 2000000000;
    SHOW(nanosleep(&t, NULL));
    SHOW(nanosleep(BAD, NULL));
    struct timeval tv;
    struct timezone tz;
    SHOW(gettimeofday(&tv, &tz));
    TRUE(labs(tv.tv_sec - time(NULL)) <= 1);
    struct tms tms;
    TRUE(times(&tms) > 0);
    struct timex tx = {0};
    TRUE(adjtimex(&tx) >= 0);
    TRUE(tx.tick > 9000 && tx.tick < 11000);

    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &sa, NULL);
    sigaction(SIGVTALRM, &sa, NULL);
    timer_t timer;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
    SHOW(timer_create(CLOCK_MONOTONIC, &ev, &timer));
    struct itimerspec it = {{0, 5000000}, {0, 5000000}}, now;
    SHOW(timer_settime(timer, 0, &it, NULL));
    while (count < 3) usleep(1000);
    SHOW(value);
    SHOW(timer_gettime(timer, &now));
    TRUE(now.it_interval.tv_nsec == 5000000);
    WORKS(timer_getoverrun(timer));
    SHOW(timer_delete(timer));
    SHOW(syscall(SYS_timer_delete, 12345));
    SHOW(syscall(SYS_timer_gettime, 12345, &now));
    count = 0;
    struct itimerval vt = {{0, 0}, {0, 10000}}, old;
    SHOW(setitimer(ITIMER_VIRTUAL, &vt, NULL));
    while (!count) ;
    SHOW(getitimer(ITIMER_VIRTUAL, &old));
    printf("%ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_value.tv_usec);
    SHOW(setitimer(99, &vt, NULL));
    vt.it_value.tv_sec = 50;
    SHOW(setitimer(ITIMER_REAL, &vt, NULL));
    vt.it_value.tv_sec = 0; vt.it_value.tv_usec = 0;
    SHOW(setitimer(ITIMER_REAL, &vt, &old));
    TRUE(old.it_value.tv_sec >= 49);
    SHOW(alarm(30));
    SHOW(alarm(0));
}
