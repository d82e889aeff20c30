# Chains of 32-bit operations, each sign-extended by the instruction set.
chain:
    addw a0, a0, a1
    subw a0, a0, a2
    addiw a0, a0, 5
    sext.w a0, a0
redundant_extension:
    lw a0, 0(a1)
    sext.w a0, a0
    addw a2, a2, a0
    sext.w a2, a2
hash_step:
    slliw a5, a0, 5
    addw a0, a0, a5
    addw a0, a0, a1
    xor a0, a0, a2
    sext.w a0, a0
multiply_word:
    mulw a0, a0, a1
    addw a0, a0, a2
    mulw a3, a4, a5
