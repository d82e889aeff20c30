// Executes batches of single instructions and reports what they did: the guest's half of the differential tests.
//
// Standard input: records (struct record). Standard output: for each case of each record one 64-bit hash of the state
// after it, or the whole state if the record asks for it. Register contents are made here from the record's seed, so
// that a million cases need no large file. Freestanding: it needs no library and few system calls.

typedef unsigned long long u64;
typedef unsigned long word;     // a register
typedef unsigned int u32;
typedef unsigned char u8;

struct record {
    u32 encoding, before;       // `before` runs first, usually a nop
    u32 count;                  // cases
    u8 verbose;                 // 1: whole states; 2: only the signal
    u8 base;                    // register that is made an address; 0: none
    u8 kind;                    // what address: 1 memory, mostly aligned, 3 always; 2 the landing place of jumps; 14 low memory
                                // full of addresses of the landing place, 15 some of them odd; 16 low memory
    u8 alignment;               // memory addresses are multiples of this
    long long displacement;     // what the instruction adds to the base
    u64 seed;
};

struct state {
    u64 x[32], f[32], fcsr, taken;
    u64 signal, code, address;  // the signal it raised, si_code and si_addr
    u64 scratch[32];
#ifdef VECTOR_BYTES
    u64 length, type, start, control; // vl, vtype, vstart, vcsr
    u64 page;                   // before: what the page of scratch memory is made from; after: a hash of it
    u64 v[4 * VECTOR_BYTES];
#endif
};

union block {
    struct state state;
    u64 raw[1024];
};

extern void run_case(union block *);
extern u32 slot[];
extern char save_case[];

static union block block __attribute__((aligned(4096)));
static u64 scratch[512] __attribute__((section(".scratch,\"aw\",@progbits#"), aligned(4096)));
static u8 signal_stack[65536] __attribute__((aligned(16)));

static long call(long number, long a, long b, long c, long d) {
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    register long a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a7) : "memory");
    return a0;
}

#if __riscv_xlen == 32
// What the compiler calls for comparisons and divisions of doublewords.
int __ucmpdi2(u64 a, u64 b) {
    u32 left = a >> 32, right = b >> 32;
    if (left == right) left = a, right = b;
    return left < right ? 0 : left == right ? 1 : 2;
}
u64 __umoddi3(u64 a, u64 b) {
    u64 rest = 0;
    for (int i = 63; i >= 0; i--) {
        rest = rest << 1 | (a >> i & 1);
        if (rest >= b) rest -= b;
    }
    return rest;
}
#endif

