# Loads and stores, addresses folded where they can be.
loads:
    lb a0, 0(a1)
    lbu a2, 1(a1)
    lh a3, 2(a1)
    lhu a4, 4(a1)
    lw a5, 8(a1)
    lwu a0, 12(a1)
    ld a1, 16(a1)
stores:
    sb a0, 0(a1)
    sh a2, 2(a1)
    sw a3, 4(a1)
    sd a4, 8(a1)
    sd zero, 16(a1)
    sw zero, 24(a1)
array_element:
    slli a5, a1, 3
    add a5, a0, a5
    ld a5, 8(a5)
    add a2, a2, a5
folded_address:
    addi a5, a0, 64
    ld a1, 0(a5)
    ld a2, 8(a5)
    sd a1, 16(a5)
prologue:
    addi sp, sp, -48
    sd ra, 40(sp)
    sd s0, 32(sp)
    sd s1, 24(sp)
    sd s2, 16(sp)
    mv s0, a0
    mv s1, a1
epilogue:
    ld ra, 40(sp)
    ld s0, 32(sp)
    ld s1, 24(sp)
    ld s2, 16(sp)
    addi sp, sp, 48
    ret
copy_unpinned:
    ld s7, 0(s8)
    sd s7, 0(s9)
    addi s8, s8, 8
    addi s9, s9, 8
pointer_chase:
    ld a0, 0(a0)
    ld a0, 8(a0)
    lw a0, 16(a0)
