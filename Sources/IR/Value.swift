/// A value of the trace under construction, with operators that read like the manual.
///
/// Both operands of an operator have the same type; mixed widths are converted explicitly.
@frozen
public struct Value: @unchecked Sendable {
    public let arena: UnsafeMutablePointer<OpArena>
    public let ref: Ref
    public let type: ValueType

    public init(_ arena: UnsafeMutablePointer<OpArena>, _ ref: Ref, _ type: ValueType) {
        self.arena = arena
        self.ref = ref
        self.type = type
    }

    public var builder: Builder { Builder(arena) }
    /// A constant of this value's type.
    public func same(_ value: UInt64) -> Value { builder.constant(value, type) }

    // MARK: width

    /// The low bits as `type`.
    public func truncated(to type: ValueType) -> Value { self.type == type ? self : builder.unary(.truncate, self, type) }
    public func signExtended(to type: ValueType = .i64) -> Value { builder.unary(.signExtend, self, type) }
    public func zeroExtended(to type: ValueType = .i64) -> Value { builder.unary(.zeroExtend, self, type) }
    /// The low 32 bits.
    public var low32: Value { truncated(to: .i32) }
    /// The same bits as a value of `type`, which has the same size.
    public func bits(as type: ValueType) -> Value { builder.unary(.bitcast, self, type) }

    // MARK: arithmetic

    public static func + (a: Value, b: Value) -> Value { a.builder.binary(.add, a, b) }
    public static func - (a: Value, b: Value) -> Value { a.builder.binary(.sub, a, b) }
    public static func * (a: Value, b: Value) -> Value { a.builder.binary(.mul, a, b) }
    public static func & (a: Value, b: Value) -> Value { a.builder.binary(.and, a, b) }
    public static func | (a: Value, b: Value) -> Value { a.builder.binary(.or, a, b) }
    public static func ^ (a: Value, b: Value) -> Value { a.builder.binary(.xor, a, b) }
    public static prefix func ~ (a: Value) -> Value { a.builder.unary(.not, a) }
    public static prefix func - (a: Value) -> Value { a.builder.unary(.neg, a) }
    /// `self & ~other`
    public func andNot(_ other: Value) -> Value { builder.binary(.andNot, self, other) }

    /// Shifts take their amount modulo the width; the amount has the type of the shifted value.
    public static func << (a: Value, b: Value) -> Value { a.builder.binary(.shl, a, b) }
    public func shiftedRightUnsigned(by b: Value) -> Value { builder.binary(.shrU, self, b) }
    public func shiftedRightSigned(by b: Value) -> Value { builder.binary(.shrS, self, b) }
    public func rotatedLeft(by b: Value) -> Value { builder.binary(.rotl, self, b) }
    public func rotatedRight(by b: Value) -> Value { builder.binary(.rotr, self, b) }

    public func dividedUnsigned(by b: Value) -> Value { builder.binary(.divU, self, b) }
    public func dividedSigned(by b: Value) -> Value { builder.binary(.divS, self, b) }
    public func remainderUnsigned(by b: Value) -> Value { builder.binary(.remU, self, b) }
    public func remainderSigned(by b: Value) -> Value { builder.binary(.remS, self, b) }

    // MARK: comparison (i64 0 or 1)

    public func compare(_ condition: Condition, _ b: Value) -> Value {
        builder.binary(.compare, self, b, .i64, aux: condition.rawValue)
    }
    public static func == (a: Value, b: Value) -> Value { a.compare(.equal, b) }
    public static func != (a: Value, b: Value) -> Value { a.compare(.notEqual, b) }
    public func isLessUnsigned(than b: Value) -> Value { compare(.lessU, b) }
    public func isLessSigned(than b: Value) -> Value { compare(.lessS, b) }
}
