// "Vector Floating-Point Reciprocal Square-Root Estimate" and "Reciprocal Estimate": seven bits, all of them prescribed.
// The manual prints the results as tables; they are those of the middle of each interval, rounded to nearest.

import SoftFloat

enum FloatEstimate {
    /// By the lowest exponent bit and six fraction bits.
    private static let roots: [UInt64] = (0 ..< 128).map { index in
        let significand: Double = 1 + (Double(index & 63) + 0.5) / 64
        let value: Double = index < 64 ? 2 * significand : significand
        let result: Double = (2 / value.squareRoot() - 1) * 128
        return UInt64(result + 0.5)
    }
    /// By seven fraction bits.
    private static let reciprocals: [UInt64] = (0 ..< 128).map { index in
        let value: Double = 1 + (Double(index) + 0.5) / 128
        let result: Double = (2 / value - 1) * 128
        return UInt64(result + 0.5)
    }

    private struct Parts {
        var exponent: Int
        var fraction: UInt64
        let sign: UInt64
        let isSubnormal: Bool

        /// Subnormal numbers are normalised: their exponent becomes 0 or less.
        init(_ bits: UInt64, _ f: FloatFormat) {
            let width = UInt64(f.fractionBits)
            let mask: UInt64 = 1 &<< width &- 1
            sign = bits &>> (width &+ UInt64(f.exponentBits)) & 1
            exponent = Int(truncatingIfNeeded: bits &>> width & (1 &<< UInt64(f.exponentBits) &- 1))
            fraction = bits & mask
            isSubnormal = exponent == 0
            guard isSubnormal, fraction != 0 else { return }
            while fraction &>> (width &- 1) & 1 == 0 {
                fraction = fraction &<< 1 & mask
                exponent &-= 1
            }
            fraction = fraction &<< 1 & mask
        }
    }

    private static func isZero(_ bits: UInt64, _ f: FloatFormat) -> Bool {
        bits &<< UInt64(64 &- f.fractionBits &- f.exponentBits) == 0
    }

    private static func assembled(_ sign: UInt64, _ exponent: Int, _ fraction: UInt64, _ f: FloatFormat) -> UInt64 {
        (sign &<< UInt64(f.exponentBits) | UInt64(truncatingIfNeeded: exponent)) &<< UInt64(f.fractionBits) | fraction
    }

    static func reciprocalRoot(_ bits: UInt64, _ f: FloatFormat, _ x: inout FloatEnvironment) -> UInt64 {
        let p = Parts(bits, f)
        let bias = 1 &<< (f.exponentBits &- 1) &- 1
        if f.isNaN(bits) {
            if f.isSignalling(bits) { x.flags.formUnion(.invalid) }
            return f.canonicalNaN
        }
        if isZero(bits, f) {
            x.flags.formUnion(.divideByZero)
            return bits | f.infinity
        }
        if p.sign != 0 {
            x.flags.formUnion(.invalid)
            return f.canonicalNaN
        }
        if bits == f.infinity { return 0 }
        let index = (p.exponent & 1) &<< 6 | Int(truncatingIfNeeded: p.fraction &>> UInt64(f.fractionBits &- 6))
        let exponent = (3 &* bias &- 1 &- p.exponent) / 2
        return assembled(0, exponent, roots[index & 127] &<< UInt64(f.fractionBits &- 7), f)
    }

    static func reciprocal(_ bits: UInt64, _ f: FloatFormat, _ x: inout FloatEnvironment) -> UInt64 {
        let p = Parts(bits, f)
        let bias = 1 &<< (f.exponentBits &- 1) &- 1
        let sign = p.sign &<< UInt64(f.fractionBits &+ f.exponentBits)
        if f.isNaN(bits) {
            if f.isSignalling(bits) { x.flags.formUnion(.invalid) }
            return f.canonicalNaN
        }
        if isZero(bits, f) {
            x.flags.formUnion(.divideByZero)
            return bits | f.infinity
        }
        if bits ^ sign == f.infinity { return sign }
        if p.exponent < -1 {
            // The reciprocal is too large.
            x.flags.formUnion([.inexact, .overflow])
            let staysFinite = x.rounding == .towardZero || x.rounding == (p.sign != 0 ? .up : .down)
            return sign | (staysFinite ? f.infinity &- 1 : f.infinity)
        }
        var exponent = 2 &* bias &- 1 &- p.exponent
        var fraction = reciprocals[Int(truncatingIfNeeded: p.fraction &>> UInt64(f.fractionBits &- 7)) & 127] &<< UInt64(f.fractionBits &- 7)
        if exponent <= 0 {
            fraction = (1 &<< UInt64(f.fractionBits) | fraction) &>> UInt64(1 &- exponent)
            exponent = 0
        }
        return assembled(p.sign, exponent, fraction, f)
    }
}
