// The registers of the context that a signal interrupted, by name or number.
#include "include/CHost.h"
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#define CONTEXT(uc) ((ucontext_t *)(uc))

#if defined(__x86_64__)
static const unsigned char order[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

uint64_t apus_uc_pc(const void *uc) { return (uint64_t)CONTEXT(uc)->uc_mcontext.gregs[REG_RIP]; }
void apus_uc_set_pc(void *uc, uint64_t pc) { CONTEXT(uc)->uc_mcontext.gregs[REG_RIP] = (greg_t)pc; }
uint64_t apus_uc_gpr(const void *uc, int number) {
    return (uint64_t)CONTEXT(uc)->uc_mcontext.gregs[order[number & 15]];
}
void apus_uc_set_gpr(void *uc, int number, uint64_t value) {
    CONTEXT(uc)->uc_mcontext.gregs[order[number & 15]] = (greg_t)value;
}
uint64_t apus_uc_flags(const void *uc) { return (uint64_t)CONTEXT(uc)->uc_mcontext.gregs[REG_EFL]; }
void apus_uc_set_flags(void *uc, uint64_t flags) { CONTEXT(uc)->uc_mcontext.gregs[REG_EFL] = (greg_t)flags; }
void *apus_uc_xmm(void *uc, int number) {
    struct _libc_fpstate *state = CONTEXT(uc)->uc_mcontext.fpregs;
    return state ? &state->_xmm[number & 15] : NULL;
}
uint32_t apus_uc_mxcsr(const void *uc) {
    struct _libc_fpstate *state = CONTEXT(uc)->uc_mcontext.fpregs;
    return state ? state->mxcsr : 0x1f80;
}
void apus_uc_set_mxcsr(void *uc, uint32_t value) {
    struct _libc_fpstate *state = CONTEXT(uc)->uc_mcontext.fpregs;
    if (state) state->mxcsr = value;
}
#elif defined(__aarch64__)
uint64_t apus_uc_pc(const void *uc) { return CONTEXT(uc)->uc_mcontext.pc; }
void apus_uc_set_pc(void *uc, uint64_t pc) { CONTEXT(uc)->uc_mcontext.pc = pc; }
uint64_t apus_uc_gpr(const void *uc, int number) {
    return number == 31 ? CONTEXT(uc)->uc_mcontext.sp : CONTEXT(uc)->uc_mcontext.regs[number & 31];
}
void apus_uc_set_gpr(void *uc, int number, uint64_t value) {
    if (number == 31) CONTEXT(uc)->uc_mcontext.sp = value;
    else CONTEXT(uc)->uc_mcontext.regs[number & 31] = value;
}
uint64_t apus_uc_flags(const void *uc) { return CONTEXT(uc)->uc_mcontext.pstate; }
void apus_uc_set_flags(void *uc, uint64_t flags) { CONTEXT(uc)->uc_mcontext.pstate = flags; }
static struct fpsimd_context *vectors(const void *uc) {
    struct fpsimd_context *c = (struct fpsimd_context *)CONTEXT(uc)->uc_mcontext.__reserved;
    return c->head.magic == FPSIMD_MAGIC ? c : NULL;
}
void *apus_uc_xmm(void *uc, int number) {
    struct fpsimd_context *c = vectors(uc);
    return c ? &c->vregs[number & 31] : NULL;
}
uint32_t apus_uc_mxcsr(const void *uc) {
    struct fpsimd_context *c = vectors(uc);
    return c ? c->fpcr : 0;
}
void apus_uc_set_mxcsr(void *uc, uint32_t value) {
    struct fpsimd_context *c = vectors(uc);
    if (c) c->fpcr = value;
}
#endif

// The kernel's mask is 64 bits wide; only those of glibc's larger sigset_t exist in the frame.
uint64_t apus_uc_mask(const void *uc) {
    uint64_t mask;
    memcpy(&mask, &CONTEXT(uc)->uc_sigmask, sizeof mask);
    return mask;
}
void apus_uc_set_mask(void *uc, uint64_t mask) { memcpy(&CONTEXT(uc)->uc_sigmask, &mask, sizeof mask); }

int apus_si_code(const void *info) { return ((const siginfo_t *)info)->si_code; }
uint64_t apus_si_address(const void *info) { return (uint64_t)((const siginfo_t *)info)->si_addr; }
