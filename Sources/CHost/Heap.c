// The heap of Apus itself where the address space is limited.
#include "CHost.h"
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

// A guest may take all memory there is and go on when it is told so. Apus then still allocates a little now and again,
// and Swift ends the process if that fails. So some heap is taken beforehand and given back to malloc, which keeps it:
// no trimming, no mappings of their own for large pieces, no arenas for further threads.
void apus_reserve_heap(size_t bytes) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_ARENA_MAX, 1);
    void *volatile taken = malloc(bytes);     // volatile: compilers leave out a pair that nobody looks at
    free(taken);
}
