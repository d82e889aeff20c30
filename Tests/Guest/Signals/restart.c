// What interrupted system calls do: begin again, or end with EINTR.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int hits; static int ends[2], pair[2], event; static sem_t semaphore; static pid_t child; static int queue;
static void hit(int s) { hits++; }
// The second alarm makes what is waited for happen.
static void act(int s) { if (++hits == 2) { write(ends[1], "ab", 2); send(pair[1], "cd", 2, 0); eventfd_write(event, 1); sem_post(&semaphore); if (child) kill(child, SIGKILL); } }

static void arm(int flags) {
    struct sigaction a = {.sa_handler = act, .sa_flags = flags}; sigaction(SIGALRM, &a, 0); hits = 0;
    struct itimerval t = {{0, 15000}, {0, 15000}}; setitimer(ITIMER_REAL, &t, 0);
}
static void disarm(const char *what, int flags, long result, int error) {
    struct itimerval t = {{0, 0}, {0, 0}}; setitimer(ITIMER_REAL, &t, 0);
    printf("%s %s: %ld errno %d hits %s\n", what, flags ? "restart" : "plain", result, result < 0 ? error : 0, hits == 0 ? "0" : hits == 1 ? "1" : "more");
    char junk[64]; fcntl(ends[0], F_SETFL, O_NONBLOCK); while (read(ends[0], junk, 64) > 0) {} fcntl(ends[0], F_SETFL, 0);
    while (recv(pair[0], junk, 64, MSG_DONTWAIT) > 0) {} while (sem_trywait(&semaphore) == 0) {} eventfd_t v; fcntl(event, F_SETFL, O_NONBLOCK); eventfd_read(event, &v); fcntl(event, F_SETFL, 0);
}
#define WAIT(what, call) do { for (int f = 0; f <= 1; f++) { int flags = f ? SA_RESTART : 0; arm(flags); long r = (call); int e = errno; disarm(what, flags, r, e); } } while (0)

static pid_t sleeper(void) { pid_t p = fork(); if (p == 0) { signal(SIGALRM, SIG_DFL); for (;;) pause(); } return p; }
static void *locker(void *p) { usleep(60000); pthread_mutex_unlock(p); return 0; }

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    pipe(ends); socketpair(AF_UNIX, SOCK_STREAM, 0, pair); event = eventfd(0, 0); sem_init(&semaphore, 0, 0); queue = msgget(IPC_PRIVATE, 0600);
    char buffer[64]; struct pollfd pfd = {ends[0], POLLIN, 0}; int epoll = epoll_create1(0); struct epoll_event ev = {EPOLLIN}; epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &ev);
    WAIT("read pipe", read(ends[0], buffer, 64));
    WAIT("recv", recv(pair[0], buffer, 64, 0));
    WAIT("read eventfd", read(event, buffer, 8));
    WAIT("sem_wait", sem_wait(&semaphore));
    WAIT("poll", poll(&pfd, 1, 2000));
    fd_set set; struct timeval tv;
    WAIT("select", ({ FD_ZERO(&set); FD_SET(ends[0], &set); tv.tv_sec = 2; tv.tv_usec = 0; select(ends[0] + 1, &set, 0, 0, &tv); }));
    WAIT("epoll_wait", epoll_wait(epoll, &ev, 1, 2000));
    WAIT("pause", pause());
    struct timespec nap = {0, 200000000}, left;
    WAIT("nanosleep", nanosleep(&nap, &left));
    WAIT("clock_nanosleep", -clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, &left));
    WAIT("sigtimedwait", ({ sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); struct timespec t = {0, 100000000}; sigtimedwait(&s, 0, &t); }));
    WAIT("msgrcv", msgrcv(queue, buffer, 8, 0, 0));
    child = sleeper(); WAIT("waitpid", waitpid(child, 0, 0) > 0 ? 1 : -1); kill(child, SIGKILL); while (waitpid(-1, 0, 0) > 0) {}
    child = sleeper(); WAIT("waitid", ({ siginfo_t i; int r = waitid(P_PID, child, &i, WEXITED); if (r == 0) child = sleeper(); r; })); kill(child, SIGKILL); while (waitpid(-1, 0, 0) > 0) {} child = 0;
    // Time left is what remains.
    struct sigaction once = {.sa_handler = hit}; sigaction(SIGALRM, &once, 0); struct itimerval t = {{0, 0}, {0, 50000}}; setitimer(ITIMER_REAL, &t, 0);
    nap.tv_nsec = 300000000; int r = nanosleep(&nap, &left); printf("left %d: %s\n", r, left.tv_nsec > 150000000 && left.tv_nsec < 260000000 ? "about 250 ms" : "wrong");
    // A mutex goes on waiting.
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; pthread_mutex_lock(&m); pthread_t th; pthread_create(&th, 0, locker, &m); hits = 0; setitimer(ITIMER_REAL, &t, 0); r = pthread_mutex_lock(&m); printf("mutex %d hits %d\n", r, hits); pthread_join(th, 0);
    // An ignored or default-ignored signal does not disturb.
    signal(SIGALRM, SIG_IGN); setitimer(ITIMER_REAL, &t, 0); nap.tv_nsec = 100000000; printf("ignored %d\n", nanosleep(&nap, 0));
    if (fork() == 0) { usleep(20000); _exit(0); } printf("child's end %d\n", nanosleep(&nap, 0)); wait(0);
    // Many signals while a pipe carries data: nothing is lost.
    struct sigaction many = {.sa_handler = hit, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &many, 0); struct itimerval storm = {{0, 300}, {0, 300}};
    int big[2]; pipe(big); pid_t writer = fork(); if (writer == 0) { setitimer(ITIMER_REAL, &storm, 0); unsigned char block[997]; for (int i = 0; i < 3000; i++) { memset(block, i, sizeof block); size_t done = 0; while (done < sizeof block) { ssize_t n = write(big[1], block + done, sizeof block - done); if (n < 0) _exit(1); done += n; } } _exit(0); }
    close(big[1]); setitimer(ITIMER_REAL, &storm, 0); unsigned long total = 0, sum = 0; unsigned char piece[4096]; for (;;) { ssize_t n = read(big[0], piece, sizeof piece); if (n < 0) { printf("read errno %d\n", errno); break; } if (n == 0) break; total += n; for (int i = 0; i < n; i++) sum += piece[i]; }
    int status; while (waitpid(writer, &status, 0) < 0) {} memset(&storm, 0, sizeof storm); setitimer(ITIMER_REAL, &storm, 0); printf("storm total %lu sum %lu status %d\n", total, sum, status);
    msgctl(queue, IPC_RMID, 0);
}
