/* A driver that knows nothing: it gives every PCI function and every virtio window addresses, and then reads and writes their
   registers, rings and configuration space at random, from two harts at once. It can do the machine no harm: what it must not
   do is end it. It says how far it is, and never ends; the host patches the seed in. */
#include <stdint.h>
#include <stddef.h>

typedef uint64_t u64; typedef uint32_t u32; typedef uint16_t u16; typedef uint8_t u8;

volatile struct { char mark[8]; u64 seed; } order = { "APUSFUZZ", 1 };

#define ECAM   0x30000000ul
#define WINDOW 0x40000000ul     /* 32-bit PCI memory */
#define PORTS  0x03000000ul
#define MMIO   0x10001000ul     /* eight slots of virtio, 4 KiB each */
#define ARENA  0x81000000ul     /* memory that devices may write */
#define ARENA_SIZE 0x01000000ul

static volatile u64 traps;
static u64 state[4];            /* a random generator for each hart */

static u64 next(int hart) {
    u64 x = state[hart] = state[hart] * 6364136223846793005ul + 1442695040888963407ul;
    return (x ^ x >> 29) * 0xbf58476d1ce4e5b9ul;
}
static u64 below(int hart, u64 limit) { return limit ? (next(hart) >> 8) % limit : 0; }

static void put(char c) {
    volatile u8 *uart = (volatile u8 *)0x10000000;
    while (!(uart[5] & 0x20)) {}
    uart[0] = (u8)c;
}
static void text(const char *s) { while (*s) put(*s++); }
static void number(u64 v) { if (v > 9) number(v / 10); put('0' + v % 10); }
static u64 time(void) { u64 v; asm volatile("rdtime %0" : "=r"(v)); return v; }
void *memset(void *p, int c, size_t n) { u8 *q = p; while (n--) *q++ = c; return p; }

u64 trapped(u64 cause, u64 pc) {
    traps++;
    if (cause >> 63) { asm volatile("csrw mie, zero"); return pc; }
    return pc + ((*(volatile u16 *)pc & 3) == 3 ? 4 : 2);
}

static u64 load(u64 a, int width) {
    switch (width) {
    case 1: return *(volatile u8 *)a;
    case 2: return *(volatile u16 *)a;
    case 4: return *(volatile u32 *)a;
    default: return *(volatile u64 *)a;
    }
}
static void store(u64 a, u64 v, int width) {
    switch (width) {
    case 1: *(volatile u8 *)a = v; break;
    case 2: *(volatile u16 *)a = v; break;
    case 4: *(volatile u32 *)a = v; break;
    default: *(volatile u64 *)a = v; break;
    }
}

/* What a driver might write, and what it never would. */
static u64 value(int hart) {
    switch (below(hart, 8)) {
    case 0: return below(hart, 16);
    case 1: return 1ul << below(hart, 64);
    case 2: return ARENA + (below(hart, ARENA_SIZE) & ~0xffful);
    case 3: return ARENA + (below(hart, ARENA_SIZE) & ~7ul);
    case 4: return -below(hart, 16);
    case 5: return below(hart, 0x10000);
    case 6: return (ARENA + below(hart, ARENA_SIZE)) >> 32 * below(hart, 2);
    default: return next(hart);
    }
}

/* Windows of registers. */
struct place { u64 base, size; int function; };
static struct place places[512];
static int place_count;
static u64 functions[128];
static int function_count;
static struct { u64 common, notify, device, isr; u32 multiplier; } virtio[128];
static int virtio_count;

static u64 memory = WINDOW, ports = 0x1000;

static int last_bus;

static void give_addresses(u64 config, int bars) {
    u64 bases[6] = { 0 };
    for (int bar = 0; bar < bars; bar++) {
        u64 at = config + 0x10 + bar * 4;
        store(at, 0xffffffff, 4);
        u32 mask = load(at, 4);
        if (!mask) continue;
        if (mask & 1) {
            u64 size = (~(u64)(mask & ~3u) & 0xffff) + 1;
            ports = (ports + size - 1) & -size;
            store(at, ports, 4);
            if (place_count < 512) places[place_count++] = (struct place){ PORTS + ports, size, function_count };
            bases[bar] = PORTS + ports;
            ports += size;
        } else {
            u64 size = (~(u64)(mask & ~15u) + 1) & 0xffffffff;
            if (size > 0x04000000) continue;
            memory = (memory + size - 1) & -size;
            store(at, memory, 4);
            bases[bar] = memory;
            if (place_count < 512) places[place_count++] = (struct place){ memory, size, function_count };
            memory += size;
            if ((mask & 6) == 4) store(config + 0x10 + ++bar * 4, 0, 4);
        }
    }
    store(config + 4, 7, 2);
    if ((load(config, 4) & 0xffff) != 0x1af4) return;
    int n = virtio_count;
    for (u64 cap = load(config + 0x34, 1); cap >= 0x40; cap = load(config + cap + 1, 1)) {
        if (load(config + cap, 1) != 9) continue;
        u64 base = bases[load(config + cap + 4, 1) % 6] + load(config + cap + 8, 4);
        switch (load(config + cap + 3, 1)) {
        case 1: virtio[n].common = base; break;
        case 2: virtio[n].notify = base; virtio[n].multiplier = load(config + cap + 16, 4); break;
        case 3: virtio[n].isr = base; break;
        case 4: virtio[n].device = base; break;
        }
    }
    if (virtio[n].common && virtio[n].notify) virtio_count++;
}

