# Runs one instruction with all registers set: x31 alone is taken, it points to the case (layout in cases.c).

#define CASE_X 0
#define CASE_F 256
#define CASE_FCSR 512
#define CASE_TAKEN 520
#define SAVED 1024

        .altmacro
        .macro integers operation, first, last, base
        .set number, \first
        .rept \last - \first + 1
        one_integer \operation, %number, \base
        .set number, number + 1
        .endr
        .endm
        .macro one_integer operation, n, base
        \operation x\n, CASE_X + 8 * \n(\base)
        .endm
        .macro floats operation, base
        .set number, 0
        .rept 32
        one_float \operation, %number, \base
        .set number, number + 1
        .endr
        .endm
        .macro one_float operation, n, base
        \operation f\n, CASE_F + 8 * \n(\base)
        .endm

        .text
        .globl run_case
run_case:                               # a0: the case
        sd ra, SAVED(a0)
        sd sp, SAVED+8(a0)
        sd gp, SAVED+16(a0)
        sd tp, SAVED+24(a0)
        sd s0, SAVED+32(a0)
        sd s1, SAVED+40(a0)
        sd s2, SAVED+48(a0)
        sd s3, SAVED+56(a0)
        sd s4, SAVED+64(a0)
        sd s5, SAVED+72(a0)
        sd s6, SAVED+80(a0)
        sd s7, SAVED+88(a0)
        sd s8, SAVED+96(a0)
        sd s9, SAVED+104(a0)
        sd s10, SAVED+112(a0)
        sd s11, SAVED+120(a0)
        mv x31, a0
        addi t0, x31, 1000              # lose any reservation
        sc.w zero, zero, (t0)
        floats fld, x31
        ld t0, CASE_FCSR(x31)
        fscsr t0
        integers ld, 1, 30, x31
        j slot

        .globl save_case
save_taken:
        sd x30, CASE_X+240(x31)
        li x30, 1
        sd x30, CASE_TAKEN(x31)
        ld x30, CASE_X+240(x31)
save_case:
        integers sd, 1, 30, x31
        frcsr t0
        sd t0, CASE_FCSR(x31)
        floats fsd, x31
        mv a0, x31
        ld ra, SAVED(a0)
        ld sp, SAVED+8(a0)
        ld gp, SAVED+16(a0)
        ld tp, SAVED+24(a0)
        ld s0, SAVED+32(a0)
        ld s1, SAVED+40(a0)
        ld s2, SAVED+48(a0)
        ld s3, SAVED+56(a0)
        ld s4, SAVED+64(a0)
        ld s5, SAVED+72(a0)
        ld s6, SAVED+80(a0)
        ld s7, SAVED+88(a0)
        ld s8, SAVED+96(a0)
        ld s9, SAVED+104(a0)
        ld s10, SAVED+112(a0)
        ld s11, SAVED+120(a0)
        ret

# The instruction, after one that prepares it, and the places where it may go on.
        .section .slot, "awx", @progbits
        .balign 4096
        .globl slot
slot:
        .option push
        .option norvc
        nop
        nop                             # the instruction: slot + 4
        j save_case
        .balign 4
        .rept 6
        ebreak
        .endr
        j save_taken                    # slot + 36: where branches and jumps lead
        .option pop
        .balign 4096
