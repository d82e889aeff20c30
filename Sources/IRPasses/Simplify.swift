import IR

/// The forward pass: one sweep that forwards guest state, folds constants and addresses, and strips conversions that
/// do nothing. Ops keep their indices; an op that became superfluous turns into an unused constant, which `Liveness`
/// then drops.
public struct Simplify {
    private var slots = SlotMap()
    /// What stands for each value from here on.
    private let replacement: UnsafeMutablePointer<Ref>
    /// Bit flags of what is known of each value: see `Facts`.
    private let facts: UnsafeMutablePointer<UInt8>
    /// The f32 that an f64 slot value has been unboxed to, or -1.
    private let unboxed: UnsafeMutablePointer<Ref>
    private let capacity: Int
    private var constants: (Ref, Ref, Ref, Ref, Ref, Ref, Ref, Ref) = (-1, -1, -1, -1, -1, -1, -1, -1)

    /// - Parameter capacity: of the arenas that will be given to `run`.
    public init(capacity: Int) {
        self.capacity = capacity
        replacement = .allocate(capacity: capacity)
        facts = .allocate(capacity: capacity)
        unboxed = .allocate(capacity: capacity)
    }

    public func deallocate() {
        slots.deallocate()
        replacement.deallocate()
        facts.deallocate()
        unboxed.deallocate()
    }

    /// What is known of a 64-bit value.
    enum Facts {
        /// Equal to the sign extension of its low 32 bits.
        static let signed32: UInt8 = 1
        /// Its upper 32 bits are zero.
        static let unsigned32: UInt8 = 2
        /// Only bits 0 to 30 may be set: both of the above.
        static let small: UInt8 = 3
    }

    public mutating func run(_ arena: inout OpArena) {
        guard arena.count <= capacity else { return }
        slots.removeAll()
        constants = (-1, -1, -1, -1, -1, -1, -1, -1)
        let ops = arena.ops
        for index in 0 ..< arena.count {
            let ref = Ref(truncatingIfNeeded: index)
            let op = ops + index
            if op.pointee.a >= 0 { op.pointee.a = replacement[Int(op.pointee.a)] }
            if op.pointee.b >= 0 { op.pointee.b = replacement[Int(op.pointee.b)] }
            if op.pointee.c >= 0 { op.pointee.c = replacement[Int(op.pointee.c)] }
            replacement[index] = ref
            facts[index] = 0
            unboxed[index] = -1
            let code = op.pointee.code
            switch code {
            case .const: constant(op, ref, ops)
            case .get:
                let slot = SlotMap.slot(op.pointee.offset, op.pointee.type)
                if slot >= 0 {
                    let known = slots[slot]
                    if known >= 0, ops[Int(known)].type == op.pointee.type {
                        replace(op, ref, by: known)
                    } else {
                        slots[slot] = ref
                    }
                }
            case .put:
                let slot = SlotMap.slot(op.pointee.offset, op.pointee.type)
                if slot >= 0 {
                    if slots[slot] == op.pointee.a {
                        op.pointee = Op(.const, .i64)
                    } else {
                        slots[slot] = op.pointee.a
                    }
                } else {
                    slots.forget(op.pointee.offset, bytes: op.pointee.type.bytes)
                }
            case .load, .store: foldAddress(op, ref, ops)
            case .branch: foldBranch(op, ops)
            case .storeConditional: slots.forget(StateSlots.reservationAddress, bytes: 8)
            case .helper:
                if op.pointee.aux & HelperEffects.writesState.rawValue != 0 { slots.removeAll() }
            case .compare, .fclass, .fcompare:
                if code == .compare { foldCompare(op, ref, ops) }
                facts[index] = Facts.small
            case .add, .sub, .mul, .and, .or, .xor, .andNot, .shl, .shrU, .shrS, .rotl, .rotr: binary(op, ref, ops)
            case .signExtend, .zeroExtend, .truncate: convert(op, ref, ops)
            case .unboxFloat:
                let source = ops[Int(op.pointee.a)]
                let known = unboxed[Int(op.pointee.a)]
                if source.code == .boxFloat, ops[Int(source.a)].type == op.pointee.type {
                    replace(op, ref, by: source.a)
                } else if known >= 0, ops[Int(known)].type == op.pointee.type {
                    replace(op, ref, by: known)
                } else {
                    unboxed[Int(op.pointee.a)] = ref
                }
            case .bitcast:
                let source = ops[Int(op.pointee.a)]
                if source.type == op.pointee.type {
                    replace(op, ref, by: op.pointee.a)
                } else if source.code == .bitcast, ops[Int(source.a)].type == op.pointee.type {
                    replace(op, ref, by: source.a)
                }
            case .select: foldSelect(op, ref, ops)
            default: break
            }
            if op.pointee.code.endsTrace { arena.count = index &+ 1; break }
        }
    }

