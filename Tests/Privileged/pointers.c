/* cpu: rv64,smmpm=on,smnpm=on,ssnpm=on */
/* Pointer masking: its fields, and loads, stores, atomics and jumps by pointers with tags, in every mode, bare and translated. */
#include "harness.h"

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, A = 64, D = 128, LEAF = V | R | W | X | A | D };
#define MXR (1ul << 19)
#define MPRV (1ul << 17)
#define HIGH 0xffffffc000000000ul
static word table[512] __attribute__((aligned(4096)));
static word middle[512] __attribute__((aligned(4096)));
static word last[512] __attribute__((aligned(4096)));
static word data[1024] __attribute__((aligned(8192)));
static word other[512] __attribute__((aligned(4096)));

static word entry(const void *physical, word flags) { return (word)physical >> 12 << 10 | flags; }
static void fence(void) { asm volatile("sfence.vma" ::: "memory"); }

/* The low half is memory as it is and, from 1 GiB, data; the high half is data. */
static void build(word user) {
    memset(table, 0, sizeof table);
    memset(middle, 0, sizeof middle);
    memset(last, 0, sizeof last);
    table[2] = entry((void *)0x80000000ul, LEAF | user);
    table[1] = table[256] = entry(middle, V);
    middle[0] = entry(last, V);
    last[0] = entry(data, LEAF | user);
    last[1] = entry(data + 512, LEAF | user);
}

static word call(int mode) { return mode == U ? 8 : mode == M ? 11 : mode == VS ? 10 : mode == VU ? 8 : 9; }

static void ended(const struct frame *f, int mode) {
    if (f->cause == call(mode)) say(" %x", f->a[1]);
    else say(" [%x %x]", f->cause, f->tval);
}

static const word tags[] = { 0, 1ul << 63, 1ul << 57, 0xa5ul << 56, 1ul << 56, 1ul << 48, 1ul << 47, 0xfffful << 48, 0xfful << 56 };

static void loads(const char *name, int mode, word base) {
    say("%s %c %x:", name, "US?M"[mode & 3], base);
    for (int i = 0; i < ARRAY(tags); i++) {
        struct frame f = { .a = { base ^ tags[i] } };
        EXECUTE(&f, mode, LD(a1, a0, 8));
        ended(&f, mode);
    }
    put('\n');
}

static void others(const char *name, int mode, word base) {
    for (int i = 0; i < ARRAY(tags); i++) {
        struct frame f = { .a = { base ^ tags[i], 0, 0x1234 + i } };
        say("%s %c %d:", name, "US?M"[mode & 3], i);
        EXECUTE(&f, mode, SD(a2, a0, 16), LD(a1, a0, 16)); ended(&f, mode);
        f = (struct frame){ .a = { base ^ tags[i], 0, 3 } };
        EXECUTE(&f, mode, AMOADD_W(a1, a2, a0)); ended(&f, mode);
        f = (struct frame){ .a = { base ^ tags[i], 0, 7 } };
        EXECUTE(&f, mode, LR_W(a1, a0), SC_W(a1, a2, a0)); ended(&f, mode);
        /* Over the end of a page, and atomic where that is not allowed. */
        f = (struct frame){ .a = { (base ^ tags[i]) + 4092 } };
        EXECUTE(&f, mode, LD(a1, a0, 0)); ended(&f, mode);
        f = (struct frame){ .a = { (base ^ tags[i]) + 2, 0, 1 } };
        EXECUTE(&f, mode, AMOADD_W(a1, a2, a0)); ended(&f, mode);
        f = (struct frame){ .a = { (base ^ tags[i]) + 64 } };
        EXECUTE(&f, mode, JALR(ra, a0)); ended(&f, mode);
        put('\n');
    }
}

