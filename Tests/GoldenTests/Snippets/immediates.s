# Constants: immediates, lui and auipc pairs.
small:
    addi a0, a0, 1
    addi a1, a2, -16
    andi a3, a3, 255
    andi a4, a4, -8
    ori a5, a5, 1
    xori a0, a0, -1
load_immediate:
    li a0, 0
    li a1, 42
    li a2, -1
    lui a3, 0x12345
    addi a3, a3, 0x678
wide_constant:
    li a0, 0x123456789abcdef0
auipc_pair:
    auipc a0, 0x10
    addi a0, a0, 0x128
    auipc a1, 0x11
    ld a1, 0x18(a1)
lui_load:
    lui a5, 0x20
    lw a0, -16(a5)
    lui a4, 0x20
    sw a0, 32(a4)
word_immediate:
    addiw a0, a0, 1
    addiw a1, a2, -1
    addiw a3, a3, 0
