// What the host cannot answer, against independent expressions: f16 arithmetic through exact f64, rounding to nearest
// with ties away through the directed roundings, saturation, minimum and maximum, classes, tininess.
import SoftFloat
import Testing

/// f16 operands and their sums and products are exact in f64, so a second rounding gives the only rounding.
@Test func halfArithmeticAgreesWithDouble() {
    var random = RandomBits(17), bad = Mismatches()
    for _ in 0 ..< 200_000 {
        let a = random.float(.f16), b = random.float(.f16), c = random.float(.f16)
        for mode in RoundingDirection.allCases {
            var x = FloatEnvironment(mode), y = FloatEnvironment(mode)
            let p = FloatFormat.f16.convert(a, to: .f64, &y), q = FloatFormat.f16.convert(b, to: .f64, &y)
            let r = FloatFormat.f16.convert(c, to: .f64, &y)
            y.flags = []
            let sum = FloatFormat.f16.add(a, b, &x)
            var expected = FloatFormat.f64.convert(FloatFormat.f64.add(p, q, &y), to: .f16, &y)
            // Converting quieted the operands, and with them went the invalid flag.
            if FloatFormat.f16.isSignalling(a) || FloatFormat.f16.isSignalling(b) { y.flags.insert(.invalid) }
            bad.check(sum == expected && x.flags == y.flags, "\(mode) \(hex(a)) + \(hex(b)) = \(hex(sum)) \(x.flags), \(hex(expected)) \(y.flags)")
            x.flags = []
            y.flags = []
            let product = FloatFormat.f16.multiply(a, b, &x)
            expected = FloatFormat.f64.convert(FloatFormat.f64.multiply(p, q, &y), to: .f16, &y)
            if FloatFormat.f16.isSignalling(a) || FloatFormat.f16.isSignalling(b) { y.flags.insert(.invalid) }
            bad.check(product == expected && x.flags == y.flags, "\(mode) \(hex(a)) * \(hex(b)) = \(hex(product)) \(x.flags), \(hex(expected)) \(y.flags)")
            x.flags = []
            y.flags = []
            // A product of f16 has 22 bits at 2^-48 or above; adding an f16 fits 53 unless it is far larger.
            if !FloatFormat.f16.isSignalling(a), !FloatFormat.f16.isSignalling(b), !FloatFormat.f16.isSignalling(c) {
                let fused = FloatFormat.f16.multiplyAdd(a, b, c, &x)
                let wide = FloatFormat.f64.multiplyAdd(p, q, r, &y)
                if !y.flags.contains(.inexact) {
                    expected = FloatFormat.f64.convert(wide, to: .f16, &y)
                    bad.check(fused == expected && x.flags == y.flags, "\(mode) \(hex(a)) * \(hex(b)) + \(hex(c)) = \(hex(fused)), \(hex(expected))")
                }
            }
        }
    }
    #expect(bad.count == 0, "\(bad.described)")
}

/// The result of rounding to nearest is the one of the two directed results that is nearer; a tie goes away from zero.
@Test func nearestAwayIsTheNearerNeighbour() {
    var random = RandomBits(19), bad = Mismatches()
    for _ in 0 ..< 200_000 {
        let wide = Double(bitPattern: random.next() & 7 == 0 ? random.float(.f64) & ~0xfff_ffff : random.float(.f64))
        guard wide.isFinite, wide.magnitude < Double(Float.greatestFiniteMagnitude) else { continue }
        var x = FloatEnvironment(.towardZero), y = FloatEnvironment(.nearestAway)
        let near = FloatFormat.f64.convert(wide.bitPattern, to: .f32, &x)
        let away = FloatFormat.f64.convert(wide.bitPattern, to: .f32, &y)
        let low = Double(Float(bitPattern: UInt32(near))), high = Double(Float(bitPattern: UInt32(near)).magnitude.nextUp)
        // A tiny operand is far below the middle, whatever the differences round to.
        let up = wide.magnitude >= 0x1p-160 && high - wide.magnitude <= wide.magnitude - low.magnitude && wide.magnitude != low.magnitude
        let expected = up ? near + 1 : near
        bad.check(away == expected, "\(wide): \(hex(away)), expected \(hex(expected))")
    }
    #expect(bad.count == 0, "\(bad.described)")
    var x = FloatEnvironment(.nearestAway)
    #expect(FloatFormat.f64.roundToIntegral(Double(2.5).bitPattern, exact: false, &x) == Double(3).bitPattern)
    #expect(FloatFormat.f64.roundToIntegral(Double(-0.5).bitPattern, exact: false, &x) == Double(-1).bitPattern)
    #expect(x.flags == [])
}

