// What C programs do with threads.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static __thread int mine = 7; static __thread char zeroed[1000]; static pthread_key_t key; static int destroyed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; static int counter, turn;
static void destroy(void *p) { __atomic_fetch_add(&destroyed, (int)(long)p, __ATOMIC_SEQ_CST); }
static void *add(void *p) { mine += (long)p; zeroed[999]++; pthread_setspecific(key, p); for (int i = 0; i < 20000; i++) { pthread_mutex_lock(&lock); counter++; pthread_mutex_unlock(&lock); } return (void *)(long)(mine + zeroed[999]); }
static void *take_turns(void *p) { for (int i = 0; i < 500; i++) { pthread_mutex_lock(&lock); while (turn != (long)p) pthread_cond_wait(&changed, &lock); turn = !turn; pthread_cond_broadcast(&changed); pthread_mutex_unlock(&lock); } return 0; }
static void cleanup(void *p) { printf("cleanup %s\n", (char *)p); }
static sem_t begun;
static void *wait_in_read(void *p) { int *ends = p; char c; pthread_cleanup_push(cleanup, "read"); sem_post(&begun); read(ends[0], &c, 1); pthread_cleanup_pop(0); return 0; }
static void *busy(void *p) { pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0); sem_post(&begun); for (;;) ; return 0; }
static void *hold(void *p) { pthread_mutex_lock(p); return 0; }
static void *detached(void *p) { sem_post(p); return 0; }
static void *leave(void *p) { usleep(20000); printf("last thread\n"); return 0; }
static void *later(void *p) { usleep(20000); return 0; }
static void *exits(void *p) { pthread_exit((void *)55); }
static pthread_barrier_t barrier; static void *meet(void *p) { return (void *)(long)(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD); }
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER; static int shared_value; static void *reader(void *p) { long bad = 0; for (int i = 0; i < 2000; i++) { if (p) { pthread_rwlock_wrlock(&rw); shared_value++; shared_value++; } else { pthread_rwlock_rdlock(&rw); bad += shared_value & 1; } pthread_rwlock_unlock(&rw); } return (void *)bad; }

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0); pthread_key_create(&key, destroy); sem_init(&begun, 0, 0);
    pthread_t t[40]; void *result; long sum = 0;
    for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, add, (void *)i); for (int i = 0; i < 8; i++) { pthread_join(t[i], &result); sum += (long)result; }
    printf("counter %d results %ld destroyed %d mine %d\n", counter, sum, destroyed, mine);
    for (long i = 0; i < 2; i++) pthread_create(&t[i], 0, take_turns, (void *)i); for (int i = 0; i < 2; i++) pthread_join(t[i], 0); printf("turn %d\n", turn);
    int ends[2]; pipe(ends); pthread_create(&t[0], 0, wait_in_read, ends); sem_wait(&begun); usleep(5000); pthread_cancel(t[0]); pthread_join(t[0], &result); printf("cancelled in read %d\n", result == PTHREAD_CANCELED);
    pthread_create(&t[0], 0, busy, 0); sem_wait(&begun); pthread_cancel(t[0]); pthread_join(t[0], &result); printf("cancelled asynchronously %d\n", result == PTHREAD_CANCELED);
    pthread_create(&t[0], 0, exits, 0); pthread_join(t[0], &result); printf("exit value %ld\n", (long)result);
    pthread_mutexattr_t ma; pthread_mutexattr_init(&ma); pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST); pthread_mutex_t robust; pthread_mutex_init(&robust, &ma);
    pthread_create(&t[0], 0, hold, &robust); pthread_join(t[0], 0); int r = pthread_mutex_lock(&robust); printf("robust %d", r); r = pthread_mutex_consistent(&robust); printf(" %d", r); r = pthread_mutex_unlock(&robust); printf(" %d", r); r = pthread_mutex_lock(&robust); printf(" %d\n", r);
    pthread_mutexattr_setprotocol(&ma, PTHREAD_PRIO_INHERIT); pthread_mutex_t pi; pthread_mutex_init(&pi, &ma); pthread_create(&t[0], 0, hold, &pi); pthread_join(t[0], 0); printf("robust inheriting %d\n", pthread_mutex_lock(&pi));
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED); pthread_mutexattr_setprotocol(&ma, PTHREAD_PRIO_NONE);
    pthread_mutex_t *between = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); pthread_mutex_init(between, &ma);
    for (int how = 0; how < 3; how++) { pid_t p = fork(); if (p == 0) { pthread_mutex_lock(between); if (how == 0) _exit(0); if (how == 1) kill(getpid(), SIGKILL); execl("/bin/true", "true", (char *)0); _exit(1); } int status; waitpid(p, &status, 0); r = pthread_mutex_lock(between); printf("owner gone %d: %d", how, r); if (r == EOWNERDEAD) pthread_mutex_consistent(between); printf(" %d\n", pthread_mutex_unlock(between)); }
    sem_t done; sem_init(&done, 0, 0); pthread_attr_t attr; pthread_attr_init(&attr); pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED); pthread_attr_setstacksize(&attr, 65536); for (int i = 0; i < 300; i++) { while (pthread_create(&t[0], &attr, detached, &done)) usleep(1000); sem_wait(&done); } printf("300 detached\n");
    pthread_barrier_init(&barrier, 0, 10); for (int i = 0; i < 10; i++) pthread_create(&t[i], 0, meet, 0); sum = 0; for (int i = 0; i < 10; i++) { pthread_join(t[i], &result); sum += (long)result; } printf("barrier %ld\n", sum);
    for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, reader, (void *)(i & 1)); sum = 0; for (int i = 0; i < 4; i++) { pthread_join(t[i], &result); sum += (long)result; } printf("rwlock %ld %d\n", sum, shared_value);
    struct timespec soon; clock_gettime(CLOCK_REALTIME, &soon); soon.tv_nsec += 20000000; if (soon.tv_nsec >= 1000000000) { soon.tv_nsec -= 1000000000; soon.tv_sec++; }
    pthread_mutex_lock(&lock); r = pthread_cond_timedwait(&changed, &lock, &soon); printf("timed out %d\n", r == ETIMEDOUT); pthread_mutex_unlock(&lock);

    // User and group ids change in all threads.
    for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, later, 0); if (getuid() == 0) printf("setgid %d\n", setresgid(5, 5, 5)); else printf("setgid 0\n"); for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    pid_t p = fork(); if (p == 0) { pthread_create(&t[5], 0, exits, 0); pthread_join(t[5], &result); printf("thread in child %ld\n", (long)result); _exit(0); } waitpid(p, 0, 0);
    p = fork(); if (p == 0) { pthread_create(&t[5], 0, busy, 0); sem_wait(&begun); execl("/bin/echo", "echo", "exec beside a thread", (char *)0); } waitpid(p, 0, 0);
    p = fork(); if (p == 0) { pthread_create(&t[5], 0, busy, 0); sem_wait(&begun); _exit(33); } int status; waitpid(p, &status, 0); printf("exit beside a thread %d\n", WEXITSTATUS(status));
    p = fork(); if (p == 0) { pthread_create(&t[5], 0, leave, 0); syscall(SYS_exit, 12); } waitpid(p, &status, 0); printf("first thread ended first: %d\n", WEXITSTATUS(status));
    pthread_exit(0);
}
