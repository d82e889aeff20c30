// cpu: max
// Shadow stacks and landing pads: what prctl answers, the instructions, what they raise, threads, forks and signal handlers.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// This program itself was compiled without them: only what stands in assembly uses them.
#define SSPUSH_RA ".insn r 0x73, 4, 0x67, x0, x0, x1\n"
#define SSPOPCHK_RA ".insn i 0x73, 4, x0, x1, -0x324\n"
#define SSRDP(reg) ".insn i 0x73, 4, " reg ", x0, -0x324\n"
#define C_SSPUSH_RA ".2byte 0x6081\n"
#define C_SSPOPCHK_T0 ".2byte 0x6281\n"

static int failures;
#define CHECK(what) do { if (!(what)) { failures++; printf("line %d: %s\n", __LINE__, #what); } } while (0)

// System calls without the C library's functions: no indirect jump, no return to check.
static inline long call(long n, long a, long b, long c, long d, long e) {
    register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d, a4 __asm__("a4") = e, a7 __asm__("a7") = n;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7) : "memory");
    return a0;
}
static long control(long option, long a, long b) { return call(SYS_prctl, option, a, b, 0, 0); }

static uint64_t pointer(void) {
    uint64_t p;
    __asm__ volatile(".option push\n.option norvc\n" SSRDP("%0") ".option pop" : "=r"(p));
    return p;
}

static volatile int got, code;
static volatile uint64_t where;
static sigjmp_buf back;
static void handler(int signal, siginfo_t *info, void *context) {
    got = signal;
    code = info->si_code;
    where = (uint64_t)info->si_addr;
    siglongjmp(back, 1);
}

static uint64_t push(uint64_t value) {
    __asm__ volatile("mv t1, ra\nmv ra, %0\n" SSPUSH_RA "mv ra, t1" :: "r"(value) : "t1", "memory");
    return pointer();
}
static void pop(uint64_t value) { __asm__ volatile("mv t1, ra\nmv ra, %0\n" SSPOPCHK_RA "mv ra, t1" :: "r"(value) : "t1", "memory"); }

// Takes off the token that a signal left on the shadow stack: this C library's siglongjmp knows of none.
static void unwind(void) { if (pointer()) pop(*(uint64_t *)pointer()); }
// Runs `body`; the signal it raised, or 0.
#define RAISES(body) ({ got = 0; if (!sigsetjmp(back, 1)) { body; } else { unwind(); } got; })

static void *thread(void *before) {
    uint64_t own = pointer();
    CHECK(own != 0 && own != *(uint64_t *)before);
    push(77);
    pop(77);
    CHECK(pointer() == own);
    return NULL;
}

static volatile uint64_t inside, before_signal;
static void counting(int signal) {
    inside = pointer();
    push(5);
    pop(5);
}

