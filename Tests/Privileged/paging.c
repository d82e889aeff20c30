/* Page tables: every combination of the low bits of an entry, for every access from every mode; sizes, alignment, reserved
   bits, canonical addresses, A and D, contiguous entries and memory types; pages that PMP does not allow. */
#include "harness.h"

typedef word entry_t;
#if XLEN == 64
#define INDEX_BITS 9
#else
#define INDEX_BITS 10
#endif
enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128 };
#define ENTRIES (1 << INDEX_BITS)

static entry_t tables[6][ENTRIES] __attribute__((aligned(4096)));
static uint32_t target[1024 * 2] __attribute__((aligned(8192)));
/* Virtual addresses: the image where it is, and the target at PROBE. */
#define PROBE 0x40000000ul
static int levels;

static entry_t entry(word physical, word flags) { return physical >> 12 << 10 | flags; }

/* Maps the image (as a large leaf of its own address) for S or U, and PROBE by tables down to level 0. */
static void build(word mode, word image_flags) {
    memset(tables, 0, sizeof tables);
#if XLEN == 64
    levels = mode == 8 ? 3 : mode == 9 ? 4 : 5;
    /* tables[0] the root, … down to the one with gigabyte entries */
    for (int level = levels - 1; level > 2; level--) tables[levels - 1 - level][0] = entry((word)tables[levels - level], V);
    entry_t *gigabytes = tables[levels - 3];
    gigabytes[2] = entry(0x80000000ul, image_flags);
    gigabytes[1] = entry((word)tables[levels - 2], V);
    tables[levels - 2][0] = entry((word)tables[levels - 1], V);
    write_csr(satp, mode << 60 | (word)tables[0] >> 12);
#else
    levels = 2;
    tables[0][0x200] = entry(0x80000000ul, image_flags);
    tables[0][0x100] = entry((word)tables[1], V);
    write_csr(satp, 1u << 31 | (word)tables[0] >> 12);
#endif
    asm volatile("sfence.vma" ::: "memory");
}
static entry_t *leaf(void) { return &tables[levels - 1][0]; }

/* Load, store, fetch at an address: the causes as hexadecimal digits; '.' where it went well. */
static void probe(int mode, word address) {
    for (int kind = 0; kind < 3; kind++) {
        struct frame f = { .a = { address } };
        if (kind == 0) EXECUTE(&f, mode, LW(a1, a0, 0));
        else if (kind == 1) EXECUTE(&f, mode, SW(a1, a0, 0));
        else { f.a[1] = address; EXECUTE(&f, mode, JALR(ra, a0)); }
        int call = mode == U ? 8 : mode == S ? 9 : 11;
        if (f.cause == (word)call) put('.');
        else { hex(f.cause); if (f.tval != address) say("(%x)", f.tval); }
    }
}

static void set_leaf(entry_t value) {
    *leaf() = value;
    asm volatile("sfence.vma" ::: "memory");
}

static void line(const char *name, word value, word address) {
    set_leaf(value);
    say("%s %x:", name, value & 0x3ff);
    word image = tables[levels - 3 < 0 ? 0 : levels - 3][XLEN == 64 ? 2 : 0x200];
    entry_t *slot = &tables[levels - 3 < 0 ? 0 : levels - 3][XLEN == 64 ? 2 : 0x200];
    /* Code runs in the image: its page is a user page for U only. */
    for (int pass = 0; pass < 4; pass++) {
        *slot = pass == 0 ? image | USER : image & ~(entry_t)USER;
        clear_csr(mstatus, 3 << 18);
        if (pass == 2) set_csr(mstatus, 1 << 18);
        if (pass == 3) set_csr(mstatus, 1 << 19);
        asm volatile("sfence.vma" ::: "memory");
        put(' ');
        set_leaf(value);
        probe(pass ? S : U, address);
    }
    *slot = image;
    clear_csr(mstatus, 3 << 18);
    say(" entry %x\n", *leaf() & 0x3ff);
}

static void every_flag(word mode) {
    build(mode, V | R | W | X | A | D);
    for (word flags = 0; flags < 256; flags++) line("flags", entry((word)target, flags), PROBE);
}

static void machine_with_mprv(void) {
    for (int previous = 0; previous < 2; previous++) {
        for (word flags = 1; flags < 256; flags += 2) {
            set_leaf(entry((word)target, flags));
            say("mprv %d %x: ", previous, flags);
            clear_csr(mstatus, 3 << 11);
            struct frame f = { .a = { PROBE, 1 << 17, previous << 11, 3 << 11 } };
            EXECUTE(&f, M, CSRRC(zero, 0x300, a3), CSRRS(zero, 0x300, a2), CSRRS(zero, 0x300, a1), LW(a4, a0, 0), CSRRC(zero, 0x300, a1));
            clear_csr(mstatus, 1 << 17);
            say("%x ", f.cause);
            EXECUTE(&f, M, CSRRC(zero, 0x300, a3), CSRRS(zero, 0x300, a2), CSRRS(zero, 0x300, a1), SW(a4, a0, 0), CSRRC(zero, 0x300, a1));
            clear_csr(mstatus, 1 << 17);
            say("%x\n", f.cause);
        }
    }
}