static void scan(int bus) {
    for (int device = 0; device < 32; device++)
        for (int function = 0; function < 8; function++) {
            u64 config = ECAM + ((u64)bus << 20 | device << 15 | function << 12);
            if ((u32)load(config, 4) == 0xffffffff) { if (!function) break; continue; }
            if (function_count == 128) return;
            functions[function_count] = config;
            int type = load(config + 0xe, 1) & 0x7f;
            if (type == 0) give_addresses(config, 6);
            else if (type == 1 && last_bus < 8) {
                int behind = ++last_bus;
                u64 from = memory = (memory + 0xfffff) & ~0xffffful;
                store(config + 0x18, (u32)(bus | behind << 8 | 0xff << 16), 4);
                function_count++;
                scan(behind);
                memory = (memory + 0xfffff) & ~0xffffful;
                store(config + 0x20, (u32)(from >> 16 | ((memory - 1) & 0xfff00000)), 4);
                store(config + 0x1a, last_bus, 1);
                store(config + 4, 7, 2);
                continue;
            }
            function_count++;
            if (!function && !(load(config + 0xe, 1) & 0x80)) break;
        }
}

/* A driver that gets as far as DRIVER_OK, so that what follows reaches the device's rings. */
static void bring_up(int hart, int n) {
    u64 c = virtio[n].common;
    store(c + 0x14, 0, 1);
    store(c + 0x14, 3, 1);
    store(c + 0, 0, 4); u64 low = load(c + 4, 4);
    store(c + 0, 1, 4); u64 high = load(c + 4, 4);
    if (below(hart, 4) == 0) low &= next(hart);
    if (below(hart, 4) == 0) high &= next(hart) | 1;
    store(c + 8, 0, 4); store(c + 12, low, 4);
    store(c + 8, 1, 4); store(c + 12, high, 4);
    store(c + 0x14, 11, 1);
    u64 queues = load(c + 0x12, 2);
    if (queues > 8) queues = 8;
    for (u64 q = 0; q < queues; q++) {
        store(c + 0x16, q, 2);
        u64 most = load(c + 0x18, 2), size = 1ul << below(hart, 8);
        if (most && size > most) size = most;
        store(c + 0x18, size, 2);
        u64 at = ARENA + (below(hart, ARENA_SIZE - 0x10000) & ~0xffful);
        store(c + 0x20, at, 8); store(c + 0x28, at + 0x4000, 8); store(c + 0x30, at + 0x8000, 8);
        store(c + 0x1c, 1, 2);
    }
    store(c + 0x14, 15, 1);
    /* Rings: half of them what a driver could write (requests of the device's kind come about by chance), half nonsense. */
    for (u64 q = 0; q < queues; q++) {
        store(c + 0x16, q, 2);
        u64 size = load(c + 0x18, 2), descriptors = load(c + 0x20, 8), available = load(c + 0x28, 8);
        if (!size || size > 256 || descriptors < ARENA || descriptors >= ARENA + ARENA_SIZE || available < ARENA || available >= ARENA + ARENA_SIZE) continue;
        int sane = below(hart, 2);
        for (u64 i = 0; i < size; i++) {
            u64 d = descriptors + i * 16, buffer = ARENA + (below(hart, ARENA_SIZE - 0x10000) & ~15ul);
            store(d, sane ? buffer : value(hart), 8);
            store(d + 8, sane ? (i % 3 == 0 ? 16 + below(hart, 40) : i % 3 == 1 ? 512 * (1 + below(hart, 16)) : 1 + below(hart, 64)) : value(hart), 4);
            store(d + 12, sane ? (i % 3 < 2 && i + 1 < size ? 1 : 0) | (i % 3 == 2 || (i % 3 == 1 && below(hart, 2)) ? 2 : 0) : next(hart) & 0x8087, 2);
            store(d + 14, sane ? i + 1 : below(hart, size + 1), 2);
            store(available + 4 + i * 2, sane ? i / 3 * 3 : below(hart, size + 1), 2);
            if (i % 3 == 0 && sane) {       /* the head of a request of most kinds: small numbers, and a place */
                store(buffer, below(hart, 24), 4); store(buffer + 4, below(hart, 4), 4);
                store(buffer + 8, below(hart, 0x8000), 8);
                if (below(hart, 2)) for (int k = 0; k < 64; k += 8) store(buffer + k, below(hart, 2) ? below(hart, 256) : next(hart), 8);
            }
        }
        for (int round = 0; round < 4; round++) {
            store(available + 2, load(available + 2, 2) + 1 + below(hart, sane ? 4 : 400), 2);
            store(c + 0x16, q, 2);
            store(virtio[n].notify + load(c + 0x1e, 2) * (u64)virtio[n].multiplier, q, 2);
        }
    }
}

