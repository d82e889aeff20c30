// Shifts, rotates, bit tests, counts, and BMI1/BMI2. Intel SDM volume 2; opcode groups 2, 8 and 17 of
// appendix A.4.

/// The operations of opcode group 2; the raw value is the /digit.
package enum Shift: UInt8, BitwiseCopyable, Sendable { case rol = 0, ror, rcl, rcr, shl, shr, sar = 7 }

/// The operations of opcode group 8; the raw value is the /digit.
package enum BitTest: UInt8, BitwiseCopyable, Sendable { case bt = 4, bts, btr, btc }

extension Assembler {
    /// Shifts or rotates by a constant; the count is taken modulo 32 (64 for `.b64`).
    package mutating func shift(_ op: Shift, _ size: OperandSize, _ dst: GPR, _ count: UInt8) {
        shift(op, size, .direct(dst), count)
    }

    package mutating func shift(_ op: Shift, _ size: OperandSize, _ dst: Mem, _ count: UInt8) {
        let byte = size == .b8
        if count == 1 {
            legacy(byte ? 0xD0 : 0xD1, size, reg: op.rawValue, rm: dst, byteOperand: byte)
        } else {
            legacy(byte ? 0xC0 : 0xC1, size, reg: op.rawValue, rm: dst, byteOperand: byte, immediate: Int32(count),
                   immediateBytes: 1)
        }
    }

    /// Shifts or rotates by cl; leaves the flags alone when the masked count is zero.
    package mutating func shiftByCL(_ op: Shift, _ size: OperandSize, _ dst: GPR) { shiftByCL(op, size, .direct(dst)) }

    package mutating func shiftByCL(_ op: Shift, _ size: OperandSize, _ dst: Mem) {
        let byte = size == .b8
        legacy(byte ? 0xD2 : 0xD3, size, reg: op.rawValue, rm: dst, byteOperand: byte)
    }

    /// Shifts `dst` left, filling from the top of `src`.
    package mutating func shld(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ count: UInt8) {
        legacy(0x1A4, size, reg: src.rawValue, rm: .direct(dst), immediate: Int32(count), immediateBytes: 1)
    }

    package mutating func shldByCL(_ size: OperandSize, _ dst: GPR, _ src: GPR) {
        legacy(0x1A5, size, reg: src.rawValue, rm: .direct(dst))
    }

    /// Shifts `dst` right, filling from the bottom of `src`.
    package mutating func shrd(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ count: UInt8) {
        legacy(0x1AC, size, reg: src.rawValue, rm: .direct(dst), immediate: Int32(count), immediateBytes: 1)
    }

    package mutating func shrdByCL(_ size: OperandSize, _ dst: GPR, _ src: GPR) {
        legacy(0x1AD, size, reg: src.rawValue, rm: .direct(dst))
    }

    /// `dst = src << count`, flags untouched; 32 or 64 bits.
    package mutating func shlx(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ count: GPR) {
        integerVEX(0x12F7, size, reg: dst, v: count, rm: .direct(src))
    }
    package mutating func shlx(_ size: OperandSize, _ dst: GPR, _ src: Mem, _ count: GPR) {
        integerVEX(0x12F7, size, reg: dst, v: count, rm: src)
    }

    /// `dst = src >> count`, unsigned, flags untouched; 32 or 64 bits.
    package mutating func shrx(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ count: GPR) {
        integerVEX(0x32F7, size, reg: dst, v: count, rm: .direct(src))
    }
    package mutating func shrx(_ size: OperandSize, _ dst: GPR, _ src: Mem, _ count: GPR) {
        integerVEX(0x32F7, size, reg: dst, v: count, rm: src)
    }

    /// `dst = src >> count`, signed, flags untouched; 32 or 64 bits.
    package mutating func sarx(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ count: GPR) {
        integerVEX(0x22F7, size, reg: dst, v: count, rm: .direct(src))
    }
    package mutating func sarx(_ size: OperandSize, _ dst: GPR, _ src: Mem, _ count: GPR) {
        integerVEX(0x22F7, size, reg: dst, v: count, rm: src)
    }

    /// `dst = src` rotated right by a constant, flags untouched; 32 or 64 bits.
    package mutating func rorx(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ count: UInt8) {
        rorx(size, dst, .direct(src), count)
    }
    package mutating func rorx(_ size: OperandSize, _ dst: GPR, _ src: Mem, _ count: UInt8) {
        vector(0x33F0 | wide(size), reg: dst.rawValue, v: 0, rm: src, immediate: count, immediateBytes: 1)
    }

    /// `high:low = rdx * src`, unsigned, flags untouched; 32 or 64 bits.
    package mutating func mulx(_ size: OperandSize, _ high: GPR, _ low: GPR, _ src: GPR) {
        integerVEX(0x32F6, size, reg: high, v: low, rm: .direct(src))
    }
    package mutating func mulx(_ size: OperandSize, _ high: GPR, _ low: GPR, _ src: Mem) {
        integerVEX(0x32F6, size, reg: high, v: low, rm: src)
    }