int main(void) {
    has_hypervisor = 0;
    for (unsigned i = 0; i < ARRAY(target); i++) target[i] = ECALL;
    open_memory();
    word all = V | R | W | X | A | D;
#if XLEN == 64
    static const word modes[] = { 8, 9, 10 };
#else
    static const word modes[] = { 1 };
#endif
    for (unsigned m = 0; m < ARRAY(modes); m++) {
        write_csr(satp, modes[m] << (XLEN == 64 ? 60 : 31));
        say("mode %d: satp %x\n", (int)modes[m], read_csr(satp));
        if (!read_csr(satp)) continue;
        for (int updates = 0; updates < (m ? 1 : 2); updates++) {
#if XLEN == 64
            struct frame f = { .a = { 1ul << 61 } };
            if (updates) EXECUTE(&f, M, CSRRS(zero, 0x30a, a0)); else EXECUTE(&f, M, CSRRC(zero, 0x30a, a0));
#else
            struct frame f = { .a = { 1ul << 29 } };
            if (updates) EXECUTE(&f, M, CSRRS(zero, 0x31a, a0)); else EXECUTE(&f, M, CSRRC(zero, 0x31a, a0));
#endif
            say("updates %d\n", updates);
            every_flag(modes[m]);
        }
        build(modes[m], all);
        machine_with_mprv();
        /* Higher bits of the entry. */
        for (int bit = 8; bit < XLEN; bit++) {
            if (bit >= 10 && bit < 54) continue;
            say("bit %d ", bit);
            line("", entry((word)target, all) | (word)1 << bit, PROBE);
        }
#if XLEN == 64
        for (int open = 0; open < 2; open++) {
            struct frame f = { .a = { 1ul << 62 } };
            if (open) EXECUTE(&f, M, CSRRS(zero, 0x30a, a0)); else EXECUTE(&f, M, CSRRC(zero, 0x30a, a0));
            for (word type = 1; type < 4; type++) {
                say("memory type %d with pbmte %d ", (int)type, open);
                line("", entry((word)target, all) | type << 61, PROBE);
            }
        }
        for (word low = 0; low < 16; low++) {
            say("contiguous %x ", low);
            line("", entry(0x80100000ul, all) | low << 10 | 1ul << 63, PROBE);
        }
        /* Addresses that are no sign extension. */
        set_leaf(entry((word)target, all));
        for (int bit = 30; bit < 64; bit++) {
            say("address bit %d: ", bit);
            probe(S, PROBE ^ 1ul << bit);
            put(' ');
            probe(S, PROBE | ~0ul << bit);
            put('\n');
        }
        /* A table whose entry has other bits set. */
        for (int bit = 1; bit < 64; bit++) {
            if (bit >= 10 && bit < 54) continue;
            tables[levels - 2][0] = entry((word)tables[levels - 1], V) | 1ul << bit;
            say("table bit %d ", bit);
            line("", entry((word)target, all), PROBE);
        }
        tables[levels - 2][0] = entry((word)tables[levels - 1], V);
        /* Large leaves and their alignment. */
        for (int level = 1; level < 3; level++) {
            for (int bit = -1; bit < 18; bit++) {
                tables[levels - 1 - level][level == 2] = entry(0x80000000ul, all) | (bit < 0 ? 0 : 1ul << (10 + bit));
                asm volatile("sfence.vma" ::: "memory");
                say("level %d frame bit %d: ", level, bit + 1);
                probe(S, PROBE);
                put('\n');
                build(modes[m], all);
            }
        }
        /* Tables outside of memory. */
        tables[levels - 2][0] = entry(0x7000000000ul, V);
        asm volatile("sfence.vma" ::: "memory");
        say("no table: "); probe(S, PROBE); put('\n');
        build(modes[m], all);
        set_leaf(entry(0x7000000000ul, all));
        say("no memory: "); probe(S, PROBE); put('\n');
#endif
        /* Two pages: an access across their border. */
        for (int second = 0; second < 2; second++) {
            build(modes[m], all);
            set_leaf(entry((word)target, all));
            leaf()[1] = second ? entry((word)target + 4096, all) : 0;
            asm volatile("sfence.vma" ::: "memory");
            for (int offset = 4093; offset < 4097; offset++) {
                struct frame f = { .a = { PROBE + offset } };
                EXECUTE(&f, S, LW(a1, a0, 0)); say("across %d+%x: cause=%x tval=%x ", second, (word)offset, f.cause, f.tval);
                EXECUTE(&f, S, SW(a1, a0, 0)); say("cause=%x tval=%x\n", f.cause, f.tval);
            }
            /* An instruction across the border. */
            *(volatile uint16_t *)((char *)target + 4094) = (uint16_t)NOP;
            *(volatile uint16_t *)((char *)target + 4096) = NOP >> 16;
            asm volatile("fence.i");
            struct frame f = { .a = { PROBE + 4094 } };
            EXECUTE(&f, S, JALR(ra, a0));
            say("fetch across: cause=%x tval=%x epc=%x\n", f.cause, f.tval, f.epc);
            target[1023] = target[1024] = ECALL;
        }
        write_csr(satp, 0);
    }
    return 0;
}
