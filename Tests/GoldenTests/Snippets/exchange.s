# Compare-and-swap, atomics on bytes and halfwords, cache blocks, may-be-operations (Zacas, Zabha, Zicboz, Zimop).
compare_and_swap_word:
    .insn r 0x2f, 2, 0x14, a0, a1, a2           # amocas.w a0, a2, (a1)
compare_and_swap_double:
    .insn r 0x2f, 3, 0x14, s7, a1, s8           # amocas.d s7, s8, (a1)
compare_and_swap_pair:
    .insn r 0x2f, 4, 0x14, a0, a2, a4           # amocas.q a0, a4, (a2)
compare_and_swap_byte:
    .insn r 0x2f, 0, 0x14, a0, a1, a2           # amocas.b a0, a2, (a1)
add_byte:
    .insn r 0x2f, 0, 0x00, a0, a1, a2           # amoadd.b a0, a2, (a1)
swap_half:
    .insn r 0x2f, 1, 0x04, a0, a1, a2           # amoswap.h a0, a2, (a1)
maximum_half:
    .insn r 0x2f, 1, 0x50, a0, a1, a2           # amomax.h a0, a2, (a1)
zero_block:
    cbo.zero (a0)
may_be:
    .insn 4, 0x81c54573                         # mop.r.0 a0, a0
    .insn 4, 0x82b54573                         # mop.rr.0 a0, a0, a1
