/* A resumable NMI by the monitor's inject-nmi: the loop has all interrupts off, its handler says so and returns, and the loop
   sees it. The handler stands 4 KiB from the start (rnmi-interrupt-vector=0x80001000). */
        .globl _start
_start: csrr t0, mhartid
        bnez t0, park
        li s0, 0x10000000
        csrci mstatus, 8
        csrsi 0x744, 8
        li a0, 'R'
        sb a0, 0(s0)
        li s1, 0
1:      beqz s1, 1b
        li a0, 'B'
        sb a0, 0(s0)
        li t0, 0x100000
        li t1, 0x5555
        sw t1, 0(t0)
park:   j park
        .balign 4096
        csrr a0, 0x742
        bgez a0, park
        csrr a1, 0x744
        andi a1, a1, 8
        bnez a1, park
        li a0, 'N'
        sb a0, 0(s0)
        li s1, 1
        .word 0x70200073
