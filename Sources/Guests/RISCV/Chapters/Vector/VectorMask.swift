// "Vector Reduction Operations" on integers and "Vector Mask Instructions" of the V extension.
// What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorMask: [Pattern] = [
        Pattern("vredsum.vs vd, vs2, vs1, vm", "000000 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redsum) },
        Pattern("vredand.vs vd, vs2, vs1, vm", "000001 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redand) },
        Pattern("vredor.vs vd, vs2, vs1, vm", "000010 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redor) },
        Pattern("vredxor.vs vd, vs2, vs1, vm", "000011 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redxor) },
        Pattern("vredminu.vs vd, vs2, vs1, vm", "000100 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redminu) },
        Pattern("vredmin.vs vd, vs2, vs1, vm", "000101 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redmin) },
        Pattern("vredmaxu.vs vd, vs2, vs1, vm", "000110 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redmaxu) },
        Pattern("vredmax.vs vd, vs2, vs1, vm", "000111 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .redmax) },
        Pattern("vwredsumu.vs vd, vs2, vs1, vm", "110000 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .wredsumu) },
        Pattern("vwredsum.vs vd, vs2, vs1, vm", "110001 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .wredsum) },
        Pattern("vmandn.mm vd, vs2, vs1", "011000 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskAndNot) },
        Pattern("vmand.mm vd, vs2, vs1", "011001 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskAnd) },
        Pattern("vmor.mm vd, vs2, vs1", "011010 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskOr) },
        Pattern("vmxor.mm vd, vs2, vs1", "011011 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskXor) },
        Pattern("vmorn.mm vd, vs2, vs1", "011100 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskOrNot) },
        Pattern("vmnand.mm vd, vs2, vs1", "011101 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskNand) },
        Pattern("vmnor.mm vd, vs2, vs1", "011110 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskNor) },
        Pattern("vmxnor.mm vd, vs2, vs1", "011111 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .maskXnor) },
        Pattern("vcpop.m rd, vs2, vm", "010000 . ..... 10000 010 ..... 1010111", .zve32x) { x, i in x.vectorToInteger(i, .cpop) },
        Pattern("vfirst.m rd, vs2, vm", "010000 . ..... 10001 010 ..... 1010111", .zve32x) { x, i in x.vectorToInteger(i, .first) },
        Pattern("vmsbf.m vd, vs2, vm", "010100 . ..... 00001 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .msbf) },
        Pattern("vmsof.m vd, vs2, vm", "010100 . ..... 00010 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .msof) },
        Pattern("vmsif.m vd, vs2, vm", "010100 . ..... 00011 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .msif) },
        Pattern("viota.m vd, vs2, vm", "010100 . ..... 10000 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .iota) },
        Pattern("vid.v vd, vm", "010100 . 00000 10001 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .id) },
    ]
}
