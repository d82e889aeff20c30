// Every integer opcode on corner values of every width, against Swift's own arithmetic.
import IR
import Interpreter
import Testing
import TraceFuzzing
import Translation

/// Runs traces of one op on constants.
private final class OneOp {
    private let arena = UnsafeMutablePointer<OpArena>.allocate(capacity: 1)
    private let vcpu = VCPU(layout: TraceMachine.layout)

    init() { arena.initialize(to: OpArena(capacity: 64)) }
    deinit {
        arena.pointee.deallocate()
        arena.deallocate()
    }

    /// The result of what `build` makes, as the 8 bytes that the value container holds.
    func run(_ build: (Builder) -> Value) -> UInt64 {
        arena.pointee.count = 0
        let x = Builder(arena)
        x.instruction(at: 0x1000, length: 4)
        let value = build(x)
        x.put(TraceMachine.integer(5), Value(arena, value.ref, .i64))
        x.jump(to: 0x1004)
        _ = InterpreterEngine.execute(arena.pointee, on: vcpu)
        return vcpu[UInt64.self, TraceMachine.integer(5)]
    }
}

private func corners<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) -> [T] {
    var all: [T] = [0, 1, 2, 3, .max, .max - 1, .max >> 1, (.max >> 1) + 1, (.max >> 1) + 2, 0x55 & .max, 0xf0 & .max]
    var random = RandomBits(UInt64(T.bitWidth))
    for _ in 0 ..< 12 { all.append(T(truncatingIfNeeded: random.next())) }
    return all
}

private func carryLess<T: FixedWidthInteger & UnsignedInteger>(_ a: T, _ b: T) -> UInt128 {
    var sum: UInt128 = 0
    for bit in 0 ..< T.bitWidth where b >> T(bit) & 1 == 1 { sum ^= UInt128(a) << UInt128(bit) }
    return sum
}

private func orCombined<T: FixedWidthInteger & UnsignedInteger>(_ a: T) -> T {
    var result: T = 0
    for byte in stride(from: 0, to: T.bitWidth, by: 8) where a >> T(byte) & 0xff != 0 { result |= 0xff << T(byte) }
    return result
}

private func check<T, S>(_ type: ValueType, _: T.Type, _: S.Type) -> [String]
where T: FixedWidthInteger & UnsignedInteger, S: FixedWidthInteger & SignedInteger {
    let machine = OneOp()
    var wrong: [String] = []
    func expect(_ code: Opcode, _ a: T, _ b: T, _ expected: T, _ result: UInt64) {
        if result != UInt64(expected) { wrong.append("\(code).\(type) \(a) \(b): \(result), expected \(expected)") }
    }
    for a in corners(T.self) {
        let unary: [(Opcode, T)] = [
            (.not, ~a), (.neg, 0 &- a), (.clz, T(a.leadingZeroBitCount)), (.ctz, T(a.trailingZeroBitCount)),
            (.popcount, T(a.nonzeroBitCount)), (.byteSwap, a.byteSwapped), (.orCombine, orCombined(a)),
        ]
        for (code, expected) in unary {
            expect(code, a, 0, expected, machine.run { x in x.unary(code, x.constant(UInt64(a), type)) })
        }
        for b in corners(T.self) {
            let s = S(truncatingIfNeeded: a), t = S(truncatingIfNeeded: b)
            let shift = Int(b % T(T.bitWidth))
            let product = carryLess(a, b)
            let mixed = Int128(s) * Int128(b)
            let binary: [(Opcode, T)] = [
                (.add, a &+ b), (.sub, a &- b), (.mul, a &* b), (.mulHighU, a.multipliedFullWidth(by: b).high),
                (.mulHighS, T(truncatingIfNeeded: s.multipliedFullWidth(by: t).high)),
                (.mulHighSU, T(truncatingIfNeeded: mixed >> Int128(T.bitWidth))),
                (.divU, b == 0 ? .max : a / b), (.remU, b == 0 ? a : a % b),
                (.divS, b == 0 ? .max : s == .min && t == -1 ? a : T(truncatingIfNeeded: s / t)),
                (.remS, b == 0 ? a : s == .min && t == -1 ? 0 : T(truncatingIfNeeded: s % t)),
                (.and, a & b), (.or, a | b), (.xor, a ^ b), (.andNot, a & ~b),
                (.shl, a << shift), (.shrU, a >> shift), (.shrS, T(truncatingIfNeeded: s >> shift)),
                (.rotl, a << shift | (shift == 0 ? 0 : a >> (T.bitWidth - shift))),
                (.rotr, a >> shift | (shift == 0 ? 0 : a << (T.bitWidth - shift))),
                (.clmul, T(truncatingIfNeeded: product)), (.clmulHigh, T(truncatingIfNeeded: product >> UInt128(T.bitWidth))),
                (.clmulReversed, T(truncatingIfNeeded: product >> UInt128(T.bitWidth - 1))),
            ]
            for (code, expected) in binary {
                expect(code, a, b, expected, machine.run { x in
                    x.binary(code, x.constant(UInt64(a), type), x.constant(UInt64(b), type))
                })
            }
            let relations: [(Condition, Bool)] = [
                (.equal, a == b), (.notEqual, a != b), (.lessU, a < b), (.greaterEqualU, a >= b), (.lessS, s < t),
                (.greaterEqualS, s >= t), (.lessEqualU, a <= b), (.greaterU, a > b), (.lessEqualS, s <= t), (.greaterS, s > t),
            ]
            for (condition, holds) in relations {
                expect(.compare, a, b, holds ? 1 : 0, machine.run { x in
                    x.constant(UInt64(a), type).compare(condition, x.constant(UInt64(b), type))
                })
            }
            expect(.select, a, b, a != 0 ? b : 7, machine.run { x in
                x.select(x.constant(UInt64(a), type), x.constant(UInt64(b), type), x.constant(7, type))
            })
        }
        let wide = Int64(S(truncatingIfNeeded: a))
        if machine.run({ x in x.constant(UInt64(a), type).signExtended() }) != UInt64(bitPattern: wide) { wrong.append("signExtend.\(type) \(a)") }
        if machine.run({ x in x.constant(UInt64(a), type).zeroExtended() }) != UInt64(a) { wrong.append("zeroExtend.\(type) \(a)") }
        let all = UInt64(a) &* 0x1_0001_0001_0001 ^ ~0xffff
        if machine.run({ x in x.constant(all).truncated(to: type) }) != UInt64(T(truncatingIfNeeded: all)) { wrong.append("truncate.\(type) \(a)") }
        let low = machine.run { x in x.emit(Op(.signExtend, .i64, aux: UInt16(T.bitWidth), x.constant(all).ref)) }
        if low != UInt64(bitPattern: Int64(S(truncatingIfNeeded: all))) { wrong.append("signExtend.low \(type) \(a)") }
    }
    return wrong
}

