/* Hart 0 runs main; the other harts run others. A trap goes to trapped, which says how far pc moves on. */
        .section .text.start, "ax"
        .globl _start
_start: la sp, stack_top
        csrr t0, mhartid
        slli t1, t0, 16
        sub sp, sp, t1
        la t1, trap
        csrw mtvec, t1
        li t1, 1 << 13          /* floating point is never used, but its state costs nothing to have */
        csrs mstatus, t1
        bnez t0, 1f
        la t1, main
        jalr t1
1:      la t1, others
        jalr t1
2:      wfi
        j 2b

        .text
        .balign 4
trap:   addi sp, sp, -256
        .irp n, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        sd x\n, 8*\n(sp)
        .endr
        csrr a0, mcause
        csrr a1, mepc
        call trapped
        csrw mepc, a0
        .irp n, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        ld x\n, 8*\n(sp)
        .endr
        addi sp, sp, 256
        mret

        .bss
        .balign 16
        .space 4 << 16
stack_top:
