// MOV, MOVZX, MOVSX, MOVBE, LEA, XCHG, PUSH, POP, BSWAP, SETcc and CMOVcc. Intel SDM volume 2.
// No instruction here but those of the ALU changes the flags.

extension Assembler {
    /// `dst = src`. A 32-bit move clears the upper half; 8 and 16 bit ones keep the rest of the register.
    package mutating func mov(_ size: OperandSize, _ dst: GPR, _ src: GPR) { mov(size, .direct(dst), src) }

    package mutating func mov(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        let byte = size == .b8
        legacy(byte ? 0x8A : 0x8B, size, reg: dst.rawValue, rm: src, byteRegister: byte, byteOperand: byte)
    }

    package mutating func mov(_ size: OperandSize, _ dst: Mem, _ src: GPR) {
        let byte = size == .b8
        legacy(byte ? 0x88 : 0x89, size, reg: src.rawValue, rm: dst, byteRegister: byte, byteOperand: byte)
    }

    /// Stores the low bits of `imm`; a 64-bit store sign-extends it.
    package mutating func mov(_ size: OperandSize, _ dst: Mem, imm: Int32) {
        let byte = size == .b8
        legacy(byte ? 0xC6 : 0xC7, size, reg: 0, rm: dst, byteOperand: byte, immediate: imm,
               immediateBytes: min(size.bytes, 4))
    }

    /// Loads a 64-bit constant in the shortest form that leaves the flags alone.
    package mutating func movImmediate(_ dst: GPR, _ value: UInt64) {
        guard hasRoom() else { return }
        let extend = dst.rawValue >> 3
        if value <= UInt64(UInt32.max) {
            if extend != 0 { byte(0x41) }
            byte(0xB8 | dst.rawValue & 7)
            word32(UInt32(truncatingIfNeeded: value))
        } else if Int64(bitPattern: value) == Int64(Int32(truncatingIfNeeded: value)) {
            byte(0x48 | extend)
            byte(0xC7)
            byte(0xC0 | dst.rawValue & 7)
            word32(UInt32(truncatingIfNeeded: value))
        } else {
            byte(0x48 | extend)
            byte(0xB8 | dst.rawValue & 7)
            word64(value)
        }
    }

    /// MOVABS with a 64-bit immediate whatever the value, for constants that are patched later.
    package mutating func movImmediate64(_ dst: GPR, _ value: UInt64) {
        guard hasRoom() else { return }
        byte(0x48 | dst.rawValue >> 3)
        byte(0xB8 | dst.rawValue & 7)
        word64(value)
    }

    /// `dst = zero-extended src`, to all 64 bits. From `.b32` and `.b64` it is a plain move.
    package mutating func movzx(_ dst: GPR, _ src: GPR, from: OperandSize) { movzx(dst, .direct(src), from: from) }

    package mutating func movzx(_ dst: GPR, _ src: Mem, from: OperandSize) {
        switch from {
        case .b8: legacy(0x1B6, .b32, reg: dst.rawValue, rm: src, byteOperand: true)
        case .b16: legacy(0x1B7, .b32, reg: dst.rawValue, rm: src)
        case .b32, .b64: mov(from, dst, src)
        }
    }

    /// `dst = sign-extended src` to `size`; a `.b32` result clears the upper half.
    package mutating func movsx(_ size: OperandSize, _ dst: GPR, _ src: GPR, from: OperandSize) {
        movsx(size, dst, .direct(src), from: from)
    }

    package mutating func movsx(_ size: OperandSize, _ dst: GPR, _ src: Mem, from: OperandSize) {
        if from.rawValue >= size.rawValue { return mov(size, dst, src) }
        switch from {
        case .b8: legacy(0x1BE, size, reg: dst.rawValue, rm: src, byteOperand: true)
        case .b16: legacy(0x1BF, size, reg: dst.rawValue, rm: src)
        case .b32, .b64: legacy(0x63, size, reg: dst.rawValue, rm: src)
        }
    }

    /// Byte-swapping load.
    package mutating func movbe(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        legacy(0x2F0, size, reg: dst.rawValue, rm: src)
    }

    /// Byte-swapping store.
    package mutating func movbe(_ size: OperandSize, _ dst: Mem, _ src: GPR) {
        legacy(0x2F1, size, reg: src.rawValue, rm: dst)
    }

    /// `dst = address of src`.
    package mutating func lea(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        assert(!src.isDirect)
        legacy(0x8D, size, reg: dst.rawValue, rm: src)
    }

    /// Exchanges; with memory it is atomic.
    package mutating func xchg(_ size: OperandSize, _ a: Mem, _ b: GPR) {
        let byte = size == .b8
        legacy(byte ? 0x86 : 0x87, size, reg: b.rawValue, rm: a, byteRegister: byte, byteOperand: byte)
    }

    package mutating func xchg(_ size: OperandSize, _ a: GPR, _ b: GPR) { xchg(size, .direct(a), b) }

    /// Reverses the bytes of a 32 or 64 bit register.
    package mutating func bswap(_ size: OperandSize, _ dst: GPR) {
        guard hasRoom() else { return }
        let rex: UInt8 = (size == .b64 ? 8 : 0) | dst.rawValue >> 3
        if rex != 0 { byte(0x40 | rex) }
        byte(0x0F)
        byte(0xC8 | dst.rawValue & 7)
    }

    /// The low byte of `dst` = 1 if the condition holds, else 0.
    package mutating func setcc(_ condition: ConditionCode, _ dst: GPR) { setcc(condition, .direct(dst)) }

    package mutating func setcc(_ condition: ConditionCode, _ dst: Mem) {
        legacy(0x190 | UInt32(condition.rawValue), .b32, reg: 0, rm: dst, byteOperand: true)
    }

    /// `dst = src` if the condition holds. A 32-bit one clears the upper half either way; memory is always read.
    package mutating func cmov(_ condition: ConditionCode, _ size: OperandSize, _ dst: GPR, _ src: GPR) {
        cmov(condition, size, dst, .direct(src))
    }

    package mutating func cmov(_ condition: ConditionCode, _ size: OperandSize, _ dst: GPR, _ src: Mem) {
        assert(size != .b8)
        legacy(0x140 | UInt32(condition.rawValue), size, reg: dst.rawValue, rm: src)
    }

    package mutating func push(_ src: GPR) { oneByte(0x50, src) }
    package mutating func pop(_ dst: GPR) { oneByte(0x58, dst) }

    /// Pushes the sign-extended immediate as 64 bits.
    package mutating func push(imm: Int32) {
        guard hasRoom() else { return }
        if imm == Int32(Int8(truncatingIfNeeded: imm)) {
            byte(0x6A)
            byte(UInt8(truncatingIfNeeded: imm))
        } else {
            byte(0x68)
            word32(UInt32(bitPattern: imm))
        }
    }

    package mutating func push(_ src: Mem) { legacy(0xFF, .b32, reg: 6, rm: src) }
    package mutating func pop(_ dst: Mem) { legacy(0x8F, .b32, reg: 0, rm: dst) }

    /// An opcode with the register in its low three bits.
    private mutating func oneByte(_ opcode: UInt8, _ register: GPR) {
        guard hasRoom() else { return }
        if register.rawValue >= 8 { byte(0x41) }
        byte(opcode | register.rawValue & 7)
    }
}
