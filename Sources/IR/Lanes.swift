// The fast form of a vector instruction: what a `lanes` op says a back end may do in place of the helper that follows it.
//
// Vector registers stand in untracked guest state; a group of them is one run of bytes, which a form names by offset. The
// form holds under one condition, which the back end compares when the code runs: the word at `StateSlots.laneMode` is the
// one the form was made for. It says that every element is active but for the mask operand. Where it differs, and in back
// ends without lanes, the helper does the instruction: so a form is never needed and adds no meaning.

extension StateSlots {
    /// UInt64: how many lanes are active where not all are.
    public static let laneLength: Int32 = 8192
    /// UInt64: what forms compare; see `LaneForm.mode`.
    public static let laneMode: Int32 = 8224
    /// UInt64: where a form with a scalar result leaves it.
    public static let laneScalar: Int32 = 8232
}

/// What a form computes. First source `x`, second source `y` (a group, or the scalar in every lane), destination `d`.
public enum LaneOperation: UInt64, Sendable, CaseIterable {
    /// Memory at the scalar to and from `d`, `groupBytes` of it.
    case load, store
    /// The same with segments of `immediate` fields (2 to 4): field 0 at d, field 1 at y, the others as far on.
    case loadSegments, storeSegments
    /// d = y.
    case copy
    case add, sub, reverseSub, and, or, xor, minS, minU, maxS, maxU, mul
    /// Shifts by `y` modulo the width.
    case shl, shrU, shrS
    /// d = d + y × x, d − y × x, y × d + x, x − y × d.
    case multiplyAdd, multiplySub, multiplyAddToX, multiplySubFromX
    /// d = mask ? y : x.
    case merge
    /// Mask d = x ⟨relation⟩ y.
    case equal, notEqual, lessS, lessU, lessEqualS, lessEqualU, greaterS, greaterU
    /// d of twice the width: both sources widened, signed or not; of those with `W`, x is wide already.
    case wideAddS, wideAddU, wideSubS, wideSubU, wideAddSW, wideAddUW, wideSubSW, wideSubUW, wideMulS, wideMulU
    case wideMultiplyAddS, wideMultiplyAddU
    /// d = x widened from a half, a quarter, an eighth of the width.
    case extendS2, extendU2, extendS4, extendU4, extendS8, extendU8
    /// d of half the width: x shifted right by the scalar, and the low half of it.
    case narrowShrU, narrowShrS
    /// d[0] = y[0] and all of x.
    case sumAll, andAll, orAll, xorAll, minAllS, minAllU, maxAllS, maxAllU
    /// d[i] = x[i + scalar], zero beyond the end; d[i] = x[i + 1], the scalar at the end; d[i] = x[i − 1], the scalar first.
    case slideDown, slideDownOne, slideUpOne
    /// d[i] = x[y[i]], zero beyond the end.
    case gather
    /// The scalar result: x[0] sign-extended; the bits of x[0], boxed; how many bits of mask x are set; the first, or −1.
    case moveToInteger, moveToFloat, countMask, firstInMask
    /// Mask d = x op y.
    case maskAnd, maskOr, maskXor, maskAndNot, maskOrNot, maskNand, maskNor, maskXnor
    /// d = x & ~y; x rotated by `y` modulo the width; each lane's bytes reversed; each byte's bits reversed.
    case andNot, rotateLeft, rotateRight, reverseBytes, reverseBitsInBytes
    /// d of twice the width: x extended by zeros, shifted by `y` modulo that width.
    case wideShl
    /// The low and the high half of carry-less products.
    case clmulLow, clmulHigh
    // Groups of 16 bytes, whatever the lanes. `immediate` 1: the first group of x serves all of d.
    /// Rounds of AES on d with the key x; those for decryption with the key added before the columns are mixed; the key added.
    case aesEncryptMiddle, aesEncryptLast, aesDecryptMiddle, aesDecryptLast, aesAddKey
    /// d = d · x, (d + y) · x, in the field and the bit order of GHASH.
    case ghashMultiply, ghashAddMultiply
    /// SHA-256: four words of the schedule from d, x and y; two rounds on d and x with the low or the high two words of y.
    case sha256Schedule, sha256RoundsLow, sha256RoundsHigh
    // Floating point, in the rounding mode that is resident. NaN results are canonical.
    case fadd, fsub, freverseSub, fmul, fdiv, freverseDiv, fsqrt, fmin, fmax, copySign, negateSign, xorSign
    /// d = ±(x × y) ± d; d = ±(d × y) ± x, named by the signs of product and addend.
    case fmaPlusPlus, fmaMinusMinus, fmaPlusMinus, fmaMinusPlus
    case fmaToXPlusPlus, fmaToXMinusMinus, fmaToXPlusMinus, fmaToXMinusPlus
    case fequal, fnotEqual, fless, flessEqual, fgreater, fgreaterEqual
    /// Conversions of one width, from and to signed integers; truncating; to twice and to half the width.
    case intToFloat, floatToInt, floatToIntTruncating, floatToWide, floatToNarrow
    /// d[0] = y[0] + x[0] + x[1] + …, in this order.
    case fsumAll
}