/* Without the reserved value, on which QEMU 10 ends (riscv_pm_get_pmlen: code should not be reached). */
#define FIELD(name, number, shift) do { \
    say(name); \
    for (word v = 0; v < 4; v += v ? 1 : 2) { clear_csr(number, 3ul << (shift)); set_csr(number, v << (shift)); say(" %x", read_csr(number) >> (shift) & 3); } \
    clear_csr(number, 3ul << (shift)); put('\n'); } while (0)
static void set_field(int number, word value) {
    word bits = value << 32;
    if (number == M) { clear_csr(0x747, 3ul << 32); set_csr(0x747, bits); }
    if (number == S) { clear_csr(0x30a, 3ul << 32); set_csr(0x30a, bits); }
    if (number == U) { clear_csr(0x10a, 3ul << 32); set_csr(0x10a, bits); }
}

/* Loads of machine mode with the rights of another. */
static void borrowed(word base, word mode) {
    say("mprv %c:", "US?M"[mode]);
    for (int i = 0; i < ARRAY(tags); i++) {
        struct frame f = { .a = { base ^ tags[i], 0, MPRV | 3ul << 11, MPRV | mode << 11 } };
        EXECUTE(&f, M, CSRRC(zero, 0x300, a2), CSRRS(zero, 0x300, a3), LD(a1, a0, 8), CSRRC(zero, 0x300, a2));
        ended(&f, M);
    }
    clear_csr(mstatus, MPRV);
    put('\n');
}

int main(void) {
    for (int i = 0; i < 1024; i++) data[i] = i * 0x10001ul;
    data[8] = (word)JALR(zero, ra) << 32 | ADDI(a1, zero, 42);
    for (int i = 0; i < 512; i++) other[i] = 0x5555;
    asm volatile("fence.i");
    open_memory();
    FIELD("mseccfg", 0x747, 32); FIELD("menvcfg", 0x30a, 32); FIELD("senvcfg", 0x10a, 32);
    if (has_hypervisor) { FIELD("henvcfg", 0x60a, 32); FIELD("hstatus", 0x600, 48); }
    static const int modes[] = { M, S, U };
    for (int m = 0; m < 3; m++) {
        int mode = modes[m];
        for (word value = 0; value < 4; value++) {
            if (value == 1) continue;
            say("PMM %d\n", (int)value);
            set_field(mode, value);
            build(mode == U ? USER : 0);
            loads("bare", mode, (word)data);
            if (value) others("bare", mode, (word)data);
            if (mode == M) { set_field(mode, 0); continue; }
            write_csr(satp, 8ul << 60 | (word)table >> 12); fence();
            loads("Sv39", mode, 0x40000000ul);
            loads("Sv39", mode, HIGH);
            if (value) others("Sv39", mode, 0x40000000ul);
            borrowed(0x40000000ul, mode);
            /* A translation that is known by a pointer with a tag, and changes. */
            struct frame f = { .a = { 0x40000000ul ^ 1ul << 63 } };
            EXECUTE(&f, mode, LD(a1, a0, 8)); say("known"); ended(&f, mode);
            last[0] = entry(other, LEAF | (mode == U ? USER : 0));
            asm volatile("sfence.vma %0, zero" :: "r"(0x40000000ul) : "memory");
            EXECUTE(&f, mode, LD(a1, a0, 8)); ended(&f, mode); put('\n');
            last[0] = entry(data, LEAF | (mode == U ? USER : 0)); fence();
            /* Instructions read as data are read where they are. */
            set_csr(mstatus, MXR); loads("MXR", mode, 0x40000000ul); clear_csr(mstatus, MXR);
            write_csr(satp, 0); fence();
            set_field(mode, 0);
        }
    }
    /* Turned on and off without a fence. */
    build(0); write_csr(satp, 8ul << 60 | (word)table >> 12); fence();
    for (int round = 0; round < 4; round++) { set_field(S, round & 1 ? 3 : 0); loads("switched", S, 0x40000000ul); }
    write_csr(satp, 0); fence();
    say("done\n");
    return 0;
}
