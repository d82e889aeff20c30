# Loops, branches, calls, returns and indirect jumps.
count_loop:
    addi a0, a0, -1
    bnez a0, count_loop
sum_loop:
    lw a4, 0(a0)
    addi a0, a0, 4
    addw a5, a5, a4
    bne a0, a1, sum_loop
string_length:
    lbu a5, 0(a0)
    addi a0, a0, 1
    bnez a5, string_length
copy_loop:
    ld a3, 0(a1)
    ld a4, 8(a1)
    sd a3, 0(a0)
    sd a4, 8(a0)
    addi a1, a1, 16
    addi a0, a0, 16
    bltu a1, a2, copy_loop
branches:
    beq a0, a1, . + 64
    bne a0, zero, . + 64
    blt a2, a3, . + 64
    bgeu a4, a5, . + 64
    bgez a1, . + 64
    li a5, 10
    beq a2, a5, . + 64
compare_and_branch:
    sltu a5, a0, a1
    bnez a5, . + 64
    andi a4, a0, 7
    beqz a4, . + 64
jump_over:
    addi a0, a0, 1
    j 1f
    addi a0, a0, 2
1:  addi a0, a0, 4
call_near:
    mv a0, s0
    jal ra, . + 0x400
call_far:
    auipc ra, 0x2
    jalr ra, 0x10(ra)
call_pointer:
    ld a5, 24(a0)
    jalr a5
return_value:
    mv a0, s0
    ret
jump_table:
    slli a0, a0, 2
    add a0, a0, a1
    lw a0, 0(a0)
    add a0, a0, a1
    jr a0
tail_call:
    ld a5, 0(a0)
    ld a5, 16(a5)
    jr a5
system_call:
    li a7, 64
    ecall
