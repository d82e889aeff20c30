// "Zvbb", "Zvkb" and "Zvbc" of the vector cryptography chapter: bits, bytes, rotations, carry-less products. Zvbb contains Zvkb.
// What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorBits: [Pattern] = [
        Pattern("vandn.vv vd, vs2, vs1, vm", "000001 . ..... ..... 000 ..... 1010111", .zvkb) { x, i in x.vector(i, .andNot) },
        Pattern("vandn.vx vd, vs2, rs1, vm", "000001 . ..... ..... 100 ..... 1010111", .zvkb) { x, i in x.vector(i, .andNot) },
        Pattern("vror.vv vd, vs2, vs1, vm", "010100 . ..... ..... 000 ..... 1010111", .zvkb) { x, i in x.vector(i, .ror) },
        Pattern("vror.vx vd, vs2, rs1, vm", "010100 . ..... ..... 100 ..... 1010111", .zvkb) { x, i in x.vector(i, .ror) },
        Pattern("vror.vi vd, vs2, uimm6, vm", "01010 . . ..... ..... 011 ..... 1010111", .zvkb) { x, i in x.vector(i, .ror) },
        Pattern("vrol.vv vd, vs2, vs1, vm", "010101 . ..... ..... 000 ..... 1010111", .zvkb) { x, i in x.vector(i, .rol) },
        Pattern("vrol.vx vd, vs2, rs1, vm", "010101 . ..... ..... 100 ..... 1010111", .zvkb) { x, i in x.vector(i, .rol) },
        Pattern("vwsll.vv vd, vs2, vs1, vm", "110101 . ..... ..... 000 ..... 1010111", .zvbb) { x, i in x.vector(i, .wsll) },
        Pattern("vwsll.vx vd, vs2, rs1, vm", "110101 . ..... ..... 100 ..... 1010111", .zvbb) { x, i in x.vector(i, .wsll) },
        Pattern("vwsll.vi vd, vs2, uimm5, vm", "110101 . ..... ..... 011 ..... 1010111", .zvbb) { x, i in x.vector(i, .wsll) },
        Pattern("vbrev8.v vd, vs2, vm", "010010 . ..... 01000 010 ..... 1010111", .zvkb) { x, i in x.vector(i, .reverseBitsInBytes) },
        Pattern("vrev8.v vd, vs2, vm", "010010 . ..... 01001 010 ..... 1010111", .zvkb) { x, i in x.vector(i, .reverseBytes) },
        Pattern("vbrev.v vd, vs2, vm", "010010 . ..... 01010 010 ..... 1010111", .zvbb) { x, i in x.vector(i, .reverseBits) },
        Pattern("vclz.v vd, vs2, vm", "010010 . ..... 01100 010 ..... 1010111", .zvbb) { x, i in x.vector(i, .leadingZeros) },
        Pattern("vctz.v vd, vs2, vm", "010010 . ..... 01101 010 ..... 1010111", .zvbb) { x, i in x.vector(i, .trailingZeros) },
        Pattern("vcpop.v vd, vs2, vm", "010010 . ..... 01110 010 ..... 1010111", .zvbb) { x, i in x.vector(i, .countOnes) },
        Pattern("vclmul.vv vd, vs2, vs1, vm", "001100 . ..... ..... 010 ..... 1010111", .zvbc) { x, i in x.vector(i, .clmul) },
        Pattern("vclmul.vx vd, vs2, rs1, vm", "001100 . ..... ..... 110 ..... 1010111", .zvbc) { x, i in x.vector(i, .clmul) },
        Pattern("vclmulh.vv vd, vs2, vs1, vm", "001101 . ..... ..... 010 ..... 1010111", .zvbc) { x, i in x.vector(i, .clmulh) },
        Pattern("vclmulh.vx vd, vs2, rs1, vm", "001101 . ..... ..... 110 ..... 1010111", .zvbc) { x, i in x.vector(i, .clmulh) },
    ]
}
