#include <stdarg.h>
#include "harness.h"

uint32_t code[1024] __attribute__((aligned(4096)));
uint32_t supervisor_handler[64] __attribute__((aligned(4096)));
int has_hypervisor;
static const uint32_t call_machine = ECALL;

void *memset(void *p, int c, unsigned long n) { char *q = p; while (n--) *q++ = (char)c; return p; }
void *memcpy(void *d, const void *s, unsigned long n) { char *q = d; const char *r = s; while (n--) *q++ = *r++; return d; }

void put(char c) {
    volatile uint8_t *uart = (volatile uint8_t *)0x10000000;
    while (!(uart[5] & 0x20)) {}
    uart[0] = (uint8_t)c;
}
void text(const char *s) { while (*s) put(*s++); }
void digits(word v, int count) { while (count--) put("0123456789abcdef"[v >> 4 * count & 15]); }
void hex(word v) {
    int count = 1;
    while (count < XLEN / 4 && v >> 4 * count) count++;
    digits(v, count);
}
void say(const char *format, ...) {
    va_list list;
    va_start(list, format);
    for (; *format; format++) {
        if (*format != '%') { put(*format); continue; }
        switch (*++format) {
        case 's': text(va_arg(list, const char *)); break;
        case 'x': hex(va_arg(list, word)); break;
        case 'd': { int v = va_arg(list, int); if (v > 99) put('0' + v / 100 % 10); if (v > 9) put('0' + v / 10 % 10); put('0' + v % 10); break; }
        case 'c': put((char)va_arg(list, int)); break;
        }
    }
    va_end(list);
}

const char *mode_name(int mode) {
    static const char *names[] = { "U", "S", "?", "M", "VU", "VS" };
    return names[mode];
}

word relative(word address) {
    word offset = address - (word)code;
    return offset < 4096 ? offset : address;
}

void lost_trap(void) {
    say("LOST TRAP cause=%x tval=%x epc=%x status=%x\n", read_csr(mcause), read_csr(mtval), read_csr(mepc), read_csr(mstatus));
    *(volatile uint32_t *)0x100000 = 0x13333;
}

void execute(struct frame *f, int mode, int count, const uint32_t *words) {
    for (int i = 0; i < count; i++) code[i] = words[i];
    code[count] = ECALL;
    asm volatile("fence.i" ::: "memory");
    if (!f->pc) f->pc = (word)code;
    f->by_sret = mode >> 2;
    if (f->by_sret) {
        /* By SRET: QEMU 10 does not let mstatus.MPV be written. */
        clear_csr(mstatus, 1 << 8);
        set_csr(mstatus, (word)(mode & 1) << 8);
        set_csr(0x600, 1 << 7);
    } else {
        clear_csr(mstatus, 3 << 11);
        set_csr(mstatus, (word)(mode & 3) << 11);
    }
    run(f);
    f->pc = 0;
    if (f->by_sret) {
        /* A trap within machine mode clears MPV. */
        struct frame g = { .pc = (word)&call_machine };
        set_csr(mstatus, 3 << 11);
        run(&g);
    }
}

void report(const char *name, int mode, const struct frame *f) {
    say("%s %s: cause=%x tval=%x epc=%x", name, mode_name(mode), f->cause, relative(f->tval), relative(f->epc));
    if (has_hypervisor) say(" tval2=%x tinst=%x", f->tval2, f->tinst);
    say("\n");
}

void open_memory(void) {
    /* A machine without PMP has open memory: the trap returns to here. */
    struct frame f = { .a = { -1 } };
    EXECUTE(&f, M, CSRW(0x3bf, a0));
    if (f.cause == 2) return;
    write_csr(pmpaddr15, -1);
#if XLEN == 64
    set_csr(pmpcfg2, 0x1ful << 56);
#else
    set_csr(pmpcfg3, 0x1ful << 24);
#endif
}

void make_supervisor_handler(void) {
    uint32_t *p = supervisor_handler;
    *p++ = CSRR(a2, 0x142), *p++ = CSRR(a3, 0x143), *p++ = CSRR(a4, 0x141), *p++ = CSRR(a5, 0x100);
    *p++ = ECALL;
    asm volatile("fence.i" ::: "memory");
    write_csr(stvec, (word)supervisor_handler);
}
