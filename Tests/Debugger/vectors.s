# Vector instructions to debug: copies 32 bytes in vectors.
.option arch, +v
.globl _start, copied
.text
_start:
    la a0, source
    la a1, target
    li a2, 32
copy:
    vsetvli t0, a2, e8, m1, ta, ma
    vle8.v v3, (a0)
loaded:
    vse8.v v3, (a1)
stored:
    add a0, a0, t0
    add a1, a1, t0
    sub a2, a2, t0
    bnez a2, copy
copied:
    li a0, 0
    li a7, 93
    ecall
.data
.balign 16
source: .ascii "abcdefghijklmnopqrstuvwxyz012345"
target: .fill 32, 1, 0
