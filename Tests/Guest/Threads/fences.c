// Store buffering: two threads write one variable each and then read the other's. With a full fence, or an atomic
// read-modify-write, between store and load, they never both read the old value. Without one they do so now and then,
// which this program sees on two free cores (`fences.c` with -DWITHOUT).
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { rounds = 20000, line = 16 };
static _Atomic int cells[2][rounds * line], arrived[2 * line], unrelated[2 * line];
static int kind, seen[2][rounds];

static void between(int me, int i) {
    switch (kind) {
#ifdef WITHOUT
    default: break;
#else
    case 0: atomic_thread_fence(memory_order_seq_cst); break;
    case 1: atomic_fetch_add(&unrelated[line * me], 1); break;
    case 2: seen[me][i] = atomic_exchange(&unrelated[line * me], 1); break;
    // The second fence orders the store between the two: it must not be taken for a repetition of the first.
    case 3: atomic_thread_fence(memory_order_seq_cst); atomic_store_explicit(&cells[me][i * line], 1, memory_order_relaxed);
            atomic_thread_fence(memory_order_seq_cst); break;
#endif
    }
}

static void *side(void *p) {
    int me = p != 0, other = !me;
    for (int i = 0; i < rounds; i++) {
        // Both start together, or, where the other has no processor now, not at all.
        atomic_store(&arrived[line * me], i);
        for (int wait = 0; wait < 500 && atomic_load_explicit(&arrived[line * other], memory_order_relaxed) < i; wait++) {}
        if (kind != 3) atomic_store_explicit(&cells[me][i * line], 1, memory_order_relaxed);
        between(me, i);
        seen[me][i] = atomic_load_explicit(&cells[other][i * line], memory_order_relaxed);
    }
    return 0;
}

int main(void) {
    for (kind = 0; kind < 4; kind++) {
        int both = 0;
        for (int me = 0; me < 2; me++) {
            arrived[line * me] = -1;
            for (int i = 0; i < rounds; i++) cells[me][i * line] = 0;
        }
        pthread_t threads[2];
        for (long i = 0; i < 2; i++) pthread_create(&threads[i], 0, side, (void *)i);
        for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
        for (int i = 0; i < rounds; i++) both += !seen[0][i] && !seen[1][i];
        printf("kind %d: both read the old value %d times\n", kind, both);
    }
}
