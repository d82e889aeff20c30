// Store buffering: two threads write one variable each and then read the other's. With a full fence, or an atomic
// read-modify-write, between store and load, they never both read the old value.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

enum { rounds = 30000 };
static _Atomic int x, y, unrelated[64], turn;
static int kind, seen[2];

static void between(int me) {
    switch (kind) {
    case 0: atomic_thread_fence(memory_order_seq_cst); break;
    case 1: atomic_fetch_add(&unrelated[32 * me], 1); break;
    case 2: { int old = atomic_exchange(&unrelated[32 * me], 1); (void)old; break; }
    // The second fence orders the store between the two: it must not be taken for a repetition of the first.
    case 3: atomic_thread_fence(memory_order_seq_cst); atomic_store_explicit(me ? &y : &x, 1, memory_order_relaxed);
            atomic_thread_fence(memory_order_seq_cst); break;
    }
}

static void *side(void *p) {
    int me = p != 0;
    for (int i = 0; i < rounds; i++) {
        while (atomic_load(&turn) < 3 * i + 1) sched_yield();
        if (kind != 3) atomic_store_explicit(me ? &y : &x, 1, memory_order_relaxed);
        between(me);
        seen[me] = atomic_load_explicit(me ? &x : &y, memory_order_relaxed);
        atomic_fetch_add(&turn, 1);
    }
    return 0;
}

int main(void) {
    for (kind = 0; kind < 4; kind++) {
        int both = 0;
        turn = 0;
        pthread_t t[2];
        for (long i = 0; i < 2; i++) pthread_create(&t[i], 0, side, (void *)i);
        for (int i = 0; i < rounds; i++) {
            x = y = 0;
            atomic_fetch_add(&turn, 1);
            while (atomic_load(&turn) < 3 * i + 3) sched_yield();
            both += !seen[0] && !seen[1];
        }
        for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
        printf("kind %d: both read the old value %d times\n", kind, both);
    }
}
