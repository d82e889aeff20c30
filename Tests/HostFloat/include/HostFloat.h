// The floating-point unit of an x86-64 host, asked under a given rounding mode: what the soft float is tested against.
#pragma once
#include <stdint.h>

/// Whether this host can answer (x86-64 with FMA and F16C).
int host_float_available(void);

enum { HOST_ADD, HOST_SUB, HOST_MUL, HOST_DIV, HOST_SQRT, HOST_FMA };

/// `rounding` is 0 to 3 as RISC-V's rm; `flags` gets NX 1, UF 2, OF 4, DZ 8, NV 16.
uint64_t host_f64(int operation, uint64_t a, uint64_t b, uint64_t c, int rounding, uint32_t *flags);
uint32_t host_f32(int operation, uint32_t a, uint32_t b, uint32_t c, int rounding, uint32_t *flags);

uint32_t host_f64_to_f32(uint64_t a, int rounding, uint32_t *flags);
uint64_t host_f32_to_f64(uint32_t a, uint32_t *flags);
uint16_t host_f32_to_f16(uint32_t a, int rounding, uint32_t *flags);
uint32_t host_f16_to_f32(uint16_t a, uint32_t *flags);
uint64_t host_i64_to_f64(int64_t a, int rounding, uint32_t *flags);
uint32_t host_i64_to_f32(int64_t a, int rounding, uint32_t *flags);
/// x86's answer: 0x8000000000000000 if out of range.
int64_t host_f64_to_i64(uint64_t a, int rounding, uint32_t *flags);
uint64_t host_f64_round(uint64_t a, int rounding, uint32_t *flags);