@Test func integersSaturate() {
    let cases: [(Double, Int, Bool, UInt64, FloatFlags)] = [
        (.nan, 32, true, 0x7fff_ffff, .invalid), (.nan, 32, false, 0xffff_ffff, .invalid),
        (.nan, 64, true, UInt64(Int64.max), .invalid), (-.nan, 64, false, ~0, .invalid),
        (.infinity, 64, true, UInt64(Int64.max), .invalid), (-.infinity, 64, true, 1 << 63, .invalid),
        (-.infinity, 32, true, 0x8000_0000, .invalid), (-.infinity, 32, false, 0, .invalid), (-1, 64, false, 0, .invalid),
        (-0.25, 64, false, 0, .inexact), (-0.75, 32, false, 0, .invalid), (2147483647.5, 32, true, 0x7fff_ffff, .invalid),
        (-2147483648.5, 32, true, 0x8000_0000, .inexact), (-2147483649, 32, true, 0x8000_0000, .invalid),
        (4294967295.25, 32, false, 0xffff_ffff, .inexact), (0x1p63, 64, false, 1 << 63, []), (0x1p64, 64, false, ~0, .invalid),
        (-0x1p63, 64, true, 1 << 63, []), (0x1p63, 64, true, UInt64(Int64.max), .invalid), (-0.0, 64, true, 0, []),
        (1e300, 32, true, 0x7fff_ffff, .invalid), (.leastNonzeroMagnitude, 64, false, 0, .inexact),
    ]
    for (value, bits, signed, expected, flags) in cases {
        var x = FloatEnvironment()
        let result = FloatFormat.f64.toInteger(value.bitPattern, bits: bits, signed: signed, &x)
        #expect(result == expected && x.flags == flags, "\(value) \(bits) \(signed): \(hex(result)) \(x.flags)")
    }
}

@Test func modularConversionKeepsTheLowBits() {
    let cases: [(Double, Int32, FloatFlags)] = [
        (0x1p32 + 5, 5, .invalid), (-0x1p32 - 5, -5, .invalid), (-1.75, -1, .inexact), (0x1p31, .min, .invalid), (-0x1p31, .min, []),
        (0x1.fffff_ffff_ffffp62, Int32(truncatingIfNeeded: Int64(0x1.fffff_ffff_ffffp62)), .invalid), (0x1p84, 0, .invalid),
        (0x1.0000000000001p83, Int32.min, .invalid), (0x1.0000000000001p52, 1, .invalid), (.nan, 0, .invalid), (.infinity, 0, .invalid), (0, 0, []),
        (0x1.8p300, 0, .invalid),
    ]
    for (value, expected, flags) in cases {
        var x = FloatEnvironment(.towardZero)
        let result = FloatFormat.f64.toInt32Modular(value.bitPattern, &x)
        #expect(Int64(bitPattern: result) == Int64(expected) && x.flags == flags, "\(value): \(hex(result)) \(x.flags)")
    }
}

@Test func comparesAndChoosesExtremes() {
    var random = RandomBits(23), bad = Mismatches()
    for round in 0 ..< 300_000 {
        let a = random.float(.f64), b = round & 7 == 0 ? a : random.float(.f64)
        let p = Double(bitPattern: a), q = Double(bitPattern: b)
        let nan = p.isNaN || q.isNaN, signalling = p.isSignalingNaN || q.isSignalingNaN
        let quietFlags: FloatFlags = signalling ? .invalid : []
        var x = FloatEnvironment()
        bad.check(FloatFormat.f64.isEqual(a, b, &x) == (p == q) && x.flags == quietFlags, "\(p) == \(q)")
        bad.check(FloatFormat.f64.isLess(a, b, signalling: false, &x) == (p < q) && x.flags == quietFlags, "\(p) < \(q)")
        bad.check(FloatFormat.f64.isLessOrEqual(a, b, signalling: true, &x) == (p <= q) && x.flags == (nan ? .invalid : []), "\(p) <= \(q)")
        x.flags = []
        let equalZeros = p == 0 && q == 0
        let least = equalZeros ? a | b : p < q || q.isNaN ? a : b, greatest = equalZeros ? a & b : p > q || q.isNaN ? a : b
        let canonical = FloatFormat.f64.canonicalNaN, both = p.isNaN && q.isNaN
        bad.check(FloatFormat.f64.minimumNumber(a, b, &x) == (both ? canonical : least) && x.flags == quietFlags, "minimumNumber \(p) \(q)")
        bad.check(FloatFormat.f64.maximumNumber(a, b, &x) == (both ? canonical : greatest) && x.flags == quietFlags, "maximumNumber \(p) \(q)")
        bad.check(FloatFormat.f64.minimum(a, b, &x) == (nan ? canonical : least) && x.flags == quietFlags, "minimum \(p) \(q)")
        bad.check(FloatFormat.f64.maximum(a, b, &x) == (nan ? canonical : greatest) && x.flags == quietFlags, "maximum \(p) \(q)")
    }
    #expect(bad.count == 0, "\(bad.described)")
}

@Test func classifies() {
    for a in corners(of: .f64) {
        let expected: UInt64 = switch Double(bitPattern: a).floatingPointClass {
        case .negativeInfinity: 1
        case .negativeNormal: 2
        case .negativeSubnormal: 4
        case .negativeZero: 8
        case .positiveZero: 16
        case .positiveSubnormal: 32
        case .positiveNormal: 64
        case .positiveInfinity: 128
        case .signalingNaN: 256
        case .quietNaN: 512
        }
        #expect(FloatFormat.f64.classify(a) == expected)
    }
}

@Test func tininessBeforeRoundingIsAChoice() {
    // The largest value below the smallest normal that rounds up to it: tiny before rounding only.
    let a: UInt64 = 0x380f_ffff_ff00_0000 // 2^-126 × (1 − 2^-25), as f64
    var after = FloatEnvironment(), before = FloatEnvironment(.nearestEven, tininessBeforeRounding: true)
    #expect(FloatFormat.f64.convert(a, to: .f32, &after) == 0x0080_0000)
    #expect(FloatFormat.f64.convert(a, to: .f32, &before) == 0x0080_0000)
    #expect(after.flags == .inexact)
    #expect(before.flags == [.inexact, .underflow])
}
