// An interpreter of a small register machine: one indirect jump an instruction.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ADD, SUB, MUL, XOR, SHL, SHR, LOADI, LOAD, STORE, JNZ, JLT, DEC, CALL, RET, HALT };
struct instruction { uint8_t op, a, b, c; int32_t imm; };

static const struct instruction code[] = {
    {LOADI, 0, 0, 0, 0}, {LOADI, 1, 0, 0, 0}, {LOADI, 2, 0, 0, 1},          // r1: outer counter, set below
    /* 3 */ {LOADI, 3, 0, 0, 40},
    /* 4 */ {ADD, 0, 0, 3, 0}, {MUL, 4, 0, 2, 0}, {XOR, 0, 0, 4, 0}, {SHL, 5, 0, 0, 7}, {ADD, 0, 0, 5, 0}, {SHR, 6, 0, 0, 9},
    {XOR, 0, 0, 6, 0}, {STORE, 0, 3, 0, 0}, {LOAD, 7, 3, 0, 1}, {ADD, 0, 0, 7, 0}, {CALL, 0, 0, 0, 20}, {DEC, 3, 0, 0, 0},
    {JNZ, 3, 0, 0, 4}, {DEC, 1, 0, 0, 0}, {JNZ, 1, 0, 0, 3}, {HALT, 0, 0, 0, 0},
    /* 20 */ {SUB, 0, 0, 2, 0}, {ADD, 2, 2, 3, 0}, {JLT, 2, 0, 0, 24}, {XOR, 2, 2, 6, 0}, {RET, 0, 0, 0, 0},
};
int main(int c, char **v) {
    static const void *labels[] = {&&add, &&sub, &&mul, &&xor, &&shl, &&shr, &&loadi, &&load, &&store, &&jnz, &&jlt, &&dec, &&call, &&ret, &&halt};
    uint64_t r[8] = {0}, memory[64] = {0};
    const struct instruction *stack[16], **sp = stack, *i = code;
    int64_t rounds = c > 1 ? atoi(v[1]) : 250000, executed = 0;
#define NEXT do { executed++; goto *labels[i->op]; } while (0)
    NEXT;
add: r[i->a] = r[i->b] + r[i->c]; i++; NEXT;
sub: r[i->a] = r[i->b] - r[i->c]; i++; NEXT;
mul: r[i->a] = r[i->b] * r[i->c]; i++; NEXT;
xor: r[i->a] = r[i->b] ^ r[i->c]; i++; NEXT;
shl: r[i->a] = r[i->b] << i->imm; i++; NEXT;
shr: r[i->a] = r[i->b] >> i->imm; i++; NEXT;
loadi: r[i->a] = i == code + 1 ? (uint64_t)rounds : (uint64_t)i->imm; i++; NEXT;
load: r[i->a] = memory[(r[i->b] + i->imm) & 63]; i++; NEXT;
store: memory[r[i->b] & 63] = r[i->a]; i++; NEXT;
jnz: i = r[i->a] ? code + i->imm : i + 1; NEXT;
jlt: i = r[i->a] < r[i->b] ? code + i->imm : i + 1; NEXT;
dec: r[i->a]--; i++; NEXT;
call: *sp++ = i + 1; i = code + i->imm; NEXT;
ret: i = *--sp; NEXT;
halt: printf("%016llx %lld\n", (unsigned long long)r[0], (long long)executed);
}
