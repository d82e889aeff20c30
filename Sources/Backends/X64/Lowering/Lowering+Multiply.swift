import IR
import IRPasses
import Translation

// Wide multiplication, division and carry-less multiplication: ops with fixed registers or several instructions.
extension Lowering {
    mutating func lowerMultiplyHigh(_ op: Op) {
        let s = size(op.type)
        guard op.type == .i64 || op.type == .i32 else {
            failed = true
            return
        }
        take(fixed: .rdx)
        if op.code == .mulHighU {
            let right = useOperand(op.b)
            copy(op.a, to: .rdx)
            let target = define(avoiding: 1 << UInt64(GPR.rdx.rawValue))
            a.mulx(s, target, target, right)
            return
        }
        take(fixed: .rax)
        let left = use(op.a), right = use(op.b)
        a.mov(s, .rax, left)
        if op.code == .mulHighS {
            a.imul1(s, right)
        } else {
            // signed × unsigned: the unsigned product's upper half, less b where a is negative
            a.mul(s, right)
            a.mov(s, .rax, left)
            a.shift(.sar, s, .rax, s == .b64 ? 63 : 31)
            a.alu(.and, s, .rax, right)
            a.alu(.sub, s, .rdx, .rax)
        }
        deliver(.rdx)
    }

    mutating func lowerDivision(_ op: Op) {
        guard op.type == .i64 || op.type == .i32 else {
            failed = true
            return
        }
        let s = size(op.type)
        take(fixed: .rax)
        take(fixed: .rdx)
        let isSigned = op.code == .divS || op.code == .remS
        let isQuotient = op.code == .divS || op.code == .divU
        let left = use(op.a), right = use(op.b)
        // The result goes to rax; the special divisors are handled out of line.
        let constant = immediate(op.b)
        var special: ForwardJump?
        if constant == nil || constant == 0 || constant == -1 {
            if isSigned {
                // -1 and 0 in one comparison: divisor + 1 <= 1 unsigned
                a.lea(s, .rax, .base(right, 1))
                a.alu(.cmp, s, .rax, imm: 1)
                special = a.jccForward(.be)
            } else {
                a.test(s, right, right)
                special = a.jccForward(.e)
            }
        }
        record(.leave)
        a.mov(s, .rax, left)
        if isSigned {
            if s == .b64 { a.cqo() } else { a.cdq() }
            a.idiv(s, right)
        } else {
            a.alu(.xor, .b32, .rdx, .rdx)
            a.div(s, right)
        }
        if !isQuotient { a.mov(s, .rax, .rdx) }
        let resume = a.cursor
        record(.rejoin)
        if let special {
            var code = ColdCode(.division)
            code.jump = special
            code.resume = resume
            code.x = left.rawValue
            code.y = right.rawValue
            code.z = (isSigned ? 1 : 0) | (isQuotient ? 2 : 0) | (s == .b64 ? 4 : 0)
            cold.append(code)
        }
        deliver(.rax)
    }

    /// Division by zero, and signed division by -1: the result in rax.
    mutating func writeColdDivision(_ code: ColdCode) {
        let s: OperandSize = code.z & 4 != 0 ? .b64 : .b32
        let isSigned = code.z & 1 != 0, isQuotient = code.z & 2 != 0
        let left = GPR(rawValue: code.x), right = GPR(rawValue: code.y)
        if let jump = code.jump { a.bind(jump) }
        if isSigned { a.test(s, right, right) }
        let minusOne = isSigned ? a.jccShort(.ne) : nil
        // by zero
        if isQuotient { a.mov(s, .direct(.rax), imm: -1) } else { a.mov(s, .rax, left) }
        a.jmp(executable(code.resume))
        if let minusOne {
            a.bind(minusOne)
            if isQuotient {
                a.mov(s, .rax, left)
                a.neg(s, .rax)
            } else {
                a.mov(.b32, .direct(.rax), imm: 0)
            }
            a.jmp(executable(code.resume))
        }
    }

    mutating func lowerCarrylessMultiply(_ op: Op) {
        let left = use(op.a), right = use(op.b)
        let first = takeFloat(), second = takeFloat()
        a.vmovq(first, left)
        a.vmovq(second, right)
        a.avx(.vpclmulqdq, first, first, second, imm: 0)
        let bits = op.type.bits
        let target = define(reusing: op.a)
        guard op.type == .i64 || op.type == .i32 else {
            failed = true
            return
        }
        if op.type == .i32 {
            // The 63-bit product is in the low half.
            a.vmovq(target, first)
            switch op.code {
            case .clmulHigh: a.shift(.shr, .b64, target, 32)
            case .clmulReversed: a.shift(.shr, .b64, target, UInt8(bits - 1))
            default: break
            }
            a.mov(.b32, target, target)
            return
        }
        switch op.code {
        case .clmul: a.vmovq(target, first)
        case .clmulHigh: a.vpextrq(target, first, 1)
        default:
            let low = takeInteger()
            a.vmovq(low, first)
            a.vpextrq(target, first, 1)
            a.shld(.b64, target, low, 1)
        }
    }
}
