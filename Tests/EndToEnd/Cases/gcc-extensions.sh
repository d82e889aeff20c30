# cpu: max
# guest only
# What gcc makes for the base instruction set and for the extensions of this processor must print the same: half precision,
# bit manipulation, conditional moves; cryptography as intrinsics against plain C.
set -eu
cat > both.c <<'C'
#include <stdint.h>
#include <stdio.h>
#include <math.h>
static uint64_t state = 1;
static uint64_t next(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state; }
static _Float16 half(void) { union { uint16_t bits; _Float16 value; } u = { next() >> 48 }; return u.value; }
static uint64_t mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 0x9e3779b97f4a7c15u; }
static uint64_t bits(_Float16 x) { union { _Float16 value; uint16_t bits; } u = { x }; return x != x ? 0x7e00 : u.bits; }
int main(void) {
    uint64_t hash = 0, counts = 0;
    for (int i = 0; i < 200000; i++) {
        _Float16 a = half(), b = half();
        hash = mix(hash, bits(a + b)); hash = mix(hash, bits(a - b)); hash = mix(hash, bits(a * b)); hash = mix(hash, bits(a / b));
        hash = mix(hash, (a < b) + 2 * (a <= b) + 4 * (a == b)); hash = mix(hash, bits(a < b ? -a : b));
        if (a > -30000 && a < 30000) hash = mix(hash, (uint64_t)(int64_t)a);
        hash = mix(hash, bits((_Float16)(int)(next() >> 44)));
        hash = mix(hash, bits((_Float16)(float)b));
    }
    for (int i = 0; i < 100000; i++) {
        uint64_t x = next(), y = next();
        counts = mix(counts, __builtin_popcountll(x) + __builtin_clzll(y | 1)); counts = mix(counts, __builtin_bswap64(x) ^ (x << (y & 63) | x >> (-y & 63)));
        counts = mix(counts, (x & ~y) + (x > y ? x : y) + ((uint32_t)x | y << 32)); counts = mix(counts, x & 1 ? y : i);
    }
    printf("%016lx %016lx\n", hash, counts);
}
C
gcc -O2 -march=rv64gc both.c -o base -lm
gcc -O2 -march=rv64gc_zba_zbb_zbs_zbkb_zbkx_zfh_zfa_zicond_zcb both.c -o extended -lm
objdump -d extended | grep -cE 'f(add|sub|mul|div)\.h|czero|andn|pack|rol' | sed 's/^[1-9][0-9]*$/new instructions are there/'
./base > base.out; ./extended | cmp - base.out && echo the same
cat > sha.c <<'C'
#include <stdint.h>
#include <stdio.h>
#include <riscv_crypto.h>
#define R(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define r(x, n) ((uint32_t)(x) >> (n) | (uint32_t)(x) << (32 - (n)))
int main(void) {
    uint64_t x = 88172645463325252u; int wrong = 0;
    for (int i = 0; i < 100000; i++) {
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        uint32_t w = x;
        wrong += __riscv_sha512sum0(x) != (R(x, 28) ^ R(x, 34) ^ R(x, 39)); wrong += __riscv_sha512sig1(x) != (R(x, 19) ^ R(x, 61) ^ x >> 6);
        wrong += __riscv_sha256sum1(w) != (r(w, 6) ^ r(w, 11) ^ r(w, 25)); wrong += __riscv_sha256sig0(w) != (r(w, 7) ^ r(w, 18) ^ w >> 3);
        wrong += __riscv_sm3p0(w) != (w ^ r(w, 23) ^ r(w, 15));
    }
    printf("%d wrong, %016lx\n", wrong, __riscv_aes64esm(x, ~x) ^ __riscv_aes64dsm(x, x * 3) ^ __riscv_aes64im(x));
}
C
gcc -O2 -march=rv64gc_zkn_zks sha.c -o sha && ./sha
