// Comparisons, minimum and maximum, classification (IEEE 754-2019 5.6.1, 5.7.2, 9.6).

extension FloatFormat {
    public func isEqual(_ a: UInt64, _ b: UInt64, signalling: Bool = false, _ x: inout FloatEnvironment) -> Bool {
        guard isOrdered(a, b, signalling, &x) else { return false }
        return a == b || (a | b) & ~signBit == 0
    }

    public func isLess(_ a: UInt64, _ b: UInt64, signalling: Bool, _ x: inout FloatEnvironment) -> Bool {
        guard isOrdered(a, b, signalling, &x) else { return false }
        return (a | b) & ~signBit != 0 && precedes(a, b)
    }

    public func isLessOrEqual(_ a: UInt64, _ b: UInt64, signalling: Bool, _ x: inout FloatEnvironment) -> Bool {
        guard isOrdered(a, b, signalling, &x) else { return false }
        return (a | b) & ~signBit == 0 || a == b || precedes(a, b)
    }

    /// minimumNumber and maximumNumber: a NaN loses against a number.
    public func minimumNumber(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        number(a, b, &x) ?? (precedes(a, b) ? a : b)
    }
    public func maximumNumber(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        number(a, b, &x) ?? (precedes(b, a) ? a : b)
    }
    /// minimum and maximum: a NaN wins.
    public func minimum(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        isNaN(a) || isNaN(b) ? propagate(a, b, &x) : precedes(a, b) ? a : b
    }
    public func maximum(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        isNaN(a) || isNaN(b) ? propagate(a, b, &x) : precedes(b, a) ? a : b
    }

    /// One of ten bits, as RISC-V's FCLASS numbers them: −∞, −normal, −subnormal, −0, +0, +subnormal, +normal, +∞,
    /// signalling NaN, quiet NaN.
    public func classify(_ a: UInt64) -> UInt64 {
        if isNaN(a) { return isSignalling(a) ? 1 &<< 8 : 1 &<< 9 }
        let magnitude = a & ~signBit
        let distanceFromZero: UInt64 =
            magnitude == 0 ? 0 : magnitude <= fractionMask ? 1 : magnitude < infinity ? 2 : 3
        return 1 &<< (a & signBit != 0 ? 3 &- distanceFromZero : 4 &+ distanceFromZero)
    }

    // MARK: parts

    private func isOrdered(_ a: UInt64, _ b: UInt64, _ signalling: Bool, _ x: inout FloatEnvironment) -> Bool {
        guard isNaN(a) || isNaN(b) else { return true }
        if signalling || isSignalling(a) || isSignalling(b) { x.raise(.invalid) }
        return false
    }

    /// The total order of numbers, −0 before +0.
    private func precedes(_ a: UInt64, _ b: UInt64) -> Bool {
        let negativeA = a & signBit != 0, negativeB = b & signBit != 0
        if negativeA != negativeB { return negativeA }
        return negativeA ? a > b : a < b
    }

    /// The answer of minimumNumber and maximumNumber if an operand is a NaN.
    private func number(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64? {
        guard isNaN(a) || isNaN(b) else { return nil }
        if isSignalling(a) || isSignalling(b) { x.raise(.invalid) }
        if isNaN(a), isNaN(b) { return quieted(a, x) }
        return isNaN(a) ? b : a
    }
}
