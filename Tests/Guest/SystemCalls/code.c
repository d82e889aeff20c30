// Code that a program writes itself: new, changed, protected, moved, in two mappings of one file.
#include "show.h"
#include <setjmp.h>

static sigjmp_buf back;
static void handler(int number, siginfo_t *info, void *context) { printf("signal %d code %d\n", number, info->si_code); siglongjmp(back, 1); }
#define RUN(code) do { if (!sigsetjmp(back, 1)) { int v_ = ((int (*)(void))(code))(); printf("%d %d\n", __LINE__, v_); } } while (0)

// A function that returns `value`, written to `at` and run at `code`.
static void *returns(int value, void *at, void *code) {
#if defined(__riscv)
    unsigned words[] = { 0x513 | value << 20, 0x8067 };          // li a0, value; ret
#else
    unsigned char words[] = { 0xb8, value, value >> 8, 0, 0, 0xc3 };   // mov eax, value; ret
#endif
    memcpy(at, words, sizeof words);
    __builtin___clear_cache((char *)code, (char *)code + 16);
    return code;
}

int main(void) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL); sigaction(SIGBUS, &action, NULL);
    char *p = mmap(NULL, 16384, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int sum = 0;
    for (int i = 0; i < 500; i++) sum += ((int (*)(void))returns(i, p, p))();
    SHOW(sum);
    // Next to each other, and across a page border.
    for (int i = 0; i < 200; i++) sum += ((int (*)(void))returns(i, p + 4090 - (i & 6), p + 4090 - (i & 6)))();
    SHOW(sum);
    RUN(returns(11, p, p));
    SHOW(mprotect(p, 4096, PROT_READ | PROT_WRITE)); RUN(p);
    SHOW(mprotect(p, 4096, PROT_READ | PROT_EXEC)); RUN(p);
    SHOW(mprotect(p, 4096, PROT_NONE)); RUN(p);
    SHOW(mprotect(p, 4096, 7)); RUN(returns(12, p, p));
    SHOW(madvise(p, 4096, MADV_DONTNEED)); RUN(returns(13, p, p));
    char *moved = mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, p + 8192);
    RUN(moved); RUN(p);
    mmap(p, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); RUN(returns(14, p, p));
    SHOW(munmap(p, 4096)); RUN(p);
    // The careful way: written in one mapping, run in another.
    int fd = memfd_create("code", 0);
    SHOW(ftruncate(fd, 4096));
    char *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *executable = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    for (int i = sum = 0; i < 500; i++) sum += ((int (*)(void))returns(i, writable, executable))();
    SHOW(sum);
    // A child changes its copy only.
    returns(1, moved, moved);
    fflush(stdout);
    if (fork() == 0) { RUN(returns(2, moved, moved)); fflush(stdout); _exit(0); }
    wait(NULL);
    RUN(moved);
    return 0;
}
