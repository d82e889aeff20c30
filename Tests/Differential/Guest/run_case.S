# Runs one instruction with all registers set: x31 alone is taken, it points to the case (layout in cases.c).

#if __riscv_xlen == 32
#define lr lw
#define sr sw
#else
#define lr ld
#define sr sd
#endif
#define CASE_X 0
#define CASE_F 256
#define CASE_FCSR 512
#define CASE_TAKEN 520
#define CASE_VECTOR 808                 /* vl, vtype, vstart, vcsr */
#define CASE_V 848
#ifdef VECTOR_BYTES
#define SAVED (848 + 32 * VECTOR_BYTES)
#else
#define SAVED 1024
#endif

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
        li t0, SAVED
        add t0, a0, t0
        sr ra, 0(t0)
        sr sp, 8(t0)
        sr gp, 16(t0)
        sr tp, 24(t0)
        sr s0, 32(t0)
        sr s1, 40(t0)
        sr s2, 48(t0)
        sr s3, 56(t0)
        sr s4, 64(t0)
        sr s5, 72(t0)
        sr s6, 80(t0)
        sr s7, 88(t0)
        sr s8, 96(t0)
        sr s9, 104(t0)
        sr s10, 112(t0)
        sr s11, 120(t0)
        mv x31, a0
        addi t0, x31, 1000              # lose any reservation
        sc.w zero, zero, (t0)
        floats fld, x31
        lr t0, CASE_FCSR(x31)
        fscsr t0
#ifdef VECTOR_BYTES
        csrw vstart, zero
        addi t0, x31, CASE_V
        li t1, 8 * VECTOR_BYTES
        vl8re8.v v0, (t0)
        add t0, t0, t1
        vl8re8.v v8, (t0)
        add t0, t0, t1
        vl8re8.v v16, (t0)
        add t0, t0, t1
        vl8re8.v v24, (t0)
        lr t0, CASE_VECTOR(x31)
        lr t1, CASE_VECTOR+8(x31)
        vsetvl zero, t0, t1
        lr t0, CASE_VECTOR+24(x31)
        csrw vcsr, t0
        lr t0, CASE_VECTOR+16(x31)
        csrw vstart, t0
#endif
        integers lr, 1, 30, x31
        j slot

        .globl save_case
save_taken:
        sr x30, CASE_X+240(x31)
        li x30, 1
        sr x30, CASE_TAKEN(x31)
        lr x30, CASE_X+240(x31)
save_case:
        integers sr, 1, 30, x31
        frcsr t0
        sr t0, CASE_FCSR(x31)
        floats fsd, x31
#ifdef VECTOR_BYTES
        csrr t0, vl
        sr t0, CASE_VECTOR(x31)
        csrr t0, vtype
        sr t0, CASE_VECTOR+8(x31)
        csrr t0, vstart
        sr t0, CASE_VECTOR+16(x31)
        csrr t0, vcsr
        sr t0, CASE_VECTOR+24(x31)
        csrw vstart, zero
        addi t0, x31, CASE_V
        li t1, 8 * VECTOR_BYTES
        vs8r.v v0, (t0)
        add t0, t0, t1
        vs8r.v v8, (t0)
        add t0, t0, t1
        vs8r.v v16, (t0)
        add t0, t0, t1
        vs8r.v v24, (t0)
#endif
        mv a0, x31
        li t0, SAVED
        add t0, a0, t0
        lr ra, 0(t0)
        lr sp, 8(t0)
        lr gp, 16(t0)
        lr tp, 24(t0)
        lr s0, 32(t0)
        lr s1, 40(t0)
        lr s2, 48(t0)
        lr s3, 56(t0)
        lr s4, 64(t0)
        lr s5, 72(t0)
        lr s6, 80(t0)
        lr s7, 88(t0)
        lr s8, 96(t0)
        lr s9, 104(t0)
        lr s10, 112(t0)
        lr s11, 120(t0)
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
