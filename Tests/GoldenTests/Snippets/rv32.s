# RV32: registers of 32 bits, which host code keeps zero-extended.
arithmetic:
    add a0, a0, a1
    addi a1, a1, -4
    sub a2, a3, a4
    xor a4, a4, a5
    neg a5, a0
    mul a3, a2, a1
    li t0, -2
    lui a0, 0x80000
compares:
    slt a0, a1, a2
    sltu a3, a4, a5
    seqz a1, a0
    slti a2, a2, 0
    sltiu a4, a4, -1
shifts:
    slli a0, a0, 3
    srli a1, a1, 31
    srai a2, a2, 4
    sll a3, a3, a4
    sra a4, a5, a1
branches:
    blt a0, a1, . + 64
    bgeu a2, a3, . + 64
    bnez a4, . + 64
    blez a5, . + 64
memory:
    lw a0, 8(a1)
    lbu a2, -1(a0)
    lh a3, 2(a0)
    sw a3, -4(sp)
    sb a2, 3(a1)
    lw t0, 0(t1)
    sw t0, 4(t1)
folded_address:
    addi a5, sp, -32
    lw a0, 12(a5)
    sw a0, 16(a5)
    lui a4, 0x12
    lw a1, -16(a4)
array_element:
    slli a5, a1, 2
    add a5, a5, a0
    lw a0, 0(a5)
prologue:
    addi sp, sp, -16
    sw ra, 12(sp)
    sw s0, 8(sp)
    addi s0, sp, 16
    sw a0, -12(s0)
epilogue:
    lw ra, 12(sp)
    lw s0, 8(sp)
    addi sp, sp, 16
    ret
call:
    addi a0, a0, -1
    jal ra, . + 64
dispatch:
    lbu a5, 0(s1)
    addi s1, s1, 1
    slli a5, a5, 2
    add a5, a5, a3
    lw a5, 0(a5)
    jr a5
wide_sum:
    add a4, a0, a2
    sltu a5, a4, a0
    add a1, a1, a3
    add a1, a1, a5
    mv a0, a4
wide_product:
    mul a4, a0, a1
    mulhu a5, a0, a1
    mulh a2, a0, a1
division:
    div a2, a0, a1
    remu a3, a0, a1
hash_step:
    xor a0, a0, a1
    slli a5, a0, 13
    xor a0, a0, a5
    srli a5, a0, 17
    xor a0, a0, a5
    slli a5, a0, 5
    xor a0, a0, a5
doubles:
    fld fa5, 0(a0)
    fld fa4, 8(a0)
    fmadd.d fa0, fa5, fa4, fa0
    fsd fa0, 0(a1)
    fcvt.w.d a2, fa0, rtz
    fcvt.d.w fa1, a2
    flt.d a3, fa1, fa0
singles:
    c.flw fa5, 0(a0)
    fadd.s fa0, fa0, fa5
    fmv.x.w a0, fa0
    c.fswsp fa0, 4(sp)
lock:
    lr.w.aq a3, (a0)
    bnez a3, . + 16
    sc.w.rl a3, a4, (a0)
    bnez a3, lock
counter:
    amoadd.w a0, a1, (a2)
    amomaxu.w a3, a4, (a5)
clock:
    rdtimeh a0
    rdtime a1
    rdtimeh a2
    bne a0, a2, clock
bits:
    clz a0, a0
    cpop a1, a1
    rev8 a2, a2
    ror a3, a3, a4
    max a4, a4, a5
    sh2add a5, a5, a0
    bexti a0, a1, 7
    zext.h a1, a2
    andn a2, a2, a3
unpinned:
    add s4, s5, s6
    addi s7, s7, -1
    li s8, -1
    sltu s9, s4, s7
    sw s9, 0(s10)