    // MARK: pieces

    private func replace(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, by other: Ref) {
        replacement[Int(ref)] = other
        op.pointee = Op(.const, .i64)
    }

    private func become(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, constant value: UInt64) {
        let type = op.pointee.type
        op.pointee = Op(.const, type, imm: value & type.mask)
        noteConstant(op, ref)
    }

    private func noteConstant(_ op: UnsafeMutablePointer<Op>, _ ref: Ref) {
        guard op.pointee.type == .i64 else { return }
        let value = Int64(bitPattern: op.pointee.imm)
        facts[Int(ref)] = (value == Int64(Int32(truncatingIfNeeded: value)) ? Facts.signed32 : 0)
            | (op.pointee.imm <= 0xFFFF_FFFF ? Facts.unsigned32 : 0)
    }

    /// Equal constants close to each other become one, so that a call finds its return address in a register.
    private mutating func constant(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ ops: UnsafeMutablePointer<Op>) {
        noteConstant(op, ref)
        let value = op.pointee.imm, type = op.pointee.type
        withUnsafeMutableBytes(of: &constants) { raw in
            let recent = raw.bindMemory(to: Ref.self)
            let line = Int(truncatingIfNeeded: (value ^ value &>> 3 ^ value &>> 9) & 7)
            let known = recent[line]
            if known >= 0, ops[Int(known)].imm == value, ops[Int(known)].type == type, ops[Int(known)].code == .const {
                replacement[Int(ref)] = known
            } else {
                recent[line] = ref
            }
        }
    }

    private func isConstant(_ ref: Ref, _ ops: UnsafeMutablePointer<Op>) -> Bool { ops[Int(ref)].code == .const }

    private func foldAddress(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ ops: UnsafeMutablePointer<Op>) {
        let base = ops[Int(op.pointee.a)]
        if base.code == .add, base.type == .i64 || base.type == .i32, isConstant(base.b, ops) {
            let constant = ops[Int(base.b)].imm
            let sum = op.pointee.displacement &+ (base.type == .i64 ? Int64(bitPattern: constant) : Int64(Int32(truncatingIfNeeded: constant)))
            // How far a sum of 32 bits may be from its wrap is said at `Opcode.load`.
            let isNear = base.type == .i64 ? sum == Int64(Int32(truncatingIfNeeded: sum)) : sum.magnitude < 32 << 10
            if isNear, valueSurvives(base.a, ops) {
                op.pointee.a = base.a
                op.pointee.imm = UInt64(bitPattern: sum)
            }
        }
        if op.pointee.code == .load, op.pointee.type == .i64 {
            let access = MemoryAccess(rawValue: op.pointee.aux)
            if access.bytes < 4 { facts[Int(ref)] = access.signed ? Facts.signed32 : Facts.small }
            if access.bytes == 4 { facts[Int(ref)] = access.signed ? Facts.signed32 : Facts.unsigned32 }
        }
    }

    /// Whether using `ref` later than the op that used it now is likely free: true for all but values whose register
    /// may have been taken over; a conservative yes keeps addresses short.
    private func valueSurvives(_ ref: Ref, _ ops: UnsafeMutablePointer<Op>) -> Bool {
        // A base whose guest register has been overwritten since would have to be kept in a scratch register.
        let base = ops[Int(ref)]
        guard base.code == .get else { return false }
        let slot = SlotMap.slot(base.offset, base.type)
        return slot >= 0 && slots[slot] == ref
    }

