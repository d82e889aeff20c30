// "Vector Permutation Instructions" of the V extension, and the integer extensions.
// What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorPermutation: [Pattern] = [
        Pattern("vmv.x.s rd, vs2", "010000 1 ..... 00000 010 ..... 1010111", .zve32x) { x, i in x.vectorToInteger(i, .moveToScalar) },
        Pattern("vmv.s.x vd, rs1", "010000 1 00000 ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .moveFromScalar) },
        Pattern("vfmv.f.s fd, vs2", "010000 1 ..... 00000 001 ..... 1010111", .zve32f) { x, i in x.vectorToFloat(i, .moveToFloat) },
        Pattern("vfmv.s.f vd, fs1", "010000 1 00000 ..... 101 ..... 1010111", .zve32f) { x, i in x.vector(i, .moveFromFloat) },
        Pattern("vslideup.vx vd, vs2, rs1, vm", "001110 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .slideup) },
        Pattern("vslideup.vi vd, vs2, uimm5, vm", "001110 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .slideup) },
        Pattern("vslidedown.vx vd, vs2, rs1, vm", "001111 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .slidedown) },
        Pattern("vslidedown.vi vd, vs2, uimm5, vm", "001111 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .slidedown) },
        Pattern("vslide1up.vx vd, vs2, rs1, vm", "001110 . ..... ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .slide1up) },
        Pattern("vslide1down.vx vd, vs2, rs1, vm", "001111 . ..... ..... 110 ..... 1010111", .zve32x) { x, i in x.vector(i, .slide1down) },
        Pattern("vfslide1up.vf vd, vs2, fs1, vm", "001110 . ..... ..... 101 ..... 1010111", .zve32f) { x, i in x.vectorFloat(i, .slide1up) },
        Pattern("vfslide1down.vf vd, vs2, fs1, vm", "001111 . ..... ..... 101 ..... 1010111", .zve32f) { x, i in x.vectorFloat(i, .slide1down) },
        Pattern("vrgather.vv vd, vs2, vs1, vm", "001100 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .rgather) },
        Pattern("vrgather.vx vd, vs2, rs1, vm", "001100 . ..... ..... 100 ..... 1010111", .zve32x) { x, i in x.vector(i, .rgather) },
        Pattern("vrgather.vi vd, vs2, uimm5, vm", "001100 . ..... ..... 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .rgather) },
        Pattern("vrgatherei16.vv vd, vs2, vs1, vm", "001110 . ..... ..... 000 ..... 1010111", .zve32x) { x, i in x.vector(i, .rgatherei16) },
        Pattern("vcompress.vm vd, vs2, vs1", "010111 1 ..... ..... 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .compress) },
        Pattern("vmv1r.v vd, vs2", "100111 1 ..... 00000 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .moveWhole) },
        Pattern("vmv2r.v vd, vs2", "100111 1 ..... 00001 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .moveWhole) },
        Pattern("vmv4r.v vd, vs2", "100111 1 ..... 00011 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .moveWhole) },
        Pattern("vmv8r.v vd, vs2", "100111 1 ..... 00111 011 ..... 1010111", .zve32x) { x, i in x.vector(i, .moveWhole) },
        Pattern("vzext.vf8 vd, vs2, vm", "010010 . ..... 00010 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .extend) },
        Pattern("vsext.vf8 vd, vs2, vm", "010010 . ..... 00011 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .extend) },
        Pattern("vzext.vf4 vd, vs2, vm", "010010 . ..... 00100 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .extend) },
        Pattern("vsext.vf4 vd, vs2, vm", "010010 . ..... 00101 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .extend) },
        Pattern("vzext.vf2 vd, vs2, vm", "010010 . ..... 00110 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .extend) },
        Pattern("vsext.vf2 vd, vs2, vm", "010010 . ..... 00111 010 ..... 1010111", .zve32x) { x, i in x.vector(i, .extend) },
    ]
}
