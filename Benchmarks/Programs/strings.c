// The C library's string and memory functions on many lengths and alignments.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int c, char **v) {
    int rounds = c > 1 ? atoi(v[1]) : 40000;
    static char a[70000], b[70000];
    uint64_t sum = 0;
    for (int i = 0; i < 65536; i++) a[i] = 'a' + (i * 7 + i / 26) % 26;
    for (int r = 0; r < rounds; r++) {
        for (int n = 1; n < 400; n += 7) {
            memcpy(b + (r & 7), a + (n & 15), n);
            b[(r & 7) + n] = 0;
            sum += strlen(b) + (strchr(b + 8, 'q') ? 3 : 1);
            sum += memcmp(b + (r & 7), a + (n & 15), n) == 0;
            memmove(b + 3, b, n);
            sum += strcmp(b, a) > 0;
        }
        memset(b, r, 4096);
        memcpy(b, a + (r & 63), 16384);
        b[16000] = 0;
        sum += strlen(b) + (uint64_t)b[r & 4095];
        sum += strstr(b, "xyzzy") != 0;
    }
    printf("%016llx\n", (unsigned long long)sum);
}
