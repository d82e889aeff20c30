// Runs one trace of IR: the meaning of every opcode, in one switch over raw memory. Values live in an array of 16-byte
// slots indexed by the op that made them, narrow integers zero-extended. Memory and floating-point ops continue in
// Execution+Memory.swift and Execution+Float.swift. It leaves out v256, which no guest uses yet.
//
// Unsafe invariant: `ops` is a whole trace that obeys the verifier's rules (guests and passes only build such), and
// `values` has a slot for each of its ops; `state` points into a vCPU's state block.
import CHost
import IR
import Translation

/// Where a guest instruction begins in ops that have no `instruction` among them.
struct InstructionMark: BitwiseCopyable {
    /// The index of its first op.
    var op: Int32
    var pc: UInt64
}

/// One trace being run.
struct Execution {
    let ops: UnsafePointer<Op>
    /// The first of `ops` are constants, which need not be run one by one.
    let constants: Int
    /// The guest instructions of `ops`, in order; empty if there are `instruction` ops.
    let marks: UnsafeBufferPointer<InstructionMark>
    let values: UnsafeMutablePointer<UInt64>
    let state: UnsafeMutableRawPointer
    /// `StateHeader.memoryBase`, which only changes between runs.
    let memoryBase: UInt64
    /// In machines, the vCPU's `SoftMMU`; it lives as long as the vCPU.
    let machine: Unmanaged<SoftMMU>?

    /// What `run` answers when the trace went on to the pc in the state header.
    static let goesOn: Int32 = -1

    @inline(__always)
    init(ops: UnsafePointer<Op>, constants: Int = 0, marks: UnsafeBufferPointer<InstructionMark> = .init(start: nil, count: 0),
         values: UnsafeMutablePointer<UInt64>, state: UnsafeMutableRawPointer) {
        self.ops = ops
        self.constants = constants
        self.marks = marks
        self.values = values
        self.state = state
        memoryBase = state.load(fromByteOffset: Int(StateHeader.memoryBase), as: UInt64.self)
        let mmu = state.load(fromByteOffset: Int(StateHeader.softMMU), as: UInt64.self)
        machine = UnsafeRawPointer(bitPattern: UInt(mmu)).map { Unmanaged<SoftMMU>.fromOpaque($0) }
    }

    @inline(__always)
    func value(_ ref: Ref) -> UInt64 { values[Int(ref) &<< 1] }

    @inline(__always)
    func setPC(_ pc: UInt64) { state.storeBytes(of: pc, toByteOffset: Int(StateHeader.pc), as: UInt64.self) }

