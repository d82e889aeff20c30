import IR
import IRPasses
import Translation

// Integer arithmetic, shifts, comparison and selection.
//
// Values narrower than 64 bits are kept zero-extended: 32-bit instructions do that by themselves; 8- and 16-bit results
// are computed in 32 bits and cut by `narrow`.
extension Lowering {
    /// The size of the instruction that computes a value of `type`.
    func size(_ type: ValueType) -> OperandSize { type == .i64 ? .b64 : .b32 }

    /// Cuts an 8- or 16-bit result down to its width.
    mutating func narrow(_ register: GPR, _ type: ValueType) {
        switch type {
        case .i8: a.movzx(register, register, from: .b8)
        case .i16: a.movzx(register, register, from: .b16)
        default: break
        }
    }

    /// A scratch copy of `ref`, sign-extended from its type to 32 bits if that is narrower.
    mutating func signedCopy(_ ref: Ref, into target: GPR) {
        let value = use(ref)
        switch type(ref) {
        case .i8: a.movsx(.b32, target, value, from: .b8)
        case .i16: a.movsx(.b32, target, value, from: .b16)
        default: if value != target { a.mov(.b64, target, value) }
        }
    }

    mutating func lowerArithmetic(_ op: Op) {
        let s = size(op.type)
        if let imm = immediate(op.b), op.code != .andNot {
            return arithmetic(op, s, imm)
        }
        switch op.code {
        case .add:
            let left = use(op.a)
            let right = useOperand(op.b)
            let target = define(reusing: op.a)
            if right.isDirect {
                let other = GPR(rawValue: right.baseNumber)
                if target == left {
                    a.alu(.add, s, target, other)
                } else if target == other {
                    a.alu(.add, s, target, left)
                } else {
                    a.lea(s, target, .indexed(left, other, 1, 0))
                }
            } else {
                if target != left { a.mov(s, target, left) }
                a.alu(.add, s, target, right)
            }
            narrow(target, op.type)
        case .and, .or, .xor:
            let alu: ALU = op.code == .and ? .and : op.code == .or ? .or : .xor
            let left = use(op.a)
            let right = useOperand(op.b)
            let target = define(reusing: op.a)
            if target == left {
                a.alu(alu, s, target, right)
            } else if right == .direct(target) {
                a.alu(alu, s, target, left)
            } else {
                a.mov(s, target, left)
                a.alu(alu, s, target, right)
            }
        case .sub:
            let left = use(op.a)
            let right = useOperand(op.b)
            let target = define(reusing: op.a)
            if target == left {
                a.alu(.sub, s, target, right)
            } else if right == .direct(target) {
                a.neg(s, target)
                a.alu(.add, s, target, left)
            } else {
                a.mov(s, target, left)
                a.alu(.sub, s, target, right)
            }
            narrow(target, op.type)
        case .mul:
            let left = use(op.a)
            let right = useOperand(op.b)
            let target = define(reusing: op.a)
            if target == left {
                a.imul(s, target, right)
            } else if right == .direct(target) {
                a.imul(s, target, left)
            } else {
                a.mov(s, target, left)
                a.imul(s, target, right)
            }
            narrow(target, op.type)
        default: // andNot
            let left = use(op.a), right = use(op.b)
            a.andn(s, define(reusing: op.a), right, left)
        }
    }

