/* aia: aplic */
/* APLIC with direct delivery: registers of both domains, pending bits in each source mode, priorities, claims. Source 10 is the serial
   port, whose transmitter is empty: its wire follows the interrupt-enable register. */
#include "harness.h"
#include "aia.h"

static void state(const char *name) {
    for (int d = 0; d < 2; d++) {
        volatile uint32_t *p = d ? SUPERVISOR : MACHINE;
        say("%s %c: ip %x ie %x in %x target %x", name, d ? 's' : 'm', p[0x1c00 / 4], p[0x1e00 / 4], p[0x1d00 / 4], p[0x3000 / 4 + 10]);
        say(" topi %x mip %x\n", p[0x4018 / 4], read_csr(mip) & 0xa00);
    }
}

int main(void) {
    has_hypervisor = read_csr(misa) >> 7 & 1;
    registers(); 
    /* Targets and delivery control. */
    for (int d = 0; d < 2; d++) {
        volatile uint32_t *p = d ? SUPERVISOR : MACHINE;
        for (int i = 0; i < 8; i++) { p[0x4000 / 4 + i] = -1; say("idc %x %x ", 4 * i, p[0x4000 / 4 + i]); }
        for (int i = 0; i < 8; i++) p[0x4000 / 4 + i] = 0;
        say("other hart %x\n", p[0x4020 / 4]);
    }
    for (int d = 0; d < 2; d++) {
        volatile uint32_t *p = d ? SUPERVISOR : MACHINE;
        MACHINE[10] = d ? 0x400 : 0; MACHINE[12] = d ? 0x400 : 0;
        for (int mode = 0; mode < 8; mode++) {
            p[0] = 0x100; p[0x4000 / 4] = 1; p[0x4008 / 4] = 0;
            quiet(); p[10] = mode; p[12] = 1;
            say("mode %d reads %x\n", mode, p[10]);
            p[0x3000 / 4 + 10] = 0; state("target 0"); p[0x3000 / 4 + 10] = 5;
            p[0x1edc / 4] = 10; p[0x1edc / 4] = 12; p[0x3000 / 4 + 12] = 6; state("enabled");
            p[0x1cdc / 4] = 10; state("setipnum low"); p[0x1ddc / 4] = 10; state("clripnum low");
            loud(); state("high");
            p[0x1cdc / 4] = 10; state("setipnum high"); p[0x1ddc / 4] = 10; state("clripnum high");
            p[0x1c00 / 4] = 0x1400; state("setip");
            p[0x4008 / 4] = 5; state("threshold 5"); p[0x4008 / 4] = 6; state("threshold 6"); p[0x4008 / 4] = 0;
            say("claim %x", p[0x401c / 4]); say(" %x", p[0x401c / 4]); say(" %x\n", p[0x401c / 4]); state("claimed");
            quiet(); state("low"); p[0x1fdc / 4] = 10; p[0x1f00 / 4] = 0x1000; state("disabled");
            p[0x2000 / 4] = 12; p[0x1e00 / 4] = -1; state("setipnum_le"); p[0x1d00 / 4] = -1; p[0x2004 / 4] = 0x0c000000; state("setipnum_be"); p[0x1d00 / 4] = 0x1000; state("in_clrip");
            p[0x4004 / 4] = 1; state("forced"); say("claim %x iforce %x\n", p[0x401c / 4], p[0x4004 / 4]); p[0x1f00 / 4] = -1;
            p[0] = 0; p[0x1cdc / 4] = 12; p[0x1edc / 4] = 12; state("IE 0"); p[0] = 0x100; p[0x4000 / 4] = 0; state("idelivery 0");
            p[10] = 0; p[12] = 0; state("inactive");
        }
    }
    /* The machine's domain takes a source back. */
    MACHINE[10] = 0x400; SUPERVISOR[10] = 6; SUPERVISOR[0x1edc / 4] = 10; loud(); state("delegated");
    MACHINE[10] = 6; say("taken back: %x %x\n", MACHINE[10], SUPERVISOR[10]); state("taken back"); quiet();
    MACHINE[0x3000 / 4] = 0xffffffff; say("genmsi %x mmsiaddrcfg %x\n", MACHINE[0x3000 / 4], MACHINE[0x1bc0 / 4]);
    return 0;
}
