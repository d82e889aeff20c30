#include "HostFloat.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

int host_float_available(void) { return __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }

static void enter(int rounding) {
    static const unsigned control[4] = {0x0000, 0x6000, 0x2000, 0x4000};
    _mm_setcsr(0x1f80 | control[rounding & 3]);
}

static void leave(uint32_t *flags) {
    unsigned csr = _mm_getcsr();
    _mm_setcsr(0x1f80);
    *flags = (csr & 32 ? 1 : 0) | (csr & 16 ? 2 : 0) | (csr & 8 ? 4 : 0) | (csr & 4 ? 8 : 0) | (csr & 1 ? 16 : 0);
}

static __m128d d(uint64_t bits) { return _mm_castsi128_pd(_mm_cvtsi64_si128((long long)bits)); }
static uint64_t bits_d(__m128d v) { return (uint64_t)_mm_cvtsi128_si64(_mm_castpd_si128(v)); }
static __m128 s(uint32_t bits) { return _mm_castsi128_ps(_mm_cvtsi32_si128((int)bits)); }
static uint32_t bits_s(__m128 v) { return (uint32_t)_mm_cvtsi128_si32(_mm_castps_si128(v)); }

// The asm statements are volatile and clobber memory, so none moves across the control register accesses.
#define BINARY(instruction, x, y) __asm__ volatile(instruction " %1, %0" : "+x"(x) : "x"(y) : "memory")

uint64_t host_f64(int operation, uint64_t a, uint64_t b, uint64_t c, int rounding, uint32_t *flags) {
    __m128d x = d(a), y = d(b), z = d(c);
    enter(rounding);
    switch (operation) {
    case HOST_ADD: BINARY("addsd", x, y); break;
    case HOST_SUB: BINARY("subsd", x, y); break;
    case HOST_MUL: BINARY("mulsd", x, y); break;
    case HOST_DIV: BINARY("divsd", x, y); break;
    case HOST_SQRT: __asm__ volatile("sqrtsd %1, %0" : "=x"(x) : "x"(x) : "memory"); break;
    case HOST_FMA: __asm__ volatile("vfmadd213sd %2, %1, %0" : "+x"(x) : "x"(y), "x"(z) : "memory"); break;
    }
    leave(flags);
    return bits_d(x);
}

uint32_t host_f32(int operation, uint32_t a, uint32_t b, uint32_t c, int rounding, uint32_t *flags) {
    __m128 x = s(a), y = s(b), z = s(c);
    enter(rounding);
    switch (operation) {
    case HOST_ADD: BINARY("addss", x, y); break;
    case HOST_SUB: BINARY("subss", x, y); break;
    case HOST_MUL: BINARY("mulss", x, y); break;
    case HOST_DIV: BINARY("divss", x, y); break;
    case HOST_SQRT: __asm__ volatile("sqrtss %1, %0" : "=x"(x) : "x"(x) : "memory"); break;
    case HOST_FMA: __asm__ volatile("vfmadd213ss %2, %1, %0" : "+x"(x) : "x"(y), "x"(z) : "memory"); break;
    }
    leave(flags);
    return bits_s(x);
}

uint32_t host_f64_to_f32(uint64_t a, int rounding, uint32_t *flags) {
    __m128 r = _mm_setzero_ps();
    __m128d x = d(a);
    enter(rounding);
    BINARY("cvtsd2ss", r, x);
    leave(flags);
    return bits_s(r);
}

uint64_t host_f32_to_f64(uint32_t a, uint32_t *flags) {
    __m128d r = _mm_setzero_pd();
    __m128 x = s(a);
    enter(0);
    BINARY("cvtss2sd", r, x);
    leave(flags);
    return bits_d(r);
}

uint16_t host_f32_to_f16(uint32_t a, int rounding, uint32_t *flags) {
    __m128 x = s(a), r;
    enter(rounding);
    __asm__ volatile("vcvtps2ph $4, %1, %0" : "=x"(r) : "x"(x) : "memory");
    leave(flags);
    return (uint16_t)bits_s(r);
}

uint32_t host_f16_to_f32(uint16_t a, uint32_t *flags) {
    __m128 x = s(a), r;
    enter(0);
    __asm__ volatile("vcvtph2ps %1, %0" : "=x"(r) : "x"(x) : "memory");
    leave(flags);
    return bits_s(r);
}

uint64_t host_i64_to_f64(int64_t a, int rounding, uint32_t *flags) {
    __m128d r = _mm_setzero_pd();
    enter(rounding);
    __asm__ volatile("cvtsi2sdq %1, %0" : "+x"(r) : "r"(a) : "memory");
    leave(flags);
    return bits_d(r);
}

uint32_t host_i64_to_f32(int64_t a, int rounding, uint32_t *flags) {
    __m128 r = _mm_setzero_ps();
    enter(rounding);
    __asm__ volatile("cvtsi2ssq %1, %0" : "+x"(r) : "r"(a) : "memory");
    leave(flags);
    return bits_s(r);
}

int64_t host_f64_to_i64(uint64_t a, int rounding, uint32_t *flags) {
    __m128d x = d(a);
    int64_t r;
    enter(rounding);
    __asm__ volatile("cvtsd2siq %1, %0" : "=r"(r) : "x"(x) : "memory");
    leave(flags);
    return r;
}

uint64_t host_f64_round(uint64_t a, int rounding, uint32_t *flags) {
    __m128d x = d(a);
    enter(rounding);
    __asm__ volatile("roundsd $4, %0, %0" : "+x"(x) : : "memory");
    leave(flags);
    return bits_d(x);
}
#else
int host_float_available(void) { return 0; }
uint64_t host_f64(int operation, uint64_t a, uint64_t b, uint64_t c, int rounding, uint32_t *flags) { return 0; }
uint32_t host_f32(int operation, uint32_t a, uint32_t b, uint32_t c, int rounding, uint32_t *flags) { return 0; }
uint32_t host_f64_to_f32(uint64_t a, int rounding, uint32_t *flags) { return 0; }
uint64_t host_f32_to_f64(uint32_t a, uint32_t *flags) { return 0; }
uint16_t host_f32_to_f16(uint32_t a, int rounding, uint32_t *flags) { return 0; }
uint32_t host_f16_to_f32(uint16_t a, uint32_t *flags) { return 0; }
uint64_t host_i64_to_f64(int64_t a, int rounding, uint32_t *flags) { return 0; }
uint32_t host_i64_to_f32(int64_t a, int rounding, uint32_t *flags) { return 0; }
int64_t host_f64_to_i64(uint64_t a, int rounding, uint32_t *flags) { return 0; }
uint64_t host_f64_round(uint64_t a, int rounding, uint32_t *flags) { return 0; }
#endif
