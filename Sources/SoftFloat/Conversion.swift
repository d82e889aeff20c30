// Conversions between formats, to and from integers, and rounding to integral values (IEEE 754-2019 5.4.1 to 5.4.3,
// 5.8, 5.9). Integers out of range saturate as the RISC-V unprivileged specification 20.7 says: a NaN counts as +∞.

extension FloatFormat {
    /// `a` of this format in format `target`.
    public func convert(_ a: UInt64, to target: FloatFormat, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a)
        switch p.kind {
        case .quietNaN, .signallingNaN:
            if p.kind == .signallingNaN { x.raise(.invalid) }
            if x.defaultNaN { return target.canonicalNaN }
            let payload = (a & fractionMask) &<< UInt64(truncatingIfNeeded: 64 &- fractionBits)
            return target.signed(p.sign, target.canonicalNaN | payload &>> UInt64(truncatingIfNeeded: 64 &- target.fractionBits))
        case .infinity: return target.signed(p.sign, target.infinity)
        case .zero: return target.signed(p.sign, 0)
        case .finite: return target.round(p.sign, p.exponent, p.significand, &x)
        }
    }

    /// `a` as an integer of `bits` (at most 64), zero-extended to 64 bits.
    public func toInteger(_ a: UInt64, bits: Int, signed: Bool, _ x: inout FloatEnvironment) -> UInt64 {
        let mask: UInt64 = ~0 &>> UInt64(truncatingIfNeeded: 64 &- bits)
        let p = unpack(a)
        let negative = p.sign && !p.isNaN
        // The largest magnitude of the result.
        let limit = signed ? (mask &>> 1) &+ (negative ? 1 : 0) : negative ? 0 : mask
        let saturated = (negative ? 0 &- limit : limit) & mask
        switch p.kind {
        case .zero: return 0
        case .infinity, .quietNaN, .signallingNaN:
            x.raise(.invalid)
            return saturated
        case .finite: break
        }
        guard p.exponent < 64 else {
            x.raise(.invalid)
            return saturated
        }
        let (magnitude, inexact) = integer(p, x.rounding)
        guard magnitude <= limit else {
            x.raise(.invalid)
            return saturated
        }
        if inexact { x.raise(.inexact) }
        return (negative ? 0 &- magnitude : magnitude) & mask
    }

    /// The integer in the low `bits` of `value`.
    public func fromInteger(_ value: UInt64, bits: Int, signed: Bool, _ x: inout FloatEnvironment) -> UInt64 {
        let unused = UInt64(truncatingIfNeeded: 64 &- bits)
        let extended = signed
            ? UInt64(bitPattern: Int64(bitPattern: value &<< unused) &>> Int64(bitPattern: unused))
            : (value &<< unused) &>> unused
        let negative = signed && extended &>> 63 != 0
        let magnitude = negative ? 0 &- extended : extended
        if magnitude == 0 { return 0 }
        let zeros = magnitude.leadingZeroBitCount
        return round(negative, 63 &- zeros, magnitude &<< UInt64(truncatingIfNeeded: zeros), &x)
    }

    /// `a` rounded to an integral value of the same format; inexact is raised only if `exact`.
    public func roundToIntegral(_ a: UInt64, exact: Bool, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a)
        if p.isNaN { return propagate(a, a, &x) }
        if p.kind != .finite || p.exponent >= fractionBits { return a }
        let (magnitude, inexact) = integer(p, x.rounding)
        if inexact && exact { x.raise(.inexact) }
        if magnitude == 0 { return signed(p.sign, 0) }
        let zeros = magnitude.leadingZeroBitCount
        // Exact: the magnitude has at most `precision` bits.
        return round(p.sign, 63 &- zeros, magnitude &<< UInt64(truncatingIfNeeded: zeros), &x)
    }

    /// The value as Int32, modulo 2³², rounded toward zero; 0 for infinities and NaNs (RISC-V `fcvtmod.w.d`). Flags are
    /// those of a conversion to a 32-bit signed integer. Sign-extended to 64 bits.
    public func toInt32Modular(_ a: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let p = unpack(a)
        guard p.kind == .finite else {
            if p.kind != .zero { x.raise(.invalid) }
            return 0
        }
        let magnitude: UInt64
        if p.exponent < 64 {
            let (whole, inexact) = integer(p, .towardZero)
            magnitude = whole
            if whole > (p.sign ? 1 &<< 31 : (1 &<< 31) &- 1) {
                x.raise(.invalid)
            } else if inexact {
                x.raise(.inexact)
            }
        } else {
            x.raise(.invalid)
            magnitude = p.exponent < 127 ? p.significand &<< UInt64(truncatingIfNeeded: p.exponent &- 63) : 0
        }
        let value = p.sign ? 0 &- magnitude : magnitude
        return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: value)))
    }

    /// The magnitude of a finite value below 2^64, rounded to an integer, and whether that lost anything.
    private func integer(_ p: Unpacked, _ rounding: RoundingDirection) -> (magnitude: UInt64, inexact: Bool) {
        let shift = 63 &- p.exponent
        if shift <= 0 { return (p.significand, false) }
        let whole = shift < 64 ? p.significand &>> UInt64(truncatingIfNeeded: shift) : 0
        let rest = shift <= 64
            ? p.significand &<< UInt64(truncatingIfNeeded: (64 &- shift) & 63)
            : shiftRightJamming(p.significand, shift &- 64)
        let up = Self.roundsUp(rest, 1 &<< 63, odd: whole & 1 != 0, p.sign, rounding)
        return (up ? whole &+ 1 : whole, rest != 0)
    }
}
