/* Interrupts: which of several pending ones is taken, in which mode, to which vector; delegation; bits that may be written;
   the timer and software interrupts of the board; WFI. */
#include "harness.h"

static void taken(const char *name, int mode, word pending) {
    struct frame f = { .a = { pending } };
    write_csr(mie, -1);
    /* Pending bits are written in machine mode; then the mode is entered, with interrupts on where MPIE says so. */
    write_csr(mip, pending);
    set_csr(mstatus, 1 << 7);
    EXECUTE(&f, mode, NOP, NOP);
    say("%s %s pending %x: cause=%x epc=%x status=%x mip=%x", name, mode_name(mode), pending, f.cause, relative(f.epc), f.status & 0x19aa, read_csr(mip) & 0xeee);
    if (f.cause == 9) say(" scause=%x sepc=%x", f.a[2], relative(f.a[4]));
    put('\n');
    write_csr(mip, 0);
    write_csr(mie, 0);
}

int main(void) {
    has_hypervisor = read_csr(misa) >> 7 & 1;
    open_memory();
    make_supervisor_handler();
    volatile uint32_t *software = (volatile uint32_t *)0x2000000;
    volatile uint64_t *compare = (volatile uint64_t *)0x2004000;
    *compare = ~0ul;
    *software = 0;
    write_csr(mideleg, -1); say("mideleg %x\n", read_csr(mideleg));
    write_csr(mie, -1); say("mie %x\n", read_csr(mie) & 0xfff);
    write_csr(mie, 0);
    write_csr(mip, -1); say("mip %x\n", read_csr(mip) & 0xfff);
    write_csr(mip, 0);
    write_csr(mideleg, 0x222);
    write_csr(mie, 0xaaa); say("sie %x\n", read_csr(sie));
    write_csr(sie, -1); say("mie %x\n", read_csr(mie) & 0xfff);
    write_csr(mip, 0x222); say("sip %x\n", read_csr(sip));
    write_csr(sip, 0); say("mip %x\n", read_csr(mip) & 0xfff);
    write_csr(mip, 0); write_csr(mie, 0);
    for (word delegated = 0; delegated < 8; delegated++) {
        write_csr(mideleg, (delegated & 1) << 1 | (delegated & 2) << 4 | (delegated & 4) << 7);
        say("mideleg %x\n", read_csr(mideleg) & 0xaaa);
        for (word pending = 0; pending < 8; pending++) {
            word bits = (pending & 1) << 1 | (pending & 2) << 4 | (pending & 4) << 7;
            for (int mode = 0; mode < 4; mode++) {
                if (mode == 2) continue;
                for (int sie = 0; sie < 2; sie++) {
                    if (sie) set_csr(sstatus, 2); else clear_csr(sstatus, 2);
                    say("sie %d ", sie);
                    taken("interrupt", mode, bits);
                }
            }
        }
    }
    clear_csr(sstatus, 2);
    write_csr(mideleg, 0x222);
    /* The board's wires. */
    *software = 1;
    taken("software", M, 0); taken("software", S, 0); taken("software and others", S, 0x222);
    *compare = 0;
    taken("software and timer", M, 0); taken("software and timer", U, 0x222);
    *software = 0;
    taken("timer", M, 0);
    say("mip %x\n", read_csr(mip) & 0xfff);
    write_csr(mip, 0); say("mip %x\n", read_csr(mip) & 0xfff);
    *compare = ~0ul;
    say("mip %x\n", read_csr(mip) & 0xfff);
    /* Vectored. */
    write_csr(mtvec, read_csr(mtvec) | 1);
    write_csr(stvec, (word)supervisor_handler | 1);
    for (int i = 0; i < 64; i++) supervisor_handler[i] = ADDI(a2, zero, i);
    supervisor_handler[63] = ECALL;
    for (int i = 16; i < 60; i++) supervisor_handler[i] = NOP;
    asm volatile("fence.i");
    /* Each vector sets a2 to its number, and the following ones overwrite it: count down from what ran. */
    for (int i = 0; i < 16; i++) supervisor_handler[i] = ADDI(a2, a2, 1);
    asm volatile("fence.i");
    for (int number = 1; number < 10; number += 4) {
        struct frame f = { .a = { 0 } };
        write_csr(mie, -1); write_csr(mip, 1 << number); set_csr(sstatus, 2);
        EXECUTE(&f, S, NOP);
        say("vectored %d: cause=%x vector=%d epc=%x\n", number, f.cause, 16 - (int)f.a[2], f.epc - (word)supervisor_handler);
        write_csr(mip, 0); write_csr(mie, 0); clear_csr(sstatus, 2);
    }
    write_csr(stvec, (word)supervisor_handler);
    write_csr(mtvec, read_csr(mtvec) & ~(word)3);
    /* WFI ends when something is pending and enabled in mie, whatever mstatus says. */
    write_csr(mie, 1 << 7);
    *compare = *(volatile uint64_t *)0x200bff8 + 100000;
    struct frame f = { .a = { 0 } };
    clear_csr(mstatus, 1 << 7 | 1 << 3);
    EXECUTE(&f, M, WFI, ADDI(a0, zero, 1)); say("wfi: cause=%x a0=%x mip=%x\n", f.cause, f.a[0], read_csr(mip) & 0xfff);
    *compare = ~0ul;
    *compare = *(volatile uint64_t *)0x200bff8 + 100000;
    EXECUTE(&f, S, WFI, ADDI(a0, zero, 2)); say("wfi: cause=%x epc=%x\n", f.cause, relative(f.epc));
    *compare = ~0ul;
    return 0;
}
