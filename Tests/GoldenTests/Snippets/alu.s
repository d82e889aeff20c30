# Register-register and register-immediate arithmetic (I chapter).
three_operand:
    add a0, a1, a2
    sub a3, a4, a5
    xor a0, a0, a3
two_operand:
    add a0, a0, a1
    sub a2, a2, a0
    and a3, a3, a2
    or a4, a4, a3
reversed_subtract:
    sub a1, a0, a1
    neg a2, a2
    not a3, a4
unpinned:
    add s7, s8, s9
    sub s7, s7, s10
    addi s8, s8, 8
    xor s9, s7, s8
set_less:
    slt a0, a1, a2
    sltu a3, a4, a5
    slti a1, a1, 10
    sltiu a2, a2, 1
    sltu a5, zero, a5
    slt a4, a4, zero
moves:
    mv a0, a1
    mv a2, s7
    mv s8, a3
    mv a1, a0
swap:
    mv t0, a0
    mv a0, a1
    mv a1, t0
