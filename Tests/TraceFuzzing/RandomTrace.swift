// Random traces that obey the IR's rules and use every opcode: what the differential tests run on each engine.
import IR
import Translation

/// Generates traces. The same seed gives the same trace.
public struct RandomTrace {
    /// What traces may hold.
    public struct Options: Sendable {
        /// Guest instructions, at most.
        public var instructions = 12
        public var floats = true
        public var memory = true
        /// Accesses to where nothing is.
        public var faults = true
        /// Values made by one instruction are used by later ones.
        public var crossing = true
        /// The address of the first instruction.
        public var start: UInt64 = 0x1000
        public init() {}
    }

    private var random: RandomBits
    private let x: Builder
    private let options: Options
    private var values: [ValueType: [Value]] = [:]
    private var putBegun = false

    /// Fills `arena`, whose capacity should be at least 1024, with the trace of `seed`.
    public static func fill(_ arena: UnsafeMutablePointer<OpArena>, seed: UInt64, options: Options = Options()) {
        arena.pointee.count = 0
        arena.pointee.overflowed = false
        var trace = RandomTrace(random: RandomBits(seed), x: Builder(arena), options: options)
        trace.generate()
    }

    private init(random: RandomBits, x: Builder, options: Options) {
        self.random = random
        self.x = x
        self.options = options
    }

    private mutating func generate() {
        var pc = options.start
        for _ in 0 ..< 1 + random.below(options.instructions) {
            x.instruction(at: pc, length: 4)
            pc += 4
            putBegun = false
            if !options.crossing || random.below(4) == 0 { values = [:] }
            for _ in 0 ..< random.below(7) { operation() }
            for _ in 0 ..< 1 + random.below(2) { put() }
            if random.below(8) == 0 { branch() }
        }
        end(pc)
    }

    // MARK: operands

    /// A value of `type`: one made before, a register, or a constant.
    private mutating func any(_ type: ValueType) -> Value {
        let known = values[type] ?? []
        if !known.isEmpty, random.below(3) != 0 {
            // Rather a recent one.
            return known[max(known.count - 1 - random.below(1 + random.below(known.count)), 0)]
        }
        return type.isFloat ? fresh(float: type) : fresh(integer: type)
    }

    private mutating func fresh(integer type: ValueType) -> Value {
        if random.below(3) == 0 { return note(x.constant(random.corner(), type)) }
        let slot = anyInteger()
        if slot >= TraceMachine.firstNarrow {
            let word = note(x.get(TraceMachine.integer(slot), .i32))
            return type == .i64 ? note(random.below(2) == 0 ? word.zeroExtended() : word.signExtended()) : note(word.truncated(to: type))
        }
        let register = note(x.get(TraceMachine.integer(slot)))
        return type == .i64 ? register : note(register.truncated(to: type))
    }

    private mutating func fresh(float type: ValueType) -> Value {
        let slot = note(x.get(TraceMachine.float(random.below(TraceMachine.floats)), .f64))
        return type == .f64 ? slot : note(x.unary(.unboxFloat, slot, type))
    }

    /// A slot that may be written: not one of the two that hold addresses.
    private mutating func writableInteger() -> Int {
        let slot = random.below(TraceMachine.integers)
        return slot == TraceMachine.baseSlot || slot == TraceMachine.wildSlot ? 12 : slot
    }
    private mutating func anyInteger() -> Int { random.below(4) == 0 ? random.below(TraceMachine.integers) : writableInteger() }

    @discardableResult
    private mutating func note(_ value: Value) -> Value {
        values[value.type, default: []].append(value)
        return value
    }

    // MARK: instructions

    private mutating func operation() {
        if random.below(40) == 0 {
            helper()
            return
        }
        switch random.below(options.floats ? 16 : 10) {
        case 0 ..< 5: integerOperation()
        case 5: conversion()
        case 6: note(x.binary(.compare, any(.i64), any(.i64), random.pick([.i64, .i32]), aux: condition()))
        case 7:
            let type = integerType()
            note(x.binary(.compare, any(type), any(type), .i64, aux: condition()))
            let whenTrue = any(type)
            note(x.select(any(random.below(2) == 0 ? .i64 : type), whenTrue, any(type)))
        case 8, 9: if options.memory { memoryOperation() } else { integerOperation() }
        default: floatOperation()
        }
    }

    private mutating func integerType() -> ValueType { random.below(2) == 0 ? .i64 : random.pick([.i8, .i16, .i32, .i32, .i32]) }
    private mutating func condition() -> UInt16 { random.pick(Condition.allCases).rawValue }

