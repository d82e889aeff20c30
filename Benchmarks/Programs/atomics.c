// Atomic operations and locks, uncontended and between two threads.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_long counter, flag; static atomic_int small; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; static long guarded; static int n = 6000000;
static void *work(void *p) {
    for (int i = 0; i < n; i++) {
        atomic_fetch_add_explicit(&counter, i, memory_order_relaxed);
        atomic_fetch_xor(&small, i);
        long old = atomic_load(&flag);
        while (!atomic_compare_exchange_weak(&flag, &old, old + 3)) {}
        if ((i & 7) == 0) { pthread_mutex_lock(&lock); guarded++; pthread_mutex_unlock(&lock); }
    }
    return 0;
}
int main(int c, char **v) {
    if (c > 1) n = atoi(v[1]);
    work(0); work(0);
    pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0);
    printf("%ld %d %ld %ld\n", counter, small, flag, guarded);
}
