// What the host CPU says of itself. x86-64 only; elsewhere everything reads as zero.
#include "include/CHost.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

int apus_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *registers) {
    registers[0] = registers[1] = registers[2] = registers[3] = 0;
#if defined(__x86_64__)
    return __get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2], &registers[3]);
#else
    (void)leaf;
    (void)subleaf;
    return 0;
#endif
}

uint64_t apus_xgetbv(uint32_t index) {
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
#else
    (void)index;
    return 0;
#endif
}
