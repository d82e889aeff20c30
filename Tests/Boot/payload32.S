# A supervisor of 32 bits behind OpenSBI: turns Sv32 on, prints from a page that it has mapped elsewhere, takes a timer's
# interrupt, and switches off. Every step that fails prints '?'.
    .globl _start
_start:
    la sp, stack_top
    la s0, hello
    call print
    # One megapage for each 4 MiB of memory, and the first of them at 0x40000000 as well.
    la t0, table
    li t1, 0x200 * 4
    add t1, t0, t1
    li t2, (0x80000 << 10) | 0xcf
    li t3, 4
    li t5, 1 << 20
1:  sw t2, 0(t1)
    add t2, t2, t5
    addi t1, t1, 4
    addi t3, t3, -1
    bnez t3, 1b
    la t1, table + 0x100 * 4
    la t2, _start
    srli t2, t2, 22
    slli t2, t2, 20
    ori t2, t2, 0xcf
    sw t2, 0(t1)
    srli t0, t0, 12
    li t1, 1 << 31
    or t0, t0, t1
    csrw satp, t0
    sfence.vma
    la s0, mapped
    li t0, 0x3fffff
    and s0, s0, t0
    li t0, 0x40000000
    or s0, s0, t0
    call print
    la t0, handler
    csrw stvec, t0
    li t0, 1 << 5
    csrs sie, t0
    rdtime a0
    rdtimeh a1
    li t0, 10000
    add a0, a0, t0
    li a7, 0x54494d45
    li a6, 0
    ecall
    csrsi sstatus, 2
2:  wfi
    j 2b
    .align 2
handler:
    csrr t0, scause
    li t1, (1 << 31) | 5
    la s0, tick
    beq t0, t1, 3f
    la s0, question
3:  call print
    li a0, 0
    li a1, 0
    li a7, 0x53525354
    li a6, 0
    ecall
    j .
print:
    mv s1, ra
4:  lbu a0, 0(s0)
    beqz a0, 5f
    li a7, 1
    ecall
    addi s0, s0, 1
    j 4b
5:  jr s1
hello:    .asciz "PAYLOAD of 32 bits\n"
mapped:   .asciz "SV32 is on\n"
tick:     .asciz "TIMER interrupts\n"
question: .asciz "?\n"
    .bss
    .align 12
table: .space 4096
stack: .space 4096
stack_top:
