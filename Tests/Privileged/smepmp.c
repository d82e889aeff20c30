/* cpu: rv64,smepmp=on */
/* Smepmp: every configuration of an entry under MML against every access from every mode; RLB, MMWP, locks. */
#include "harness.h"

extern char start_of_data[];
extern uint32_t probe_load[], probe_store[], probe_fetch[];
asm(".text\n.balign 4\nprobe_load: lw a1, 0(a0)\n ecall\nprobe_store: sw a1, 0(a0)\n ecall\nprobe_fetch: jalr a0\n ecall\n");

static uint32_t target[1024] __attribute__((aligned(4096)));
static uint32_t unmatched[1024] __attribute__((aligned(4096)));

/* Entries 8 and up: pmpcfg2. */
static void set_entry(int number, word address, word configuration) {
    int shift = number % 8 * 8;
    if (number < 8) {
        clear_csr(0x3a0, (word)0xff << shift);
        switch (number) {
        case 0: write_csr(0x3b0, address); break;
        case 1: write_csr(0x3b1, address); break;
        case 2: write_csr(0x3b2, address); break;
        default: write_csr(0x3b3, address); break;
        }
        set_csr(0x3a0, configuration << shift);
        say("entry %d: %x %x\n", number, configuration, read_csr(0x3a0) >> shift & 0xff);
    } else {
        clear_csr(0x3a2, (word)0xff << shift);
        write_csr(0x3bf, address);
        set_csr(0x3a2, configuration << shift);
        say("entry %d: %x %x\n", number, configuration, read_csr(0x3a2) >> shift & 0xff);
    }
}

static void probe(const uint32_t *code, int mode, uint32_t *address) {
    struct frame f = { .a = { (word)address, ECALL }, .pc = (word)code };
    clear_csr(mstatus, 3 << 11);
    set_csr(mstatus, (word)mode << 11);
    run(&f);
    word call = mode == U ? 8 : mode == S ? 9 : 11;
    if (f.cause == call) put('.'); else hex(f.cause);
}

static void probes(uint32_t *address) {
    for (int mode = 0; mode < 4; mode++) {
        if (mode == 2) continue;
        say(" %s:", mode_name(mode));
        probe(probe_load, mode, address);
        probe(probe_store, mode, address);
        probe(probe_fetch, mode, address);
    }
    put('\n');
}

int main(void) {
    target[0] = unmatched[0] = ECALL;
    asm volatile("fence.i");
    say("mseccfg %x\n", read_csr(0x747));
    write_csr(0x747, 4);
    say("mseccfg %x\n", read_csr(0x747));
    /* The program itself: code that all modes may execute. */
    set_entry(0, 0x80000000ul >> 2, 0);
    set_entry(1, (word)start_of_data >> 2, 0x80 | 1 << 3 | 5);
    write_csr(0x747, 5);
    write_csr(0x3a0, (word)(0x80 | 1 << 3 | 6) << 8);
    say("mseccfg %x\nunmatched", read_csr(0x747));
    probes(unmatched);
    for (word rule = 0; rule < 16; rule++) {
        set_entry(2, ((word)target >> 2) | 0x1ff, (rule & 8) << 4 | 3 << 3 | (rule & 7));
        probes(target);
    }
    /* Machine mode keeps its data, and nothing else. */
    set_entry(2, 0, 0);
    set_entry(15, -1, 0x80 | 3 << 3 | 3);
    write_csr(0x747, 7);
    say("mseccfg %x\nall", read_csr(0x747));
    probes(unmatched);
    /* Without RLB, locks hold and no code is added. */
    write_csr(0x747, 0);
    say("mseccfg %x\n", read_csr(0x747));
    write_csr(0x747, 4);
    say("mseccfg %x\n", read_csr(0x747));
    set_entry(15, 0, 0);
    for (word rule = 0; rule < 8; rule++) set_entry(2, ((word)target >> 2) | 0x1ff, 3 << 3 | rule);
    set_entry(2, ((word)target >> 2) | 0x1ff, 0x80 | 3 << 3 | 2);
    set_entry(2, ((word)target >> 2) | 0x1ff, 0x80 | 3 << 3 | 4);
    set_entry(2, ((word)target >> 2) | 0x1ff, 0x80 | 3 << 3 | 5);
    set_entry(2, ((word)target >> 2) | 0x1ff, 0x80 | 3 << 3 | 6);
    set_entry(2, ((word)target >> 2) | 0x1ff, 0x80 | 3 << 3 | 7);
    probes(target);
    return 0;
}
