// Memory accesses that survive a fault. The instructions that touch the memory stand between labels; a table pairs each
// stretch with the place to go on at, which HostFaults looks up in the handler of SIGSEGV and SIGBUS.
// Invariant: at a fault the registers that the continuation uses hold the same values as before the access.
#include "include/CHost.h"

static __thread struct apus_fault last_fault __attribute__((tls_model("initial-exec")));

const struct apus_fault *apus_last_fault_get(void) { return &last_fault; }

void apus_last_fault_set(uint64_t address, int signal, int code) {
    last_fault.address = address;
    last_fault.signal = signal;
    last_fault.code = code;
}

struct fixup {
    uint64_t begin, end, target;
};
extern const struct fixup apus_fixups[], apus_fixups_end[];

uint64_t apus_guarded_fixup(uint64_t pc) {
    for (const struct fixup *f = apus_fixups; f < apus_fixups_end; f++)
        if (pc >= f->begin && pc < f->end) return f->target;
    return 0;
}

#if defined(__x86_64__)
__asm__(
    ".text\n"
    ".globl apus_guarded_load\n.type apus_guarded_load,@function\n"
    "apus_guarded_load:\n"                          // rdi address, esi bytes, rdx failed
    "  movl $0, (%rdx)\n"
    "  cmpl $4, %esi\n  je .Lload4\n  ja .Lload8\n"
    "  cmpl $2, %esi\n  je .Lload2\n"
    ".Lload_begin:\n"
    "  movzbl (%rdi), %eax\n  ret\n"
    ".Lload2: movzwl (%rdi), %eax\n  ret\n"
    ".Lload4: movl (%rdi), %eax\n  ret\n"
    ".Lload8: movq (%rdi), %rax\n  ret\n"
    ".Lload_end:\n"
    ".Lload_failed: movl $1, (%rdx)\n  xorl %eax, %eax\n  ret\n"
    ".size apus_guarded_load, .-apus_guarded_load\n"

    ".globl apus_guarded_store\n.type apus_guarded_store,@function\n"
    "apus_guarded_store:\n"                         // rdi address, rsi value, edx bytes
    "  xorl %eax, %eax\n"
    "  cmpl $4, %edx\n  je .Lstore4\n  ja .Lstore8\n"
    "  cmpl $2, %edx\n  je .Lstore2\n"
    ".Lstore_begin:\n"
    "  movb %sil, (%rdi)\n  ret\n"
    ".Lstore2: movw %si, (%rdi)\n  ret\n"
    ".Lstore4: movl %esi, (%rdi)\n  ret\n"
    ".Lstore8: movq %rsi, (%rdi)\n  ret\n"
    ".Lstore_end:\n"
    ".Lfailed: movl $1, %eax\n  ret\n"
    ".size apus_guarded_store, .-apus_guarded_store\n"

    ".globl apus_guarded_copy\n.type apus_guarded_copy,@function\n"
    "apus_guarded_copy:\n"                          // rdi destination, rsi source, rdx count
    "  movq %rdx, %rcx\n"
    ".Lcopy_begin:\n"
    "  rep movsb\n"
    ".Lcopy_end:\n"
    // rep movsb stops at the faulting byte with rcx bytes left.
    "  movq %rdx, %rax\n  subq %rcx, %rax\n  ret\n"
    ".size apus_guarded_copy, .-apus_guarded_copy\n"

    ".globl apus_guarded_string\n.type apus_guarded_string,@function\n"
    "apus_guarded_string:\n"                        // rdi string, rsi maximum
    "  xorl %eax, %eax\n"
    ".Lstring_loop:\n"
    "  cmpq %rsi, %rax\n  jae .Lstring_done\n"
    ".Lstring_begin:\n"
    "  cmpb $0, (%rdi,%rax)\n"
    ".Lstring_end:\n"
    "  je .Lstring_done\n  incq %rax\n  jmp .Lstring_loop\n"
    ".Lstring_done: ret\n"
    ".Lstring_failed: movq $-1, %rax\n  ret\n"
    ".size apus_guarded_string, .-apus_guarded_string\n"

    ".globl apus_guarded_cas\n.type apus_guarded_cas,@function\n"
    "apus_guarded_cas:\n"                           // rdi address, rsi expected, rdx desired, ecx bytes
    "  movq (%rsi), %rax\n"
    "  cmpl $4, %ecx\n  je .Lcas4\n  ja .Lcas8\n"
    "  cmpl $2, %ecx\n  je .Lcas2\n"
    "  movzbl %al, %eax\n"
    ".Lcas1_begin: lock cmpxchgb %dl, (%rdi)\n"
    ".Lcas1_end: jmp .Lcas_done\n"
    ".Lcas2: movzwl %ax, %eax\n"
    ".Lcas2_begin: lock cmpxchgw %dx, (%rdi)\n"
    ".Lcas2_end: jmp .Lcas_done\n"
    ".Lcas4: movl %eax, %eax\n"
    ".Lcas4_begin: lock cmpxchgl %edx, (%rdi)\n"
    // A successful cmpxchgl leaves rax as it was, an unsuccessful one clears its upper half: both zero-extended here.
    ".Lcas4_end: jmp .Lcas_done\n"
    ".Lcas8:\n"
    ".Lcas8_begin: lock cmpxchgq %rdx, (%rdi)\n"
    ".Lcas8_end:\n"
    ".Lcas_done: movq %rax, (%rsi)\n  xorl %eax, %eax\n  ret\n"
    ".size apus_guarded_cas, .-apus_guarded_cas\n"

    ".globl apus_guarded_cas16\n.type apus_guarded_cas16,@function\n"
    "apus_guarded_cas16:\n"                         // rdi address, rsi expected, rdx and rcx desired
    "  pushq %rbx\n  movq %rdx, %rbx\n"
    "  movq (%rsi), %rax\n  movq 8(%rsi), %rdx\n"
    ".Lcas16_begin: lock cmpxchg16b (%rdi)\n"
    ".Lcas16_end: popq %rbx\n  movq %rax, (%rsi)\n  movq %rdx, 8(%rsi)\n  xorl %eax, %eax\n  ret\n"
    ".Lcas16_failed: popq %rbx\n  movl $1, %eax\n  ret\n"
    ".size apus_guarded_cas16, .-apus_guarded_cas16\n"

    ".section .data.rel.ro,\"aw\",@progbits\n.p2align 3\n"
    ".globl apus_fixups\n.hidden apus_fixups\n"
    "apus_fixups:\n"
    "  .quad .Lload_begin, .Lload_end, .Lload_failed\n"
    "  .quad .Lstore_begin, .Lstore_end, .Lfailed\n"
    "  .quad .Lcopy_begin, .Lcopy_end, .Lcopy_end\n"
    "  .quad .Lstring_begin, .Lstring_end, .Lstring_failed\n"
    "  .quad .Lcas1_begin, .Lcas1_end, .Lfailed\n"
    "  .quad .Lcas2_begin, .Lcas2_end, .Lfailed\n"
    "  .quad .Lcas4_begin, .Lcas4_end, .Lfailed\n"
    "  .quad .Lcas8_begin, .Lcas8_end, .Lfailed\n"
    "  .quad .Lcas16_begin, .Lcas16_end, .Lcas16_failed\n"
    ".globl apus_fixups_end\n.hidden apus_fixups_end\n"
    "apus_fixups_end:\n"
    ".text\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n"
    ".globl apus_guarded_load\n.type apus_guarded_load,%function\n"
    "apus_guarded_load:\n"
    "  str wzr, [x2]\n  mov x3, x0\n"
    "  cmp w1, #4\n  b.eq 4f\n  b.hi 8f\n  cmp w1, #2\n  b.eq 2f\n"
    ".Lload_begin: ldrb w0, [x3]\n  ret\n"
    "2: ldrh w0, [x3]\n  ret\n"
    "4: ldr w0, [x3]\n  ret\n"
    "8: ldr x0, [x3]\n  ret\n"
    ".Lload_end:\n"
    ".Lload_failed: mov w3, #1\n  str w3, [x2]\n  mov x0, #0\n  ret\n"

    ".globl apus_guarded_store\n.type apus_guarded_store,%function\n"
    "apus_guarded_store:\n"
    "  mov x3, x0\n  mov w0, #0\n"
    "  cmp w2, #4\n  b.eq 4f\n  b.hi 8f\n  cmp w2, #2\n  b.eq 2f\n"
    ".Lstore_begin: strb w1, [x3]\n  ret\n"
    "2: strh w1, [x3]\n  ret\n"
    "4: str w1, [x3]\n  ret\n"
    "8: str x1, [x3]\n  ret\n"
    ".Lstore_end:\n"
    ".Lfailed: mov w0, #1\n  ret\n"

    ".globl apus_guarded_copy\n.type apus_guarded_copy,%function\n"
    "apus_guarded_copy:\n"
    "  mov x3, #0\n"
    "1: cmp x3, x2\n  b.hs .Lcopy_end\n"
    ".Lcopy_begin: ldrb w4, [x1, x3]\n  strb w4, [x0, x3]\n"
    "  add x3, x3, #1\n  b 1b\n"
    ".Lcopy_end: mov x0, x3\n  ret\n"

    ".globl apus_guarded_string\n.type apus_guarded_string,%function\n"
    "apus_guarded_string:\n"
    "  mov x3, #0\n"
    "1: cmp x3, x1\n  b.hs 2f\n"
    ".Lstring_begin: ldrb w4, [x0, x3]\n"
    ".Lstring_end: cbz w4, 2f\n  add x3, x3, #1\n  b 1b\n"
    "2: mov x0, x3\n  ret\n"
    ".Lstring_failed: mov x0, #-1\n  ret\n"

    ".globl apus_guarded_cas\n.type apus_guarded_cas,%function\n"
    "apus_guarded_cas:\n"
    "  ldr x4, [x1]\n"
    "  cmp w3, #4\n  b.eq 4f\n  b.hi 8f\n  cmp w3, #2\n  b.eq 2f\n"
    "  and w4, w4, #0xff\n"
    ".Lcas_begin:\n"
    "1: ldaxrb w5, [x0]\n  cmp w5, w4\n  b.ne 9f\n  stlxrb w6, w2, [x0]\n  cbnz w6, 1b\n  b 9f\n"
    "2: and w4, w4, #0xffff\n"
    "1: ldaxrh w5, [x0]\n  cmp w5, w4\n  b.ne 9f\n  stlxrh w6, w2, [x0]\n  cbnz w6, 1b\n  b 9f\n"
    "4: ldaxr w5, [x0]\n  cmp w5, w4\n  b.ne 9f\n  stlxr w6, w2, [x0]\n  cbnz w6, 4b\n  b 9f\n"
    "8: ldaxr x5, [x0]\n  cmp x5, x4\n  b.ne 9f\n  stlxr w6, x2, [x0]\n  cbnz w6, 8b\n"
    ".Lcas_end:\n"
    "9: str x5, [x1]\n  mov w0, #0\n  ret\n"

    ".globl apus_guarded_cas16\n.type apus_guarded_cas16,%function\n"
    "apus_guarded_cas16:\n"                         // x0 address, x1 expected, x2 and x3 desired
    "  ldp x4, x5, [x1]\n"
    // Storing what was read when it is not what was expected makes the read one piece.
    ".Lcas16_begin:\n"
    "1: ldaxp x6, x7, [x0]\n  cmp x6, x4\n  ccmp x7, x5, #0, eq\n"
    "  csel x8, x2, x6, eq\n  csel x9, x3, x7, eq\n  stlxp w10, x8, x9, [x0]\n  cbnz w10, 1b\n"
    ".Lcas16_end: stp x6, x7, [x1]\n  mov w0, #0\n  ret\n"
    ".Lcas16_failed: mov w0, #1\n  ret\n"

    ".section .data.rel.ro,\"aw\",@progbits\n.p2align 3\n"
    ".globl apus_fixups\n.hidden apus_fixups\n"
    "apus_fixups:\n"
    "  .quad .Lload_begin, .Lload_end, .Lload_failed\n"
    "  .quad .Lstore_begin, .Lstore_end, .Lfailed\n"
    "  .quad .Lcopy_begin, .Lcopy_end, .Lcopy_end\n"
    "  .quad .Lstring_begin, .Lstring_end, .Lstring_failed\n"
    "  .quad .Lcas_begin, .Lcas_end, .Lfailed\n"
    "  .quad .Lcas16_begin, .Lcas16_end, .Lcas16_failed\n"
    ".globl apus_fixups_end\n.hidden apus_fixups_end\n"
    "apus_fixups_end:\n"
    ".text\n");
