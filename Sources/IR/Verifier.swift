// Checks that a trace obeys the rules of the IR: operands are defined before use, types follow each opcode's rule, aux
// and imm hold values that mean something, instructions come before their effects, and the trace ends exactly once.
// It runs in tests after the translator and after every pass; no engine depends on it.

/// Verifies traces.
public enum IRVerifier {
    /// What is wrong with the trace in `arena`, one message a fault, each naming the op; empty if nothing is.
    public static func faults(in arena: OpArena) -> [String] {
        faults(in: UnsafeBufferPointer(start: arena.ops, count: arena.count))
    }

    public static func faults(in ops: UnsafeBufferPointer<Op>) -> [String] {
        var check = TraceCheck(ops: ops)
        check.run()
        return check.messages
    }
}

private struct TraceCheck {
    let ops: UnsafeBufferPointer<Op>
    var messages: [String] = []
    private var index = 0
    private var seenInstruction = false
    private var putInInstruction = false

    init(ops: UnsafeBufferPointer<Op>) { self.ops = ops }

    mutating func run() {
        guard ops.count > 0 else {
            messages.append("the trace is empty")
            return
        }
        for position in 0 ..< ops.count {
            index = position
            let op = ops[position]
            if op.traits.endsTrace != (position == ops.count - 1) {
                fault(op.traits.endsTrace ? "ends the trace too early" : "is last but does not end the trace")
            }
            checkOperands(op)
            checkOrder(op)
            checkTypes(op)
        }
    }

    mutating func fault(_ text: String) {
        messages.append("\(IRPrinter.line(of: ops[index], at: index, in: ops)): \(text)")
    }

    mutating func require(_ condition: Bool, _ text: @autoclosure () -> String) {
        if !condition { fault(text()) }
    }

    /// The type of an operand; `none` if it is not a value defined before this op.
    func type(_ ref: Ref) -> ValueType {
        guard ref >= 0, Int(ref) < index, ops[Int(ref)].traits.hasResult else { return .none }
        return ops[Int(ref)].type
    }

    /// The types of addresses, and of results that are small numbers.
    func isWide(_ type: ValueType) -> Bool { type == .i64 || type == .i32 }

    // MARK: shape

    mutating func checkOperands(_ op: Op) {
        let refs = [op.a, op.b, op.c]
        if op.code == .helper {
            for ref in refs where ref >= 0 { require(type(ref).isInteger, "argument %\(ref) is not an integer defined before") }
            require(!(op.a < 0 && op.b >= 0) && !(op.b < 0 && op.c >= 0), "an argument is missing")
            return
        }
        for ref in refs.prefix(op.traits.operands) {
            require(type(ref) != .none, "operand %\(ref) is not a value defined before")
        }
    }

    mutating func checkOrder(_ op: Op) {
        if op.code == .instruction {
            seenInstruction = true
            putInInstruction = false
            return
        }
        let faults = op.traits.mayFault
            || op.code == .helper && !HelperEffects(rawValue: op.aux).isDisjoint(with: [.mayFault, .mayExit])
        if faults {
            require(seenInstruction, "may fault before the first instruction")
            require(!putInInstruction, "may fault after a put of the same instruction")
        }
        if op.code == .put { putInInstruction = true }
    }

    // MARK: types

    mutating func checkTypes(_ op: Op) {
        let a = type(op.a), b = type(op.b), c = type(op.c)
        switch op.code {
        case .const:
            require(op.type != .none, "has no type")
            if op.type.isInteger || op.type.isFloat {
                require(op.type.bytes == 8 || op.imm &>> UInt64(op.type.bits) == 0, "is wider than its type")
            }
        case .get:
            require(op.type != .none, "has no type")
            checkOffset(op)
        case .put:
            require(a == op.type, "value is \(a)")
            checkOffset(op)
        case .add, .sub, .mul, .mulHighU, .mulHighS, .mulHighSU, .divU, .divS, .remU, .remS, .and, .or, .xor, .andNot,
             .shl, .shrU, .shrS, .rotl, .rotr, .clmul, .clmulHigh, .clmulReversed:
            require(op.type.isInteger && a == op.type && b == op.type, "operands are \(a), \(b)")
            require(op.type.bits >= 32 || !op.code.isWideOnly, "does not exist in \(op.type)")
        case .not, .neg, .clz, .ctz, .popcount, .byteSwap, .orCombine:
            require(op.type.isInteger && a == op.type, "operand is \(a)")
        case .signExtend, .zeroExtend:
            let bits = op.aux == 0 ? a.bits : Int(op.aux)
            require(op.type.isInteger && a.isInteger && bits <= op.type.bits && bits <= a.bits, "operand is \(a)")
        case .truncate:
            require(op.type.isInteger && a.isInteger && a.bytes >= op.type.bytes, "operand is \(a)")
        case .compare:
            require(isWide(op.type) && a.isInteger && a == b, "operands are \(a), \(b)")
            require(Condition(rawValue: op.aux) != nil, "has no condition")
        case .select:
            require(a.isInteger && b == op.type && c == op.type, "operands are \(a), \(b), \(c)")
        case .load, .store, .atomicRMW, .compareAndSwap, .storeConditional:
            checkMemory(op, a, b, c)
        case .fence:
            require(FenceKind(rawValue: op.imm) != nil, "has no kind")
        case .helper:
            require(op.type == .i64, "result is not i64")
            require(op.imm < 1024, "is outside the helper table")
        case .branch:
            require(op.type.isInteger && a == op.type && b == op.type, "operands are \(a), \(b)")
            require(Condition(rawValue: op.aux) != nil, "has no condition")
        case .jumpIndirect, .callIndirect, .ret:
            require(isWide(a), "target is \(a)")
        case .call:
            require(isWide(a) && ops[Int(max(op.a, 0))].code == .const, "return address is not a constant")
        case .instruction, .jump, .exit, .jumpContext:
            break
        case .lanes:
            require(LaneForm(rawValue: op.imm).operation != nil, "has no operation")
            require(index + 1 < ops.count && ops[index + 1].code == .helper, "is not followed by its helper")
        default:
            checkFloatTypes(op, a, b, c)
        }
    }

