/* cpu: rv64,smaia=on,ssaia=on */
/* aia: aplic-imsic,aia-guests=3 */
/* The CSRs of Smaia and Ssaia: what they keep, who may access them, which interrupt comes first, virtual interrupts; interrupt
   files of an IMSIC by CSRs and by messages. */
#include "harness.h"
#include "aia.h"

#define MACHINE_FILE ((volatile uint32_t *)0x24000000)
#define SUPERVISOR_FILE ((volatile uint32_t *)0x28000000)
#define GUEST_FILE(n) ((volatile uint32_t *)(0x28000000ul + 0x1000 * (n)))

static void kept(void) {
#define KEEP(name, csr) do { write_csr(csr, -1); say(name " %x", read_csr(csr)); write_csr(csr, 0); say(" %x\n", read_csr(csr)); } while (0)
    KEEP("miselect", 0x350); KEEP("siselect", 0x150); KEEP("vsiselect", 0x250);
    KEEP("mvien", 0x308); KEEP("hvien", 0x608); KEEP("hvictl", 0x609); KEEP("hviprio1", 0x646); KEEP("hviprio2", 0x647);
    KEEP("hvip", 0x645); KEEP("hgeie", 0x607);
    write_csr(0x308, 0);
    KEEP("mvip", 0x309);
    write_csr(mip, 0x222); say("mvip %x", read_csr(0x309)); write_csr(0x309, 0); say(" mip %x\n", read_csr(mip) & 0x222);
    /* Bits 1 and 9 apart from mip. */
    write_csr(0x308, 0x202); write_csr(0x309, 0x202); say("filtered mip %x mvip %x", read_csr(mip) & 0x202, read_csr(0x309) & 0x202);
    write_csr(mip, 0x202); say(" mip %x", read_csr(mip) & 0x202);
    write_csr(0x309, 0); say(" %x mvip %x\n", read_csr(mip) & 0x202, read_csr(0x309) & 0x202);
    write_csr(mip, 0); write_csr(0x308, 0);
    /* sip and sie by mvien. */
    write_csr(mideleg, 0); write_csr(0x308, -1); write_csr(0x309, -1);
    write_csr(sie, -1);
    say("sip %x sie %x mie %x\n", read_csr(sip), read_csr(sie), read_csr(mie) & 0xfff);
    write_csr(sip, 0); say("sip %x mvip %x\n", read_csr(sip), read_csr(0x309));
    write_csr(mideleg, 0x222); say("delegated sip %x sie %x\n", read_csr(sip), read_csr(sie));
    write_csr(mideleg, 0); write_csr(sie, 0); write_csr(0x309, 0); write_csr(0x308, 0); write_csr(mie, 0);
    /* vsip and vsie by hvien. */
    write_csr(0x608, -1); write_csr(0x645, -1); write_csr(0x603, 0x444); write_csr(0x204, -1);
    say("vsip %x vsie %x\n", read_csr(0x244), read_csr(0x204));
    write_csr(0x244, 0); say("vsip %x hvip %x\n", read_csr(0x244), read_csr(0x645));
    write_csr(0x645, 0); write_csr(0x204, 0); write_csr(0x608, 0); write_csr(0x603, 0); write_csr(0x604, 0);
}

/* How accesses of indirect registers end, for stretches of numbers that are alike. */
static void indirect(const char *name, int mode, int select, int csr, int last) {
    word before = -1;
    say("%s %s:", name, mode_name(mode));
    for (word number = 0; number <= (word)last; number++) {
        if (select == 0x350) write_csr(0x350, number); else if (mode >= VU || select == 0x250) write_csr(0x250, number); else write_csr(0x150, number);
        struct frame f = { .a = { 0 } };
        EXECUTE(&f, mode, CSRR(a1, csr));
        word how = f.cause == 2 || f.cause == 22 ? f.cause : 0;
        /* Even and odd numbers are told apart. */
        word key = how << 1 | (how != 0);
        if (key != before) say(" %x=%x", number, how);
        before = key;
    }
    put('\n');
}

static void access(const char *name, int csr) {
    static const int modes[] = { M, S, U, VS, VU };
    say("%s", name);
    for (unsigned i = 0; i < ARRAY(modes); i++) {
        struct frame f = { .a = { 0 } };
        EXECUTE(&f, modes[i], CSRR(a1, csr));
        say(" %s:", mode_name(modes[i]));
        if (f.cause == 2 || f.cause == 22) hex(f.cause); else text("ok");
    }
    put('\n');
}

