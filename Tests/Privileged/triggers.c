/* Sdtrig: the registers of triggers, and breakpoint exceptions before instructions, loads, stores and atomic updates, in each mode. */
#include "harness.h"

#define TYPE2(bits) (2ul << 60 | (bits))
#define TYPE6(bits) (6ul << 60 | (bits))
enum { LOADS = 1, STORES = 2, RUNS = 4, IN_U = 1 << 3, IN_S = 1 << 4, IN_M = 1 << 6, CHAIN = 1 << 11, IN_VU = 1 << 23, IN_VS = 1 << 24 };
#define MATCH(n) ((n) << 7)
#define SIZE6(n) ((n) << 16)

static int alone;
static volatile uint64_t data[1024] __attribute__((aligned(8192)));

static void set(int number, word one, word two) {
    write_csr(tselect, number); write_csr(tdata1, 0); write_csr(tdata2, two); write_csr(tdata1, one);
}
static void reset_all(void) { for (int i = 0; i < 2; i++) set(i, 0, 0); write_csr(tselect, 0); }

static void written(const char *name, word one) {
    set(0, one, 0x8000000012345678);
    say("%s %x: %x %x\n", name, one, read_csr(tdata1), read_csr(tdata2));
    reset_all();
}

/* How code in a mode ends; a0 is the address of data. */
#define RUN(name, mode, ...) do { \
    struct frame f = { .a = { (word)data, 0, 0 } }; \
    EXECUTE(&f, mode, __VA_ARGS__); \
    say("%s in %s: cause %x at %x value %x", name, mode_name(mode), f.cause, relative(f.epc), f.cause == 3 ? place(f.tval) : 0); \
    /* QEMU 10 leaves GVA as it was. */ \
    if (mode > M && f.cause == 3) say(" gva %d", (int)(f.status >> 38 & 1)); \
    /* It has no hit bits. */ \
    if (alone) say(" hit %d", hit()); \
    say("\n"); \
} while (0)

static word place(word address) { return address - (word)data < sizeof data ? 0x1000 + (address - (word)data) : relative(address); }
static int hit(void) {
    word one = read_csr(tdata1);
    return one >> 60 == 2 ? one >> 20 & 1 : one >> 60 == 6 ? one >> 22 & 1 : -1;
}

