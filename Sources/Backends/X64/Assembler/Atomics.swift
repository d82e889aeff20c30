// Locked read-modify-write instructions and fences. Intel SDM volume 2 (LOCK, XADD, CMPXCHG, CMPXCHG16B, MFENCE)
// and volume 3, chapter 9. XCHG, which locks by itself, is among the moves.

extension Assembler {
    /// `(mem, src) = (mem + src, mem)`.
    package mutating func lockXadd(_ size: OperandSize, _ mem: Mem, _ src: GPR) {
        let byte = size == .b8
        legacy(byte ? 0x1C0 : 0x1C1, size, reg: src.rawValue, rm: mem, byteRegister: byte, lock: true)
    }

    /// If `mem == rax`, `mem = src` and ZF is set; otherwise `rax = mem`.
    package mutating func lockCmpxchg(_ size: OperandSize, _ mem: Mem, _ src: GPR) {
        let byte = size == .b8
        legacy(byte ? 0x1B0 : 0x1B1, size, reg: src.rawValue, rm: mem, byteRegister: byte, lock: true)
    }

    /// The same on 16 bytes: expected `rdx:rax`, desired `rcx:rbx`; `mem` must be aligned.
    package mutating func lockCmpxchg16b(_ mem: Mem) { legacy(0x1C7, .b64, reg: 1, rm: mem, lock: true) }

    /// `mem = mem op src`; not for `cmp`.
    package mutating func lockAlu(_ op: ALU, _ size: OperandSize, _ mem: Mem, _ src: GPR) {
        alu(op, size, mem, src, lock: true)
    }

    package mutating func lockAlu(_ op: ALU, _ size: OperandSize, _ mem: Mem, imm: Int32) {
        alu(op, size, mem, imm: imm, lock: true)
    }

    package mutating func mfence() { fixed(0xF0AE0F, bytes: 3) }
    package mutating func lfence() { fixed(0xE8AE0F, bytes: 3) }
    package mutating func sfence() { fixed(0xF8AE0F, bytes: 3) }
    package mutating func pause() { fixed(0x90F3, bytes: 2) }
}
