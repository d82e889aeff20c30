// "Zvfbfmin" and "Zvfbfwma": conversions and products of BF16 numbers in vectors.
// What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorBrainFloat: [Pattern] = [
        Pattern("vfwcvtbf16.f.f.v vd, vs2, vm", "010010 . ..... 01101 001 ..... 1010111", .zvfbfmin) { x, i in x.vectorFloat(i, .fwcvtBrain) },
        Pattern("vfncvtbf16.f.f.w vd, vs2, vm", "010010 . ..... 11101 001 ..... 1010111", .zvfbfmin) { x, i in x.vectorFloat(i, .fncvtBrain) },
        Pattern("vfwmaccbf16.vv vd, vs1, vs2, vm", "111011 . ..... ..... 001 ..... 1010111", .zvfbfwma) { x, i in x.vectorFloat(i, .fwmaccBrain) },
        Pattern("vfwmaccbf16.vf vd, fs1, vs2, vm", "111011 . ..... ..... 101 ..... 1010111", .zvfbfwma) { x, i in x.vectorFloat(i, .fwmaccBrain) },
    ]
}
