# Shifts, and the ways in which code without Zba and Zbb extends narrow values.
by_constant:
    slli a0, a1, 3
    srli a2, a2, 5
    srai a3, a4, 63
    slli a5, a5, 40
by_register:
    sll a0, a1, a2
    srl a3, a3, a2
    sra a4, a5, a2
    sllw a1, a1, a2
    sraw a5, a5, a0
zero_extension:
    slli a0, a0, 32
    srli a0, a0, 32
    slli a1, a2, 48
    srli a1, a1, 48
index_extension:
    slli a1, a1, 32
    srli a1, a1, 30
    add a0, a0, a1
    lw a0, 0(a0)
sign_extension:
    slli a0, a0, 48
    srai a0, a0, 48
    slli a1, a1, 56
    srai a1, a1, 56
bit_field:
    slli a0, a1, 20
    srli a0, a0, 52
word_shifts:
    slliw a0, a0, 4
    srliw a1, a1, 8
    sraiw a2, a3, 31