    private mutating func arithmetic(_ op: Op, _ s: OperandSize, _ imm: Int32) {
        if op.code == .mul {
            let left = useOperand(op.a)
            let value = constantValue(op.b)
            let target = define(reusing: op.a)
            if value != 0, value & (value &- 1) == 0, left.isDirect {
                let shift = UInt8(truncatingIfNeeded: value.trailingZeroBitCount)
                let source = GPR(rawValue: left.baseNumber)
                if target != source { a.mov(s, target, source) }
                a.shift(.shl, s, target, shift)
            } else {
                a.imul(s, target, left, imm: imm)
            }
            return narrow(target, op.type)
        }
        let left = use(op.a)
        let target = define(reusing: op.a)
        switch op.code {
        case .add, .sub:
            let amount = op.code == .add ? imm : 0 &- imm
            if target == left || (op.code == .sub && imm == Int32.min) {
                if target != left { a.mov(s, target, left) }
                a.alu(op.code == .add ? .add : .sub, s, target, imm: imm)
            } else {
                a.lea(s, target, .base(left, amount))
            }
        case .and where imm == 0xFF: a.movzx(target, left, from: .b8)
        case .and where imm == 0xFFFF: a.movzx(target, left, from: .b16)
        case .and where imm >= 0:
            if target != left { a.mov(.b32, target, left) }
            a.alu(.and, .b32, target, imm: imm)
        case .xor where imm == -1:
            if target != left { a.mov(s, target, left) }
            a.not(s, target)
        default:
            if target != left { a.mov(s, target, left) }
            a.alu(op.code == .and ? .and : op.code == .or ? .or : .xor, s, target, imm: imm)
        }
        narrow(target, op.type)
    }

    mutating func lowerUnary(_ op: Op) {
        let s = size(op.type)
        switch op.code {
        case .not, .neg:
            let source = use(op.a)
            let target = define(reusing: op.a)
            if target != source { a.mov(s, target, source) }
            if op.code == .not { a.not(s, target) } else { a.neg(s, target) }
            narrow(target, op.type)
        case .clz:
            let source = useOperand(op.a)
            let target = define(reusing: op.a)
            a.lzcnt(s, target, source)
            if op.type.bits < 32 { a.alu(.sub, .b32, target, imm: Int32(32 - op.type.bits)) }
        case .ctz:
            let source = use(op.a)
            if op.type.bits < 32 {
                let target = define(avoiding: 1 << UInt64(source.rawValue))
                a.mov(.b32, target, source)
                a.bts(.b32, target, UInt8(op.type.bits))
                a.tzcnt(.b32, target, target)
            } else {
                a.tzcnt(s, define(reusing: op.a), source)
            }
        case .popcount:
            let source = useOperand(op.a)
            a.popcnt(s, define(reusing: op.a), source)
        case .byteSwap:
            let source = use(op.a)
            let target = define(reusing: op.a)
            if target != source { a.mov(s, target, source) }
            if op.type == .i16 {
                a.shift(.rol, .b16, target, 8)
                narrow(target, .i16)
            } else if op.type != .i8 {
                a.bswap(s, target)
            }
        default: // orCombine: 0xFF where a byte is not zero
            let source = use(op.a)
            let bytes = takeFloat(), zero = takeFloat()
            a.vmovq(bytes, source)
            a.avx(.vpxor, zero, zero, zero)
            a.avx(.vpcmpeqb, bytes, bytes, zero)
            let target = define(reusing: op.a)
            a.vmovq(target, bytes)
            a.not(s, target)
            narrow(target, op.type)
        }
    }

    mutating func lowerShift(_ op: Op) {
        let s = size(op.type)
        let bits = UInt64(op.type.bits)
        if isConstant(op.b) {
            let amount = UInt8(truncatingIfNeeded: constantValue(op.b) & (bits &- 1))
            let source = use(op.a)
            if op.code == .rotl || op.code == .rotr, op.type == .i64 || op.type == .i32 {
                let right = op.code == .rotr ? amount : UInt8(bits) &- amount
                let target = define(reusing: op.a)
                if target == source { a.shift(.ror, s, target, right) } else { a.rorx(s, target, source, right) }
                return
            }
            guard op.type == .i64 || op.type == .i32 else { return narrowShift(op) }
            let target = define(reusing: op.a)
            if op.code == .shl, target != source, amount <= 3, amount >= 1 {
                a.lea(s, target, .indexOnly(source, 1 << Int(amount), 0))
                return
            }
            if target != source { a.mov(s, target, source) }
            a.shift(op.code == .shl ? .shl : op.code == .shrU ? .shr : .sar, s, target, amount)
            return
        }
        guard op.type == .i64 || op.type == .i32 else { return narrowShift(op) }
        switch op.code {
        case .shl, .shrU, .shrS:
            let count = use(op.b)
            let source = useOperand(op.a)
            let target = define(reusing: op.a)
            switch op.code {
            case .shl: a.shlx(s, target, source, count)
            case .shrU: a.shrx(s, target, source, count)
            default: a.sarx(s, target, source, count)
            }
        default:
            take(fixed: .rcx)
            copy(op.b, to: .rcx)
            let source = use(op.a)
            let target = define(reusing: op.a, avoiding: 1 << UInt64(GPR.rcx.rawValue))
            if target != source { a.mov(s, target, source) }
            a.shiftByCL(op.code == .rotl ? .rol : .ror, s, target)
        }
    }