static void accesses(void) {
    static const struct { const char *name; int csr; } list[] = {
        { "mtopei", 0x35c }, { "mtopi", 0xfb0 }, { "siselect", 0x150 }, { "stopei", 0x15c }, { "stopi", 0xdb0 }, { "hvictl", 0x609 },
        { "vsiselect", 0x250 }, { "vstopei", 0x25c }, { "vstopi", 0xeb0 }, { "sip", 0x144 }, { "sie", 0x104 }, { "stimecmp", 0x14d },
    };
    set_csr(0x30a, 1ul << 63); set_csr(0x60a, 1ul << 63); write_csr(0x306, -1); write_csr(0x606, -1);
    for (int round = 0; round < 4; round++) {
        /* VGEIN; a virtual trap; filtered external interrupts. */
        word status = read_csr(0x600);
        write_csr(0x600, (status & ~(0x3ful << 12)) | (round == 1 ? 2ul << 12 : 0));
        write_csr(0x609, round == 2 ? 1ul << 30 | 9 << 16 : 0);
        write_csr(0x308, round == 3 ? 1 << 9 : 0);
        say("vgein %x hvictl %x mvien %x\n", read_csr(0x600) >> 12 & 63, read_csr(0x609), read_csr(0x308));
        for (unsigned i = 0; i < ARRAY(list); i++) access(list[i].name, list[i].csr);
        indirect("mireg", M, 0x350, 0x351, 0x104); indirect("mireg", S, 0x350, 0x351, 1);
        indirect("sireg", M, 0x150, 0x151, 0x104); indirect("sireg", S, 0x150, 0x151, 0x104); indirect("sireg", U, 0x150, 0x151, 0x72);
        indirect("sireg", VS, 0x150, 0x151, 0x104); indirect("sireg", VU, 0x150, 0x151, 0x72);
        indirect("vsireg", M, 0x250, 0x251, 0x104); indirect("vsireg", S, 0x250, 0x251, 0x104); indirect("vsireg", VS, 0x250, 0x251, 0x72);
    }
    write_csr(0x308, 0); write_csr(0x609, 0);
    struct frame f = { .a = { 0 } };
    write_csr(0x609, 1ul << 30 | 9 << 16);
    EXECUTE(&f, VS, CSRRW(a1, 0x14d, a0)); say("stimecmp VS written: %x\n", f.cause);
    write_csr(0x609, 0);
    clear_csr(0x30a, 1ul << 63); write_csr(0x306, 0); write_csr(0x606, 0);
}

static void files(void) {
    /* Registers of a file. */
    mireg_write(0x70, -1); say("eidelivery %x", mireg_read(0x70)); mireg_write(0x70, 0x40000000); say(" %x", mireg_read(0x70));
    mireg_write(0x70, 1); say(" %x\n", mireg_read(0x70));
    mireg_write(0x72, 300); say("eithreshold %x", mireg_read(0x72)); mireg_write(0x72, 0); say(" %x\n", mireg_read(0x72));
    for (int k = 0x80; k <= 0x86; k += 2) { mireg_write(k, -1); say("eip%d %x ", k - 0x80, mireg_read(k)); mireg_write(k, 0); }
    for (int k = 0xc0; k <= 0xc6; k += 2) { mireg_write(k, -1); say("eie%d %x ", k - 0xc0, mireg_read(k)); mireg_write(k, 0); }
    put('\n');
    /* Messages. */
    MACHINE_FILE[0] = 5; MACHINE_FILE[0] = 200; MACHINE_FILE[1] = 0x07000000; MACHINE_FILE[0] = 256; MACHINE_FILE[0] = 0; MACHINE_FILE[2] = 9;
    say("eip %x %x, read %x\n", mireg_read(0x80), mireg_read(0x86), MACHINE_FILE[0]);
    say("mtopei %x mip %x\n", read_csr(0x35c), read_csr(mip) & 0xa00);
    mireg_write(0xc0, 1 << 7 | 1 << 5); mireg_write(0xc6, 1 << 8);
    say("mtopei %x mip %x\n", read_csr(0x35c), read_csr(mip) & 0xa00);
    mireg_write(0x72, 5); say("threshold 5: %x mip %x\n", read_csr(0x35c), read_csr(mip) & 0xa00);
    mireg_write(0x72, 6); say("threshold 6: %x mip %x\n", read_csr(0x35c), read_csr(mip) & 0xa00);
    mireg_write(0x72, 0); mireg_write(0x70, 0); say("not delivered: %x mip %x\n", read_csr(0x35c), read_csr(mip) & 0xa00);
    mireg_write(0x70, 1);
    word claimed; asm volatile("csrrw %0, 0x35c, zero" : "=r"(claimed)); say("claimed %x", claimed);
    asm volatile("csrrs %0, 0x35c, %1" : "=r"(claimed) : "r"(0ul)); say(" %x", claimed);
    asm volatile("csrr %0, 0x35c" : "=r"(claimed)); say(" %x", claimed);
    asm volatile("csrrw %0, 0x35c, zero" : "=r"(claimed)); say(" %x", claimed);
    asm volatile("csrrw %0, 0x35c, zero" : "=r"(claimed)); say(" %x mip %x\n", claimed, read_csr(mip) & 0xa00);
    /* Supervisor and guests. */
    sireg_write(0x70, 1); sireg_write(0xc0, -1); SUPERVISOR_FILE[0] = 33; SUPERVISOR_FILE[0] = 40;
    say("stopei %x mip %x\n", read_csr(0x15c), read_csr(mip) & 0xa00);
    sireg_write(0xc0, -1ul << 34); say("stopei %x mip %x\n", read_csr(0x15c), read_csr(mip) & 0xa00);
    write_csr(0x15c, 0); say("stopei %x mip %x\n", read_csr(0x15c), read_csr(mip) & 0xa00);
    for (int guest = 1; guest <= 3; guest++) {
        word status = read_csr(0x600) & ~(0x3ful << 12);
        write_csr(0x600, status | (word)guest << 12);
        vsireg_write(0x70, 1); vsireg_write(0xc0, -1);
        GUEST_FILE(guest)[0] = 10 + guest;
        say("guest %d: vstopei %x hgeip %x mip %x", guest, read_csr(0x25c), read_csr(0xe12), read_csr(mip) & 0x1e00);
        write_csr(0x607, -1); say(" %x", read_csr(mip) & 0x1e00); write_csr(0x607, 0);
        struct frame f = { .a = { 0 } };
        EXECUTE(&f, VS, CSRRW(a1, 0x15c, zero), CSRR(a2, 0x15c)); say(" VS: %x %x cause %x hgeip %x\n", f.a[1], f.a[2], f.cause, read_csr(0xe12));
        write_csr(0x600, status);
    }
    GUEST_FILE(0)[0] = 3; say("stopei %x", read_csr(0x15c)); sireg_write(0xc0, -1); say(" %x\n", read_csr(0x15c));
    sireg_write(0x80, 0); mireg_write(0x80, 0); mireg_write(0x86, 0);
}