    /// `dst = ~a & b`; 32 or 64 bits.
    package mutating func andn(_ size: OperandSize, _ dst: GPR, _ a: GPR, _ b: GPR) {
        integerVEX(0x02F2, size, reg: dst, v: a, rm: .direct(b))
    }
    package mutating func andn(_ size: OperandSize, _ dst: GPR, _ a: GPR, _ b: Mem) {
        integerVEX(0x02F2, size, reg: dst, v: a, rm: b)
    }

    /// `dst = src` with the bits from number `index` (low byte) up cleared; 32 or 64 bits.
    package mutating func bzhi(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ index: GPR) {
        integerVEX(0x02F5, size, reg: dst, v: index, rm: .direct(src))
    }
    /// Scatters the low bits of `src` to the positions set in `mask`.
    package mutating func pdep(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ mask: GPR) {
        integerVEX(0x32F5, size, reg: dst, v: src, rm: .direct(mask))
    }
    /// Gathers the bits of `src` at the positions set in `mask`.
    package mutating func pext(_ size: OperandSize, _ dst: GPR, _ src: GPR, _ mask: GPR) {
        integerVEX(0x22F5, size, reg: dst, v: src, rm: .direct(mask))
    }
    /// `dst = src & (src - 1)`.
    package mutating func blsr(_ size: OperandSize, _ dst: GPR, _ src: GPR) {
        integerVEX(0x02F3, size, reg: GPR(1), v: dst, rm: .direct(src))
    }
    /// `dst = src ^ (src - 1)`.
    package mutating func blsmsk(_ size: OperandSize, _ dst: GPR, _ src: GPR) {
        integerVEX(0x02F3, size, reg: GPR(2), v: dst, rm: .direct(src))
    }
    /// `dst = src & -src`.
    package mutating func blsi(_ size: OperandSize, _ dst: GPR, _ src: GPR) {
        integerVEX(0x02F3, size, reg: GPR(3), v: dst, rm: .direct(src))
    }

    /// Leading zero bits; the operand size for zero. Not for bytes (so are the next two).
    package mutating func lzcnt(_ size: OperandSize, _ dst: GPR, _ src: GPR) { lzcnt(size, dst, .direct(src)) }
    package mutating func lzcnt(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        legacy(0x21BD, size, reg: dst.rawValue, rm: src)
    }
    /// Trailing zero bits; the operand size for zero.
    package mutating func tzcnt(_ size: OperandSize, _ dst: GPR, _ src: GPR) { tzcnt(size, dst, .direct(src)) }
    package mutating func tzcnt(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        legacy(0x21BC, size, reg: dst.rawValue, rm: src)
    }
    /// Bits set.
    package mutating func popcnt(_ size: OperandSize, _ dst: GPR, _ src: GPR) { popcnt(size, dst, .direct(src)) }
    package mutating func popcnt(_ size: OperandSize, _ dst: GPR, _ src: Mem) {
        legacy(0x21B8, size, reg: dst.rawValue, rm: src)
    }

    /// Carry = the bit, which is then kept, set, reset or complemented; the number is taken modulo the size.
    package mutating func bitTest(_ op: BitTest, _ size: OperandSize, _ dst: Mem, _ bit: UInt8) {
        legacy(0x1BA, size, reg: op.rawValue, rm: dst, immediate: Int32(bit), immediateBytes: 1)
    }
    package mutating func bitTest(_ op: BitTest, _ size: OperandSize, _ dst: GPR, _ bit: GPR) {
        legacy(0x183 | UInt32(op.rawValue) << 3, size, reg: bit.rawValue, rm: .direct(dst))
    }

    package mutating func bt(_ size: OperandSize, _ dst: GPR, _ bit: UInt8) { bitTest(.bt, size, .direct(dst), bit) }
    package mutating func bts(_ size: OperandSize, _ dst: GPR, _ bit: UInt8) { bitTest(.bts, size, .direct(dst), bit) }
    package mutating func btr(_ size: OperandSize, _ dst: GPR, _ bit: UInt8) { bitTest(.btr, size, .direct(dst), bit) }
    package mutating func btc(_ size: OperandSize, _ dst: GPR, _ bit: UInt8) { bitTest(.btc, size, .direct(dst), bit) }
    package mutating func bt(_ size: OperandSize, _ dst: GPR, _ bit: GPR) { bitTest(.bt, size, dst, bit) }
    package mutating func bts(_ size: OperandSize, _ dst: GPR, _ bit: GPR) { bitTest(.bts, size, dst, bit) }
    package mutating func btr(_ size: OperandSize, _ dst: GPR, _ bit: GPR) { bitTest(.btr, size, dst, bit) }
    package mutating func btc(_ size: OperandSize, _ dst: GPR, _ bit: GPR) { bitTest(.btc, size, dst, bit) }

    private mutating func integerVEX(_ code: UInt32, _ size: OperandSize, reg: GPR, v: GPR, rm: Mem) {
        assert(size == .b32 || size == .b64)
        vector(code | wide(size), reg: reg.rawValue, v: v.rawValue, rm: rm)
    }

    /// The W bits of a VEX or EVEX encoding (see `vector`) for a general-purpose operand of this size.
    @inline(__always)
    func wide(_ size: OperandSize) -> UInt32 { size == .b64 ? 0x30_0000 : 0 }
}
