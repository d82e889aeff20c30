/* Address spaces: what is left of translations when satp is written without a fence, and after the fence of one address space.
   Pages of the image are global, those at PROBE are not: few of them, then more than are told apart one by one. */
#include "harness.h"

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128, LEAF = V | R | W | X | A | D };
#define PAGES 64
#define PROBE 0x40000000ul
static word tables[2][3][512] __attribute__((aligned(4096)));
static uint32_t pages[2 * PAGES][1024] __attribute__((aligned(4096)));

static word entry(const void *physical, word flags) { return (word)physical >> 12 << 10 | flags; }
static word space(int number, word asid) { return 8ul << 60 | asid << 44 | (word)tables[number][0] >> 12; }
static void fence_all(void) { asm volatile("sfence.vma" ::: "memory"); }
static void fence_space(word asid) { asm volatile("sfence.vma zero, %0" :: "r"(asid) : "memory"); }
static void fence_page(word address, word asid) { asm volatile("sfence.vma %0, %1" :: "r"(address), "r"(asid) : "memory"); }

static void build(word user) {
    memset(tables, 0, sizeof tables);
    for (int number = 0; number < 2; number++) {
        tables[number][0][2] = entry((void *)0x80000000ul, LEAF | G | user);
        tables[number][0][1] = entry(tables[number][1], V);
        tables[number][1][0] = entry(tables[number][2], V);
        for (int page = 0; page < PAGES; page++) tables[number][2][page] = entry(pages[number * PAGES + page], LEAF | user);
    }
}

/* What the first `count` pages hold, and what their code answers: sums. */
static void look(const char *name, int mode, int count) {
    word data = 0, code = 0, faults = 0, call = mode == U ? 8 : 9;
    for (int page = 0; page < count; page++) {
        struct frame f = { .a = { PROBE + page * 4096ul } };
        EXECUTE(&f, mode, LW(a1, a0, 16));
        data += f.a[1]; faults += f.cause != call;
        f = (struct frame){ .a = { PROBE + page * 4096ul } };
        EXECUTE(&f, mode, SW(a0, a0, 32));
        faults += f.cause != call;
        EXECUTE(&f, mode, JALR(ra, a0));
        code += f.a[1]; faults += f.cause != call;
    }
    say("%s %c %d: %x %x %x\n", name, mode == U ? 'U' : 'S', count, data, code, faults);
}

int main(void) {
    for (int page = 0; page < 2 * PAGES; page++) {
        pages[page][0] = ADDI(a1, zero, page + 1);
        pages[page][1] = JALR(zero, ra);
        pages[page][4] = 0x1000 + page;
    }
    asm volatile("fence.i");
    open_memory();
    for (int mode = U; mode <= S; mode++) {
        build(mode == U ? USER : 0);
        for (int count = 3; count <= PAGES; count += PAGES - 3) {
            fence_all();
            for (int round = 0; round < 4; round++) { write_csr(satp, space(round & 1, 1 + (round & 1))); look("by asid", mode, count); }
            for (int round = 0; round < 4; round++) { write_csr(satp, space(round & 1, 7)); fence_space(7); look("one asid", mode, count); }
            write_csr(satp, space(0, 1)); fence_all(); look("first", mode, count);
            for (int page = 0; page < count; page++) tables[0][2][page] = entry(pages[PAGES + page], LEAF | (mode == U ? USER : 0));
            fence_space(1); look("changed", mode, count);
            for (int page = 0; page < count; page++) tables[0][2][page] = entry(pages[page], LEAF | (mode == U ? USER : 0));
            for (int page = 0; page < count; page++) fence_page(PROBE + page * 4096ul, 1);
            look("by page", mode, count);
            /* Global ones that change need the fence of all. */
            for (int page = 0; page < count; page++) tables[0][2][page] |= G;
            fence_all(); look("global", mode, count);
            for (int page = 0; page < count; page++) tables[0][2][page] = entry(pages[PAGES + page], LEAF | G | (mode == U ? USER : 0));
            fence_all(); look("global changed", mode, count);
            for (int page = 0; page < count; page++) tables[0][2][page] = entry(pages[page], LEAF | (mode == U ? USER : 0));
            fence_all(); look("local again", mode, count);
            write_csr(satp, 0); fence_all();
        }
    }
    return 0;
}