static void taken(const char *name, int mode, word level) {
    struct frame f = { .a = { 0 } };
    set_csr(mstatus, 1 << 7);
    EXECUTE(&f, mode, NOP, NOP);
    say("  %s %s: cause=%x epc=%x", name, mode_name(mode), f.cause, relative(f.epc));
    if (f.cause == 9) say(" scause=%x", f.a[2]);
    if (level) say(" vscause=%x", read_csr(0x242));
    put('\n');
}

static void tops(void) {
    /* Which interrupt mtopi and stopi show, with and without priorities. */
    static const word sets[] = { 0x2, 0x20, 0x200, 0x22, 0x222, 0x202, 0x220 };
    write_csr(mie, -1); write_csr(mideleg, 0);
    mireg_write(0x70, 1); mireg_write(0xc0, -1); mireg_write(0x72, 0);
    for (int round = 0; round < 4; round++) {
        mireg_write(0x30, 0); mireg_write(0x32, 0);
        if (round == 1) mireg_write(0x30, 0x0000100000002000ul);
        if (round == 2) { mireg_write(0x30, -1); mireg_write(0x32, -1); }
        if (round == 3) { mireg_write(0x30, 0x0000400000003000ul); mireg_write(0x32, 0x0000000000000500ul); MACHINE_FILE[0] = 0x35; }
        say("iprio %x %x\n", mireg_read(0x30), mireg_read(0x32));
        for (unsigned i = 0; i < ARRAY(sets); i++) { write_csr(mip, sets[i]); say(" %x: mtopi %x", sets[i], read_csr(0xfb0)); }
        write_csr(mip, 0); say(" none: %x\n", read_csr(0xfb0));
    }
    write_csr(0x35c, 0); mireg_write(0x30, 0); mireg_write(0x32, 0);
    write_csr(mideleg, 0x222);
    for (int round = 0; round < 3; round++) {
        sireg_write(0x30, 0); sireg_write(0x32, 0);
        if (round == 1) { sireg_write(0x30, 0x0000100000002000ul); SUPERVISOR_FILE[0] = 0x15; }
        if (round == 2) { sireg_write(0x30, -1); sireg_write(0x32, -1); }
        say("siprio %x %x\n", sireg_read(0x30), sireg_read(0x32));
        for (unsigned i = 0; i < ARRAY(sets); i++) { write_csr(mip, sets[i]); say(" %x: stopi %x mtopi %x", sets[i], read_csr(0xdb0), read_csr(0xfb0)); }
        write_csr(mip, 0); say(" none: %x\n", read_csr(0xdb0));
    }
    write_csr(0x15c, 0); sireg_write(0x30, 0); sireg_write(0x32, 0);
    write_csr(mie, 0);
    /* Virtual interrupts for supervisor level. */
    write_csr(mideleg, 0);
    for (int number = 0; number < 64; number += number == 1 ? 8 : number == 9 ? 4 : number < 24 ? 1 : 7) {
        word bit = 1ul << number;
        write_csr(0x308, bit); write_csr(0x309, bit); write_csr(sie, bit);
        say("virtual %d: sip %x sie %x stopi %x mip %x\n", number, read_csr(sip), read_csr(sie), read_csr(0xdb0), read_csr(mip) & 0x202);
        if (read_csr(0xdb0)) {
            clear_csr(sstatus, 2); taken("off", S, 0); taken("off", U, 0); set_csr(sstatus, 2); taken("on", S, 0); taken("on", M, 0); clear_csr(sstatus, 2);
        }
        write_csr(sie, 0); write_csr(0x309, 0); write_csr(0x308, 0);
    }
    write_csr(mideleg, 0x222);
}