/// What stands in the `imm` of a `lanes` op, packed.
public struct LaneForm: Sendable, Equatable {
    public var rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Where `y` comes from.
    public enum Second: UInt64, Sendable {
        case none, group, integer, float, immediate
    }

    /// - Parameters:
    ///   - laneShift: log₂ of the lane's bytes, of the narrow lane where there are two.
    ///   - groupShift: log₂ of the bytes of a group of such lanes.
    ///   - d, x, y: state offsets of groups, multiples of 8.
    ///   - immediate: the second source, −16 to 31; of loads and stores how many fields a segment has, 0 for whole registers;
    ///     of copies of a group 0 for whole registers.
    ///   - mode: the six bits that `StateSlots.laneMode` holds, beside bit 8.
    public init(_ operation: LaneOperation, laneShift: Int, groupShift: Int, d: Int32, x: Int32, y: Int32, second: Second, immediate: Int = 0,
                mode: UInt64) {
        func slot(_ offset: Int32) -> UInt64 { UInt64(truncatingIfNeeded: offset &>> 3) & 0x7ff }
        rawValue = operation.rawValue & 0xff | UInt64(laneShift & 3) &<< 8 | UInt64(groupShift & 15) &<< 10 | slot(d) &<< 14
            | slot(x) &<< 25 | slot(y) &<< 36 | second.rawValue &<< 47 | UInt64(truncatingIfNeeded: immediate &+ 16) &<< 50 | (mode & 63) &<< 56
    }

    public var operation: LaneOperation? { LaneOperation(rawValue: rawValue & 0xff) }
    public var laneShift: Int { Int(rawValue &>> 8 & 3) }
    public var groupShift: Int { Int(rawValue &>> 10 & 15) }
    public var d: Int32 { Int32(rawValue &>> 14 & 0x7ff) &<< 3 }
    public var x: Int32 { Int32(rawValue &>> 25 & 0x7ff) &<< 3 }
    public var y: Int32 { Int32(rawValue &>> 36 & 0x7ff) &<< 3 }
    public var second: Second { Second(rawValue: rawValue &>> 47 & 7) ?? .none }
    public var immediate: Int { Int(rawValue &>> 50 & 63) &- 16 }
    /// The word to compare: the vector type's bits, and bit 8: all elements are active.
    public var mode: Int32 { Int32(rawValue &>> 56 & 63) | 0x100 }
    /// A load, store or copy of whole registers, however many elements are active.
    public var isWhole: Bool {
        switch operation {
        case .load, .store: immediate == 0
        case .copy: second == .group && immediate == 0
        default: false
        }
    }
    public var groupBytes: Int { 1 &<< groupShift }
    public var laneBytes: Int { 1 &<< laneShift }
    /// The word where fewer elements are active, from the first on: with care for those behind, forms hold then too.
    public var partialMode: Int32 { mode & 0xff }
    /// Lanes of a group.
    public var count: Int { 1 &<< max(groupShift &- laneShift, 0) }
}