#else
#error "Guarded accesses are written for x86-64 and arm64 hosts"
#endif

static int64_t sign_extended(uint64_t value, int bytes) {
    int shift = 64 - 8 * bytes;
    return (int64_t)(value << shift) >> shift;
}

int apus_guarded_rmw(void *address, int operation, uint64_t operand, int bytes, uint64_t *old) {
    uint64_t mask = bytes == 8 ? ~0ull : (1ull << (8 * bytes)) - 1;
    int failed;
    uint64_t seen = apus_guarded_load(address, bytes, &failed);
    if (failed) return 1;
    operand &= mask;
    for (;;) {
        uint64_t wanted, expected = seen;
        switch (operation) {
        case 0: wanted = operand; break;
        case 1: wanted = seen + operand; break;
        case 2: wanted = seen & operand; break;
        case 3: wanted = seen | operand; break;
        case 4: wanted = seen ^ operand; break;
        case 5: wanted = sign_extended(seen, bytes) < sign_extended(operand, bytes) ? seen : operand; break;
        case 6: wanted = sign_extended(seen, bytes) > sign_extended(operand, bytes) ? seen : operand; break;
        case 7: wanted = seen < operand ? seen : operand; break;
        default: wanted = seen > operand ? seen : operand; break;
        }
        if (apus_guarded_cas(address, &expected, wanted & mask, bytes)) return 1;
        if (expected == seen) break;
        seen = expected;
    }
    *old = seen;
    return 0;
}