static void virtual_tops(void) {
    static const word sets[] = { 0, 0x4, 0x40, 0x400, 0x44, 0x444, 0x404, 0x440, 0x2000, 0x2400, 0x2040, 0x10004, 0x8000000000000000 };
    static const word controls[] = { 0, 1 << 8, 9ul << 16 | 1 << 8, 9ul << 16 | 1 << 8 | 0x20, 1ul << 30 | 9ul << 16 | 1 << 8, 1ul << 30 | 21ul << 16 | 1 << 8,
        1ul << 30 | 21ul << 16 | 1 << 8 | 1 << 9, 1ul << 30 | 21ul << 16 | 1 << 8 | 0x15, 1ul << 30 | 0xabcul << 16 | 0x15 };
    write_csr(0x603, 0x444); write_csr(0x608, -1); write_csr(0x204, -1); write_csr(0x604, 0x444);
    for (int round = 0; round < 3; round++) {
        write_csr(0x646, round == 1 ? 0x0030000010002000ul : round == 2 ? -1ul : 0); write_csr(0x647, round == 2 ? 1 : 0);
        say("hviprio %x %x\n", read_csr(0x646), read_csr(0x647));
        for (unsigned c = 0; c < ARRAY(controls); c++) {
            write_csr(0x609, controls[c]); say(" hvictl %x:", read_csr(0x609));
            for (unsigned i = 0; i < ARRAY(sets); i++) { write_csr(0x645, sets[i]); say(" %x=%x", sets[i], read_csr(0xeb0)); }
            put('\n');
        }
    }
    write_csr(0x646, 0); write_csr(0x647, 0);
    for (unsigned c = 0; c < ARRAY(controls); c++) for (unsigned i = 0; i < ARRAY(sets); i++) {
        write_csr(0x609, controls[c]); write_csr(0x645, sets[i]);
        if (!read_csr(0xeb0)) continue;
        say("hvictl %x hvip %x\n", controls[c], sets[i]);
        write_csr(0x205, (word)supervisor_handler); write_csr(0x242, 0);
        write_csr(0x200, read_csr(0x200) & ~2ul); taken("off", VS, 1); taken("off", VU, 1);
        write_csr(0x200, read_csr(0x200) | 2); taken("on", VS, 1); write_csr(0x200, read_csr(0x200) & ~2ul);
    }
    write_csr(0x609, 0); write_csr(0x645, 0);
    /* With a guest file. */
    write_csr(0x600, (read_csr(0x600) & ~(0x3ful << 12)) | 1ul << 12);
    vsireg_write(0x70, 1); vsireg_write(0xc0, -1); GUEST_FILE(1)[0] = 0x22;
    say("guest file: vstopi %x", read_csr(0xeb0)); write_csr(0x609, 1 << 8); say(" %x", read_csr(0xeb0));
    write_csr(0x646, 0x2100); write_csr(0x645, 4); say(" %x", read_csr(0xeb0)); write_csr(0x646, 0x2300); say(" %x", read_csr(0xeb0));
    write_csr(0x645, 0); say(" vsip %x\n", read_csr(0x244)); taken("file", VU, 1); write_csr(0x25c, 0); say("vstopi %x\n", read_csr(0xeb0));
}

int main(void) {
    has_hypervisor = read_csr(misa) >> 7 & 1;
    open_memory();
    make_supervisor_handler();
    write_csr(medeleg, 0);
    *(volatile uint64_t *)0x2004000 = ~0ul;
    kept();
    accesses();
    files();
    tops();
    virtual_tops();
    return 0;
}
