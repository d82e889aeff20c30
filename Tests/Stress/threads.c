// Threads that come and go, wait on one another in every way the C library has, and end while others wait.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, robust;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static sem_t semaphore;
static atomic_long sum, onces, keys;
static _Thread_local int mine;
static int turn;
static long guarded, shared;

static void destroy(void *p) { atomic_fetch_add(&keys, (long)p); }
static void only_once(void) { atomic_fetch_add(&onces, 1); }
static void cleaned(void *p) { atomic_fetch_add((atomic_long *)p, 1); }

static void *work(void *p) {
    long me = (long)p;
    pthread_once(&once, only_once);
    pthread_setspecific(key, (void *)(me + 1));
    mine = me;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 300; i++) {
        atomic_fetch_add(&sum, mine + 1);
        pthread_mutex_lock(&lock); guarded++; pthread_mutex_unlock(&lock);
        if (i % 8 == 0) { pthread_rwlock_wrlock(&table); shared++; pthread_rwlock_unlock(&table); }
        else { pthread_rwlock_rdlock(&table); if (shared < 0) abort(); pthread_rwlock_unlock(&table); }
    }
    for (int i = 0; i < 10; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 4 != me) pthread_cond_wait(&turned, &lock);
        turn++;
        pthread_cond_broadcast(&turned);
        pthread_mutex_unlock(&lock);
    }
    sem_post(&semaphore);
    return (void *)(me * me);
}
static void *brief(void *p) { char deep[20000]; deep[(long)p % 20000] = 1; return (void *)((long)p + deep[(long)p % 20000]); }
static void *dies_holding(void *p) { pthread_mutex_lock(&robust); return 0; }
static atomic_long cancelled;
static void *endless(void *p) { pthread_cleanup_push(cleaned, &cancelled); for (;;) pause(); pthread_cleanup_pop(0); return 0; }

int main(void) {
    pthread_t t[4];
    pthread_barrier_init(&barrier, 0, 4);
    pthread_key_create(&key, destroy);
    sem_init(&semaphore, 0, 0);
    for (long i = 0; i < 4; i++) if (pthread_create(&t[i], 0, work, (void *)i)) return 2;
    long squares = 0;
    for (int i = 0; i < 4; i++) sem_wait(&semaphore);
    for (int i = 0; i < 4; i++) { void *r; pthread_join(t[i], &r); squares += (long)r; }
    for (long i = 0; i < 40; i++) { pthread_t b; void *r; if (pthread_create(&b, 0, brief, (void *)i)) return 3; pthread_join(b, &r); if ((long)r != i + 1) return 4; }
    pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST); pthread_mutex_init(&robust, &a);
    pthread_create(&t[0], 0, dies_holding, 0); pthread_join(t[0], 0);
    int owner = pthread_mutex_lock(&robust); pthread_mutex_consistent(&robust); pthread_mutex_unlock(&robust);
    for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, endless, 0);
    for (int i = 0; i < 4; i++) { pthread_cancel(t[i]); void *r; pthread_join(t[i], &r); if (r != PTHREAD_CANCELED) return 5; }
    struct timespec soon; clock_gettime(CLOCK_REALTIME, &soon); soon.tv_nsec += 2000000; if (soon.tv_nsec >= 1000000000) { soon.tv_sec++; soon.tv_nsec -= 1000000000; }
    pthread_mutex_lock(&lock); int late = pthread_cond_timedwait(&turned, &lock, &soon); pthread_mutex_unlock(&lock);
    for (int i = 0; i < 3; i++) { pthread_create(&t[i], 0, endless, 0); pthread_detach(t[i]); }
    int good = sum == 3000 && guarded == 1200 && shared == 152 && turn == 40 && squares == 14 && onces == 1 && keys == 10
            && owner == EOWNERDEAD && cancelled <= 4 && late == ETIMEDOUT;
    if (!good) printf("sum %ld guarded %ld shared %ld turn %d squares %ld onces %ld keys %ld owner %d late %d\n", sum, guarded, shared, turn, squares, onces, keys, owner, late);
    return !good;   // with three threads still waiting
}
