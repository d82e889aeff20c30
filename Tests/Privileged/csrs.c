/* Every CSR number in each mode: whether it can be read and written, and what is read after all ones, after zero. */
#include "harness.h"

static int is_skipped(int number) {
    switch (number) {
    case 0x015:                                 /* seed: random */
    case 0x747: case 0x757:                     /* mseccfg locks the machine out: pmp.c */
        return 1;
    }
    return 0;
}
static int is_counter(int n) {                  /* what runs by itself */
    return n == 0xb00 || n == 0xb02 || n == 0xb80 || n == 0xb82 || (n >= 0xc00 && n <= 0xc02) || (n >= 0xc80 && n <= 0xc82);
}

static void sweep(int mode) {
    for (int n = 0; n < 4096; n++) {
        if (is_skipped(n)) continue;
        struct frame f = { .a = { 0 } };
        EXECUTE(&f, mode, CSRR(a0, n));
        int call = mode == U || mode == VU ? 8 : mode == S ? 9 : mode == VS ? 10 : 11;
        if (f.cause != (word)call) {
            if (f.cause != 2) say("%s %x: cause %x\n", mode_name(mode), (word)n, f.cause);
            continue;
        }
        say("%s %x:", mode_name(mode), (word)n);
        if (is_counter(n)) { say(" counts\n"); continue; }
        say(" reset %x", f.a[0]);
        struct frame g = { .a = { 0, -1 } };
        /* Old value, all ones, zeros, then the old value again. */
        EXECUTE(&g, mode, CSRRW(a0, n, a1), CSRR(a2, n), CSRW(n, zero), CSRR(a3, n), CSRRS(a5, n, a1), CSRR(a5, n), CSRRC(a6, n, a1), CSRR(a6, n), CSRW(n, a0), CSRR(a4, n));
        if (g.cause != (word)call) { say(" read-only %x tval %x\n", g.cause, g.tval); continue; }
        say(" ones %x zeros %x set %x cleared %x again %x\n", g.a[2], g.a[3], g.a[5], g.a[6], g.a[4]);
    }
}

int main(void) {
    open_memory();
    has_hypervisor = read_csr(misa) >> 7 & 1;
    say("misa %x\n", read_csr(misa));
    /* Everything on that can be given away. */
    write_csr(mcounteren, -1);
    write_csr(scounteren, -1);
    set_csr(mstatus, 3 << 13 | 3 << 9);
    for (int pass = 0; pass < 2; pass++) {
        say("pass %d\n", pass);
        sweep(M);
        if (read_csr(misa) >> 18 & 1) sweep(S);
        sweep(U);
        if (has_hypervisor) { sweep(VS); sweep(VU); }
        /* Once more with the environment, state-enable and counter registers open. */
        struct frame f = { .a = { -1 } };
        static const int open[] = { 0x30a, 0x31a, 0x10a, 0x60a, 0x61a, 0x30c, 0x31c, 0x60c, 0x61c, 0x10c, 0x606, 0x605 };
        for (unsigned i = 0; i < ARRAY(open); i++) { f.a[0] = open[i] == 0x605 ? 0 : -1; EXECUTE(&f, M, CSRW(open[i], a0)); }
    }
    return 0;
}
