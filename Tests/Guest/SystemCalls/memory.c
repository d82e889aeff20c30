// The address space: mmap, munmap, mprotect, mremap, brk, madvise, and what faults say of it.
#include "show.h"
#include <pthread.h>
#include <setjmp.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static int signal_seen, code_seen;
static char *address_seen;
static void handler(int number, siginfo_t *info, void *context) {
    signal_seen = number; code_seen = info->si_code; address_seen = info->si_addr;
    siglongjmp(back, 1);
}
// The signal, its code, and whether it names the address.
#define FAULT(access, at) do { \
    signal_seen = 0; \
    if (!sigsetjmp(back, 1)) { access; printf("%d %s went well\n", __LINE__, #access); } \
    else printf("%d %s: signal %d code %d at %s\n", __LINE__, #access, signal_seen, code_seen, address_seen == (char *)(at) ? "it" : "another place"); } while (0)

// Free room of n pages somewhere.
static char *room(long pages) {
    char *p = mmap(NULL, pages * PAGE, PROT_NONE, ANON, -1, 0);
    munmap(p, pages * PAGE);
    return p;
}

static void placement(void) {
    char *at = room(64);
    TRUE(mmap(at, PAGE, RW, ANON, -1, 0) == at);
    TRUE(mmap(at, PAGE, RW, ANON, -1, 0) != at);
    TRUE(mmap(at, 3 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
    SHOW(mmap(at + 2 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    TRUE(mmap(at + 3 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == at + 3 * PAGE);
    SHOW(mmap(at + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    SHOW(mmap(NULL, 0, RW, ANON, -1, 0));
    SHOW(mmap(NULL, -1, RW, ANON, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, 0, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE, 0, 1));
    SHOW(mmap((void *)0x7fffffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    SHOW(munmap(at, 5 * PAGE));
    SHOW(munmap(at, 5 * PAGE));
    SHOW(munmap(at, 0));
    SHOW(munmap(at + 1, PAGE));
    SHOW(munmap((void *)-PAGE, PAGE));
    SHOW(munmap(at, -1));
    // Unmapping the middle leaves both ends.
    TRUE(mmap(at, 3 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
    at[0] = 1, at[2 * PAGE] = 2;
    SHOW(munmap(at + PAGE, 1));
    SHOW(at[0] + at[2 * PAGE]);
    SHOW(mprotect(at, 3 * PAGE, PROT_READ));
    FAULT(at[0] = 3, at);
    FAULT(at[PAGE] = 3, at + PAGE);
    SHOW(mprotect(at + 1, PAGE, RW));
    SHOW(mprotect(at, 0, RW));
    SHOW(mprotect(at, PAGE, 0x40));
    SHOW(mprotect(at, -1, RW));
    SHOW(munmap(at, 3 * PAGE));
}

static void moving(void) {
    char *at = room(64), *moved;
    TRUE(mmap(at, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
    at[0] = 5; at[PAGE] = 6;
    TRUE(mremap(at, 2 * PAGE, 4 * PAGE, 0) == at);
    SHOW(at[0] + at[PAGE] + at[3 * PAGE]);
    TRUE(mremap(at, 4 * PAGE, PAGE, 0) == at);
    FAULT(at[PAGE] = 1, at + PAGE);
    mmap(at + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
    SHOW(mremap(at, PAGE, 2 * PAGE, 0));
    TRUE((moved = mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE)) != at && moved != MAP_FAILED);
    SHOW(moved[0]);
    FAULT(at[0] = 1, at);
    TRUE(mremap(moved, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 32 * PAGE) == at + 32 * PAGE);
    SHOW(at[32 * PAGE]);
    SHOW(mremap(at + 32 * PAGE, PAGE, PAGE, MREMAP_FIXED, at));
    SHOW(mremap(at + 32 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 32 * PAGE));
    SHOW(mremap(at + 32 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 1));
    SHOW(mremap(at + 32 * PAGE, PAGE, 0, MREMAP_MAYMOVE));
    SHOW(mremap(at + 32 * PAGE, PAGE, PAGE, 64));
    SHOW(mremap(at + 40 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    SHOW(mremap(at + 32 * PAGE + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    TRUE(mremap(at + 32 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) != MAP_FAILED);
    SHOW(at[32 * PAGE]);
    SHOW(munmap(at, 64 * PAGE));
    // A shared mapping is doubled by an old size of 0.
    char *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *twin = mremap(shared, 0, PAGE, MREMAP_MAYMOVE);
    shared[9] = 9;
    SHOW(twin[9]);
}

static void files(void) {
    int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SHOW(write(fd, "abcdef", 6));
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), *q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    p[1] = 'X'; q[2] = 'Y';
    char text[8] = {0};
    SHOW(pread(fd, text, 6, 0)); puts(text);
    FAULT(p[PAGE] = 1, p + PAGE);
    SHOW(ftruncate(fd, 2 * PAGE));
    FAULT(p[PAGE] = 1, p + PAGE);
    SHOW(msync(p, 2 * PAGE, MS_SYNC));
    SHOW(msync(p + 1, PAGE, MS_SYNC));
    SHOW(msync(p, PAGE, MS_SYNC | MS_ASYNC));
    SHOW(pwrite(fd, "zzz", 3, 0));
    SHOW(p[0]); SHOW(q[2]);
    int readonly = open("mapped", O_RDONLY);
    SHOW(mmap(NULL, PAGE, RW, MAP_SHARED, readonly, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_SHARED, 99, 0));
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, readonly, 0);
    SHOW(mprotect(p, PAGE, RW));
    SHOW(read(fd, p, 10));
    SHOW(write(1, p - 100 * PAGE, 0));
    SHOW(write(fd, BAD, 10));
}

static void advice(void) {
    char *p = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);
    memset(p, 7, 4 * PAGE);
    SHOW(madvise(p, PAGE, MADV_DONTNEED));
    SHOW(p[0] + p[PAGE]);
    SHOW(madvise(p + 1, PAGE, MADV_DONTNEED));
    SHOW(madvise(p, PAGE, 12345));
    SHOW(madvise(p, -PAGE, MADV_DONTNEED));
    SHOW(mlock(p, -PAGE)); SHOW(munlock(p, -PAGE)); SHOW(msync(p, -PAGE, MS_ASYNC));
    unsigned char vector[8] = {0};
    SHOW(mincore(p, 4 * PAGE, vector)); SHOW(vector[3] & 1);
    SHOW(mincore(p + 1, PAGE, vector));
    SHOW(mincore(p, PAGE, BAD));
    SHOW(mlock(p + 5, 10)); SHOW(munlock(p + 5, 10));
    SHOW(munmap(p + PAGE, PAGE));
    SHOW(mlock(p, 3 * PAGE));
    SHOW(mincore(p, 3 * PAGE, vector));
    SHOW(madvise(p, 3 * PAGE, MADV_NORMAL));
}

static void breaks(void) {
    char *start = sbrk(0);
    TRUE(sbrk(100000) == start);
    start[99999] = 1;
    TRUE((char *)sbrk(0) == start + 100000);
    TRUE(sbrk(-100000) != (void *)-1);
    TRUE((char *)sbrk(0) == start);
    TRUE((char *)syscall(SYS_brk, 0) == start);
    TRUE((char *)syscall(SYS_brk, 1) == start);
    TRUE((char *)syscall(SYS_brk, -1) == start);
    TRUE((char *)syscall(SYS_brk, start + 5) == start + 5);
    TRUE((char *)syscall(SYS_brk, start) == start);
}

// More and more, until none is left; then it must still work.
static void everything(void) {
    long pieces = 0;
    while (pieces < 4000 && mmap(NULL, 1L << 40, PROT_NONE, ANON | MAP_NORESERVE, -1, 0) != MAP_FAILED) pieces++;
    TRUE(pieces > 20 && pieces < 4000);
    SHOW(mmap(NULL, 1L << 45, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
    TRUE(mmap(NULL, PAGE, RW, ANON, -1, 0) != MAP_FAILED);
}

static void *churn(void *argument) {
    unsigned seed = (long)argument * 77 + 1;
    long bad = 0;
    for (int i = 0; i < 500; i++) {
        seed = seed * 1103515245 + 12345;
        long size = (seed >> 16) % 20 * PAGE + PAGE;
        char *p = mmap(NULL, size, RW, ANON, -1, 0);
        if (p == MAP_FAILED) { bad++; continue; }
        for (long k = 0; k < size; k += PAGE) bad += p[k] != 0;
        memset(p, 7, size);
        if (seed & 0x1000000) {
            p = mremap(p, size, 2 * size, MREMAP_MAYMOVE);
            bad += p[size - 1] != 7 || p[size] != 0;
            size *= 2;
        }
        if ((i & 63) == 0) {
            int status = 0;
            pid_t child = fork();
            if (child == 0) { char *m = malloc(300000); memset(m, 1, 300000); _exit(munmap(p, size) == 0 ? 5 : 6); }
            waitpid(child, &status, 0);
            bad += WEXITSTATUS(status) != 5;
        }
        bad += mprotect(p, size, PROT_READ) != 0;
        bad += munmap(p, size) != 0;
    }
    return (void *)bad;
}

int main(void) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL); sigaction(SIGBUS, &action, NULL);
    placement(); moving(); files(); advice(); breaks();
    FAULT(*(volatile char *)16 = 1, 16);
    // A frame far below the stack's end, and one beyond its size.
    volatile char here = 0;
    FAULT((&here)[-4 << 20] = 1, &here);
    pthread_t threads[6];
    long bad = 0;
    for (long i = 0; i < 6; i++) pthread_create(&threads[i], NULL, churn, (void *)i);
    for (int i = 0; i < 6; i++) { void *result; pthread_join(threads[i], &result); bad += (long)result; }
    SHOW(bad);
    everything();
    return 0;
}
