// Hash tables: open addressing that grows, chained with strings; memory bound.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table { uint64_t *keys, *values; size_t mask, count; };
static uint64_t mix(uint64_t x) { x ^= x >> 33; x *= 0xff51afd7ed558ccdull; x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53ull; return x ^ x >> 33; }
static uint64_t *find(struct table *t, uint64_t key) {
    size_t i = mix(key) & t->mask;
    while (t->keys[i] && t->keys[i] != key) i = (i + 1) & t->mask;
    if (!t->keys[i]) { t->keys[i] = key; t->count++; }
    return &t->values[i];
}
static void grow(struct table *t) {
    struct table n = {calloc((t->mask + 1) * 2, 8), calloc((t->mask + 1) * 2, 8), t->mask * 2 + 1, 0};
    for (size_t i = 0; i <= t->mask; i++) if (t->keys[i]) *find(&n, t->keys[i]) = t->values[i];
    free(t->keys); free(t->values); *t = n;
}
struct entry { struct entry *next; int count; char name[20]; };
int main(int c, char **v) {
    int n = c > 1 ? atoi(v[1]) : 4000000;
    struct table t = {calloc(64, 8), calloc(64, 8), 63, 0};
    uint64_t x = 1, sum = 0;
    for (int i = 0; i < n; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        *find(&t, (x >> 45) + 1) += i;
        if (t.count * 3 > t.mask * 2) grow(&t);
    }
    for (size_t i = 0; i <= t.mask; i++) sum += t.values[i] * t.keys[i];
    static struct entry *buckets[4096];
    for (int i = 0; i < n / 4; i++) {
        char name[20]; uint32_t h = 2166136261u;
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        snprintf(name, sizeof name, "key%u", (unsigned)(x >> 50));
        for (char *p = name; *p; p++) h = (h ^ (uint8_t)*p) * 16777619u;
        struct entry **e = &buckets[h & 4095];
        while (*e && strcmp((*e)->name, name)) e = &(*e)->next;
        if (!*e) { *e = calloc(1, sizeof **e); strcpy((*e)->name, name); }
        sum += ++(*e)->count;
    }
    printf("%016llx %zu\n", (unsigned long long)sum, t.count);
}
