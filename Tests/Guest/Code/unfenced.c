// Code that changes without an instruction fence, as some compilers leave it: the next call runs the new code. Stores
// by the program, by the kernel and by another thread; pages moved and protected in between.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int (*function)(void);
static unsigned char *code;

static int make(unsigned char *to, int value) {
#if defined(__riscv)
    uint32_t words[2] = {0x00000513u | (uint32_t)value << 20, 0x00008067u};   // li a0, value; ret
#else
    unsigned char words[8] = {0xb8, value, value >> 8, 0, 0, 0xc3, 0x90, 0x90};
#endif
    memcpy(to, words, 8);
    return value;
}

static void *write_many(void *at) {
    for (int i = 0; i < 200; i++) make((unsigned char *)at + 8 * (i % 16), 1000 + i % 16);
    return 0;
}

int main(void) {
    code = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wrong = 0;
    for (int i = 0; i < 500; i++) {
        make(code, i);
        for (int j = 0; j < 3; j++) wrong += ((function)code)() != i;
    }
    printf("stores: %d wrong\n", wrong);

    wrong = 0;                                        // one page runs, its neighbour is written; then across the edge
    for (int i = 0; i < 200; i++) {
        make(code + 4096 * (1 + i % 3), i);
        wrong += ((function)(code + 4096 * (1 + i % 3)))() != i || ((function)code)() != 499;
    }
    for (int i = 0; i < 200; i++) {
        make(code + 4092, i);
        wrong += ((function)(code + 4092))() != i;
    }
    printf("pages: %d wrong\n", wrong);

    wrong = 0;                                        // the kernel stores
    int ends[2];
    pipe(ends);
    for (int i = 0; i < 200; i++) {
        unsigned char bytes[8];
        make(bytes, i);
        write(ends[1], bytes, 8);
        if (read(ends[0], code, 8) != 8) wrong++;
        wrong += ((function)code)() != i;
    }
    printf("kernel: %d wrong\n", wrong);

    wrong = 0;                                        // another thread stores, and is waited for
    for (int round = 0; round < 10; round++) {
        pthread_t thread;
        for (int i = 0; i < 16; i++) make(code + 8 * i, i), wrong += ((function)(code + 8 * i))() != i;
        pthread_create(&thread, 0, write_many, code);
        for (int i = 0; i < 300; i++) ((function)(code + 2 * 4096))(), ((function)(code + 4092))();
        pthread_join(thread, 0);
        for (int i = 0; i < 16; i++) wrong += ((function)(code + 8 * i))() != 1000 + i;
    }
    printf("threads: %d wrong\n", wrong);

    wrong = 0;                                        // moved, and written where it went
    for (int i = 0; i < 50; i++) {
        make(code, i);
        ((function)code)();
        unsigned char *moved = mremap(code, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, code + 7 * 4096);
        if (moved != code + 7 * 4096) { wrong++; break; }
        make(moved, i + 1);
        wrong += ((function)moved)() != i + 1;
        mmap(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    printf("moves: %d wrong\n", wrong);

    wrong = 0;                                        // code that writes to its own page, and is not stopped by that
    for (int i = 0; i < 50; i++) {
#if defined(__riscv)
        uint32_t words[3] = {0x02b52023u, 0x02b52223u, 0x00008067u};          // sw a1, 32(a0); sw a1, 36(a0); ret
#else
        unsigned char words[7] = {0x89, 0x77, 0x20, 0x89, 0x77, 0x24, 0xc3};  // mov [rdi+32], esi; mov [rdi+36], esi; ret
#endif
        memcpy(code + 3 * 4096, words, sizeof words);
        ((void (*)(void *, int))(code + 3 * 4096))(code + 3 * 4096, i);
        wrong += *(int *)(code + 3 * 4096 + 32) != i || *(int *)(code + 3 * 4096 + 36) != i;
    }
    printf("own page: %d wrong\n", wrong);

    wrong = 0;                                        // permissions come and go
    for (int i = 0; i < 50; i++) {
        mprotect(code, 4096, PROT_READ | PROT_WRITE);
        make(code, i);
        mprotect(code, 4096, PROT_READ | PROT_EXEC);
        wrong += ((function)code)() != i;
        mprotect(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
        make(code, i + 1);
        wrong += ((function)code)() != i + 1;
    }
    printf("permissions: %d wrong\n", wrong);
    make(code, 5);
    __builtin___clear_cache((char *)code, (char *)code + 8);   // from here on the page is fenced
    for (int i = 0; i < 50; i++) {
        make(code, i);
        __builtin___clear_cache((char *)code, (char *)code + 8);
        wrong += ((function)code)() != i;
    }
    printf("fences: %d wrong\n", wrong);
    return wrong != 0;
}