static const struct { u64 base, size; } board[] = {
    { 0x00001000, 0xf000 }, { 0x00101000, 0x1000 }, { 0x02000000, 0x10000 }, { 0x0c000000, 0x600000 }, { 0x0d000000, 0x8000 },
    { 0x10001000, 0x8000 }, { 0x10100000, 0x18 }, { 0x20000000, 0x04000000 }, { 0x24000000, 0x4000 }, { 0x28000000, 0x4000 },
};

static void one(int hart) {
    int width = 1 << below(hart, 4);
    switch (below(hart, 16)) {
    case 0: case 1: {                       /* configuration space */
        if (!function_count) return;
        u64 at = functions[below(hart, function_count)] + (below(hart, below(hart, 4) ? 256 : 4096) & -width);
        if (below(hart, 2)) load(at, width);
        else {
            /* Windows stay where they are, and bridges keep their buses: most of the time. */
            u64 offset = at & 0xfff;
            if (offset < 0x34 && below(hart, 500)) return;
            store(at, value(hart), width);
        }
        return;
    }
    case 2: {                               /* the board's own devices */
        u64 n = below(hart, sizeof board / sizeof *board);
        u64 at = board[n].base + (below(hart, below(hart, 4) ? (board[n].size < 0x200 ? board[n].size : 0x200) : board[n].size) & -width);
        if (below(hart, 2)) load(at, width); else store(at, value(hart), width);
        return;
    }
    case 3: if (virtio_count && below(hart, 64) == 0) bring_up(hart, below(hart, virtio_count)); return;
    case 4:                                 /* memory that devices read: lists, rings, commands */
        for (int i = 0; i < 64; i++) store(ARENA + (below(hart, ARENA_SIZE) & ~7ul), value(hart), 8);
        return;
    default: {                              /* registers */
        if (!place_count) return;
        struct place p = places[below(hart, place_count)];
        u64 limit = p.size;
        switch (below(hart, 4)) { case 0: break; case 1: limit = 0x2000; break; default: limit = 0x100; }
        if (limit > p.size) limit = p.size;
        u64 at = p.base + (below(hart, limit) & -width);
        if (below(hart, 3) == 0) load(at, width); else store(at, value(hart), width);
    }
    }
}

static volatile int ready;
static volatile u64 done[4];

static void put_right(void) {               /* windows open, bus mastering on */
    for (int i = 0; i < function_count; i++) store(functions[i] + 4, 7, 2);
}

void others(void) {
    u64 hart;
    asm volatile("csrr %0, mhartid" : "=r"(hart));
    if (hart > 1) return;
    while (!ready) {}
    for (;;) { one(1); done[1]++; }
}

void main(void) {
    state[0] = order.seed + time();     /* after a reset it goes another way */
    state[1] = state[0] * 77 + 1;
    scan(0);
    text("functions "); number(function_count); text(", windows "); number(place_count); text(", virtio "); number(virtio_count); put('\n');
    for (u64 a = ARENA; a < ARENA + ARENA_SIZE; a += 8) store(a, value(0), 8);
    for (int n = 0; n < virtio_count; n++) bring_up(0, n);
    ready = 1;
    for (;;) {
        for (int i = 0; i < 5000; i++) one(0);
        done[0] += 5000;
        put_right();
        number(done[0] + done[1]); text(" accesses, "); number(traps); text(" traps\n");
    }
}
