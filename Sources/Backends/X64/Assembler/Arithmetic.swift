// Two-operand arithmetic and logic, TEST, the F6/F7 and FE/FF groups, multiplication and sign extension into
// rdx. Intel SDM volume 2; opcode groups 1 and 3 of appendix A.4.

/// The eight operations of opcode group 1; the raw value is the /digit.
package enum ALU: UInt8, BitwiseCopyable, Sendable { case add, or, adc, sbb, and, sub, xor, cmp }

extension Assembler {
    /// `dst = dst op src`; `cmp` only sets the flags.
    package mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: GPR, _ src: GPR) { alu(op, size, .direct(dst), src) }

    package mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: GPR, _ src: Mem) {
        let byte = size == .b8
        legacy(UInt32(op.rawValue) << 3 | (byte ? 2 : 3), size, reg: dst.rawValue, rm: src, byteRegister: byte,
               byteOperand: byte)
    }

    package mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: Mem, _ src: GPR) {
        alu(op, size, dst, src, lock: false)
    }

    package mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: GPR, imm: Int32) {
        alu(op, size, .direct(dst), imm: imm)
    }

    /// The immediate is truncated to 8 or 16 bits, or sign-extended to 64.
    package mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: Mem, imm: Int32) {
        alu(op, size, dst, imm: imm, lock: false)
    }

    mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: Mem, _ src: GPR, lock: Bool) {
        let byte = size == .b8
        legacy(UInt32(op.rawValue) << 3 | (byte ? 0 : 1), size, reg: src.rawValue, rm: dst, byteRegister: byte,
               byteOperand: byte, lock: lock)
    }

    mutating func alu(_ op: ALU, _ size: OperandSize, _ dst: Mem, imm: Int32, lock: Bool) {
        let value = size == .b16 ? Int32(Int16(truncatingIfNeeded: imm)) : imm
        if size == .b8 {
            if dst == .direct(.rax) { return accumulator(op.rawValue << 3 | 4, size, imm) }
            legacy(0x80, size, reg: op.rawValue, rm: dst, byteOperand: true, lock: lock, immediate: value,
                   immediateBytes: 1)
        } else if value == Int32(Int8(truncatingIfNeeded: value)) {
            legacy(0x83, size, reg: op.rawValue, rm: dst, lock: lock, immediate: value, immediateBytes: 1)
        } else if dst == .direct(.rax) {
            accumulator(op.rawValue << 3 | 5, size, value)
        } else {
            legacy(0x81, size, reg: op.rawValue, rm: dst, lock: lock, immediate: value,
                   immediateBytes: min(size.bytes, 4))
        }
    }

    /// Flags of `a & b`.
    package mutating func test(_ size: OperandSize, _ a: GPR, _ b: GPR) { test(size, .direct(a), b) }

    package mutating func test(_ size: OperandSize, _ a: Mem, _ b: GPR) {
        let byte = size == .b8
        legacy(byte ? 0x84 : 0x85, size, reg: b.rawValue, rm: a, byteRegister: byte, byteOperand: byte)
    }

    package mutating func test(_ size: OperandSize, _ a: GPR, imm: Int32) { test(size, .direct(a), imm: imm) }

    package mutating func test(_ size: OperandSize, _ a: Mem, imm: Int32) {
        let byte = size == .b8
        if a == .direct(.rax) { return accumulator(byte ? 0xA8 : 0xA9, size, imm) }
        legacy(byte ? 0xF6 : 0xF7, size, reg: 0, rm: a, byteOperand: byte, immediate: imm,
               immediateBytes: min(size.bytes, 4))
    }

    package mutating func not(_ size: OperandSize, _ dst: GPR) { group3(2, size, .direct(dst)) }
    package mutating func not(_ size: OperandSize, _ dst: Mem) { group3(2, size, dst) }
    package mutating func neg(_ size: OperandSize, _ dst: GPR) { group3(3, size, .direct(dst)) }
    package mutating func neg(_ size: OperandSize, _ dst: Mem) { group3(3, size, dst) }
    /// `rdx:rax = rax * src`, unsigned (`ax = al * src` for bytes).
    package mutating func mul(_ size: OperandSize, _ src: GPR) { group3(4, size, .direct(src)) }
    package mutating func mul(_ size: OperandSize, _ src: Mem) { group3(4, size, src) }
    /// `rdx:rax = rax * src`, signed.
    package mutating func imul1(_ size: OperandSize, _ src: GPR) { group3(5, size, .direct(src)) }
    package mutating func imul1(_ size: OperandSize, _ src: Mem) { group3(5, size, src) }
    /// `rax, rdx = rdx:rax / src, rdx:rax % src`, unsigned; raises #DE on zero and on overflow.
    package mutating func div(_ size: OperandSize, _ src: GPR) { group3(6, size, .direct(src)) }
    package mutating func div(_ size: OperandSize, _ src: Mem) { group3(6, size, src) }
    /// `rax, rdx = rdx:rax / src, rdx:rax % src`, signed; raises #DE on zero and on overflow.
    package mutating func idiv(_ size: OperandSize, _ src: GPR) { group3(7, size, .direct(src)) }
    package mutating func idiv(_ size: OperandSize, _ src: Mem) { group3(7, size, src) }

    /// Adds one, leaving the carry flag alone.
    package mutating func inc(_ size: OperandSize, _ dst: GPR) { inc(size, .direct(dst)) }
    package mutating func inc(_ size: OperandSize, _ dst: Mem) {
        legacy(size == .b8 ? 0xFE : 0xFF, size, reg: 0, rm: dst, byteOperand: size == .b8)
    }

    /// Subtracts one, leaving the carry flag alone.
    package mutating func dec(_ size: OperandSize, _ dst: GPR) { dec(size, .direct(dst)) }
    package mutating func dec(_ size: OperandSize, _ dst: Mem) {
        legacy(size == .b8 ? 0xFE : 0xFF, size, reg: 1, rm: dst, byteOperand: size == .b8)
    }

    /// `dst = dst * src`, low half; not for bytes.
    package mutating func imul(_ size: OperandSize, _ dst: GPR, _ src: GPR) { imul(size, dst, .direct(src)) }

    package mutating func imul(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        assert(size != .b8)
        legacy(0x1AF, size, reg: dst.rawValue, rm: src)
    }

    /// `dst = src * imm`, low half; not for bytes.
    package mutating func imul(_ size: OperandSize, _ dst: GPR, _ src: GPR, imm: Int32) {
        imul(size, dst, .direct(src), imm: imm)
    }

    package mutating func imul(_ size: OperandSize, _ dst: GPR, _ src: Mem, imm: Int32) {
        assert(size != .b8)
        let value = size == .b16 ? Int32(Int16(truncatingIfNeeded: imm)) : imm
        let short = value == Int32(Int8(truncatingIfNeeded: value))
        legacy(short ? 0x6B : 0x69, size, reg: dst.rawValue, rm: src, immediate: value,
               immediateBytes: short ? 1 : min(size.bytes, 4))
    }

    /// `rdx = sign of rax`.
    package mutating func cqo() { fixed(0x9948, bytes: 2) }
    /// `edx = sign of eax`.
    package mutating func cdq() { fixed(0x99, bytes: 1) }
    /// `rax = sign-extended eax`.
    package mutating func cdqe() { fixed(0x9848, bytes: 2) }

    private mutating func group3(_ digit: UInt8, _ size: OperandSize, _ operand: Mem) {
        legacy(size == .b8 ? 0xF6 : 0xF7, size, reg: digit, rm: operand, byteOperand: size == .b8)
    }

    /// The one-byte shorter forms that imply al, ax, eax or rax.
    private mutating func accumulator(_ opcode: UInt8, _ size: OperandSize, _ imm: Int32) {
        guard hasRoom() else { return }
        if size == .b16 { byte(0x66) }
        if size == .b64 { byte(0x48) }
        byte(opcode)
        immediate(imm, bytes: min(size.bytes, 4))
    }

    /// An instruction without operands, its bytes in memory order from the low end of `code`.
    @inline(__always)
    mutating func fixed(_ code: UInt32, bytes: Int) {
        guard hasRoom() else { return }
        var rest = code
        for _ in 0..<bytes {
            byte(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }
}