    private mutating func integerOperation() {
        let type = integerType()
        if random.below(4) == 0 {
            note(x.unary(random.pick([.not, .neg, .clz, .ctz, .popcount, .byteSwap, .orCombine]), any(type)))
            return
        }
        let code: Opcode = random.pick([
            .add, .add, .add, .sub, .sub, .mul, .mulHighU, .mulHighS, .mulHighSU, .divU, .divS, .remU, .remS, .and, .or, .xor, .andNot,
            .shl, .shrU, .shrS, .shl, .shrU, .shrS, .rotl, .rotr, .clmul, .clmulHigh, .clmulReversed,
        ])
        let width = type.bits < 32 && code.isWideOnly ? .i32 : type
        let a = any(width)
        note(x.binary(code, a, any(width)))
    }

    private mutating func helper() {
        switch random.below(options.floats ? 5 : 4) {
        case 0:
            let a = any(.i64), b = any(.i64)
            note(x.helper(Self.mixing, .pure, a, b, any(.i64)))
        case 1: note(x.helper(Self.reading, .readsState, any(.i64), x.constant(UInt64(1)), any(.i64)))
        case 2:
            putBegun = true
            note(x.helper(Self.writing, [.readsState, .writesState], any(.i64), any(.i64)))
        case 3: note(x.helper(Self.ignoring, .pure))
        default: note(x.helper(Self.raising, .raisesFlags, any(.i64)))
        }
    }

    /// Stands at a fixed place, so that the numbers of a guest's own helpers do not depend on which tests ran before.
    private static func place(_ index: HelperIndex, _ helper: @escaping Helper) -> HelperIndex {
        HelperTable.functions[Int(index)] = helper
        return index
    }

