/* Exceptions and returns: causes and values, delegation, vectored interrupts, what each mode may do. */
#include "harness.h"

static void instruction(const char *name, uint32_t word_) {
    for (int mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        struct frame f = { .a = { 0x80000000, 4 } };
        EXECUTE(&f, mode, word_);
        report(name, mode, &f);
    }
}

static void supervisor(const char *name, int mode, uint32_t word_) {
    struct frame f = { .a = { 0 } };
    EXECUTE(&f, mode, word_);
    say("%s %s delegated: cause=%x scause=%x stval=%x sepc=%x sstatus=%x\n", name, mode_name(mode), f.cause, f.a[2], relative(f.a[3]),
        relative(f.a[4]), f.a[5]);
}

int main(void) {
    has_hypervisor = 0;
    open_memory();
    make_supervisor_handler();
    instruction("ecall", ECALL);
    instruction("ebreak", EBREAK);
    instruction("c.ebreak", 0x00019002);
    instruction("zero", 0);
    instruction("ones", ~0u);
    instruction("unknown", 0x0000007b);
    instruction("compressed", 0x00018000);
    instruction("mret", MRET);
    instruction("uret", URET);
    instruction("wfi-u-only", NOP);
    instruction("sfence.vma", SFENCE_VMA(0, 0));
    instruction("sfence.vma x", SFENCE_VMA(a0, a1));
    instruction("csrr mhartid", CSRR(a0, 0xf14));
    instruction("csrw mhartid", CSRW(0xf14, a0));
    instruction("csrr satp", CSRR(a0, 0x180));
    instruction("csrr cycle", CSRR(a0, 0xc00));
    instruction("csrr unknown", CSRR(a0, 0x5ff));
    instruction("jump odd", JALR(ra, a1));
    for (unsigned bits = 0; bits < 8; bits++) {         /* TVM, TW, TSR */
        clear_csr(mstatus, 7 << 20);
        set_csr(mstatus, bits << 20);
        struct frame f = { .a = { 0 } };
        say("trap bits %d\n", bits);
        EXECUTE(&f, S, CSRR(a0, 0x180)); report("satp", S, &f);
        EXECUTE(&f, S, SFENCE_VMA(0, 0)); report("sfence.vma", S, &f);
        EXECUTE(&f, S, SINVAL_VMA(0, 0)); report("sinval.vma", S, &f);
        EXECUTE(&f, S, SFENCE_W_INVAL); report("sfence.w.inval", S, &f);
        EXECUTE(&f, S, SFENCE_INVAL_IR); report("sfence.inval.ir", S, &f);
        EXECUTE(&f, U, SFENCE_W_INVAL); report("sfence.w.inval", U, &f);
        if (bits & 2) { EXECUTE(&f, S, WFI); report("wfi", S, &f); EXECUTE(&f, U, WFI); report("wfi", U, &f); }
        f.a[0] = (word)code + 12;
        set_csr(sstatus, 1 << 8);
        EXECUTE(&f, S, CSRW(0x141, a0), SRET, NOP); report("sret", S, &f);
        EXECUTE(&f, U, SRET); report("sret", U, &f);
    }
    clear_csr(mstatus, 7 << 20);
    say("mret clears MPRV\n");
    for (int mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        set_csr(mstatus, 1 << 17);
        struct frame f = { .a = { 0 } };
        /* Code is fetched by the new mode, so MPRV matters to M only. */
        EXECUTE(&f, mode, NOP);
        say("%s status=%x\n", mode_name(mode), f.status);
        clear_csr(mstatus, 1 << 17);
    }
    write_csr(medeleg, -1);
    say("medeleg %x\n", read_csr(medeleg));
    write_csr(medeleg, 1 << 2 | 1 << 3 | 1 << 8 | 1 << 0 | 1 << 5 | 1 << 7 | 1 << 1);
    for (int mode = 0; mode < 2; mode++) {
        supervisor("zero", mode, 0);
        supervisor("ones", mode, ~0u);
        supervisor("ebreak", mode, EBREAK);
        supervisor("mret", mode, MRET);
        supervisor("csrr mscratch", mode, CSRR(a0, 0x340));
        supervisor("load nothing", mode, LW(a0, zero, 8));
        supervisor("store nothing", mode, SW(a0, zero, 8));
        supervisor("amo nothing", mode, AMOADD_W(a0, a0, zero));
        supervisor("lr nothing", mode, LR_W(a0, zero));
        supervisor("sc nothing", mode, SC_W(a0, a0, zero));
        supervisor("jump nothing", mode, JALR(ra, zero));
    }
    write_csr(medeleg, 0);
    for (int mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        struct frame f = { .a = { (word)code + 2048 + 1, 0x2000 } };
        EXECUTE(&f, mode, AMOADD_W(a2, a2, a0)); report("amo misaligned", mode, &f);
        EXECUTE(&f, mode, LR_W(a2, a0)); report("lr misaligned", mode, &f);
        EXECUTE(&f, mode, SC_W(a2, a2, a0)); report("sc misaligned", mode, &f);
        EXECUTE(&f, mode, LW(a2, a0, 0)); report("lw misaligned", mode, &f);
        EXECUTE(&f, mode, SW(a2, a0, 0)); report("sw misaligned", mode, &f);
        EXECUTE(&f, mode, LW(a2, a1, 0)); report("lw nothing", mode, &f);
        EXECUTE(&f, mode, SW(a2, a1, 0)); report("sw nothing", mode, &f);
        EXECUTE(&f, mode, JALR(ra, a1)); report("jump nothing", mode, &f);
    }
    /* Units that are off. */
    for (int fs = 0; fs < 4; fs++) {
        clear_csr(mstatus, 3 << 13 | 3 << 9);
        set_csr(mstatus, fs << 13);
        struct frame f = { .a = { 0 } };
        EXECUTE(&f, U, CSRR(a0, 3)); report("csrr fcsr", U, &f);
        say("fs %d status %x\n", fs, f.status);
        EXECUTE(&f, S, 0xf0000053 /* fmv.w.x ft0, zero */, CSRR(a0, 0x100)); report("fmv.w.x", S, &f);
        say("sstatus %x\n", f.a[0]);
        EXECUTE(&f, U, CSRW(3, a1)); say("fs %d status %x\n", fs, f.status);
    }
    say("counters\n");
    for (unsigned bits = 0; bits < 16; bits++) {
        write_csr(mcounteren, bits & 3);
        write_csr(scounteren, bits >> 2);
        struct frame f = { .a = { 0 } };
        EXECUTE(&f, S, CSRRS(zero, 0xc00, zero)); report("cycle", S, &f);
        EXECUTE(&f, U, CSRRS(zero, 0xc00, zero)); report("cycle", U, &f);
        EXECUTE(&f, U, CSRRS(zero, 0xc01, zero)); report("time", U, &f);
    }
    return 0;
}
