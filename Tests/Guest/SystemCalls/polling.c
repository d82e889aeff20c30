// Waiting for descriptors, events and signals by descriptor.
#include "show.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static volatile int handled;
static void handler(int s) { handled = s; }

int main(void) {
    int p[2];
    SHOW(pipe(p));
    struct pollfd f[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
    SHOW(poll(f, 2, 0));
    printf("%x %x\n", f[0].revents, f[1].revents);
    SHOW(poll(f, 1, 10));
    SHOW(write(p[1], "x", 1));
    SHOW(poll(f, 1, -1));
    SHOW(poll(BAD, 1, 0));
    fd_set r; FD_ZERO(&r); FD_SET(p[0], &r);
    struct timeval tv = {1, 0};
    SHOW(select(p[0] + 1, &r, NULL, NULL, &tv));
    TRUE(FD_ISSET(p[0], &r));
    struct timespec ts = {0, 1000000};
    sigset_t mask; sigemptyset(&mask);
    FD_ZERO(&r);
    SHOW(pselect(1, &r, NULL, NULL, &ts, &mask));
    SHOW(ppoll(f, 1, &ts, &mask));

    int e = epoll_create1(EPOLL_CLOEXEC), v = eventfd(3, EFD_NONBLOCK);
    struct epoll_event ev = {EPOLLIN | EPOLLET, {.u64 = 0x1122334455667788}}, got[4];
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, v, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, v, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, 99, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[1], BAD));
    ev = (struct epoll_event){EPOLLOUT, {.u64 = 0x99}};
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev));
    memset(got, 0, sizeof got);
    int n = epoll_wait(e, got, 4, 1000);
    printf("%d\n", n);
    for (int i = 0; i < n; i++) printf("%x %llx\n", got[i].events, (long long)got[i].data.u64);
    SHOW(epoll_wait(e, BAD, 4, 0));
    SHOW(epoll_ctl(e, EPOLL_CTL_DEL, p[1], NULL));
    SHOW(epoll_wait(e, got, 4, 5));
    SHOW(epoll_wait(e, got, 0, 5));
    SHOW(epoll_pwait(e, got, 4, 5, &mask));
    SHOW(syscall(SYS_epoll_pwait2, e, got, 4, &ts, NULL, 8));
    uint64_t u = 0;
    SHOW(read(v, &u, 8)); SHOW(u);
    SHOW(read(v, &u, 8));
    u = 7;
    SHOW(write(v, &u, 8));
    SHOW(read(v, &u, 4));

    int t = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec it = {{0, 0}, {0, 5000000}}, old;
    SHOW(timerfd_settime(t, 0, &it, NULL));
    SHOW(read(t, &u, 8)); SHOW(u);
    it.it_value.tv_sec = 100;
    SHOW(timerfd_settime(t, 0, &it, &old));
    SHOW(timerfd_gettime(t, &old));
    TRUE(old.it_value.tv_sec >= 99);
    SHOW(timerfd_settime(t, 0, BAD, NULL));

    // Signals by descriptor, and signals that end a wait
    sigaddset(&mask, SIGUSR1);
    SHOW(sigprocmask(SIG_BLOCK, &mask, NULL));
    int s = signalfd(-1, &mask, SFD_NONBLOCK);
    struct signalfd_siginfo info;
    SHOW(read(s, &info, sizeof info));
    kill(getpid(), SIGUSR1);
    f[0] = (struct pollfd){s, POLLIN, 0};
    SHOW(poll(f, 1, 1000));
    SHOW(read(s, &info, sizeof info));
    printf("%d %d\n", info.ssi_signo, info.ssi_pid == (uint32_t)getpid());
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval alarm = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &alarm, NULL);
    SHOW(poll(NULL, 0, 5000)); SHOW(handled);
    handled = 0; setitimer(ITIMER_REAL, &alarm, NULL);
    SHOW(epoll_wait(e, got, 4, 5000)); SHOW(handled);
    handled = 0; setitimer(ITIMER_REAL, &alarm, NULL);
    tv.tv_sec = 5;
    SHOW(select(0, NULL, NULL, NULL, &tv)); SHOW(handled);
    handled = 0; setitimer(ITIMER_REAL, &alarm, NULL);
    ts.tv_sec = 5;
    struct timespec left = {0, 0};
    SHOW(nanosleep(&ts, &left)); SHOW(handled);
    TRUE(left.tv_sec == 4);
    // pselect with its own mask lets a blocked signal through
    sigset_t all, none; sigfillset(&all); sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    handled = 0; kill(getpid(), SIGALRM);
    SHOW(handled);
    SHOW(pselect(0, NULL, NULL, NULL, &ts, &none)); SHOW(handled);
    handled = 0; kill(getpid(), SIGALRM);
    SHOW(ppoll(NULL, 0, &ts, &none)); SHOW(handled);
    handled = 0; kill(getpid(), SIGALRM);
    SHOW(epoll_pwait(e, got, 4, 5000, &none)); SHOW(handled);

    char name[] = "/tmp/apus-polling-XXXXXX", path[100], buffer[4096] __attribute__((aligned(8)));
    mkdtemp(name);
    int i = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    WORKS(inotify_add_watch(i, name, IN_CREATE | IN_DELETE));
    snprintf(path, sizeof path, "%s/f", name);
    close(open(path, O_CREAT | O_RDWR, 0600));
    unlink(path);
    long length = read(i, buffer, sizeof buffer);
    for (long at = 0; at < length;) {
        struct inotify_event *event = (void *)(buffer + at);
        printf("%x %s\n", event->mask, event->name);
        at += sizeof *event + event->len;
    }
    SHOW(inotify_rm_watch(i, 77));
    rmdir(name);
}