    /// 8- and 16-bit shifts and rotates: the amount is taken modulo the width first.
    private mutating func narrowShift(_ op: Op) {
        take(fixed: .rcx)
        copy(op.b, to: .rcx)
        a.alu(.and, .b32, .rcx, imm: Int32(op.type.bits - 1))
        let work = takeInteger()
        if op.code == .shrS { signedCopy(op.a, into: work) } else { copy(op.a, to: work) }
        let narrowSize: OperandSize = op.type == .i8 ? .b8 : .b16
        switch op.code {
        case .shl: a.shiftByCL(.shl, .b32, work)
        case .shrU: a.shiftByCL(.shr, .b32, work)
        case .shrS: a.shiftByCL(.sar, .b32, work)
        case .rotl: a.shiftByCL(.rol, narrowSize, work)
        default: a.shiftByCL(.ror, narrowSize, work)
        }
        narrow(work, op.type)
        result(in: work)
    }

    mutating func lowerExtension(_ op: Op) {
        let from = op.aux != 0 ? Int(op.aux) : op.code == .truncate ? op.type.bits : type(op.a).bits
        if op.code == .signExtend {
            let source = useOperand(op.a)
            let target = define(reusing: op.a)
            let s = size(op.type)
            switch from {
            case 8: a.movsx(s, target, source, from: .b8)
            case 16: a.movsx(s, target, source, from: .b16)
            case 32: if op.type == .i64 { a.movsx(.b64, target, source, from: .b32) } else { a.mov(.b32, target, source) }
            default: a.mov(.b64, target, source)
            }
            return narrow(target, op.type)
        }
        // The operand's own memory may be read in the narrower width.
        let source = useOperand(op.a)
        let target = define(reusing: op.a)
        switch from {
        case 8: a.movzx(target, source, from: .b8)
        case 16: a.movzx(target, source, from: .b16)
        case 32: a.mov(.b32, target, source)
        default: if source != .direct(target) { a.mov(.b64, target, source) }
        }
    }

    // MARK: comparison

    static func conditionCode(_ condition: Condition) -> ConditionCode {
        switch condition {
        case .equal: .e
        case .notEqual: .ne
        case .lessU: .b
        case .greaterEqualU: .ae
        case .lessS: .l
        case .greaterEqualS: .ge
        case .lessEqualU: .be
        case .greaterU: .a
        case .lessEqualS: .le
        case .greaterS: .g
        }
    }

    /// Emits the comparison of `left` and `right`; the returned condition then holds for the flags.
    mutating func emitCompare(_ aux: UInt16, _ left: Ref, _ right: Ref) -> ConditionCode {
        let condition = Condition(rawValue: aux) ?? .equal
        let operandType = type(left)
        let s: OperandSize = switch operandType { case .i8: .b8; case .i16: .b16; case .i32: .b32; default: .b64 }
        if let imm = immediate(right) {
            let short = s == .b8 ? Int32(Int8(truncatingIfNeeded: imm)) : s == .b16 ? Int32(Int16(truncatingIfNeeded: imm)) : imm
            if short == 0, condition == .equal || condition == .notEqual || condition == .lessS || condition == .greaterEqualS {
                let operand = useOperand(left)
                if operand.isDirect {
                    let register = GPR(rawValue: operand.baseNumber)
                    a.test(s, register, register)
                } else {
                    a.alu(.cmp, s, operand, imm: 0)
                }
            } else {
                a.alu(.cmp, s, useOperand(left), imm: short)
            }
            return Self.conditionCode(condition)
        }
        if isConstant(left) {
            let imm = immediate(left)
            if let imm {
                a.alu(.cmp, s, useOperand(right), imm: imm)
                return Self.conditionCode(condition.swapped)
            }
        }
        let first = use(left)
        let second = useOperand(right)
        a.alu(.cmp, s, first, second)
        return Self.conditionCode(condition)
    }

