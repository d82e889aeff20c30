// What the `aux` field of an op means, by opcode.

/// State that ops touch by themselves: byte offsets from the state pointer.
public enum StateSlots {
    /// UInt64: the address of the load reservation (all ones: none), which `storeConditional` reads and clears.
    public static let reservationAddress: Int32 = 184
    /// UInt64: the value that was loaded there.
    public static let reservationValue: Int32 = 192
}

/// How a memory op reaches memory.
public struct MemoryAccess: Sendable, Equatable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// - Parameters:
    ///   - bytes: 1, 2, 4, 8, 16 or 32.
    ///   - signed: a loaded integer is sign-extended to the op's type.
    ///   - bigEndian: memory holds the most significant byte first.
    ///   - aligned: a misaligned address raises the guest's misalignment fault.
    ///   - atomic: the access is single-copy atomic with acquire (loads) or release (stores) order.
    ///   - mmuIndex: which address space of the vCPU is used, 0 to 15.
    public init(bytes: Int, signed: Bool = false, bigEndian: Bool = false, aligned: Bool = false, atomic: Bool = false,
                mmuIndex: UInt16 = 0) {
        rawValue = UInt16(truncatingIfNeeded: bytes.trailingZeroBitCount) & 7
            | (signed ? 8 : 0) | (bigEndian ? 16 : 0) | (aligned ? 32 : 0) | (atomic ? 64 : 0) | (mmuIndex & 15) &<< 8
    }

    public var bytes: Int { 1 &<< Int(rawValue & 7) }
    public var signed: Bool { rawValue & 8 != 0 }
    public var bigEndian: Bool { rawValue & 16 != 0 }
    public var aligned: Bool { rawValue & 32 != 0 }
    public var atomic: Bool { rawValue & 64 != 0 }
    public var mmuIndex: Int { Int(rawValue &>> 8) & 15 }
    /// The integer type of the access width (`i64` for wider ones).
    public var integerType: ValueType {
        switch bytes { case 1: .i8; case 2: .i16; case 4: .i32; default: .i64 }
    }
}

/// What `atomicRMW` does; stands in the low byte of its `imm` (the address has no displacement).
public enum AtomicOperation: UInt64, Sendable, CaseIterable {
    case swap, add, and, or, xor, minS, maxS, minU, maxU
}

/// What `fence` orders; stands in its `imm`.
public enum FenceKind: UInt64, Sendable, CaseIterable {
    /// Everything before against everything after.
    case full
    /// Loads before against everything after.
    case acquire
    /// Everything before against stores after.
    case release
    /// Stores before against stores after.
    case storeStore
}

/// IEEE 754 rounding attributes, numbered as RISC-V's `rm`.
public enum Rounding: UInt16, Sendable, CaseIterable {
    case nearestEven = 0, towardZero = 1, down = 2, up = 3, nearestAway = 4
}

/// Rounding and NaN rules of a floating-point op.
public struct FloatMode: Sendable, Equatable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// - Parameters:
    ///   - rounding: the rounding direction.
    ///   - resident: `rounding` is the vCPU's current dynamic mode (the translation context guarantees it).
    ///   - defaultNaN: a NaN result is the positive canonical quiet NaN; otherwise the first NaN operand, quieted.
    ///   - negateProduct: for `fma`. - negateAddend: for `fma`.
    ///   - signed: for conversions from and to integers. - exact: for `froundInt`.
    public init(_ rounding: Rounding = .nearestEven, resident: Bool = false, defaultNaN: Bool = true, negateProduct: Bool = false,
                negateAddend: Bool = false, signed: Bool = false, exact: Bool = false) {
        rawValue = rounding.rawValue | (resident ? 8 : 0) | (defaultNaN ? 16 : 0) | (negateProduct ? 32 : 0)
            | (negateAddend ? 64 : 0) | (signed ? 128 : 0) | (exact ? 256 : 0)
    }

    public var rounding: Rounding { Rounding(rawValue: rawValue & 7) ?? .nearestEven }
    public var resident: Bool { rawValue & 8 != 0 }
    public var defaultNaN: Bool { rawValue & 16 != 0 }
    public var negateProduct: Bool { rawValue & 32 != 0 }
    public var negateAddend: Bool { rawValue & 64 != 0 }
    public var signed: Bool { rawValue & 128 != 0 }
    public var exact: Bool { rawValue & 256 != 0 }
}

/// Which minimum or maximum `fminmax` computes.
public enum FloatMinMax: UInt16, Sendable, CaseIterable {
    /// IEEE 754-2019 minimumNumber and maximumNumber: a NaN operand loses; -0 < +0; a signalling NaN raises NV.
    case minimumNumber, maximumNumber
    /// IEEE 754-2019 minimum and maximum: a NaN operand gives the canonical NaN; -0 < +0.
    case minimum, maximum
}

/// Which relation `fcompare` tests; false if an operand is a NaN.
public enum FloatCompare: UInt16, Sendable, CaseIterable {
    /// Quiet: only a signalling NaN raises NV.
    case equalQuiet, lessQuiet, lessEqualQuiet
    /// Signalling: every NaN raises NV.
    case less, lessEqual
}

/// What a helper touches beside its arguments.
public struct HelperEffects: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    /// Depends on its arguments alone; may be removed or merged.
    public static let pure: HelperEffects = []
    public static let readsState = HelperEffects(rawValue: 1)
    public static let writesState = HelperEffects(rawValue: 2)
    public static let mayFault = HelperEffects(rawValue: 4)
    /// Raises sticky floating-point flags (of the state header).
    public static let raisesFlags = HelperEffects(rawValue: 8)
    /// A result other than 0 is an `ExitReason` plus 1: the trace is left at the current guest instruction. With reason
    /// `memoryFault` the helper has described the fault in the state header, as a guest address.
    public static let mayExit = HelperEffects(rawValue: 16)
}