    private func foldBranch(_ op: UnsafeMutablePointer<Op>, _ ops: UnsafeMutablePointer<Op>) {
        guard let condition = Condition(rawValue: op.pointee.aux) else { return }
        if isConstant(op.pointee.a, ops), !isConstant(op.pointee.b, ops) {
            swap(&op.pointee.a, &op.pointee.b)
            op.pointee.aux = condition.swapped.rawValue
        }
        let left = ops[Int(op.pointee.a)], right = ops[Int(op.pointee.b)]
        if left.code == .const, right.code == .const {
            op.pointee = condition.holds(left.imm, right.imm, op.pointee.type)
                ? Op(.jump, .none, imm: op.pointee.imm) : Op(.const, .i64)
        }
    }

    private func foldCompare(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ ops: UnsafeMutablePointer<Op>) {
        guard let condition = Condition(rawValue: op.pointee.aux) else { return }
        let left = ops[Int(op.pointee.a)], right = ops[Int(op.pointee.b)]
        if left.code == .const, right.code == .const {
            become(op, ref, constant: condition.holds(left.imm, right.imm, left.type) ? 1 : 0)
        } else if left.code == .const {
            swap(&op.pointee.a, &op.pointee.b)
            op.pointee.aux = condition.swapped.rawValue
        }
    }

    private func foldSelect(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ ops: UnsafeMutablePointer<Op>) {
        let condition = ops[Int(op.pointee.a)]
        if condition.code == .const {
            replace(op, ref, by: condition.imm != 0 ? op.pointee.b : op.pointee.c)
        } else if op.pointee.b == op.pointee.c {
            replace(op, ref, by: op.pointee.b)
        }
    }

    private func binary(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ ops: UnsafeMutablePointer<Op>) {
        let code = op.pointee.code, type = op.pointee.type
        if isConstant(op.pointee.a, ops), !isConstant(op.pointee.b, ops) {
            switch code {
            case .add, .mul, .and, .or, .xor: swap(&op.pointee.a, &op.pointee.b)
            default: break
            }
        }
        let left = ops[Int(op.pointee.a)], right = ops[Int(op.pointee.b)]
        guard right.code == .const else {
            if op.pointee.a == op.pointee.b {
                switch code {
                case .sub, .xor, .andNot: become(op, ref, constant: 0)
                case .and, .or: replace(op, ref, by: op.pointee.a)
                default: break
                }
            }
            if code == .and, type == .i64 {
                facts[Int(ref)] = (facts[Int(op.pointee.a)] | facts[Int(op.pointee.b)]) & Facts.unsigned32
            }
            return
        }
        let value = right.imm
        if left.code == .const {
            become(op, ref, constant: Self.evaluate(code, left.imm, value, type))
            return
        }
        let width = UInt64(type.bits)
        switch code {
        case .add:
            if value == 0 { replace(op, ref, by: op.pointee.a) }
        case .sub:
            if value == 0 { replace(op, ref, by: op.pointee.a) }
        case .or, .xor:
            if value == 0 { replace(op, ref, by: op.pointee.a) }
        case .and:
            if value == type.mask { replace(op, ref, by: op.pointee.a); return }
            if type == .i64 {
                if value <= 0x7FFF_FFFF { facts[Int(ref)] = Facts.small } else if value <= 0xFFFF_FFFF { facts[Int(ref)] = Facts.unsigned32 }
            }
        case .shl, .shrU, .shrS, .rotl, .rotr:
            let amount = value & (width &- 1)
            if amount == 0 { replace(op, ref, by: op.pointee.a); return }
            if type == .i64, code == .shrU || code == .shrS, left.code == .shl, left.type == .i64, isConstant(left.b, ops) {
                shiftPair(op, ref, left, amount, ops)
            }
            if type == .i64, op.pointee.code == .shrU {
                if amount >= 33 { facts[Int(ref)] = Facts.small } else if amount == 32 { facts[Int(ref)] = Facts.unsigned32 }
            }
            if type == .i64, op.pointee.code == .shrS, amount >= 32 { facts[Int(ref)] = Facts.signed32 }
        default: break
        }
    }

