// Conversions between integers and floating point, comparisons, rounding, minimum and maximum, classification.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int c, char **v) {
    int n = c > 1 ? atoi(v[1]) : 8000000;
    uint64_t x = 88172645463325252ull, sum = 0; double d = 0.5; float f = 0.25f;
    for (int i = 0; i < n; i++) {
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        d = (double)(int64_t)x * 0x1p-40 + (double)(uint32_t)x;
        f = (float)(int32_t)x + (float)(x >> 40);
        sum += (uint64_t)(int64_t)d + (uint32_t)(int32_t)(f * 0.001f) + (uint64_t)fabs(d);
        sum += (d < f) + 2 * (d >= 0) + 4 * (f == truncf(f)) + (fmin(d, f) == d) + (isnan(d) ? 99 : 0);
        sum ^= (uint64_t)(int64_t)floor(d * 0.125) + (uint64_t)lrint(d);
        d = (double)f; f = (float)(d * 1.5); uint32_t bits; memcpy(&bits, &f, 4); sum += bits;
    }
    printf("%016llx\n", (unsigned long long)sum);
}
