# Zba, Zbb, Zbs, Zicond.
address_generation:
    sh1add a0, a1, a2
    sh2add a3, a3, a4
    sh3add a5, a4, a5
    sh3add.uw a0, a1, a2
    add.uw a1, a1, a0
    zext.w a2, a2
counts:
    clz a0, a0
    ctz a1, a2
    cpop a3, a3
    clzw a4, a4
    ctzw a5, a5
    cpopw a0, a0
logic_with_complement:
    andn a0, a1, a2
    orn a3, a3, a4
    xnor a5, a5, a0
extrema:
    max a0, a0, a1
    minu a2, a3, a2
    min a4, a4, a5
    maxu a5, a5, zero
extensions:
    sext.b a0, a0
    sext.h a1, a2
    zext.h a3, a3
    rev8 a4, a4
    orc.b a5, a5
rotates:
    rol a0, a0, a1
    rori a2, a3, 13
    rorw a4, a4, a5
single_bits:
    bset a0, a0, a1
    bclri a2, a2, 40
    bexti a3, a4, 5
    binv a5, a5, a1
    bseti a1, a1, 31
conditional_zero:
    .insn r 0x33, 5, 7, a0, a1, a2    # czero.eqz a0, a1, a2
    .insn r 0x33, 7, 7, a3, a4, a2    # czero.nez a3, a4, a2
    or a0, a0, a3
