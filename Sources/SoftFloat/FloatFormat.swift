// IEEE 754-2019 binary floating point on bit patterns, in integer arithmetic only, so that results, flags and NaNs are
// the same on every host. This file: the formats, the environment of an operation, and the unpacked form that the
// operations (in the other files of this folder) compute with. Values are bit patterns zero-extended to 64 bits.
// It leaves out decimal formats, binary128 and the x87 format.

/// A binary interchange format of at most 64 bits.
@frozen
public struct FloatFormat: Sendable, Equatable {
    public let fractionBits: Int
    public let exponentBits: Int

    @inlinable
    init(fractionBits: Int, exponentBits: Int) {
        self.fractionBits = fractionBits
        self.exponentBits = exponentBits
    }

    @inlinable public static var f16: FloatFormat { FloatFormat(fractionBits: 10, exponentBits: 5) }
    @inlinable public static var f32: FloatFormat { FloatFormat(fractionBits: 23, exponentBits: 8) }
    @inlinable public static var f64: FloatFormat { FloatFormat(fractionBits: 52, exponentBits: 11) }

    /// The upper half of a single: bfloat16.
    @inlinable public static var bf16: FloatFormat { FloatFormat(fractionBits: 7, exponentBits: 8) }

    var precision: Int { fractionBits &+ 1 }
    var bias: Int { (1 &<< (exponentBits &- 1)) &- 1 }
    var maximumExponent: Int { bias }
    var minimumExponent: Int { 1 &- bias }
    var exponentField: UInt64 { (1 &<< UInt64(truncatingIfNeeded: exponentBits)) &- 1 }
    var fractionMask: UInt64 { (1 &<< UInt64(truncatingIfNeeded: fractionBits)) &- 1 }
    var signBit: UInt64 { 1 &<< UInt64(truncatingIfNeeded: fractionBits &+ exponentBits) }
    var quietBit: UInt64 { 1 &<< UInt64(truncatingIfNeeded: fractionBits &- 1) }

    /// The bits of +∞.
    public var infinity: UInt64 { exponentField &<< UInt64(truncatingIfNeeded: fractionBits) }
    /// The positive quiet NaN without payload.
    public var canonicalNaN: UInt64 { infinity | quietBit }
    var largestFinite: UInt64 { infinity &- 1 }

    func signed(_ sign: Bool, _ magnitude: UInt64) -> UInt64 { sign ? signBit | magnitude : magnitude }
}

/// IEEE 754 rounding attributes, numbered as RISC-V's `rm`.
public enum RoundingDirection: UInt8, Sendable, CaseIterable {
    case nearestEven = 0, towardZero = 1, down = 2, up = 3, nearestAway = 4
}

/// Exception flags, numbered as RISC-V's `fflags`.
@frozen
public struct FloatFlags: OptionSet, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static var inexact: FloatFlags { FloatFlags(rawValue: 1) }
    public static var underflow: FloatFlags { FloatFlags(rawValue: 2) }
    public static var overflow: FloatFlags { FloatFlags(rawValue: 4) }
    public static var divideByZero: FloatFlags { FloatFlags(rawValue: 8) }
    public static var invalid: FloatFlags { FloatFlags(rawValue: 16) }
}

/// What an operation obeys, and the flags it raises.
@frozen
public struct FloatEnvironment: Sendable {
    public var rounding: RoundingDirection
    /// A NaN result is the positive canonical NaN; otherwise the first NaN operand, quieted.
    public var defaultNaN: Bool
    /// Underflow is detected on the result before rounding (ARM); otherwise after it (x86, RISC-V).
    public var tininessBeforeRounding: Bool
    /// Sticky: operations only add to them.
    public var flags: FloatFlags

    @inlinable
    public init(_ rounding: RoundingDirection = .nearestEven, defaultNaN: Bool = true, tininessBeforeRounding: Bool = false) {
        self.rounding = rounding
        self.defaultNaN = defaultNaN
        self.tininessBeforeRounding = tininessBeforeRounding
        flags = []
    }

    mutating func raise(_ flag: FloatFlags) { flags.rawValue |= flag.rawValue }
}

/// The value of a bit pattern: ±significand × 2^(exponent − 63), the significand's top bit set if it is finite and
/// not zero.
struct Unpacked {
    enum Kind { case zero, finite, infinity, quietNaN, signallingNaN }

    var sign: Bool
    var kind: Kind
    var exponent = 0
    var significand: UInt64 = 0

    var isNaN: Bool { kind == .quietNaN || kind == .signallingNaN }
}

/// `value >> amount`, the lowest bit set if any bit was lost; `amount >= 0`.
@inline(__always)
func shiftRightJamming<T: FixedWidthInteger & UnsignedInteger>(_ value: T, _ amount: Int) -> T {
    if amount == 0 { return value }
    if amount >= T.bitWidth { return value == 0 ? 0 : 1 }
    let distance = T(truncatingIfNeeded: amount)
    let lost = value & ((1 &<< distance) &- 1)
    return (value &>> distance) | (lost == 0 ? 0 : 1)
}

