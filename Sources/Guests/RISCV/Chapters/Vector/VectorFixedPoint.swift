// "Vector Fixed-Point Arithmetic Instructions" of the V extension.
// What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorFixedPoint: [Pattern] = [
        Pattern("vsaddu.vv vd, vs2, vs1, vm", "100000 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .saddu) },
        Pattern("vsaddu.vx vd, vs2, rs1, vm", "100000 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .saddu) },
        Pattern("vsaddu.vi vd, vs2, simm5, vm", "100000 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .saddu) },
        Pattern("vsadd.vv vd, vs2, vs1, vm", "100001 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .sadd) },
        Pattern("vsadd.vx vd, vs2, rs1, vm", "100001 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .sadd) },
        Pattern("vsadd.vi vd, vs2, simm5, vm", "100001 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .sadd) },
        Pattern("vssubu.vv vd, vs2, vs1, vm", "100010 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssubu) },
        Pattern("vssubu.vx vd, vs2, rs1, vm", "100010 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssubu) },
        Pattern("vssub.vv vd, vs2, vs1, vm", "100011 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssub) },
        Pattern("vssub.vx vd, vs2, rs1, vm", "100011 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssub) },
        Pattern("vsmul.vv vd, vs2, vs1, vm", "100111 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .smul) },
        Pattern("vsmul.vx vd, vs2, rs1, vm", "100111 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .smul) },
        Pattern("vssrl.vv vd, vs2, vs1, vm", "101010 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssrl) },
        Pattern("vssrl.vx vd, vs2, rs1, vm", "101010 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssrl) },
        Pattern("vssrl.vi vd, vs2, uimm5, vm", "101010 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssrl) },
        Pattern("vssra.vv vd, vs2, vs1, vm", "101011 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssra) },
        Pattern("vssra.vx vd, vs2, rs1, vm", "101011 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssra) },
        Pattern("vssra.vi vd, vs2, uimm5, vm", "101011 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .ssra) },
        Pattern("vnclipu.wv vd, vs2, vs1, vm", "101110 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .nclipu) },
        Pattern("vnclipu.wx vd, vs2, rs1, vm", "101110 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .nclipu) },
        Pattern("vnclipu.wi vd, vs2, uimm5, vm", "101110 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .nclipu) },
        Pattern("vnclip.wv vd, vs2, vs1, vm", "101111 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .nclip) },
        Pattern("vnclip.wx vd, vs2, rs1, vm", "101111 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .nclip) },
        Pattern("vnclip.wi vd, vs2, uimm5, vm", "101111 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .nclip) },
        Pattern("vaaddu.vv vd, vs2, vs1, vm", "001000 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .aaddu) },
        Pattern("vaaddu.vx vd, vs2, rs1, vm", "001000 . ..... ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .aaddu) },
        Pattern("vaadd.vv vd, vs2, vs1, vm", "001001 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .aadd) },
        Pattern("vaadd.vx vd, vs2, rs1, vm", "001001 . ..... ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .aadd) },
        Pattern("vasubu.vv vd, vs2, vs1, vm", "001010 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .asubu) },
        Pattern("vasubu.vx vd, vs2, rs1, vm", "001010 . ..... ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .asubu) },
        Pattern("vasub.vv vd, vs2, vs1, vm", "001011 . ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .asub) },
        Pattern("vasub.vx vd, vs2, rs1, vm", "001011 . ..... ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .asub) },
    ]
}
