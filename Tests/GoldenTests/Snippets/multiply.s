# Multiplication and division (M chapter).
products:
    mul a0, a1, a2
    mul a3, a3, a4
    mulhu a5, a3, a4
high_halves:
    mulh a0, a1, a2
    mulhsu a3, a4, a5
    mulhu a0, a0, a1
divide:
    div a0, a0, a1
    rem a2, a3, a4
divide_unsigned:
    divu a0, a0, a1
    remu a2, a3, a4
divide_words:
    divw a0, a0, a1
    remuw a2, a3, a4
quotient_and_remainder:
    divu a2, a0, a1
    mul a3, a2, a1
    sub a3, a0, a3