    /// `slli` then `srli` or `srai` by the same amount is how RV64 without Zba/Zbb extends narrow values. The left
    /// shift's own op becomes the truncation when nobody else can need it, which only `Liveness` knows; so the pair is
    /// turned into one op that masks: zero extension of the low bits.
    private func shiftPair(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ left: Op, _ amount: UInt64, _ ops: UnsafeMutablePointer<Op>) {
        let up = ops[Int(left.b)].imm & 63
        guard up == amount else { return }
        let source: ValueType
        switch amount {
        case 32: source = .i32
        case 48: source = .i16
        case 56: source = .i8
        default: return
        }
        // extend(truncate(x)) as one op: an extension whose operand is wider than `aux` bits takes the low bits.
        let signed = op.pointee.code == .shrS
        op.pointee = Op(signed ? .signExtend : .zeroExtend, .i64, aux: UInt16(source.bits), left.a)
        facts[Int(ref)] = signed ? Facts.signed32 : source == .i32 ? Facts.unsigned32 : Facts.small
    }

    private func convert(_ op: UnsafeMutablePointer<Op>, _ ref: Ref, _ ops: UnsafeMutablePointer<Op>) {
        let source = ops[Int(op.pointee.a)]
        let type = op.pointee.type
        if source.code == .const {
            let value = source.imm
            let bits = op.pointee.aux == 0 || op.pointee.code == .truncate ? source.type.bits : Int(op.pointee.aux)
            let shift = UInt64(64 &- bits)
            if op.pointee.code == .signExtend {
                become(op, ref, constant: UInt64(bitPattern: Int64(bitPattern: value &<< shift) &>> Int64(shift)))
            } else {
                become(op, ref, constant: (value &<< shift) &>> shift)
            }
            return
        }
        switch op.pointee.code {
        case .truncate:
            // truncate(extend(x)) is x when x has the wanted type.
            if source.code == .signExtend || source.code == .zeroExtend, source.aux == 0, ops[Int(source.a)].type == type {
                replace(op, ref, by: source.a)
            }
        case .signExtend, .zeroExtend:
            guard type == .i64 else { return }
            let signed = op.pointee.code == .signExtend
            // extend(truncate(x)) becomes one op on x, or x itself where its upper bits are known.
            if source.code == .truncate, ops[Int(source.a)].type == .i64 {
                let known = facts[Int(source.a)]
                if source.type == .i32, known & (signed ? Facts.signed32 : Facts.unsigned32) != 0 {
                    replace(op, ref, by: source.a)
                    return
                }
                op.pointee = Op(op.pointee.code, .i64, aux: UInt16(source.type.bits), source.a)
                facts[Int(ref)] = signed ? Facts.signed32 : source.type == .i32 ? Facts.unsigned32 : Facts.small
                return
            }
            let bits = op.pointee.aux == 0 ? source.type.bits : Int(op.pointee.aux)
            if signed { if bits <= 32 { facts[Int(ref)] = Facts.signed32 } } else if bits < 32 { facts[Int(ref)] = Facts.small } else if bits == 32 { facts[Int(ref)] = Facts.unsigned32 }
        default: break
        }
    }

    /// The value of an integer operation on constants; shared with nothing that runs guest code.
    static func evaluate(_ code: Opcode, _ a: UInt64, _ b: UInt64, _ type: ValueType) -> UInt64 {
        let bits = UInt64(type.bits), mask = type.mask
        let amount = b & (bits &- 1)
        let up = 64 &- bits
        let signed = Int64(bitPattern: a &<< up) &>> Int64(up)
        switch code {
        case .add: return (a &+ b) & mask
        case .sub: return (a &- b) & mask
        case .mul: return (a &* b) & mask
        case .and: return a & b
        case .or: return a | b
        case .xor: return a ^ b
        case .andNot: return a & ~b & mask
        case .shl: return (a &<< amount) & mask
        case .shrU: return a &>> amount
        case .shrS: return UInt64(bitPattern: signed &>> Int64(amount)) & mask
        case .rotl: return amount == 0 ? a : ((a &<< amount) | (a &>> (bits &- amount))) & mask
        case .rotr: return amount == 0 ? a : ((a &>> amount) | (a &<< (bits &- amount))) & mask
        default: return 0
        }
    }
}
