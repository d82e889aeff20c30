// epoll and eventfd, which Swift's C library module leaves out.
#include "include/CHost.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

int apus_events_open(void) {
    int events = epoll_create1(EPOLL_CLOEXEC);
    return events < 0 ? -errno : events;
}

int apus_events_control(int events, int operation, int descriptor, uint32_t wanted, uint64_t number) {
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    struct epoll_event event = {.events = (wanted & APUS_READ ? EPOLLIN : 0) | (wanted & APUS_WRITE ? EPOLLOUT : 0), .data.u64 = number};
    return epoll_ctl(events, operations[operation % 3], descriptor, &event) < 0 ? -errno : 0;
}

int apus_events_wait(int events, struct apus_event *out, int64_t nanoseconds) {
    struct epoll_event ready[64];
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    long count = apus_syscall(SYS_epoll_pwait2, events, (long)ready, 64, (long)(nanoseconds < 0 ? NULL : &timeout), 0, 8);
    if (count == -ENOSYS) {
        long milliseconds = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
        count = apus_syscall(SYS_epoll_pwait, events, (long)ready, 64, milliseconds > 1000000 ? 1000000 : milliseconds, 0, 8);
    }
    for (long index = 0; index < count; index++) {
        out[index].number = ready[index].data.u64;
        out[index].ready = (ready[index].events & EPOLLIN ? APUS_READ : 0) | (ready[index].events & EPOLLOUT ? APUS_WRITE : 0)
            | (ready[index].events & (EPOLLHUP | EPOLLERR) ? APUS_HANG_UP : 0);
    }
    return (int)count;
}

int apus_wake_open(void) {
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake < 0 ? -errno : wake;
}
