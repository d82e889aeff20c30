# Pieces of real programs.
list_search:
    ld a5, 8(a0)
    beq a5, a1, . + 64
    ld a0, 0(a0)
    bnez a0, list_search
matrix_step:
    fld fa5, 0(a5)
    fld fa4, 0(a4)
    addi a5, a5, 8
    add a4, a4, a3
    fmadd.d fa3, fa5, fa4, fa3
    bne a5, a2, matrix_step
crc_step:
    xor a5, a0, a1
    andi a5, a5, 255
    slli a5, a5, 2
    add a5, a5, a2
    lwu a5, 0(a5)
    srliw a0, a0, 8
    xor a0, a0, a5
    sext.w a0, a0
interpreter_dispatch:
    lbu a5, 0(s1)
    addi s1, s1, 1
    slli a5, a5, 3
    add a5, a5, s2
    ld a5, 0(a5)
    jr a5
fibonacci:
    addi sp, sp, -32
    sd s0, 16(sp)
    sd s1, 8(sp)
    sd ra, 24(sp)
    mv s0, a0
    li s1, 0
    li a5, 1
    ble a0, a5, . + 64
    addi a0, s0, -1
    jal ra, . - 0x40
guest_pressure:
    add s4, s5, s6
    add s7, s8, s9
    add s10, s11, t3
    sub s4, s4, s7
    xor s7, s10, s4
    sltu t4, s4, s7
    add s10, s10, t4
mask_and_merge:
    srli a5, a0, 8
    li a4, 0xff00
    and a5, a5, a4
    slli a0, a0, 8
    or a0, a0, a5
    zext.h a0, a0
