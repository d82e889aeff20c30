// Takes memory until there is none, then shows that it can go on.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
    size_t taken = 0; void *list = 0;
    for (;;) { void **p = malloc(1 << 20); if (!p) break; memset(p, 1, 4096); *p = list; list = p; if (++taken > 4096) return 3; }
    if (errno != ENOMEM) return 4;
    if (mmap(0, 1ull << 46, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) return 5;
    while (list) { void *next = *(void **)list; free(list); list = next; }
    if (!malloc(1 << 19)) return 6;
    puts("went on"); return 0;
}