@Test func integerOpcodesAreTotal() {
    let wrong = check(.i8, UInt8.self, Int8.self) + check(.i16, UInt16.self, Int16.self)
        + check(.i32, UInt32.self, Int32.self) + check(.i64, UInt64.self, Int64.self)
    #expect(wrong.isEmpty, "\(wrong.prefix(5))")
}

@Test func floatsAreBoxed() {
    let machine = OneOp()
    let one: UInt64 = 0x3f80_0000
    #expect(machine.run { x in x.unary(.boxFloat, x.constant(one, .f32), .f64) } == 0xffff_ffff_3f80_0000)
    #expect(machine.run { x in x.unary(.boxFloat, x.constant(0x3c00, .f16), .f64) } == 0xffff_ffff_ffff_3c00)
    #expect(machine.run { x in x.unary(.unboxFloat, x.constant(0xffff_ffff_3f80_0000, .f64), .f32) } == one)
    #expect(machine.run { x in x.unary(.unboxFloat, x.constant(0xffff_fffe_3f80_0000, .f64), .f32) } == 0x7fc0_0000)
    #expect(machine.run { x in x.unary(.unboxFloat, x.constant(0xffff_ffff_3f80_0000, .f64), .f16) } == 0x7e00)
    #expect(machine.run { x in x.unary(.fclass, x.constant(0x7e00, .f16), .i64) } == 512)
}

@Test func floatFlagsAreSticky() {
    let machine = OneOp()
    let flags = machine.run { x in
        x.emit(Op(.putFloatFlags, .none, x.constant(UInt64(0xe2)).ref))
        let third = x.binary(.fdiv, x.constant(Double(1).bitPattern, .f64), x.constant(Double(3).bitPattern, .f64), aux: FloatMode().rawValue)
        _ = x.binary(.fdiv, third, x.constant(0, .f64), aux: FloatMode().rawValue)
        return x.emit(Op(.getFloatFlags, .i64))
    }
    #expect(flags == 2 | 1 | 8)
}

@Test func helpersGetTheirArguments() {
    let index: HelperIndex = 1010
    HelperTable.functions[Int(index)] = { state, a, b, c in
        a &* 100 &+ b &* 10 &+ c &+ state.load(fromByteOffset: Int(TraceMachine.integer(6)), as: UInt64.self)
    }
    let machine = OneOp()
    let result = machine.run { x in
        x.put(TraceMachine.integer(6), x.constant(UInt64(1000)))
        return x.helper(index, [.readsState], x.constant(UInt64(1)), x.constant(UInt64(2)), x.constant(UInt64(3)))
    }
    #expect(result == 1123)
    #expect(machine.run { x in x.helper(1023, [.readsState]) } == 0)
}
