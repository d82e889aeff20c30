// Signals that instructions raise: number, code, address, and what the handler may do about them.
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile siginfo_t seen;
static char *base;

static void handler(int signal, siginfo_t *info, void *context) {
    memcpy((void *)&seen, info, sizeof seen);
    siglongjmp(back, 1);
}

static void report(const char *what) {
    long offset = (char *)seen.si_addr - base;
    printf("%s: signal %d code %d", what, seen.si_signo, seen.si_code);
    if (offset >= 0 && offset < 65536) printf(" offset %ld\n", offset);
    else printf(" address %p\n", seen.si_addr);
}

#define TRY(what, body) do { memset((void *)&seen, 0, sizeof seen); \
    if (sigsetjmp(back, 1) == 0) { body; printf("%s: nothing\n", what); } else report(what); } while (0)

static void ending(const char *what, void (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) { body(); _exit(99); }
    int status; waitpid(child, &status, 0);
    printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void write_null(void) { *(volatile int *)8 = 1; }
static void blocked(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGSEGV); sigprocmask(SIG_BLOCK, &s, 0); write_null(); }
static void ignored(void) { signal(SIGSEGV, SIG_IGN); write_null(); }
static void defaulted(void) { signal(SIGSEGV, SIG_DFL); write_null(); }
static void in_handler_again(int s) { write_null(); }
static void twice(void) { signal(SIGSEGV, in_handler_again); write_null(); }
static void oneshot(int s) { }
static void reset(void) { struct sigaction a = {.sa_handler = oneshot, .sa_flags = SA_RESETHAND}; sigaction(SIGSEGV, &a, 0); write_null(); }
static void trap(void) { signal(SIGTRAP, SIG_DFL); 
#ifdef __riscv
    __asm__ volatile("ebreak");
#else
    __asm__ volatile("int3");
#endif
}
static void illegal(void) { signal(SIGILL, SIG_DFL);
#ifdef __riscv
    __asm__ volatile(".4byte 0xffffffff");
#else
    __asm__ volatile("ud2");
#endif
}
static int recurse(int n) { volatile char frame[4096]; frame[0] = n; return n > 100000000 ? 0 : recurse(n + 1) + frame[0]; }
static void overflow(void) { signal(SIGSEGV, in_handler_again); exit(recurse(0)); }

int main(void) {
    struct rlimit none = {0, 0}; setrlimit(RLIMIT_CORE, &none);
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    for (int i = 0; i < 5; i++) sigaction(numbers[i], &a, 0);

    base = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(base + 4096, 4096, PROT_READ);
    mprotect(base + 8192, 4096, PROT_NONE);
    munmap(base + 12288, 4096);
    volatile char sink;
    TRY("read null", sink = *(volatile char *)0);
    TRY("read hole", sink = base[12288 + 17]);
    TRY("write hole", base[12288 + 4000] = 1);
    TRY("read none", sink = base[8192 + 5]);
    TRY("write none", base[8192 + 5] = 1);
    TRY("read only", sink = base[4096]);
    TRY("write read-only", base[4096 + 99] = 1);
    TRY("across", *(volatile uint64_t *)(base + 4096 - 8) = 1);
    TRY("copy into hole", memset(base + 16384 - 4096 - 64, 1, 64));
    char name[] = "/tmp/faultsXXXXXX"; int fd = mkstemp(name); unlink(name); ftruncate(fd, 100);
    char *file = mmap(base + 16384, 16384, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    TRY("in file", sink = file[50]);
    TRY("behind end of page", sink = file[200]);
    TRY("behind file", sink = file[8192 + 3]);
    TRY("write behind file", file[4096 + 30] = 2);
    TRY("call data", ((void (*)(void))(base))());
    TRY("call hole", ((void (*)(void))(base + 12288))());
    TRY("call null", ((void (*)(void))0)());
    // Faults again and again, with the handler's mask restored each time.
    int count = 0;
    for (volatile int i = 0; i < 1000; i++) if (sigsetjmp(back, 1) == 0) base[8192 + (i & 1023)] = 1; else count++;
    printf("%d of 1000\n", count);
    // Sent ones carry the sender.
    if (sigsetjmp(back, 1) == 0) { kill(getpid(), SIGSEGV); for (;;) pause(); } else printf("sent: %d code %d from me %d\n", seen.si_signo, seen.si_code, seen.si_pid == getpid());
    if (sigsetjmp(back, 1) == 0) { raise(SIGFPE); printf("no\n"); } else printf("raised: %d code %d\n", seen.si_signo, seen.si_code);

    ending("default", defaulted); ending("blocked", blocked); ending("ignored", ignored); ending("fault in handler", twice);
    ending("one shot", reset); ending("breakpoint", trap); ending("illegal", illegal); ending("overflow without stack", overflow);
}