    mutating func checkOffset(_ op: Op) {
        require(op.displacement >= -128 && op.displacement < 1 << 20 && op.displacement == Int64(op.offset),
                "is outside guest state")
        require(op.offset & Int32(min(op.type.bytes, 8) &- 1) == 0, "is misaligned")
    }

    mutating func checkMemory(_ op: Op, _ a: ValueType, _ b: ValueType, _ c: ValueType) {
        let access = MemoryAccess(rawValue: op.aux)
        if op.code == .storeConditional {
            require(isWide(op.type) && isWide(a) && b.isInteger && b.bytes >= access.bytes, "operands are \(a), \(b)")
            return
        }
        // A store may take the low part of a float: that is how a boxed number leaves its box.
        let isNarrowing = op.type.isInteger || op.code == .store && op.type.isFloat
        let fits = isNarrowing ? access.bytes <= op.type.bytes : access.bytes == op.type.bytes
        require(isWide(a), "address is \(a)")
        require(fits, "a \(op.type) has not \(access.bytes) bytes")
        switch op.code {
        case .store:
            require(b == op.type, "value is \(b)")
        case .atomicRMW:
            require(op.type.isInteger && b.isInteger && b.bytes >= access.bytes, "operand is \(b)")
            require(AtomicOperation(rawValue: op.imm) != nil, "has no operation")
        case .compareAndSwap:
            require(op.type.isInteger && b.isInteger && c.isInteger && b.bytes >= access.bytes && c.bytes >= access.bytes,
                    "operands are \(b), \(c)")
        default: break
        }
    }

    mutating func checkFloatTypes(_ op: Op, _ a: ValueType, _ b: ValueType, _ c: ValueType) {
        switch op.code {
        case .fadd, .fsub, .fmul, .fdiv:
            require(op.type.isFloat && a == op.type && b == op.type, "operands are \(a), \(b)")
            checkMode(op)
        case .fminmax:
            require(op.type.isFloat && a == op.type && b == op.type, "operands are \(a), \(b)")
            require(FloatMinMax(rawValue: op.aux) != nil, "has no operation")
        case .fma:
            require(op.type.isFloat && a == op.type && b == op.type && c == op.type, "operands are \(a), \(b), \(c)")
            checkMode(op)
        case .fsqrt, .froundInt:
            require(op.type.isFloat && a == op.type, "operand is \(a)")
            checkMode(op)
        case .fcompare:
            require(isWide(op.type) && a.isFloat && a == b, "operands are \(a), \(b)")
            require(FloatCompare(rawValue: op.aux) != nil, "has no relation")
        case .floatToInt:
            require(op.type.isInteger && op.type.bytes >= 4 && a.isFloat, "operand is \(a)")
            checkMode(op)
        case .intToFloat:
            require(op.type.isFloat && a.isInteger && a.bytes >= 4, "operand is \(a)")
            checkMode(op)
        case .floatToFloat:
            require(op.type.isFloat && a.isFloat && a != op.type, "operand is \(a)")
            checkMode(op)
        case .fclass:
            require(isWide(op.type) && a.isFloat, "operand is \(a)")
        case .bitcast:
            require(a != .none && a != op.type && a.bytes == op.type.bytes, "operand is \(a)")
        case .boxFloat:
            require(op.type == .f64 && (a == .f32 || a == .f16), "operand is \(a)")
        case .unboxFloat:
            require((op.type == .f32 || op.type == .f16) && a == .f64, "operand is \(a)")
        case .getFloatFlags:
            require(op.type == .i64, "result is not i64")
        case .putFloatFlags:
            require(isWide(a), "operand is \(a)")
        default:
            break
        }
    }

    mutating func checkMode(_ op: Op) {
        require(Rounding(rawValue: op.aux & 7) != nil, "has no rounding")
    }
}
