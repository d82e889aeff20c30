/* cpu: rv64,smrnmi=on */
/* Smrnmi but for the interrupt itself, which no bare-metal program can raise: its registers, MNRET into each mode, and that nothing
   interrupts before NMIE is set. */
#include "harness.h"

static uint32_t target[4] __attribute__((aligned(16))) = { ECALL, ECALL, ECALL, ECALL };
#define MPRV_BIT (1ul << 17)
static volatile uint32_t *const software = (uint32_t *)0x2000000;

#define TRY(name, number, value) do { write_csr(number, value); say("%s %x: %x\n", name, (word)(value), read_csr(number)); } while (0)

/* MNRET with a value of mnstatus; where it led to, and what it left. */
static void back(word status) {
    struct frame f = { .a = { (word)target, status, MPRV_BIT } };
    EXECUTE(&f, M, CSRRS(zero, 0x300, a2), CSRW(0x741, a0), CSRW(0x744, a1), MNRET);
    say("mnret %x: %x at %x, mnstatus %x mprv %d\n", status, f.cause, f.epc - (word)target, read_csr(0x744), (int)(f.status >> 17 & 1));
    clear_csr(mstatus, MPRV_BIT);
}

int main(void) {
    /* Not by open_memory: an exception of machine mode would go to the vector of NMIs. */
    write_csr(0x3b0, -1); write_csr(0x3a0, 0x1f);
    say("mnstatus %x\n", read_csr(0x744));
    TRY("mnscratch", 0x740, 0x123456789abcdef0);
    TRY("mnepc", 0x741, 0x80000003);
    TRY("mncause", 0x742, 1ul << 63 | 5);
    /* Everything is masked out of reset: a software interrupt does not come, not even in user mode. */
    set_csr(mie, 8); set_csr(mstatus, 8); *software = 1;
    for (int i = 0; i < 100; i++) asm volatile("nop");
    say("mip %x, none came\n", read_csr(mip) & 8);
    clear_csr(mstatus, 8);
    /* QEMU 10 sends exceptions of all modes to the vector of NMIs while NMIE is clear, not only machine mode's: so none here. */
    TRY("mnstatus", 0x744, 0);
    TRY("mnstatus", 0x744, 1ul << 11);
    TRY("mnstatus", 0x744, 2ul << 11);
    TRY("mnstatus", 0x744, 3ul << 11);
    TRY("mnstatus", 0x744, 8);
    TRY("mnstatus", 0x744, 0);
    struct frame f = { 0 };
    /* Now it comes. */
    EXECUTE(&f, U, NOP, NOP);
    say("user mode: %x\n", f.cause);
    *software = 0;
    /* Illegal below machine mode. */
    for (int mode = U; mode <= S; mode++) {
        f = (struct frame){ 0 };
        EXECUTE(&f, mode, MNRET); say("mnret in %s: %x\n", mode_name(mode), f.cause);
        EXECUTE(&f, mode, CSRR(a0, 0x744)); say("mnstatus in %s: %x\n", mode_name(mode), f.cause);
    }
    back(0); back(1ul << 11); back(3ul << 11); back(0 | 1 << 7); back(1ul << 11 | 1 << 7);
    say("done\n");
    return 0;
}
