// System calls as the kernel knows them: interruptible without a gap, signal actions and masks past the C library's
// own reservations (it keeps two signals for itself, which the guest's C library needs), fork and vfork.
#include "include/CHost.h"
#include <errno.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
__asm__(
    ".text\n"
    ".globl apus_safe_syscall\n.type apus_safe_syscall,@function\n"
    "apus_safe_syscall:\n"
    "  movq %rdi, %r11\n"
    "  movq %rsi, %rax\n"
    "  movq %rdx, %rdi\n"
    "  movq %rcx, %rsi\n"
    "  movq %r8, %rdx\n"
    "  movq %r9, %r10\n"
    "  movq 8(%rsp), %r8\n"
    "  movq 16(%rsp), %r9\n"
    // The syscall instruction writes its return address to rcx: so a handler that finds the pc at the instruction
    // can tell a call the kernel wants restarted from one that has not begun.
    "  xorl %ecx, %ecx\n"
    ".globl apus_safe_begin\n.hidden apus_safe_begin\napus_safe_begin:\n"
    "  cmpl $0, (%r11)\n"
    "  jne apus_safe_not_entered\n"
    ".globl apus_safe_instruction\n.hidden apus_safe_instruction\napus_safe_instruction:\n"
    "  syscall\n"
    ".globl apus_safe_end\n.hidden apus_safe_end\napus_safe_end:\n"
    "  ret\n"
    ".globl apus_safe_not_entered\n.hidden apus_safe_not_entered\napus_safe_not_entered:\n"
    "  movq $-513, %rax\n  ret\n"
    ".globl apus_safe_restart\n.hidden apus_safe_restart\napus_safe_restart:\n"
    "  movq $-512, %rax\n  ret\n"
    ".size apus_safe_syscall, .-apus_safe_syscall\n"

    ".globl apus_syscall\n.type apus_syscall,@function\n"
    "apus_syscall:\n"
    "  movq %rdi, %rax\n"
    "  movq %rsi, %rdi\n"
    "  movq %rdx, %rsi\n"
    "  movq %rcx, %rdx\n"
    "  movq %r8, %r10\n"
    "  movq %r9, %r8\n"
    "  movq 8(%rsp), %r9\n"
    "  syscall\n"
    "  ret\n"
    ".size apus_syscall, .-apus_syscall\n"

    ".globl apus_vfork_raw\n.hidden apus_vfork_raw\n.type apus_vfork_raw,@function\n"
    "apus_vfork_raw:\n"         // rdi flags, rsi stack top (16-aligned), rdx function, rcx argument, r8 ptid, r9 ctid
    "  movq %rdx, -8(%rsi)\n"
    "  movq %rcx, -16(%rsi)\n"
    "  subq $16, %rsi\n"
    "  movq %r8, %rdx\n"
    "  movq %r9, %r10\n"
    "  xorl %r8d, %r8d\n"
    "  movl $56, %eax\n"        // clone
    "  syscall\n"
    "  testq %rax, %rax\n"
    "  jz 1f\n"
    "  ret\n"
    "1: xorl %ebp, %ebp\n"
    "  popq %rdi\n"
    "  popq %rax\n"
    "  callq *%rax\n"
    "  movl $127, %edi\n"
    "  movl $231, %eax\n"       // exit_group: the function does not come back
    "  syscall\n"
    "  hlt\n"
    ".size apus_vfork_raw, .-apus_vfork_raw\n"

    ".p2align 4\n  nop\n"
    ".globl apus_signal_restorer\n.hidden apus_signal_restorer\n.type apus_signal_restorer,@function\n"
    "apus_signal_restorer:\n"
    "  movq $15, %rax\n"        // rt_sigreturn
    "  syscall\n"
    ".size apus_signal_restorer, .-apus_signal_restorer\n");

extern const char apus_safe_begin[], apus_safe_instruction[], apus_safe_end[], apus_safe_not_entered[],
    apus_safe_restart[];

