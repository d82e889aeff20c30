/* The start of a bare-metal test and its machine-mode trap handler.
   run(struct frame *) enters a mode at an address with the registers of the frame and returns at the first trap that
   machine mode takes, with the registers and the trap's CSRs in the frame. */
#if __riscv_xlen == 64
#define LX ld
#define SX sd
#define W 8
#else
#define LX lw
#define SX sw
#define W 4
#endif
        .section .text.start, "ax"
        .globl _start
_start: csrr t0, mhartid
        bnez t0, park
        la sp, stack_top
        la t0, m_trap
        csrw mtvec, t0
        csrw mscratch, zero
        call main
        li a0, 0x5555
        li t0, 0x100000
        sw a0, 0(t0)
park:   wfi
        j park

        .text
        .globl run
run:    la t0, saved
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
        SX s\n, W*\n(t0)
        .endr
        SX ra, W*12(t0)
        SX sp, W*13(t0)
        SX gp, W*14(t0)
        SX tp, W*15(t0)
        SX a0, W*16(t0)
        csrw mscratch, t0
        LX t1, W*16(a0)
        csrw mepc, t1
        LX t2, W*14(a0)
        LX a7, W*7(a0)
        LX a6, W*6(a0)
        LX a5, W*5(a0)
        LX a4, W*4(a0)
        LX a3, W*3(a0)
        LX a2, W*2(a0)
        LX a1, W*1(a0)
        LX a0, W*0(a0)
        bnez t2, 1f
        mret
1:      csrw sepc, t1
        sret

        .balign 256
        .globl m_trap
m_trap: .rept 64
        j 1f            /* every vector leads to the same place; the cause tells them apart */
        .balign 4
        .endr
1:      csrrw sp, mscratch, sp
        beqz sp, lost
        SX t0, W*17(sp)
        LX t0, W*16(sp)
        SX a0, W*0(t0)
        SX a1, W*1(t0)
        SX a2, W*2(t0)
        SX a3, W*3(t0)
        SX a4, W*4(t0)
        SX a5, W*5(t0)
        SX a6, W*6(t0)
        SX a7, W*7(t0)
        csrr t1, mcause
        SX t1, W*8(t0)
        csrr t1, mtval
        SX t1, W*9(t0)
        csrr t1, mepc
        SX t1, W*10(t0)
        csrr t1, mstatus
        SX t1, W*11(t0)
        .globl hypervisor_reads
        la t1, has_hypervisor
        lw t1, 0(t1)
        beqz t1, 2f
        .option push
        .option arch, +h
        csrr t1, mtval2
        SX t1, W*12(t0)
        csrr t1, mtinst
        SX t1, W*13(t0)
        .option pop
2:      csrw mscratch, zero
        mv t0, sp
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
        LX s\n, W*\n(t0)
        .endr
        LX ra, W*12(t0)
        LX sp, W*13(t0)
        LX gp, W*14(t0)
        LX tp, W*15(t0)
        ret
lost:   la sp, stack_top
        call lost_trap
        j park

        .bss
        .balign 16
        .space 65536
stack_top:
saved:  .space W*20
