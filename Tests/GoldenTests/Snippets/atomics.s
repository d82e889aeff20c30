# Atomic memory operations, load-reserved and store-conditional, fences.
add_word:
    amoadd.w a0, a1, (a2)
    amoadd.d.aqrl zero, a3, (a4)
swap:
    amoswap.w.aq a5, a5, (a0)
logic:
    amoor.d a0, a1, (a2)
    amoand.w a3, a4, (a5)
extrema:
    amomaxu.w a0, a1, (a2)
    amomin.d a3, a4, (a5)
compare_and_swap:
    lr.w.aqrl a5, (a0)
    bne a5, a1, . + 16
    sc.w.rl a4, a2, (a0)
    bnez a4, compare_and_swap
increment:
    lr.d a5, (a0)
    addi a5, a5, 1
    sc.d a4, a5, (a0)
fences:
    fence rw, rw
    fence r, rw
    fence rw, w
    fence.tso
