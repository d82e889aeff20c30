/* What the tests of the Advanced Interrupt Architecture share: indirect registers, the two domains of the APLIC. */
#pragma once
#define mireg_write(number, value) do { write_csr(0x350, number); write_csr(0x351, value); } while (0)
#define mireg_read(number) ({ write_csr(0x350, number); read_csr(0x351); })
#define sireg_write(number, value) do { write_csr(0x150, number); write_csr(0x151, value); } while (0)
#define sireg_read(number) ({ write_csr(0x150, number); read_csr(0x151); })
#define vsireg_write(number, value) do { write_csr(0x250, number); write_csr(0x251, value); } while (0)
#define MACHINE ((volatile uint32_t *)0xc000000)
#define SUPERVISOR ((volatile uint32_t *)0xd000000)

/* The wire of the serial port. */
static inline void loud(void) { ((volatile uint8_t *)0x10000000)[1] = 2; }
static inline void quiet(void) { ((volatile uint8_t *)0x10000000)[1] = 0; }

static inline void registers(void) {
    static const int offsets[] = { 0, 4, 40, 96 * 4, 97 * 4, 0xffc, 0x1bc0, 0x1bc4, 0x1bc8, 0x1bcc, 0x1c00, 0x1c08, 0x1c0c, 0x1c10, 0x1cdc, 0x1d00,
        0x1ddc, 0x1e00, 0x1e04, 0x1e08, 0x1e0c, 0x1edc, 0x1f00, 0x1fdc, 0x2000, 0x2004, 0x3004, 0x3028, 0x3000 + 96 * 4, 0x3000 + 97 * 4 };
    quiet();
    for (int d = 0; d < 2; d++) {
        volatile uint32_t *p = d ? SUPERVISOR : MACHINE;
        for (unsigned i = 0; i < ARRAY(offsets); i++) {
            say("%c %x: %x", d ? 's' : 'm', offsets[i], p[offsets[i] / 4]);
            p[offsets[i] / 4] = offsets[i] == 0x1bc4 ? 0x7fffffff : 0xffffffff; say(" %x", p[offsets[i] / 4]);
            p[offsets[i] / 4] = 0x401; say(" %x", p[offsets[i] / 4]);
            p[offsets[i] / 4] = 0; say(" %x\n", p[offsets[i] / 4]);
        }
        MACHINE[10] = 0x400; MACHINE[1] = 0x400; MACHINE[96] = 0x400;
    }
    for (int i = 1; i <= 96; i++) { SUPERVISOR[i] = 0; MACHINE[i] = 0; }
}