extension FloatFormat {
    func unpack(_ bits: UInt64) -> Unpacked {
        let sign = bits & signBit != 0
        let field = (bits &>> UInt64(truncatingIfNeeded: fractionBits)) & exponentField
        let fraction = bits & fractionMask
        if field == exponentField {
            if fraction == 0 { return Unpacked(sign: sign, kind: .infinity) }
            return Unpacked(sign: sign, kind: fraction & quietBit != 0 ? .quietNaN : .signallingNaN)
        }
        let alignment = UInt64(truncatingIfNeeded: 64 &- precision)
        if field == 0 {
            if fraction == 0 { return Unpacked(sign: sign, kind: .zero) }
            let raised = fraction &<< alignment
            let zeros = raised.leadingZeroBitCount
            return Unpacked(sign: sign, kind: .finite, exponent: minimumExponent &- zeros,
                            significand: raised &<< UInt64(truncatingIfNeeded: zeros))
        }
        return Unpacked(sign: sign, kind: .finite, exponent: Int(truncatingIfNeeded: field) &- bias,
                        significand: (fraction | (fractionMask &+ 1)) &<< alignment)
    }

    /// Whether discarding the bits of `rest` under `half` (the weight of half a unit) rounds the magnitude up.
    @inline(__always)
    static func roundsUp(_ rest: UInt64, _ half: UInt64, odd: Bool, _ sign: Bool, _ rounding: RoundingDirection) -> Bool {
        switch rounding {
        case .nearestEven: rest > half || rest == half && odd
        case .nearestAway: rest >= half
        case .towardZero: false
        case .down: sign && rest != 0
        case .up: !sign && rest != 0
        }
    }

    /// Rounds ±significand × 2^(exponent − 63) to this format. The significand's top bit is set; its lowest bit stands
    /// for everything below it (see `shiftRightJamming`).
    func round(_ sign: Bool, _ exponent: Int, _ significand: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        let dropped = UInt64(truncatingIfNeeded: 64 &- precision)
        let half: UInt64 = 1 &<< (dropped &- 1)
        let restMask = (half &<< 1) &- 1
        let tiny = exponent < minimumExponent

        var shifted = significand
        if tiny { shifted = shiftRightJamming(significand, minimumExponent &- exponent) }
        let rest = shifted & restMask
        var kept = shifted &>> dropped
        if rest != 0 { x.raise(.inexact) }
        if Self.roundsUp(rest, half, odd: kept & 1 != 0, sign, x.rounding) { kept &+= 1 }

        if tiny {
            if rest != 0, x.tininessBeforeRounding || !reachesNormal(sign, exponent, significand, x.rounding) {
                x.raise(.underflow)
            }
            // A carry into the hidden bit is the smallest normal number's exponent field.
            return signed(sign, kept)
        }
        var exponent = exponent
        if kept &>> UInt64(truncatingIfNeeded: precision) != 0 {
            kept &>>= 1
            exponent &+= 1
        }
        if exponent > maximumExponent { return overflow(sign, &x) }
        let field = UInt64(truncatingIfNeeded: exponent &+ bias) &<< UInt64(truncatingIfNeeded: fractionBits)
        return signed(sign, field | kept & fractionMask)
    }

    /// Whether a value below the normal range would round to a normal number if exponents had no lower bound.
    private func reachesNormal(_ sign: Bool, _ exponent: Int, _ significand: UInt64, _ rounding: RoundingDirection) -> Bool {
        guard exponent == minimumExponent &- 1 else { return false }
        let dropped = UInt64(truncatingIfNeeded: 64 &- precision)
        let half: UInt64 = 1 &<< (dropped &- 1)
        let kept = significand &>> dropped
        guard kept == (1 &<< UInt64(truncatingIfNeeded: precision)) &- 1 else { return false }
        return Self.roundsUp(significand & ((half &<< 1) &- 1), half, odd: true, sign, rounding)
    }

    private func overflow(_ sign: Bool, _ x: inout FloatEnvironment) -> UInt64 {
        x.raise([.overflow, .inexact])
        let toInfinity = switch x.rounding {
        case .nearestEven, .nearestAway: true
        case .towardZero: false
        case .down: sign
        case .up: !sign
        }
        return signed(sign, toInfinity ? infinity : largestFinite)
    }

    // MARK: NaNs

    /// The result of an operation without a numeric answer.
    func invalid(_ x: inout FloatEnvironment) -> UInt64 {
        x.raise(.invalid)
        return canonicalNaN
    }

    func quieted(_ bits: UInt64, _ x: FloatEnvironment) -> UInt64 { x.defaultNaN ? canonicalNaN : bits | quietBit }

    /// The NaN that an operation on `operands` gives, one of which is a NaN; raises invalid for a signalling one.
    func propagate(_ a: UInt64, _ b: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
        if isSignalling(a) || isSignalling(b) { x.raise(.invalid) }
        return quieted(isNaN(a) ? a : b, x)
    }

    public func isNaN(_ bits: UInt64) -> Bool { bits & ~signBit > infinity }
    public func isSignalling(_ bits: UInt64) -> Bool { isNaN(bits) && bits & quietBit == 0 }
}