    private static let mixing = place(1000) { _, a, b, c in (a &* 3 ^ b) &+ c }
    private static let ignoring = place(1001) { _, _, _, _ in 0x1234_5678_9abc }
    private static let reading = place(1002) { state, a, _, _ in
        a ^ state.load(fromByteOffset: Int(TraceMachine.integer(13)), as: UInt64.self)
            &+ state.load(fromByteOffset: Int(TraceMachine.integer(20)), as: UInt64.self)
            &+ state.load(fromByteOffset: Int(TraceMachine.float(1)), as: UInt64.self)
    }
    private static let raising = place(1004) { state, a, _, _ in
        let flags = state.load(fromByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        state.storeBytes(of: flags | UInt32(truncatingIfNeeded: a & 31), toByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        return a &>> 1
    }
    private static let writing = place(1003) { state, a, _, _ in
        let old = state.load(fromByteOffset: Int(TraceMachine.integer(14)), as: UInt64.self)
        state.storeBytes(of: a, toByteOffset: Int(TraceMachine.integer(14)), as: UInt64.self)
        state.storeBytes(of: ~a, toByteOffset: Int(TraceMachine.integer(21)), as: UInt64.self)
        state.storeBytes(of: a, toByteOffset: Int(TraceMachine.float(0)), as: UInt64.self)
        return old
    }

    private mutating func conversion() {
        let narrow: ValueType = random.pick([.i8, .i16, .i32])
        switch random.below(4) {
        case 0: note(any(narrow).signExtended())
        case 1: note(any(narrow).zeroExtended())
        case 2: note(any(.i64).truncated(to: narrow))
        default:
            let value = any(.i64)
            note(x.emit(Op(random.below(2) == 0 ? .signExtend : .zeroExtend, .i64, aux: UInt16(narrow.bits), value.ref)))
        }
    }

    private mutating func floatType() -> ValueType { random.pick([.f64, .f64, .f64, .f32, .f32, .f32, .f16]) }

    private mutating func mode(_ signed: Bool = false) -> UInt16 {
        let rounding: Rounding = random.below(2) == 0 ? .nearestEven : random.pick(Rounding.allCases)
        return FloatMode(rounding, signed: signed, exact: random.below(2) == 0).rawValue
    }

    private mutating func floatOperation() {
        let type = floatType()
        let a = any(type)
        switch random.below(14) {
        case 0 ..< 5: note(x.binary(random.pick([.fadd, .fsub, .fmul, .fdiv]), a, any(type), aux: mode()))
        case 5: note(x.unary(.fsqrt, a, aux: mode()))
        case 6:
            let b = any(type), c = any(type)
            let mode = mode() | (random.below(2) == 0 ? 32 : 0) | (random.below(2) == 0 ? 64 : 0)
            note(x.ternary(.fma, a, b, c, type, aux: mode))
        case 7: note(x.binary(.fminmax, a, any(type), aux: random.pick(FloatMinMax.allCases).rawValue))
        case 8: note(x.binary(.fcompare, a, any(type), .i64, aux: random.pick(FloatCompare.allCases).rawValue))
        case 9: note(x.unary(.floatToInt, a, random.pick([.i32, .i64]), aux: mode(random.below(2) == 0)))
        case 10: note(x.unary(.intToFloat, any(random.pick([.i32, .i64])), type, aux: mode(random.below(2) == 0)))
        case 11:
            let target = floatType()
            note(target == type ? x.unary(.froundInt, a, aux: mode()) : x.unary(.floatToFloat, a, target, aux: mode()))
        case 12:
            switch random.below(4) {
            case 0: note(x.emit(Op(.getFloatFlags, .i64)))
            case 1: note(x.unary(.fclass, a, .i64))
            default: bitcast(a)
            }
        default: note(type == .f64 ? x.unary(.fclass, a, .i64) : x.unary(.boxFloat, a, .f64))
        }
    }

    private mutating func bitcast(_ a: Value) {
        let integer: ValueType = a.type == .f64 ? .i64 : a.type == .f32 ? .i32 : .i16
        let back = any(integer)
        note(random.below(2) == 0 ? a.bits(as: integer) : back.bits(as: a.type))
    }

    // MARK: memory

    private mutating func address(_ access: MemoryAccess) -> (Value, Int64) {
        if options.faults, random.below(60) == 0 { return (x.get(TraceMachine.integer(TraceMachine.wildSlot)), 0) }
        let base = x.get(TraceMachine.integer(TraceMachine.baseSlot))
        let room = TraceMachine.memoryBytes / 2 - 64
        if random.below(3) == 0 {
            let index = any(.i64) & x.constant(UInt64(TraceMachine.memoryBytes / 2 - 1) & ~7)
            return (base + index, Int64(random.below(64) & ~7))
        }
        let offset = Int64(random.below(room)) & ~(access.aligned ? 7 : random.below(4) == 0 ? 0 : 7)
        if random.below(2) == 0 { return (base, offset) }
        return (base + x.constant(offset), Int64(random.below(32)) & ~7)
    }

    private mutating func memoryOperation() {
        let bytes = random.pick([1, 2, 4, 8])
        let type: ValueType = bytes == 8 || random.below(2) == 0 ? .i64 : bytes == 4 ? .i32 : .i64
        let access = MemoryAccess(bytes: bytes, signed: random.below(2) == 0, bigEndian: random.below(6) == 0, aligned: random.below(4) == 0,
                                  atomic: random.below(8) == 0)
        let (base, displacement) = address(access)
        switch random.below(putBegun ? 1 : 10) {
        case 0 ..< 4:
            if bytes >= 4, !access.bigEndian, options.floats, random.below(4) == 0 {
                let plain = MemoryAccess(bytes: bytes)
                note(x.load(base, displacement, plain, bytes == 4 ? .f32 : .f64))
            } else {
                note(x.load(base, displacement, access, type))
            }
        case 4 ..< 7:
            if options.floats, bytes >= 4, !access.bigEndian, random.below(4) == 0 {
                x.store(base, displacement, any(bytes == 4 ? .f32 : .f64), MemoryAccess(bytes: bytes))
            } else {
                x.store(base, displacement, any(type), access)
            }
        case 7:
            let full = base + x.constant(displacement)
            note(x.atomicRMW(random.pick(AtomicOperation.allCases), full, any(type), little(access), type))
        case 8:
            let full = base + x.constant(displacement)
            let expected = any(type)
            note(x.compareAndSwap(full, expected: expected, new: any(type), little(access), type))
        default:
            let full = x.get(TraceMachine.integer(TraceMachine.baseSlot)) + x.constant(UInt64(16))
            note(x.storeConditional(full, any(.i64), MemoryAccess(bytes: random.pick([4, 8]), aligned: true)))
            if random.below(2) == 0 { x.fence(random.pick(FenceKind.allCases)) }
        }
    }

    /// No guest has big-endian atomics yet.
    private func little(_ access: MemoryAccess) -> MemoryAccess {
        MemoryAccess(bytes: access.bytes, signed: access.signed, aligned: access.aligned)
    }

    // MARK: results

    private mutating func put() {
        putBegun = true
        if options.floats, random.below(3) == 0 {
            let type = floatType(), value = any(type)
            let slot = type == .f64 ? value : x.unary(.boxFloat, value, .f64)
            x.put(TraceMachine.float(random.below(TraceMachine.floats)), slot)
        } else {
            let slot = writableInteger()
            x.put(TraceMachine.integer(slot), any(slot >= TraceMachine.firstNarrow ? .i32 : .i64))
        }
        if options.floats, random.below(24) == 0 { x.emit(Op(.putFloatFlags, .none, any(.i64).ref)) }
    }

    private mutating func branch() {
        let type = integerType()
        let condition = random.pick(Condition.allCases)
        let a = any(type)
        // Forward: a branch back would end the block.
        x.branch(condition, a, any(type), to: 0x7e00_0000_0000 + UInt64(random.below(16)) * 4)
    }

    /// An even address: engines may keep odd ones for themselves as keys that never match.
    private mutating func target() -> Value { any(.i64) & x.constant(~UInt64(1)) }

    private mutating func end(_ pc: UInt64) {
        switch random.below(7) {
        case 0: x.jump(to: 0x3000)
        case 1: x.jump(to: target())
        case 2: x.call(0x4000, returningTo: pc)
        case 3: x.call(target(), returningTo: pc)
        case 4: x.ret(to: target())
        default: x.exit(ExitReason.systemCall.rawValue, at: pc)
        }
    }
}
