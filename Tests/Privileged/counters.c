/* cpu: rv64,sscofpmf=on */
/* alone: when QEMU 10 notices an overflow hangs on its timing */
/* Sscofpmf: which bits of mhpmevent there are, counters that stand still by mode, overflow and its interrupt, scountovf. */
#include "harness.h"

enum { LCOFI = 1 << 13 };
#define CYCLES 1ul
#define LOAD_MISSES 0x10019ul
static const word filters[] = { 1ul << 62, 1ul << 61, 1ul << 60, 1ul << 59, 1ul << 58 };

static void rest(void) { for (volatile int i = 0; i < 2000; i++) {} }

/* Loads from pages that have not been touched yet. */
static void touch(void) {
    static volatile char pages[4][16][4096];
    static unsigned next;
    for (unsigned i = 0; i < ARRAY(pages[0]); i++) (void)pages[next][i][0];
    next++;
}

/* Whether counter 3 has moved while machine mode ran, and while `mode` did. */
static void moves(word event, int mode) {
    write_csr(0x323, event);
    write_csr(0xb03, 1000);
    rest();
    word before = read_csr(0xb03);
    rest();
    int machine = read_csr(0xb03) != before;
    /* The other mode spends its time in a loop of 2000 rounds. */
    struct frame f = { .a = { 2000 } };
    write_csr(0xb03, 1000);
    set_csr(0x320, 8);
    word inhibited = read_csr(0xb03);
    rest();
    inhibited = read_csr(0xb03) != inhibited;
    clear_csr(0x320, 8);
    word start = read_csr(0xb03);
    EXECUTE(&f, mode, ADDI(a0, a0, -1), 0xfe051ee3 /* bnez a0, -4 */);
    word spent = read_csr(0xb03) - start;
    say("  %s: machine %d inhibited %d", mode_name(mode), machine, inhibited);
    /* Without machine mode, all that is counted is the other's. */
    if (event & filters[0]) say(" mode %d", spent != 0);
    put('\n');
}

int main(void) {
    static const int modes[] = { U, S, VU, VS };
    open_memory();
    write_csr(0x323, ~0ul << 32);
    say("event bits %x\n", read_csr(0x323) >> 58);
    write_csr(0x323, 0);
    for (unsigned i = 0; i < ARRAY(modes); i++) {
        moves(CYCLES, modes[i]);
        moves(CYCLES | filters[0], modes[i]);
        for (unsigned k = 1; k < ARRAY(filters); k++) { say(" filter %d", k); moves(CYCLES | filters[0] | filters[k], modes[i]); }
    }
    write_csr(0x323, 0);

    write_csr(mideleg, LCOFI); say("mideleg %x\n", read_csr(mideleg) & LCOFI);
    write_csr(mie, LCOFI); say("mie %x\n", read_csr(mie) & LCOFI);
    write_csr(mideleg, 0);
    set_csr(mip, LCOFI); say("mip %x\n", read_csr(mip) & LCOFI);
    clear_csr(mip, LCOFI); say("mip %x\n", read_csr(mip) & LCOFI);

    /* Misses of translations: counted one by one, in the mode that is wanted; the one before 0 overflows. */
    touch();
    write_csr(0x325, LOAD_MISSES);
    write_csr(0xb05, 0);
    touch();
    say("load misses in M: %d\n", read_csr(0xb05) != 0);
    write_csr(0x325, LOAD_MISSES | filters[0]);
    write_csr(0xb05, 0);
    touch();
    say("load misses not in M: %d\n", read_csr(0xb05) != 0);
    write_csr(0x325, LOAD_MISSES);
    write_csr(0xb05, -1);
    touch();
    say("overflow of misses: pending %x OF %d\n", read_csr(mip) & LCOFI, (int)(read_csr(0x325) >> 63));
    write_csr(0x325, 0);
    clear_csr(mip, LCOFI);

    /* A counter that is written after it has overflowed has overflowed all the same. */
    write_csr(0x326, CYCLES);
    write_csr(0xb06, -1000);
    for (int i = 0; i < 200; i++) rest();
    write_csr(0xb06, 0);
    say("written late: pending %x OF %d\n", read_csr(mip) & LCOFI, (int)(read_csr(0x326) >> 63));
    write_csr(0x326, 0);
    clear_csr(mip, LCOFI);

    /* Counter 4 overflows; machine mode takes the interrupt when S mode runs. */
    write_csr(0xb04, -3000000);
    write_csr(0x324, CYCLES);
    for (int i = 0; i < 100000 && !(read_csr(mip) & LCOFI); i++) rest();
    say("overflow: pending %x OF %d scountovf %x\n", read_csr(mip) & LCOFI, (int)(read_csr(0x324) >> 63), read_csr(0xda0));
    struct frame f = { .a = { 0 } };
    EXECUTE(&f, S, NOP, NOP);
    say("cause in S %x\n", f.cause);
    /* No second one while OF is set. */
    clear_csr(mip, LCOFI);
    write_csr(0xb04, -1000);
    for (int i = 0; i < 200; i++) rest();
    say("again: pending %x OF %d\n", read_csr(mip) & LCOFI, (int)(read_csr(0x324) >> 63));
    /* Once it is clear there is. */
    write_csr(0x324, CYCLES);
    write_csr(0xb04, -1000000);
    for (int i = 0; i < 100000 && !(read_csr(mip) & LCOFI); i++) rest();
    say("cleared: pending %x OF %d\n", read_csr(mip) & LCOFI, (int)(read_csr(0x324) >> 63));
    /* S mode sees the counters that it may read. */
    write_csr(mie, 0);
    clear_csr(mip, LCOFI);
    for (int enable = 0; enable < 2; enable++) {
        write_csr(mcounteren, enable ? -1 : 0);
        struct frame g = { .a = { 0 } };
        EXECUTE(&g, S, CSRR(a1, 0xda0));
        say("scountovf in S %x\n", g.a[1]);
        write_csr(0x606, 0);
        struct frame v = { .a = { 0 } };
        EXECUTE(&v, VS, CSRR(a1, 0xda0));
        say("scountovf in VS %x\n", v.a[1]);
        report("scountovf", U, ({ static struct frame u; u = (struct frame){ 0 }; EXECUTE(&u, U, CSRR(a1, 0xda0)); &u; }));
    }
    return 0;
}
