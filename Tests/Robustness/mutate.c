// mutate FILE SEED > OUT   damages an ELF file where a loader looks: header, program headers, length. Same seed, same file.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t x;
static uint64_t next(void) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return x * 0x9E3779B97F4A7C15ull >> 16; }
static uint64_t awkward(void) {
    static const uint64_t values[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffff,
        0x800000000000, 0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff};
    uint64_t v = values[next() % 15];
    return next() % 3 ? v : v + next() % 64 - 32;
}
static void put(uint8_t *p, uint64_t v, int bytes) { for (int i = 0; i < bytes; i++) p[i] = v >> (8 * i); }

int main(int c, char **v) {
    if (c != 3) return 2;
    FILE *f = fopen(v[1], "rb"); static uint8_t d[1 << 21]; size_t n = f ? fread(d, 1, sizeof d, f) : 0;
    if (n < 1024) return 2;
    x = strtoull(v[2], 0, 10) * 0x2545F4914F6CDD1Dull + 88172645463325252ull; for (int i = 0; i < 4; i++) next();
    unsigned count = d[56], offset = d[32];
    for (int k = 1 + next() % 3; k > 0; k--) switch (next() % 8) {
    case 0: d[next() % 64] ^= 1 << next() % 8; break;
    case 1: d[next() % (64 + 56 * count)] = next(); break;
    case 2: case 3: case 4: { uint8_t *h = d + offset + 56 * (next() % count); static const int at[] = {0, 4, 8, 16, 24, 32, 40, 48}; int field = next() % 8; put(h + at[field], awkward(), field < 2 ? 4 : 8); break; }
    case 5: { static const int at[] = {24, 32, 40}; put(d + at[next() % 3], awkward(), 8); break; }
    case 6: memcpy(d + offset + 56 * (next() % count), d + offset + 56 * (next() % count), 56); break;
    case 7: n = next() % 3 ? next() % 600 : next() % n; break;
    }
    fwrite(d, 1, n, stdout);
}