    /// Whether the comparison made by `value` can be emitted at its one user, which follows with nothing but constants
    /// between.
    private func isFusable(_ value: Int) -> Bool {
        guard liveness.uses[value] == 1 else { return false }
        let user = Int(liveness.lastUse[value])
        guard ops[user].code == .select, Int(ops[user].a) == value else { return false }
        var between = value &+ 1
        while between < user {
            guard ops[between].code == .const || ops[between].code == .get else { return false }
            between &+= 1
        }
        return true
    }

    mutating func lowerCompare(_ op: Op) {
        if isFusable(index) {
            // The operands must live until the user: it reads them in this op's stead.
            extendOperandLives(of: op, to: Int(liveness.lastUse[index]))
            return
        }
        // 0 or 1 from the sign or carry without a flag where one instruction does it.
        if op.aux == Condition.lessS.rawValue, type(op.a).bytes >= 4, immediate(op.b) == 0 {
            let source = use(op.a), s = size(type(op.a))
            let target = define(reusing: op.a)
            if target != source { a.mov(s, target, source) }
            a.shift(.shr, s, target, s == .b64 ? 63 : 31)
            return
        }
        let condition = emitCompare(op.aux, op.a, op.b)
        // A scratch byte first when the home still holds an operand is not needed: the comparison is done.
        let target = define()
        a.setcc(condition, target)
        a.movzx(target, target, from: .b8)
    }

    private func extendOperandLives(of op: Op, to user: Int) {
        for ref in [op.a, op.b] where liveness.lastUse[Int(ref)] < Ref(truncatingIfNeeded: user) {
            liveness.lastUse[Int(ref)] = Ref(truncatingIfNeeded: user)
        }
    }

    mutating func lowerSelect(_ op: Op) {
        let test = Int(op.a)
        let isFused = ops[test].code == .compare && isFusable(test)
        guard !op.type.isVector else { return lowerFloatSelect(op, isFused) }
        let whenFalse = use(op.c)
        let whenTrue = use(op.b)
        var condition: ConditionCode
        let operands = places.locked
        if isFused {
            condition = emitCompare(ops[test].aux, ops[test].a, ops[test].b)
        } else {
            let register = use(op.a)
            a.test(.b64, register, register)
            condition = .ne
        }
        places.locked = operands
        // `mov` leaves the flags alone.
        let target = define(reusing: op.c)
        if target == whenFalse {
            a.cmov(condition, .b64, target, whenTrue)
        } else if target == whenTrue {
            condition = condition.inverted
            a.cmov(condition, .b64, target, whenFalse)
        } else {
            a.mov(.b64, target, whenFalse)
            a.cmov(condition, .b64, target, whenTrue)
        }
        if isFused { killFused(ops[test]) }
    }

    private mutating func lowerFloatSelect(_ op: Op, _ isFused: Bool) {
        let whenTrue = useFloat(op.b), whenFalse = useFloat(op.c)
        let condition: ConditionCode
        if isFused {
            let test = ops[Int(op.a)]
            condition = emitCompare(test.aux, test.a, test.b)
        } else {
            let register = use(op.a)
            a.test(.b64, register, register)
            condition = .ne
        }
        places.locked &= Placement.floatScratchMask
        let target = takeFloat()
        a.vmovaps(target, whenTrue)
        let skip = a.jccShort(condition)
        a.vmovaps(target, whenFalse)
        a.bind(skip)
        deliver(target)
        if isFused { killFused(ops[Int(op.a)]) }
    }

    /// The operands of a fused comparison end their lives here if nothing else prolongs them.
    private mutating func killFused(_ test: Op) {
        if dies(test.a) { places.kill(Int(test.a)) }
        if dies(test.b) { places.kill(Int(test.b)) }
    }
}