    /// Runs the trace to its end or to a fault; pc in the state header is exact afterwards.
    /// - Returns: `goesOn`, or the raw value of an `ExitReason`.
    func run() -> Int32 {
        var op = ops
        var out = values
        let first = ops + constants
        while op < first {
            out[0] = op.pointee.imm
            out[1] = 0
            op += 1
            out += 2
        }
        while true {
            let type = op.pointee.type
            switch op.pointee.code {
            case .instruction, .lanes: break
            case .const:
                out[0] = op.pointee.imm
                out[1] = 0
            case .get: get(op, out)
            case .put: put(op)

            // Wrapping arithmetic
            case .add: out[0] = (value(op.pointee.a) &+ value(op.pointee.b)) & type.mask
            case .sub: out[0] = (value(op.pointee.a) &- value(op.pointee.b)) & type.mask
            case .mul: out[0] = (value(op.pointee.a) &* value(op.pointee.b)) & type.mask
            case .and: out[0] = value(op.pointee.a) & value(op.pointee.b)
            case .or: out[0] = value(op.pointee.a) | value(op.pointee.b)
            case .xor: out[0] = value(op.pointee.a) ^ value(op.pointee.b)
            case .andNot: out[0] = value(op.pointee.a) & ~value(op.pointee.b)
            case .not: out[0] = ~value(op.pointee.a) & type.mask
            case .neg: out[0] = (0 &- value(op.pointee.a)) & type.mask
            case .shl: out[0] = (value(op.pointee.a) &<< amount(op)) & type.mask
            case .shrU: out[0] = value(op.pointee.a) &>> amount(op)
            case .shrS: out[0] = UInt64(bitPattern: signed(value(op.pointee.a), type) &>> Int64(bitPattern: amount(op))) & type.mask
            case .rotl, .rotr, .mulHighU, .mulHighS, .mulHighSU, .divU, .divS, .remU, .remS, .clmul, .clmulHigh, .clmulReversed:
                out[0] = Integers.binary(op.pointee.code, value(op.pointee.a), value(op.pointee.b), type)
            case .clz, .ctz, .popcount, .byteSwap, .orCombine:
                out[0] = Integers.unary(op.pointee.code, value(op.pointee.a), type)

            // Conversions
            case .signExtend: out[0] = UInt64(bitPattern: extended(op)) & type.mask
            case .zeroExtend:
                out[0] = op.pointee.aux == 0 ? value(op.pointee.a) : value(op.pointee.a) & (~0 &>> UInt64(64 &- op.pointee.aux))
            case .truncate: out[0] = value(op.pointee.a) & type.mask
            case .compare: out[0] = relation(op, ops[Int(op.pointee.a)].type) ? 1 : 0
            case .select:
                let from = values + (Int(value(op.pointee.a) != 0 ? op.pointee.b : op.pointee.c) &<< 1)
                out[0] = from[0]
                out[1] = from[1]

            // Memory
            case .load:
                if !load(op, out) { return fault(op) }
            case .store:
                if !store(op) { return fault(op) }
            case .atomicRMW:
                if !atomicRMW(op, out) { return fault(op) }
            case .compareAndSwap:
                if !compareAndSwap(op, out) { return fault(op) }
            case .storeConditional:
                if !storeConditional(op, out) { return fault(op) }
            case .fence: fence()

            // Floating point
            case .bitcast:
                out[0] = value(op.pointee.a)
                out[1] = 0
            case .boxFloat: out[0] = value(op.pointee.a) | (ops[Int(op.pointee.a)].type == .f16 ? ~0xffff : ~0xffff_ffff)
            case .unboxFloat: out[0] = unboxed(op)
            case .fclass, .fadd, .fsub, .fmul, .fdiv, .fsqrt, .fma, .fminmax, .fcompare, .floatToInt, .intToFloat,
                 .floatToFloat, .froundInt:
                out[0] = float(op)
            case .getFloatFlags: out[0] = UInt64(state.load(fromByteOffset: Int(StateHeader.floatFlags), as: UInt32.self))
            case .putFloatFlags:
                state.storeBytes(of: UInt32(truncatingIfNeeded: value(op.pointee.a) & 31),
                                 toByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
            case .helper:
                setPC(pc(of: op))
                out[0] = callHelper(op)
                if op.pointee.aux & HelperEffects.mayExit.rawValue != 0, out[0] != 0 { return Int32(truncatingIfNeeded: out[0] &- 1) }

            // Control
            case .branch:
                if relation(op, type) {
                    setPC(op.pointee.imm)
                    return Self.goesOn
                }
            case .jump, .call, .jumpContext:
                setPC(op.pointee.imm)
                return Self.goesOn
            case .jumpIndirect, .callIndirect, .ret:
                setPC(value(op.pointee.a))
                return Self.goesOn
            case .exit:
                setPC(op.pointee.imm)
                return Int32(op.pointee.aux)
            }
            op += 1
            out += 2
        }
    }

    // MARK: parts of run

    @inline(__always)
    private func signed(_ value: UInt64, _ type: ValueType) -> Int64 {
        let shift = Int64(truncatingIfNeeded: 64 &- type.bits)
        return (Int64(bitPattern: value) &<< shift) &>> shift
    }

    @inline(__always)
    private func amount(_ op: UnsafePointer<Op>) -> UInt64 {
        value(op.pointee.b) & UInt64(truncatingIfNeeded: op.pointee.type.bits &- 1)
    }

    @inline(__always)
    private func extended(_ op: UnsafePointer<Op>) -> Int64 {
        let bits = op.pointee.aux == 0 ? ops[Int(op.pointee.a)].type.bits : Int(op.pointee.aux)
        let shift = Int64(truncatingIfNeeded: 64 &- bits)
        return (Int64(bitPattern: value(op.pointee.a)) &<< shift) &>> shift
    }

    @inline(__always)
    private func relation(_ op: UnsafePointer<Op>, _ type: ValueType) -> Bool {
        let a = value(op.pointee.a), b = value(op.pointee.b)
        switch op.pointee.aux {
        case Condition.equal.rawValue: return a == b
        case Condition.notEqual.rawValue: return a != b
        case Condition.lessU.rawValue: return a < b
        case Condition.greaterEqualU.rawValue: return a >= b
        case Condition.lessS.rawValue: return signed(a, type) < signed(b, type)
        case Condition.greaterEqualS.rawValue: return signed(a, type) >= signed(b, type)
        case Condition.lessEqualU.rawValue: return a <= b
        case Condition.greaterU.rawValue: return a > b
        case Condition.lessEqualS.rawValue: return signed(a, type) <= signed(b, type)
        default: return signed(a, type) > signed(b, type)
        }
    }

    @inline(__always)
    private func get(_ op: UnsafePointer<Op>, _ out: UnsafeMutablePointer<UInt64>) {
        let field = state + Int(op.pointee.offset)
        switch op.pointee.type.bytes {
        case 8: out[0] = field.loadUnaligned(as: UInt64.self)
        case 4: out[0] = UInt64(field.loadUnaligned(as: UInt32.self))
        case 2: out[0] = UInt64(field.loadUnaligned(as: UInt16.self))
        case 1: out[0] = UInt64(field.load(as: UInt8.self))
        default:
            out[0] = field.loadUnaligned(as: UInt64.self)
            out[1] = field.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        }
    }

    @inline(__always)
    private func put(_ op: UnsafePointer<Op>) {
        let field = state + Int(op.pointee.offset)
        let value = value(op.pointee.a)
        switch op.pointee.type.bytes {
        case 8: field.storeBytes(of: value, as: UInt64.self)
        case 4:
            if SlotMap.isRegister(op.pointee.offset, op.pointee.type) {
                field.storeBytes(of: value, as: UInt64.self)
            } else {
                field.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
            }
        case 2: field.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
        case 1: field.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        default:
            field.storeBytes(of: value, as: UInt64.self)
            field.storeBytes(of: values[Int(op.pointee.a) &<< 1 &+ 1], toByteOffset: 8, as: UInt64.self)
        }
    }

    /// The guest instruction that `op` belongs to.
    private func pc(of op: UnsafePointer<Op>) -> UInt64 {
        var index = op - ops
        if marks.isEmpty {
            while index >= 0 {
                if ops[index].code == .instruction { return ops[index].imm }
                index &-= 1
            }
            return 0
        }
        var low = 0, high = marks.count
        while low < high {
            let middle = (low &+ high) &>> 1
            if Int(marks[middle].op) <= index { low = middle &+ 1 } else { high = middle }
        }
        return low > 0 ? marks[low &- 1].pc : 0
    }

    /// Leaves at the instruction of `op`, whose memory access left the reason in the state header.
    private func fault(_ op: UnsafePointer<Op>) -> Int32 {
        setPC(pc(of: op))
        return state.load(fromByteOffset: Int(StateHeader.exitReason), as: Int32.self)
    }

    private func callHelper(_ op: UnsafePointer<Op>) -> UInt64 {
        guard op.pointee.imm < UInt64(HelperTable.capacity), let function = HelperTable.functions[Int(op.pointee.imm)] else { return 0 }
        return function(state, argument(op.pointee.a), argument(op.pointee.b), argument(op.pointee.c))
    }

    private func argument(_ ref: Ref) -> UInt64 { ref < 0 ? 0 : value(ref) }
}
