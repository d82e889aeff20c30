// Addition, multiplication, division, square root and fused multiply-add (IEEE 754-2019 5.4.1): each computes an exact
// or jammed significand and rounds once.

extension FloatFormat {
    public func add(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a), q = unpack(b)
        if p.isNaN || q.isNaN { return propagate(a, b, &x) }
        if p.kind == .infinity { return q.kind == .infinity && p.sign != q.sign ? invalid(&x) : a }
        if q.kind == .infinity { return b }
        if p.kind == .zero { return q.kind == .zero ? zeroSum(p.sign, q.sign, x.rounding) : b }
        if q.kind == .zero { return a }
        return sum(p, q, &x)
    }

    public func subtract(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        // A NaN subtrahend is propagated with its own sign.
        isNaN(b) ? propagate(a, b, &x) : add(a, b ^ signBit, &x)
    }

    public func multiply(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a), q = unpack(b)
        if p.isNaN || q.isNaN { return propagate(a, b, &x) }
        let sign = p.sign != q.sign
        if p.kind == .infinity || q.kind == .infinity {
            return p.kind == .zero || q.kind == .zero ? invalid(&x) : signed(sign, infinity)
        }
        if p.kind == .zero || q.kind == .zero { return signed(sign, 0) }
        return product(sign, p, q, &x)
    }

    public func divide(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a), q = unpack(b)
        if p.isNaN || q.isNaN { return propagate(a, b, &x) }
        let sign = p.sign != q.sign
        if p.kind == .infinity { return q.kind == .infinity ? invalid(&x) : signed(sign, infinity) }
        if q.kind == .infinity { return signed(sign, 0) }
        if q.kind == .zero {
            if p.kind == .zero { return invalid(&x) }
            x.raise(.divideByZero)
            return signed(sign, infinity)
        }
        if p.kind == .zero { return signed(sign, 0) }
        // The dividend's upper half is below 2^63 and the divisor is not, so the quotient fits.
        let division = q.significand.dividingFullWidth((p.significand &>> 1, p.significand &<< 63))
        let jammed = division.quotient | (division.remainder == 0 ? 0 : 1)
        return normalizeAndRound(sign, p.exponent &- q.exponent, jammed, &x)
    }

    public func squareRoot(_ a: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a)
        if p.isNaN { return propagate(a, a, &x) }
        if p.kind == .zero { return a }
        if p.sign { return invalid(&x) }
        if p.kind == .infinity { return a }
        // The radicand has an even exponent, so that its root's top bit is bit 63.
        let radicand = UInt128(p.significand) &<< (p.exponent & 1 == 0 ? 63 : 64)
        var root: UInt64 = 0
        var bit: UInt64 = 1 &<< 63
        for _ in 0 ..< precision &+ 2 {
            let candidate = root | bit
            if square(candidate) <= radicand { root = candidate }
            bit &>>= 1
        }
        return round(false, p.exponent &>> 1, root | (square(root) == radicand ? 0 : 1), &x)
    }

    /// a × b + c, rounded once. ∞ × 0 raises invalid whatever `c` is.
    public func multiplyAdd(_ a: UInt64, _ b: UInt64, _ c: UInt64, negateProduct: Bool = false, negateAddend: Bool = false,
                            _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a), q = unpack(b)
        var r = unpack(c)
        let invalidProduct = p.kind == .infinity && q.kind == .zero || p.kind == .zero && q.kind == .infinity
        if p.isNaN || q.isNaN || r.isNaN {
            if invalidProduct || isSignalling(a) || isSignalling(b) || isSignalling(c) { x.raise(.invalid) }
            return quieted(p.isNaN ? a : q.isNaN ? b : c, x)
        }
        if invalidProduct { return invalid(&x) }
        let sign = (p.sign != q.sign) != negateProduct
        r.sign = r.sign != negateAddend
        let addend = negateAddend ? c ^ signBit : c
        if p.kind == .infinity || q.kind == .infinity {
            return r.kind == .infinity && r.sign != sign ? invalid(&x) : signed(sign, infinity)
        }
        if r.kind == .infinity { return addend }
        if p.kind == .zero || q.kind == .zero {
            return r.kind == .zero ? zeroSum(sign, r.sign, x.rounding) : addend
        }
        return r.kind == .zero ? product(sign, p, q, &x) : fusedSum(sign, p, q, r, &x)
    }

    // MARK: parts

    private func square(_ root: UInt64) -> UInt128 { UInt128(root) &* UInt128(root) }

    private func zeroSum(_ a: Bool, _ b: Bool, _ rounding: RoundingDirection) -> UInt64 {
        signed(a == b ? a : rounding == .down, 0)
    }

    /// Rounds a nonzero significand whose top bit may be clear.
    private func normalizeAndRound(_ sign: Bool, _ exponent: Int, _ significand: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let zeros = significand.leadingZeroBitCount
        return round(sign, exponent &- zeros, significand &<< UInt64(truncatingIfNeeded: zeros), &x)
    }

    private func product(_ sign: Bool, _ p: Unpacked, _ q: Unpacked, _ x: inout FloatEnvironment) -> UInt64 {
        let product = p.significand.multipliedFullWidth(by: q.significand)
        let jammed = product.high | (product.low == 0 ? 0 : 1)
        return normalizeAndRound(sign, p.exponent &+ q.exponent &+ 1, jammed, &x)
    }

    /// The sum of two finite nonzero values. Significands have at least eleven low zeros, so a bit of headroom costs
    /// nothing, and jamming is exact enough: deep cancellation happens only when at most one bit is shifted out.
    private func sum(_ p: Unpacked, _ q: Unpacked, _ x: inout FloatEnvironment) -> UInt64 {
        let swap = p.exponent < q.exponent || p.exponent == q.exponent && p.significand < q.significand
        let large = swap ? q : p, small = swap ? p : q
        let high = large.significand &>> 1
        let low = shiftRightJamming(small.significand &>> 1, large.exponent &- small.exponent)
        if large.sign == small.sign { return normalizeAndRound(large.sign, large.exponent &+ 1, high &+ low, &x) }
        let difference = high &- low
        if difference == 0 { return signed(x.rounding == .down, 0) }
        return normalizeAndRound(large.sign, large.exponent &+ 1, difference, &x)
    }

    private func fusedSum(_ sign: Bool, _ p: Unpacked, _ q: Unpacked, _ r: Unpacked, _ x: inout FloatEnvironment) -> UInt64 {
        // Both summands with their top bit at 126 of 128.
        var product = UInt128(p.significand) &* UInt128(q.significand)
        var exponent = p.exponent &+ q.exponent
        if product &>> 127 != 0 {
            product &>>= 1
            exponent &+= 1
        }
        let addend = UInt128(r.significand) &<< 63
        let productIsLarger = exponent > r.exponent || exponent == r.exponent && product >= addend
        let distance = productIsLarger ? exponent &- r.exponent : r.exponent &- exponent
        let high = productIsLarger ? product : addend
        let low = shiftRightJamming(productIsLarger ? addend : product, distance)
        let largeSign = productIsLarger ? sign : r.sign
        let total = sign == r.sign ? high &+ low : high &- low
        if total == 0 { return signed(x.rounding == .down, 0) }
        let zeros = total.leadingZeroBitCount
        let normal = total &<< UInt128(truncatingIfNeeded: zeros)
        let top = UInt64(truncatingIfNeeded: normal &>> 64) | (UInt64(truncatingIfNeeded: normal) == 0 ? 0 : 1)
        let largeExponent = productIsLarger ? exponent : r.exponent
        return round(largeSign, largeExponent &+ 1 &- zeros, top, &x)
    }
}
