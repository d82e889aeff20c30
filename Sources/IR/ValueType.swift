/// The type of an IR value.
///
/// Integers narrower than 64 bits are always kept zero-extended in their container, in every back end.
@frozen
public enum ValueType: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case none, i8, i16, i32, i64, f16, f32, f64, v128, v256

    /// Size in bytes; 0 for `none`.
    public var bytes: Int {
        switch self {
        case .none: 0
        case .i8: 1
        case .i16, .f16: 2
        case .i32, .f32: 4
        case .i64, .f64: 8
        case .v128: 16
        case .v256: 32
        }
    }

    /// Size in bits; 0 for `none`.
    public var bits: Int { bytes &* 8 }

    public var isInteger: Bool { rawValue >= ValueType.i8.rawValue && rawValue <= ValueType.i64.rawValue }
    public var isFloat: Bool { rawValue >= ValueType.f16.rawValue && rawValue <= ValueType.f64.rawValue }
    /// Kept in a vector register by back ends.
    public var isVector: Bool { rawValue >= ValueType.f16.rawValue }

    /// All ones in the low `bits` bits, for integers.
    public var mask: UInt64 { self == .i64 ? ~0 : (1 &<< UInt64(bits)) &- 1 }
}

/// A relation between two integers.
public enum Condition: UInt16, Sendable, CaseIterable {
    case equal, notEqual, lessU, greaterEqualU, lessS, greaterEqualS, lessEqualU, greaterU, lessEqualS, greaterS

    /// The relation that holds exactly when this one does not.
    public var inverted: Condition {
        switch self {
        case .equal: .notEqual
        case .notEqual: .equal
        case .lessU: .greaterEqualU
        case .greaterEqualU: .lessU
        case .lessS: .greaterEqualS
        case .greaterEqualS: .lessS
        case .lessEqualU: .greaterU
        case .greaterU: .lessEqualU
        case .lessEqualS: .greaterS
        case .greaterS: .lessEqualS
        }
    }

    /// The relation that holds for (b, a) when this one holds for (a, b).
    public var swapped: Condition {
        switch self {
        case .equal, .notEqual: self
        case .lessU: .greaterU
        case .greaterU: .lessU
        case .lessS: .greaterS
        case .greaterS: .lessS
        case .lessEqualU: .greaterEqualU
        case .greaterEqualU: .lessEqualU
        case .lessEqualS: .greaterEqualS
        case .greaterEqualS: .lessEqualS
        }
    }

    /// Whether the relation holds between two zero-extended values of `type`.
    public func holds(_ a: UInt64, _ b: UInt64, _ type: ValueType) -> Bool {
        let shift = UInt64(64 &- type.bits)
        let sa = Int64(bitPattern: a &<< shift), sb = Int64(bitPattern: b &<< shift)
        switch self {
        case .equal: return a == b
        case .notEqual: return a != b
        case .lessU: return a < b
        case .greaterEqualU: return a >= b
        case .lessS: return sa < sb
        case .greaterEqualS: return sa >= sb
        case .lessEqualU: return a <= b
        case .greaterU: return a > b
        case .lessEqualS: return sa <= sb
        case .greaterS: return sa > sb
        }
    }
}