static u64 state_of_generator;
static u64 next(void) {
    u64 z = (state_of_generator += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static const u64 edges[] = {
    0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
    0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xffffffff80000000, 0xffffffff7fffffff,
    0xfffffffffffffffe, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 0x0123456789abcdef, 63, 64, 31, 32,
};

static u64 integer(void) {
    u64 r = next();
    switch (r & 7) {
    case 0: case 1: return edges[(r >> 8) % (sizeof edges / sizeof *edges)];
    case 2: return edges[(r >> 8) % (sizeof edges / sizeof *edges)] + (r >> 16) % 9 - 4;
    case 3: return (long long)(int)next();
    case 4: return next() >> (r >> 8 & 63);
    case 5: return (long long)next() >> (r >> 8 & 63);
    default: return next();
    }
}

// Numbers of a format with `e` exponent and `m` fraction bits.
static u64 number(int e, int m) {
    u64 r = next(), sign = (r >> 40 & 1) << (e + m), top = (1ull << e) - 1, fraction = next() & ((1ull << m) - 1);
    u64 bias = top >> 1, exponent;
    switch (r % 24) {
    case 0: return sign;                                            // zero
    case 1: return sign | top << m;                                 // infinity
    case 2: return sign | top << m | 1ull << (m - 1) | fraction;     // quiet NaN
    case 3: return sign | top << m | ((fraction & ((1ull << (m - 1)) - 1)) | 1); // signalling NaN
    case 4: return sign | fraction;                                 // subnormal
    case 5: return sign | 1;
    case 6: return sign | ((1ull << m) - 1);
    case 7: return sign | 1ull << m | (r >> 44 & 1);                 // least normal
    case 8: return sign | (top - 1) << m | ((1ull << m) - 1 - (r >> 44 & 1)); // greatest
    case 9: return sign | bias << m;                                // one
    case 10: return sign | ((bias << m) + (r >> 41 & 7) - 4);
    case 11: case 12: case 13:                                      // small integers, halves and their neighbours
        exponent = bias + (r >> 44) % 6 - 2;
        return (sign | exponent << m | (fraction & ~((1ull << (m - 3)) - 1))) + (r >> 50 & 3) - ((r >> 52 & 1) ? 2 : 0);
    case 14: case 15:                                               // about the limits of integers
        exponent = bias + 29 + (r >> 44) % 6 + ((r >> 50 & 1) ? 32 : 0);
        if (exponent >= top) exponent = top - 1;
        return sign | exponent << m | ((r >> 51 & 1) ? fraction : (r >> 52 & 1) ? (1ull << m) - 1 : 0);
    case 16: case 17:                                               // about the limits of narrower formats
        exponent = (r >> 44 & 1) ? bias - 1022 + (r >> 45) % 60 : bias - 155 + (r >> 45) % 50;
        if (m < 52) exponent = bias - 26 + (r >> 45) % 50;
        if (exponent >= top) exponent = (r >> 45) % 16;
        return sign | exponent << m | fraction;
    case 18: case 19: case 20:
        return sign | (bias - 4 + (r >> 44) % 9) << m | fraction;
    default: return sign | (next() % top) << m | fraction;
    }
}

static u64 floating(u64 previous) {
    u64 r = next();
    switch (r & 15) {
    case 0: return next();
    case 1: return previous ^ (1ull << (r >> 8 & 63));
    case 2: return previous + (r >> 8 & 3) - 1;
    case 3: return previous;
    case 4: return 0xffffffffffff0000ull | number(5, 10);
    case 5: return 0xffffffffffff0000ull | number(5, 10);
    case 6: case 7: case 8: case 9: case 10: return 0xffffffff00000000ull | number(8, 23);
    default: return number(11, 52);
    }
}

#if __riscv_xlen == 32
struct siginfo { int signo, error, code; word address; };
struct context { word flags, link, stack[3], mask[35], pc, x[31]; };
#else
struct siginfo { int signo, error, code, pad; word address; };
struct context { word flags, link, stack[3], mask[17], pc, x[31]; };
#endif

// The instruction ends here: what it raised is noted, the registers are saved by the ordinary way out.
static void handler(int signal, struct siginfo *info, struct context *context) {
    if (context->x[30] != (word)&block) call(93, 100 + signal, 0, 0, 0);
    block.state.signal = signal;
    block.state.code = info->code;
    block.state.address = info->address;
    context->pc = (word)save_case;
}

#ifdef VECTOR_BYTES
// Vector registers, type and length; registers of one style each, so that numbers meet numbers and indices are small.
static void prepare_vectors(const struct record *r) {
    struct state *s = &block.state;
    u64 common = next() % 8;
    for (int i = 0; i < 32; i++) {
        u64 *words = s->v + i * (VECTOR_BYTES / 8);
        u64 style = next() & 3 ? common : next() % 8;
        for (int k = 0; k < VECTOR_BYTES / 8; k++) {
            switch (style) {
            case 0: words[k] = next(); break;
            case 1: words[k] = integer(); break;
            case 2: words[k] = number(8, 23) | number(8, 23) << 32; break;
            case 3: words[k] = number(11, 52); break;
            case 4: words[k] = number(5, 10) | number(5, 10) << 16 | number(5, 10) << 32 | number(5, 10) << 48; break;
            case 5: words[k] = next() & 0x3f3f3f3f3f3f3f3full; break;
            case 6: words[k] = next() & 0x003f003f003f003full; break;
            default: words[k] = next() & 0x0000003f0000003full; break;
            }
        }
    }
    u64 c = next(), sew = c & 3, align = r->alignment & 3;
    // LMUL as the registers of the encoding allow it, mostly.
    long lmul = (long)((c >> 8 & 0xff) % (align + 4)) - 3;
    if ((c >> 16 & 15) == 0) lmul = (long)(c >> 20 & 7) - 4;
    s->type = (lmul & 7) | sew << 3 | (c >> 24 & 3) << 6;
    if ((c >> 32 & 63) == 0) s->type = (word)next();
    u64 bytes = lmul >= 0 ? VECTOR_BYTES << lmul : VECTOR_BYTES >> -lmul, maximum = bytes >> sew;
    // Element groups: 16 is for those of four, 32 for those of eight, 64 for elements of 64 bits too. Mostly whole groups.
    u64 group = r->alignment & 16 ? 3 : r->alignment & 32 ? 7 : 0;
    if (group && (c >> 40 & 7)) {
        sew = (r->alignment & 64) && (c >> 43 & 1) ? 3 : 2;
        s->type = (s->type & ~0x38ul) | sew << 3;
        maximum = bytes >> sew;
    }
    u64 d = next();
    switch (d & 3) {
    case 0: s->length = maximum; break;
    case 1: s->length = (d >> 8) % (maximum + 1); break;
    default: s->length = (d & 4) ? maximum : (d >> 8) % (maximum + 1); break;
    }
    s->start = (d >> 32 & 7) ? 0 : (d >> 40) % (s->length + 2);
    // Whole-register accesses: not beyond the last element, where QEMU dies.
    if (r->kind == 6) s->start &= 1;
    if (group && (c >> 46 & 15)) { s->length &= ~group; s->start &= ~group; }
    s->control = d >> 56 & 7;
    s->page = next();
    for (int k = 0; k < 512; k++) {
        u64 z = (s->page + k) * 0x9e3779b97f4a7c15ull;
        scratch[k] = z ^ z >> 29;
    }
    for (int k = 0; k < 32; k++) s->scratch[k] = scratch[k];
}
#endif

// A doubleword full of pointers.
static u64 pointers(word address) { return sizeof address == 8 ? address : address | (u64)address << 32; }

static void prepare(const struct record *r, u64 seed) {
    struct state *s = &block.state;
    state_of_generator = seed;
    u64 previous = 0;
    for (int i = 1; i < 31; i++) s->x[i] = (word)integer();
    for (int i = 0; i < 32; i++) previous = s->f[i] = floating(previous);
    u64 c = next();
    s->fcsr = (c & 31) | (c >> 8) % 5 << 5;
    if ((c >> 16 & 15) == 0) s->fcsr = c & 255;
    if ((c >> 16 & 3) == 1) s->fcsr &= ~31ull;
    s->taken = s->signal = s->code = s->address = 0;
    for (int i = 0; i < 32; i++) scratch[i] = integer();
#ifdef VECTOR_BYTES
    prepare_vectors(r);
    if (r->kind == 4) { s->x[r->base] = next() & 255; return; }
    if (r->kind >= 5) {
        c = next();
        // In the middle of the page, or so close to an end that an access leaves it.
        s->x[r->base] = (word)scratch + (r->kind == 6 ? 2048 + (c >> 8 & 127) : (c & 7) == 0 ? 4096 - (c >> 8 & 127) : (c & 7) == 1 ? 0 : 2048 + (c >> 8 & 127));
        // A stride, in the register that the encoding's rs2 field names.
        u32 other = r->encoding >> 20 & 31;
        if ((r->encoding >> 26 & 3) == 2 && other && other != r->base && other != 31) s->x[other] = (word)((long)(next() & 63) - 32);
        return;
    }
#endif
    if (r->base) {
        word address = (word)slot + 36;
        c = next();
        if (r->kind >= 14) {
            if (r->kind < 16)
                for (int i = 0; i < 32; i++) scratch[i] = pointers(address | (r->kind == 15 ? c >> 24 & 1 : 0));
            address = (word)scratch + (c & 56);
            if (c >> 16 & 7) address &= -(word)r->alignment;
        } else if (r->kind != 2) {
            address = (word)scratch + 64 + (c & 127);
            if (r->kind == 3 || c >> 16 & 7) address &= -(word)r->alignment;
        } else {
            address |= c & 1;
        }
        s->x[r->base] = (word)(address - r->displacement);
    }
}

static long transfer(long number, long file, void *data, long size) {
    long done = 0;
    while (done < size) {
        long n = call(number, file, (long)data + done, size - done, 0);
        if (n == 0) break;
        if (n < 0) call(93, 2, 0, 0, 0);
        done += n;
    }
    return done;
}

static u64 output[4096];
static int outputs;
static void flush(void) {
    transfer(64, 1, output, outputs * 8);
    outputs = 0;
}

void start(void) {
    struct { void *handler; word flags; u64 mask; } action = { handler, 4 | 0x08000000, 0 }; // SA_SIGINFO, SA_ONSTACK
    struct { void *base; int flags; word size; } stack = { signal_stack, 0, sizeof signal_stack };
    call(132, (long)&stack, 0, 0, 0);
    for (int signal = 4; signal <= 11; signal++)
        if (signal == 4 || signal == 5 || signal == 7 || signal == 8 || signal == 11) call(134, signal, (long)&action, 0, 8);

    struct record r;
    while (transfer(63, 0, &r, sizeof r) == sizeof r) {
        slot[0] = r.before;
        // A 16-bit instruction is followed by c.nop.
        slot[1] = (r.encoding & 3) == 3 ? r.encoding : (r.encoding & 0xffff) | 0x00010000;
        __asm__ volatile("fence.i" ::: "memory");
        for (u32 i = 0; i < r.count; i++) {
            prepare(&r, r.seed + i);
            struct state *s = &block.state;
            if (r.verbose == 1) {
                flush();
                for (int k = 0; k < 32; k++) s->scratch[k] = scratch[k];
                transfer(64, 1, s, sizeof *s);
            }
            run_case(&block);
            for (int k = 0; k < 32; k++) s->scratch[k] = scratch[k];
#ifdef VECTOR_BYTES
            u64 sum = 0;
            for (int k = 0; k < 512; k++) sum = (sum ^ scratch[k]) * 0x9e3779b97f4a7c15ull, sum ^= sum >> 29;
            s->page = sum;
#endif
            if (r.verbose == 1) {
                transfer(64, 1, s, sizeof *s);
                continue;
            }
            if (r.verbose == 2) {
                output[outputs++] = s->signal;
                if (outputs == 4096) flush();
                continue;
            }
            u64 hash = 0;
            const u64 *words = (const u64 *)s;
            for (u32 k = 1; k < sizeof *s / 8; k++)
                if (k != 31) hash = (hash ^ words[k]) * 0x9e3779b97f4a7c15ull, hash ^= hash >> 29;
            output[outputs++] = hash;
            if (outputs == 4096) flush();
        }
    }
    flush();
    call(93, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start: .option push\n.option norelax\nla gp, __global_pointer$\n.option pop\nj start");
