// Vector workloads: vectors NAME ROUNDS prints one number that depends on every result. memcpy, strlen and base64 are written
// with intrinsics, as libraries have them (plain loops elsewhere); the others are plain C for the compiler to vectorise.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __riscv_vector
#include <riscv_vector.h>
#endif

#define N 4096
static uint8_t a8[4 * N + 64], b8[4 * N + 64], c8[8 * N + 64];
static float fa[N], fb[N];
static uint32_t state[16];

static uint64_t hash(const void *data, size_t size) {
    const uint8_t *p = data;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static void __attribute__((noinline)) copy(uint8_t *restrict d, const uint8_t *restrict s, size_t n) {
#ifdef __riscv_vector
    while (n > 0) {
        size_t vl = __riscv_vsetvl_e8m8(n);
        __riscv_vse8_v_u8m8(d, __riscv_vle8_v_u8m8(s, vl), vl);
        d += vl, s += vl, n -= vl;
    }
#else
    for (size_t i = 0; i < n; i++) d[i] = s[i];
#endif
}

static size_t __attribute__((noinline)) length(const uint8_t *s) {
#ifdef __riscv_vector
    const uint8_t *p = s;
    for (;;) {
        size_t vl;
        vuint8m1_t v = __riscv_vle8ff_v_u8m1(p, &vl, __riscv_vsetvlmax_e8m1());
        long first = __riscv_vfirst_m_b8(__riscv_vmseq_vx_u8m1_b8(v, 0, vl), vl);
        if (first >= 0) return p - s + first;
        p += vl;
    }
#else
    size_t n = 0;
    while (s[n]) n++;
    return n;
#endif
}

static int32_t __attribute__((noinline)) dot(const int16_t *x, const int16_t *y, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static void __attribute__((noinline)) saxpy(float *restrict y, const float *restrict x, float k, int n) {
    for (int i = 0; i < n; i++) y[i] = k * x[i] + y[i];
}

// A 3 × 3 blur of a grey image, rows of `w` pixels.
static void __attribute__((noinline)) blur(uint8_t *restrict d, const uint8_t *restrict s, int w, int h) {
    for (int y = 1; y < h - 1; y++) {
        const uint8_t *p = s + (y - 1) * w, *q = s + y * w, *r = s + (y + 1) * w;
        uint8_t *o = d + y * w;
        for (int x = 1; x < w - 1; x++) {
            int sum = p[x - 1] + 2 * p[x] + p[x + 1] + 2 * q[x - 1] + 4 * q[x] + 2 * q[x + 1] + r[x - 1] + 2 * r[x] + r[x + 1];
            o[x] = (uint8_t)((sum + 8) >> 4);
        }
    }
}

#ifdef __riscv_vector
// Segment accesses take the bytes of a group apart and put the digits together.
static vuint8m1_t digits(vuint8m1_t v, size_t vl) {
    vuint8m1_t r = __riscv_vadd_vx_u8m1(v, 'A', vl);
    r = __riscv_vadd_vx_u8m1_mu(__riscv_vmsgtu_vx_u8m1_b8(v, 25, vl), r, r, 'a' - 'A' - 26, vl);
    r = __riscv_vadd_vx_u8m1_mu(__riscv_vmsgtu_vx_u8m1_b8(v, 51, vl), r, r, (uint8_t)('0' - 'a' - 26), vl);
    r = __riscv_vadd_vx_u8m1_mu(__riscv_vmsgtu_vx_u8m1_b8(v, 61, vl), r, r, (uint8_t)('+' - '0' - 10), vl);
    return __riscv_vadd_vx_u8m1_mu(__riscv_vmsgtu_vx_u8m1_b8(v, 62, vl), r, r, '/' - '+' - 1, vl);
}

static void __attribute__((noinline)) base64(uint8_t *restrict d, const uint8_t *restrict s, int groups) {
    for (size_t n = groups, vl; n > 0; n -= vl, s += 3 * vl, d += 4 * vl) {
        vl = __riscv_vsetvl_e8m1(n);
        vuint8m1x3_t in = __riscv_vlseg3e8_v_u8m1x3(s, vl);
        vuint8m1_t x = __riscv_vget_v_u8m1x3_u8m1(in, 0), y = __riscv_vget_v_u8m1x3_u8m1(in, 1), z = __riscv_vget_v_u8m1x3_u8m1(in, 2);
        vuint8m1_t p = __riscv_vsrl_vx_u8m1(x, 2, vl);
        vuint8m1_t q = __riscv_vor_vv_u8m1(__riscv_vsll_vx_u8m1(__riscv_vand_vx_u8m1(x, 3, vl), 4, vl), __riscv_vsrl_vx_u8m1(y, 4, vl), vl);
        vuint8m1_t r = __riscv_vor_vv_u8m1(__riscv_vsll_vx_u8m1(__riscv_vand_vx_u8m1(y, 15, vl), 2, vl), __riscv_vsrl_vx_u8m1(z, 6, vl), vl);
        vuint8m1x4_t out = __riscv_vcreate_v_u8m1x4(digits(p, vl), digits(q, vl), digits(r, vl), digits(__riscv_vand_vx_u8m1(z, 63, vl), vl));
        __riscv_vsseg4e8_v_u8m1x4(d, out, vl);
    }
}
#else
static inline uint8_t digit(uint8_t v) {
    return v < 26 ? v + 'A' : v < 52 ? v - 26 + 'a' : v < 62 ? v - 52 + '0' : v == 62 ? '+' : '/';
}

static void __attribute__((noinline)) base64(uint8_t *restrict d, const uint8_t *restrict s, int groups) {
    for (int i = 0; i < groups; i++) {
        uint8_t x = s[3 * i], y = s[3 * i + 1], z = s[3 * i + 2];
        d[4 * i] = digit(x >> 2);
        d[4 * i + 1] = digit((uint8_t)((x & 3) << 4 | y >> 4));
        d[4 * i + 2] = digit((uint8_t)((y & 15) << 2 | z >> 6));
        d[4 * i + 3] = digit(z & 63);
    }
}
#endif

// ChaCha20 on BLOCKS blocks side by side: each word of the state is an array.
#define BLOCKS 16
static void __attribute__((noinline)) chacha(uint32_t *restrict out, const uint32_t *restrict in) {
    uint32_t x[16][BLOCKS];
    for (int w = 0; w < 16; w++)
        for (int b = 0; b < BLOCKS; b++) x[w][b] = in[w] + (w == 12 ? b : 0);
#define ROTATE(v, n) ((v) << (n) | (v) >> (32 - (n)))
#define QUARTER(p, q, r, s) \
    for (int b = 0; b < BLOCKS; b++) { \
        uint32_t A = x[p][b], B = x[q][b], C = x[r][b], D = x[s][b]; \
        A += B; D ^= A; D = ROTATE(D, 16); C += D; B ^= C; B = ROTATE(B, 12); \
        A += B; D ^= A; D = ROTATE(D, 8); C += D; B ^= C; B = ROTATE(B, 7); \
        x[p][b] = A; x[q][b] = B; x[r][b] = C; x[s][b] = D; \
    }
    for (int round = 0; round < 10; round++) {
        QUARTER(0, 4, 8, 12) QUARTER(1, 5, 9, 13) QUARTER(2, 6, 10, 14) QUARTER(3, 7, 11, 15)
        QUARTER(0, 5, 10, 15) QUARTER(1, 6, 11, 12) QUARTER(2, 7, 8, 13) QUARTER(3, 4, 9, 14)
    }
    for (int w = 0; w < 16; w++)
        for (int b = 0; b < BLOCKS; b++) out[w * BLOCKS + b] = x[w][b] + in[w] + (w == 12 ? b : 0);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *name = argv[1];
    int rounds = atoi(argv[2]);
    uint64_t result = 0;
    for (int i = 0; i < (int)sizeof a8; i++) a8[i] = (uint8_t)(i * 37 + 11 + (i >> 5)) | 1;
    for (int i = 0; i < N; i++) fa[i] = (float)(i % 100) * 0.25f, fb[i] = (float)(i % 37);
    for (int i = 0; i < 16; i++) state[i] = 0x9e3779b9u * (i + 1);
    if (!strcmp(name, "memcpy")) {
        for (int r = 0; r < rounds; r++) copy(b8 + (r & 7), a8 + (r & 3), 4 * N - 64 + (r & 31));
        result = hash(b8, sizeof b8);
    } else if (!strcmp(name, "strlen")) {
        for (int r = 0; r < rounds; r++) {
            a8[4 * N - (r & 63)] = 0;
            result += length(a8 + (r & 15));
            a8[4 * N - (r & 63)] = 1;
        }
    } else if (!strcmp(name, "dot")) {
        for (int r = 0; r < rounds; r++) result += (uint32_t)dot((const int16_t *)a8 + (r & 7), (const int16_t *)a8 + 8, N);
    } else if (!strcmp(name, "saxpy")) {
        for (int r = 0; r < rounds; r++) saxpy(fb, fa, r & 1 ? 0.5f : -0.5f, N);
        result = hash(fb, sizeof fb);
    } else if (!strcmp(name, "image")) {
        for (int r = 0; r < rounds; r++) blur(r & 1 ? a8 : b8, r & 1 ? b8 : a8, 128, 128);
        result = hash(a8, sizeof a8);
    } else if (!strcmp(name, "base64")) {
        for (int r = 0; r < rounds; r++) base64(c8, a8 + (r & 15), N);
        result = hash(c8, sizeof c8);
    } else if (!strcmp(name, "chacha20")) {
        uint32_t *out = (uint32_t *)c8;
        for (int r = 0; r < rounds; r++) {
            chacha(out, state);
            state[12] += BLOCKS;
            result ^= out[r & 255];
        }
        result += hash(c8, 16 * BLOCKS * 4);
    } else {
        return 2;
    }
    printf("%s %llx\n", name, (unsigned long long)result);
    return 0;
}
