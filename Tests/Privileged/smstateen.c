/* cpu: rv64,smstateen=on */
/* Smstateen: what lower modes may access, for every setting of the bits that there are. */
#include "harness.h"

static const word values[] = { 0, 1ul << 62, 1ul << 63, 3ul << 62 };

static void access(const char *name, int csr) {
    static const int modes[] = { U, S, M, VU, VS };
    say("  %s", name);
    for (unsigned i = 0; i < ARRAY(modes); i++) {
        struct frame f = { .a = { 0xf1 } };
        EXECUTE(&f, modes[i], CSRRW(a1, csr, a0), CSRR(a2, csr), CSRW(csr, zero));
        say(" %s:", mode_name(modes[i]));
        if (f.cause == 2 || f.cause == 22) hex(f.cause); else { hex(f.a[1]); put('/'); hex(f.a[2]); }
    }
    put('\n');
}

int main(void) {
    open_memory();
    write_csr(0x30c, -1); write_csr(0x30d, -1); write_csr(0x30e, -1); write_csr(0x30f, -1);
    write_csr(0x60c, -1); write_csr(0x60d, -1); write_csr(0x60e, -1); write_csr(0x60f, -1);
    say("mstateen %x %x %x %x\n", read_csr(0x30c), read_csr(0x30d), read_csr(0x30e), read_csr(0x30f));
    say("hstateen %x %x %x %x\n", read_csr(0x60c), read_csr(0x60d), read_csr(0x60e), read_csr(0x60f));
    for (unsigned m = 0; m < ARRAY(values); m++) {
        for (unsigned h = 0; h < ARRAY(values); h++) {
            write_csr(0x30c, -1); write_csr(0x30d, -1); write_csr(0x30f, -1);
            write_csr(0x60c, values[h]); write_csr(0x60d, values[h]); write_csr(0x60f, values[h]);
            write_csr(0x30c, values[m]); write_csr(0x30d, values[m]); write_csr(0x30f, values[m]);
            say("m %x %x h %x %x\n", read_csr(0x30c), read_csr(0x30d), read_csr(0x60c), read_csr(0x60d));
            access("senvcfg", 0x10a);
            access("henvcfg", 0x60a);
            access("sstateen0", 0x10c);
            access("sstateen1", 0x10d);
            access("sstateen3", 0x10f);
            access("hstateen1", 0x60d);
        }
    }
    return 0;
}
