/* Physical memory protection: modes of matching, permissions and locks against every access from every mode. */
#include "harness.h"

static uint32_t target[1024] __attribute__((aligned(4096)));

static void set_entry(int number, word address, word configuration) {
    struct frame f = { .a = { address, configuration } };
    int shift = XLEN == 64 ? number % 8 * 8 : number % 4 * 8;
    int csr = XLEN == 64 ? 0x3a0 + number / 8 * 2 : 0x3a0 + number / 4;
    f.a[1] = configuration << shift;
    f.a[2] = (word)0xff << shift;
    EXECUTE(&f, M, CSRRC(zero, csr, a2), CSRW(0x3b0 + number, a0), CSRRS(zero, csr, a1), CSRR(a3, csr), CSRR(a4, 0x3b0 + number));
    say("entry %d %x %x: cause=%x cfg=%x addr=%x\n", number, address, configuration, f.cause, f.a[3] >> shift & 0xff, f.a[4]);
}

static void probe(int mode, word address) {
    for (int kind = 0; kind < 3; kind++) {
        struct frame f = { .a = { address } };
        if (kind == 0) EXECUTE(&f, mode, LW(a1, a0, 0));
        else if (kind == 1) EXECUTE(&f, mode, SW(a1, a0, 0));
        else EXECUTE(&f, mode, JALR(ra, a0));
        int call = mode == U ? 8 : mode == S ? 9 : 11;
        if (f.cause == (word)call) put('.'); else { hex(f.cause); if (f.tval != address) say("(%x)", f.tval); }
    }
}
static void probes(const char *name) {
    static const int offsets[] = { 0, 4, 8, 12, 16, 28, 32, 60, 64, 124, 128, 4092 };
    for (int mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        say("%s %s:", name, mode_name(mode));
        for (unsigned i = 0; i < ARRAY(offsets); i++) {
            put(' ');
            probe(mode, (word)target + offsets[i]);
        }
        put('\n');
    }
}

static void reset(void) {
    for (unsigned i = 0; i < ARRAY(target); i++) target[i] = ECALL;
    asm volatile("fence.i");
}

int main(void) {
    reset();
    /* Nothing set: only machine mode has memory. */
    probes("none");
    open_memory();
    probes("open");
    word base = (word)target >> 2;
    for (word rights = 0; rights < 8; rights++) {
        say("rights %x\n", rights);
        set_entry(0, base | 3, 3 << 3 | rights); probes("napot 32");        /* 32 bytes */
        reset();
        set_entry(0, base, 2 << 3 | rights); probes("na4");
        reset();
        set_entry(0, base, 0);
        set_entry(1, base + 16, 1 << 3 | rights); probes("tor 64");
        reset();
        set_entry(1, base, 0);
        set_entry(0, base | 0x1ff, 3 << 3 | rights); probes("napot 4096");
        reset();
        set_entry(0, 0, 0);
        set_entry(0, base + 3, 1 << 3 | rights); probes("tor from 0 ");
        reset();
        set_entry(0, 0, 0);
    }
    /* The lowest entry that matches decides; one that matches in part fails. */
    set_entry(0, base + 1, 2 << 3);
    set_entry(1, base | 3, 3 << 3 | 7);
    probes("first");
    reset();
    for (int offset = 0; offset < 12; offset++) {
        struct frame f = { .a = { (word)target + offset } };
        EXECUTE(&f, S, LW(a1, a0, 0)); say("overlap %x: cause=%x tval=%x", (word)offset, f.cause, f.cause == 9 ? 0 : f.tval - (word)target);
        EXECUTE(&f, S, SW(a1, a0, 0)); say(" cause=%x tval=%x\n", f.cause, f.cause == 9 ? 0 : f.tval - (word)target);
        reset();
    }
    set_entry(0, 0, 0);
    set_entry(1, 0, 0);
    /* Locks hold for machine mode, too. */
    for (word rights = 0; rights < 8; rights++) {
        set_entry((int)rights, (word)(target + 8 * rights) >> 2 | 3, 0x80 | 3 << 3 | rights);
        probes("locked");
        set_entry((int)rights, 0, 0);
    }
    set_entry(8, base, 0);
    set_entry(9, base + 256, 0x80 | 1 << 3 | 5);
    set_entry(8, base + 4, 7);
    set_entry(9, base, 0);
    return 0;
}
