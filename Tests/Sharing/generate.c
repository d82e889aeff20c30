// The bytes that sharing.c sends, on the host: generate MIB > FILE.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words) {
    uint64_t state = 1;
    for (long at = (count > 1 ? atol(words[1]) : 0) << 18; at > 0; at--) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t word = (uint32_t)(state >> 33);
        fwrite(&word, 4, 1, stdout);
    }
    return 0;
}