void apus_safe_syscall_rewind(void *uc) {
    uint64_t pc = apus_uc_pc(uc);
    if (pc < (uint64_t)apus_safe_begin || pc >= (uint64_t)apus_safe_end) return;
    int entered = pc == (uint64_t)apus_safe_instruction && apus_uc_gpr(uc, 1) == (uint64_t)apus_safe_end;
    apus_uc_set_pc(uc, (uint64_t)(entered ? apus_safe_restart : apus_safe_not_entered));
}
#elif defined(__aarch64__)
__asm__(
    ".text\n"
    ".globl apus_safe_syscall\n.type apus_safe_syscall,%function\n"
    "apus_safe_syscall:\n"
    "  mov x9, x0\n  mov x8, x1\n  mov x0, x2\n  mov x1, x3\n  mov x2, x4\n  mov x3, x5\n  mov x4, x6\n  mov x5, x7\n"
    ".globl apus_safe_begin\n.hidden apus_safe_begin\napus_safe_begin:\n"
    "  ldr w10, [x9]\n  cbnz w10, apus_safe_not_entered\n"
    ".globl apus_safe_instruction\n.hidden apus_safe_instruction\napus_safe_instruction:\n"
    "  svc #0\n"
    ".globl apus_safe_end\n.hidden apus_safe_end\napus_safe_end:\n"
    "  ret\n"
    ".globl apus_safe_not_entered\n.hidden apus_safe_not_entered\napus_safe_not_entered:\n"
    "  mov x0, #-513\n  ret\n"
    ".globl apus_safe_restart\n.hidden apus_safe_restart\napus_safe_restart:\n"
    "  mov x0, #-512\n  ret\n"

    ".globl apus_syscall\n.type apus_syscall,%function\n"
    "apus_syscall:\n"
    "  mov x8, x0\n  mov x0, x1\n  mov x1, x2\n  mov x2, x3\n  mov x3, x4\n  mov x4, x5\n  mov x5, x6\n  svc #0\n  ret\n"

    ".globl apus_vfork_raw\n.hidden apus_vfork_raw\n.type apus_vfork_raw,%function\n"
    "apus_vfork_raw:\n"
    "  stp x3, x2, [x1, #-16]!\n  mov x2, x4\n  mov x4, x5\n  mov x3, #0\n  mov x8, #220\n  svc #0\n"
    "  cbz x0, 1f\n  ret\n"
    "1: mov x29, #0\n  ldp x0, x1, [sp], #16\n  blr x1\n  mov x0, #127\n  mov x8, #94\n  svc #0\n"
    ".globl apus_signal_restorer\n.hidden apus_signal_restorer\n"
    "apus_signal_restorer:\n  mov x8, #139\n  svc #0\n");

extern const char apus_safe_begin[], apus_safe_instruction[], apus_safe_end[], apus_safe_not_entered[],
    apus_safe_restart[];

void apus_safe_syscall_rewind(void *uc) {
    uint64_t pc = apus_uc_pc(uc);
    if (pc < (uint64_t)apus_safe_begin || pc >= (uint64_t)apus_safe_end) return;
    // The kernel keeps no trace of having been entered here: a call that stood before the instruction has not begun.
    int entered = pc == (uint64_t)apus_safe_instruction;
    apus_uc_set_pc(uc, (uint64_t)(entered ? apus_safe_restart : apus_safe_not_entered));
}
#endif

extern const char apus_signal_restorer[];
long apus_vfork_raw(uint64_t flags, void *stack_top, void (*function)(void *), void *argument, int32_t *parent_tid,
                    int32_t *child_tid);

/// The kernel's own structure, not the C library's.
struct kernel_action {
    uint64_t handler;
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};
#define KERNEL_SA_RESTORER 0x04000000

static long set_action(int signal, uint64_t handler, uint64_t flags, uint64_t mask) {
    struct kernel_action action = {handler, flags | KERNEL_SA_RESTORER, (uint64_t)apus_signal_restorer, mask};
    return apus_syscall(SYS_rt_sigaction, signal, (long)&action, 0, 8, 0, 0);
}

long apus_signal_action(int signal, apus_signal_handler handler, uint64_t flags, uint64_t mask) {
    return set_action(signal, (uint64_t)handler, flags, mask);
}

long apus_signal_action_special(int signal, long disposition, uint64_t flags) {
    return set_action(signal, (uint64_t)disposition, flags, 0);
}

long apus_signal_query(int signal, uint64_t *handler, uint64_t *flags, uint64_t *mask) {
    struct kernel_action action = {0};
    long result = apus_syscall(SYS_rt_sigaction, signal, 0, (long)&action, 8, 0, 0);
    *handler = action.handler;
    *flags = action.flags & ~(uint64_t)KERNEL_SA_RESTORER;
    *mask = action.mask;
    return result;
}

long apus_signal_mask(int how, uint64_t mask, uint64_t *old) {
    return apus_syscall(SYS_rt_sigprocmask, how, (long)&mask, (long)old, 8, 0, 0);
}

long apus_vfork(uint64_t flags, void *stack_top, void (*function)(void *), void *argument, int32_t *parent_tid,
                int32_t *child_tid) {
    return apus_vfork_raw(flags, stack_top, function, argument, parent_tid, child_tid);
}

long apus_fork(uint64_t flags, int32_t *parent_tid, int32_t *child_tid) {
#if defined(__x86_64__)
    return apus_syscall(SYS_clone, (long)flags, 0, (long)parent_tid, (long)child_tid, 0, 0);
#else
    return apus_syscall(SYS_clone, (long)flags, 0, (long)parent_tid, 0, (long)child_tid, 0);
#endif
}