int main(void) {
    open_memory();
    make_supervisor_handler();
    say("tselect %x\n", read_csr(tselect));
    write_csr(tselect, 1); say("tselect 1: %x\n", read_csr(tselect));
    write_csr(tselect, 1000); say("tselect 1000: %x\n", read_csr(tselect) < 1000);
    write_csr(tselect, 0);
    say("tinfo %x\n", read_csr(tinfo));
    written("mcontrol", TYPE2(IN_M | IN_S | IN_U | RUNS | LOADS | STORES));
    written("mcontrol", TYPE2(IN_U | LOADS | 1 << 16));
    written("mcontrol", TYPE2(IN_U | LOADS | 1 << 12));
    written("mcontrol6", TYPE6(IN_M | IN_S | IN_U | IN_VS | IN_VU | RUNS | LOADS | STORES));
    written("mcontrol6", TYPE6(IN_U | LOADS | SIZE6(3)));
    written("mcontrol6", TYPE6(IN_U | LOADS | SIZE6(4)));
    written("mcontrol6", TYPE6(IN_U | LOADS | MATCH(6)));
    written("none", 0); written("type 7", 7ul << 60);

    /* Instructions. */
    static const word kinds[] = { TYPE2(RUNS | IN_U), TYPE6(RUNS | IN_U), TYPE6(RUNS | IN_S), TYPE6(RUNS | IN_VS), TYPE6(RUNS | IN_VU), TYPE6(RUNS | IN_U | IN_S | IN_VU | IN_VS) };
    static const int modes[] = { U, S, VU, VS };
    for (unsigned k = 0; k < ARRAY(kinds); k++)
        for (unsigned m = 0; m < ARRAY(modes); m++) {
            set(0, kinds[k], (word)code + 8);
            RUN("instruction", modes[m], NOP, NOP, NOP, NOP);
        }
    set(0, TYPE6(RUNS | IN_U), (word)code + 6);
    RUN("middle of an instruction", U, NOP, NOP, NOP);
    set(0, TYPE6(RUNS | IN_U), (word)code);
    RUN("the first", U, NOP, NOP, NOP);
    /* A loop that has run before: what was made of it is not used. */
    reset_all();
    for (int round = 0; round < 2; round++) {
        RUN("loop", U, ADDI(a1, zero, 100), ADDI(a1, a1, -1), 0xfe059ee3 /* bnez a1, -4 */, NOP);
        set(0, TYPE6(RUNS | IN_U), (word)code + 12);
    }
    /* Loads and stores. */
    static const word accesses[] = { TYPE2(LOADS | IN_U), TYPE2(STORES | IN_U), TYPE6(LOADS | IN_U), TYPE6(STORES | IN_U), TYPE6(LOADS | STORES | IN_U), TYPE6(LOADS | STORES | IN_S) };
    for (unsigned k = 0; k < ARRAY(accesses); k++) {
        set(0, accesses[k], (word)data + 64);
        say("%x\n", accesses[k]);
        RUN("load of it", U, LD(a1, a0, 0), LD(a1, a0, 64), NOP);
        RUN("store to it", U, SD(a1, a0, 0), SD(a1, a0, 64), NOP);
        RUN("others", U, LD(a1, a0, 56), SD(a1, a0, 56), LD(a1, a0, 72), SD(a1, a0, 72));
        RUN("a byte of it", U, LB(a1, a0, 64), SB(a1, a0, 64));
        RUN("load of it", S, LD(a1, a0, 64));
        RUN("addition to it", U, ADDI(a1, a0, 64), AMOADD_W(a2, zero, a1));
        RUN("reservation of it", U, ADDI(a1, a0, 64), LR_W(a2, a1));
        RUN("end of a reservation", U, ADDI(a1, a0, 64), SC_W(a2, zero, a1));
    }
    /* What was to be stored is not. */
    data[8] = 5;
    set(0, TYPE6(STORES | IN_U), (word)data + 64);
    RUN("store", U, SD(a0, a0, 64)); say("%x\n", data[8]);
    RUN("addition", U, ADDI(a1, a0, 64), AMOADD_W(a2, a1, a1)); say("%x\n", data[8]);
    /* Machine mode, with and without its interrupts. */
    set(0, TYPE6(LOADS | IN_M), (word)data + 64);
    RUN("load with interrupts on", M, 0x30046073 /* csrsi mstatus, 8 */, LD(a1, a0, 64));
    clear_csr(mstatus, 8);
    /* Delegated ones: a supervisor with its interrupts off sees none. */
    set_csr(medeleg, 8);
    set(0, TYPE6(LOADS | IN_S | IN_U), (word)data + 64);
    RUN("delegated", U, LD(a1, a0, 64));
    RUN("delegated, off", S, LD(a1, a0, 64));
    clear_csr(medeleg, 8);
    /* Off again. */
    reset_all();
    RUN("none", U, LD(a1, a0, 64), SD(a1, a0, 64));
    /* Both at once. */
    set(0, TYPE6(LOADS | IN_U), (word)data + 64); set(1, TYPE6(STORES | IN_U), (word)data + 80);
    RUN("the first of two", U, LD(a1, a0, 64));
    RUN("the second of two", U, SD(a1, a0, 80));
    reset_all();
    /* What QEMU 10 has none of: sizes and addresses as the specification has them, ranges, comparisons, chains, contexts; nor does it
       care whether interrupts of machine mode are on. */
    say("alone\n"); alone = 1;
    set(0, TYPE6(LOADS | IN_M), (word)data + 64);
    RUN("interrupts off", M, 0x30047073 /* csrci mstatus, 8 */, LD(a1, a0, 64));
    set(0, TYPE6(LOADS | IN_U | SIZE6(1)), (word)data + 64);
    RUN("a byte", U, LD(a1, a0, 64), LB(a1, a0, 64));
    set(0, TYPE6(LOADS | IN_U), (word)data + 67);
    RUN("a byte inside", U, LW(a1, a0, 60), LW(a1, a0, 68), LW(a1, a0, 64));
    set(0, TYPE6(LOADS | IN_U | MATCH(1)), (word)data + 0x47);
    RUN("range", U, LD(a1, a0, 56), LD(a1, a0, 80), LB(a1, a0, 72), LB(a1, a0, 0x4e));
    set(0, TYPE6(STORES | IN_U | MATCH(2)), (word)data + 4096);
    RUN("from", U, SD(a1, a0, 64), ADDI(a2, a0, 2040), ADDI(a2, a2, 2040), SB(a1, a2, 15), SB(a1, a2, 16));
    set(0, TYPE6(STORES | IN_U | MATCH(2) | CHAIN), (word)data + 72); set(1, TYPE6(STORES | IN_U | MATCH(3)), (word)data + 80);
    RUN("chain", U, SD(a1, a0, 64), SD(a1, a0, 80), SD(a1, a0, 88), SB(a1, a0, 79));
    set(1, 0, 0);
    set(0, TYPE6(RUNS | IN_U | SIZE6(2)), (word)code + 4);
    RUN("length", U, NOP, NOP, NOP);
    set(0, TYPE6(RUNS | IN_U | SIZE6(3)), (word)code + 4);
    RUN("length", U, NOP, NOP, NOP);
    /* Contexts and address spaces. */
    write_csr(0x7a8, 5);
    set(0, TYPE6(RUNS | IN_U), (word)code + 4);
    write_csr(tdata3, 5ul << 51 | 4ul << 48); say("tdata3 %x\n", read_csr(tdata3)); RUN("context", U, NOP, NOP);
    write_csr(0x7a8, 6); RUN("context", U, NOP, NOP);
    write_csr(tdata3, 3ul << 51 | 1ul << 48); RUN("context", U, NOP, NOP);
    write_csr(tdata3, 7ul << 2 | 2); RUN("address space", U, NOP, NOP);
    write_csr(tdata3, 0ul << 2 | 2); RUN("address space", U, NOP, NOP);
    write_csr(tdata3, 1); say("tdata3 %x\n", read_csr(tdata3));
    reset_all();
    say("done\n");
    return 0;
}