static uint64_t jump(void *target, uint64_t label) {
    uint64_t result;
    __asm__ volatile("slli t2, %2, 12\nla t1, 1f\nli %0, 0\njr %1\n1: mv %0, a0" : "=&r"(result) : "r"(target), "r"(label) : "a0", "t1", "t2");
    return result;
}
// Each returns by t1, which is marked by x7 (t2) being no base here: it jumps back with `jr t2`, which needs no pad.
#define TARGET(name, pad, value) \
    __asm__(".pushsection .text\n.balign 4\n" #name ": " pad "li a0, " #value "\nmv t2, t1\njr t2\n.popsection"); extern char name[]
TARGET(plain, "auipc x0, 0\n", 11);
TARGET(labelled, "auipc x0, 0x123\n", 12);
TARGET(bare, "", 13);

int main(void) {
    uint64_t status = 9;
    CHECK(pointer() == 0);
    CHECK(control(74, (long)&status, 0) == 0 && status == 0);
    CHECK(control(76, 0, 0) == -EINVAL);
    CHECK(control(75, 2, 0) == -EINVAL);
    CHECK(control(75, 1, 1) == -EINVAL);
    // Off: may-be-operations, which write 0 and touch nothing.
    uint64_t rd = 1;
    __asm__ volatile(SSPUSH_RA C_SSPUSH_RA SSPOPCHK_RA C_SSPOPCHK_T0 SSRDP("%0") : "+r"(rd) :: "memory");
    CHECK(rd == 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    uint64_t word = 4;
    CHECK(RAISES(__asm__ volatile(".insn r 0x2f, 3, 0x24, t1, %0, t1" :: "r"(&word) : "t1", "memory")) == SIGILL);

    CHECK(control(75, 1, 0) == 0);
    CHECK(control(75, 1, 0) == -EINVAL);
    CHECK(control(74, (long)&status, 0) == 0 && status == 1);
    uint64_t top = pointer();
    CHECK(top != 0 && (top & 4095) == 0);
    CHECK(push(0x1234) == top - 8);
    CHECK(*(uint64_t *)(top - 8) == 0x1234);
    pop(0x1234);
    CHECK(pointer() == top);
    // Compressed: ra in, t0 out.
    uint64_t same;
    __asm__ volatile("mv t1, ra\nmv t0, ra\n" C_SSPUSH_RA C_SSPOPCHK_T0 SSRDP("%0") : "=r"(same) :: "t0", "t1", "memory");
    CHECK(same == top);
    // A wrong address, an ordinary store, a push without room.
    push(1);
    CHECK(RAISES(pop(2)) == SIGSEGV && code == 10);
    CHECK(pointer() == top - 8);
    pop(1);
    CHECK(RAISES(*(volatile uint64_t *)(top - 8) = 5) == SIGSEGV && code == 2 && where == top - 8);
    CHECK(RAISES(pop(1)) == SIGSEGV && where == top);
    CHECK(call(SYS_mprotect, top - 4096, 4096, PROT_READ | PROT_WRITE, 0, 0) == -EINVAL);

    // Another stack, with a token; swaps.
    long other = call(453, 0, 8192, 1, 0, 0);
    CHECK(other > 0 && *(uint64_t *)(other + 8184) == (uint64_t)other + 8192);
    CHECK(call(453, 0, 4, 1, 0, 0) == -ENOSPC && call(453, 0, 4096, 2, 0, 0) == -EINVAL && call(453, 0, 0, 0, 0, 0) == -EINVAL);
    uint64_t old = 0, address = other + 8184;
    __asm__ volatile(".insn r 0x2f, 3, 0x24, %0, %1, %2" : "=&r"(old) : "r"(address), "r"(99UL) : "memory");
    CHECK(old == (uint64_t)other + 8192 && *(uint64_t *)address == 99);
    __asm__ volatile(".insn r 0x2f, 2, 0x24, %0, %1, %2" : "=&r"(old) : "r"(address), "r"(-7L) : "memory");
    CHECK(old == 99 && *(uint64_t *)address == 0xfffffff9);
    __asm__ volatile(".insn r 0x2f, 2, 0x24, %0, %1, %2" : "=&r"(old) : "r"(address), "r"(1L) : "memory");
    CHECK(old == (uint64_t)-7L);
    CHECK(RAISES(__asm__ volatile(".insn r 0x2f, 3, 0x24, t1, %0, t1" :: "r"(&word) : "t1", "memory")) == SIGSEGV && code == 2);

    pthread_t id;
    CHECK(pthread_create(&id, NULL, thread, &top) == 0);
    pthread_join(id, NULL);
    push(3);
    pid_t child = fork();
    if (child == 0) { pop(3); push(4); _exit(*(uint64_t *)(top - 8) == 4 ? 0 : 1); }
    int how;
    waitpid(child, &how, 0);
    CHECK(how == 0);
    pop(3);
    signal(SIGUSR1, counting);
    before_signal = pointer();
    raise(SIGUSR1);
    CHECK(inside == before_signal - 8 && pointer() == before_signal);
    CHECK(control(76, 0, 0) == 0 && control(75, 0, 0) == -EINVAL);

    // Landing pads.
    CHECK(jump(bare, 0) == 13);
    CHECK(control(80, 0, (long)&status) == 0 && status == 2);
    CHECK(control(81, 0, 3) == -EINVAL && control(81, 1, 1) == -EINVAL);
    long on = control(81, 0, 1);
    uint64_t first = jump(plain, 9), second = jump(labelled, 0x123);
    CHECK(on == 0 && first == 11 && second == 12);
    // The way into a handler is no jump; the C library's own code has no pads, so that the checks end here.
    pid_t victim = call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (victim == 0) {
        call(SYS_rt_sigaction, SIGSEGV, (long)(struct { void *h; long f, m; }[]){{0, 0, 0}}, 0, 8, 0);
        jump(labelled, 0x124);
        call(SYS_exit_group, 1, 0, 0, 0, 0);
    }
    call(SYS_wait4, victim, (long)&how, 0, 0, 0);
    long off = control(81, 0, 2), now = control(80, 0, (long)&status);
    CHECK(off == 0 && now == 0 && status == 2);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGSEGV);
    CHECK(control(81, 0, 1) == 0 && RAISES(jump(bare, 0)) == SIGSEGV);
    control(81, 0, 2);
    CHECK(code == 10 && where == (uint64_t)bare);
    puts(failures ? "FAILED" : "ok");
    return failures != 0;
}
