/* aia: aplic-imsic,aia-guests=3 */
/* APLIC with delivery by messages to IMSICs: addresses, source modes, extempore messages, guest files. */
#include "harness.h"
#include "aia.h"


static void state(const char *name) {
    for (int d = 0; d < 2; d++) {
        volatile uint32_t *p = d ? SUPERVISOR : MACHINE;
        say("%s %c: ip %x ie %x in %x target %x", name, d ? 's' : 'm', p[0x1c00 / 4], p[0x1e00 / 4], p[0x1d00 / 4], p[0x3000 / 4 + 10]);
        say(" topei %x mip %x\n", d ? read_csr(0x15c) : read_csr(0x35c), read_csr(mip) & 0x1a00);
    }
    write_csr(0x35c, 0); write_csr(0x15c, 0);
}

int main(void) {
    has_hypervisor = read_csr(misa) >> 7 & 1;
    registers();
    mireg_write(0x70, 1); sireg_write(0x70, 1); mireg_write(0xc0, -1); sireg_write(0xc0, -1);
    MACHINE[0x1bc0 / 4] = 0x24000; MACHINE[0x1bc4 / 4] = 0; MACHINE[0x1bc8 / 4] = 0x28000; MACHINE[0x1bcc / 4] = 2 << 20;
    for (int d = 0; d < 2; d++) {
        volatile uint32_t *p = d ? SUPERVISOR : MACHINE;
        MACHINE[10] = d ? 0x400 : 0; MACHINE[12] = d ? 0x400 : 0;
        for (int mode = 0; mode < 8; mode++) {
            p[0] = 0x100; quiet(); p[10] = mode; p[12] = 1; say("mode %d reads %x\n", mode, p[10]);
            p[0x3000 / 4 + 10] = 0x25; p[0x1edc / 4] = 10; p[0x1edc / 4] = 12; p[0x3000 / 4 + 12] = 6; state("enabled");
            p[0x1cdc / 4] = 10; state("setipnum low");
            loud(); state("high"); p[0x1cdc / 4] = 10; state("setipnum high");
            p[0x1c00 / 4] = 0x1400; state("setip"); state("again");
            quiet(); state("low"); p[0x1fdc / 4] = 10; loud(); state("disabled, high"); quiet(); state("low");
            p[0x1cdc / 4] = 10; loud(); p[0x1edc / 4] = 10; state("enabled, high");
            p[0] = 0; p[0x1cdc / 4] = 10; p[0x1cdc / 4] = 12; state("IE 0"); p[0x1ddc / 4] = 10; state("clripnum"); p[0] = 0x100; state("IE 1");
            p[0x2000 / 4] = 12; state("setipnum_le"); quiet(); p[10] = 0; p[12] = 0; state("inactive");
        }
        p[0x3000 / 4] = 0x11; say("genmsi %x\n", p[0x3000 / 4]); state("extempore");
        p[0] = 0; p[0x3000 / 4] = 0x3013; say("genmsi %x\n", p[0x3000 / 4]); state("extempore"); p[0] = 0x100;
    }
    /* A guest's file. */
    write_csr(0x600, (read_csr(0x600) & ~(0x3ful << 12)) | 2ul << 12);
    write_csr(0x250, 0x70); write_csr(0x251, 1); write_csr(0x250, 0xc0); write_csr(0x251, -1);
    SUPERVISOR[12] = 1; SUPERVISOR[0x3000 / 4 + 12] = 2 << 12 | 9; SUPERVISOR[0x1edc / 4] = 12; SUPERVISOR[0x1cdc / 4] = 12;
    say("guest target %x vstopei %x hgeip %x\n", SUPERVISOR[0x3000 / 4 + 12], read_csr(0x25c), read_csr(0xe12));
    MACHINE[12] = 1; MACHINE[0x3000 / 4 + 12] = 0x3f << 12 | 9; say("machine target %x\n", MACHINE[0x3000 / 4 + 12]);
    MACHINE[0x1bc4 / 4] = 1u << 31; MACHINE[0x1bc0 / 4] = 0; MACHINE[0x1bc8 / 4] = 0;
    say("locked %x %x %x %x\n", MACHINE[0x1bc0 / 4], MACHINE[0x1bc4 / 4], MACHINE[0x1bc8 / 4], MACHINE[0x1bcc / 4]);
    return 0;
}
