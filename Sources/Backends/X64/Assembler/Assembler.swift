// The x86-64 assembler: a cursor into the writable view of the code buffer and the two encoders every
// instruction goes through, legacy here and VEX/EVEX in VectorEncoding.swift. Intel SDM volume 2, chapter 2.
// The instructions are in extensions, one file per group. No allocation, no arrays: the struct is trivial.
//
// Soundness: every instruction asks `hasRoom` once before its first byte, which guarantees 16 writable bytes up
// to `limit`; an instruction is at most 15 bytes long.

/// Writes x86-64 machine code. An emit that does not fit is dropped and sets `overflowed`.
package struct Assembler: BitwiseCopyable {
    /// Where the next byte goes, in the writable view.
    package var cursor: UnsafeMutablePointer<UInt8>
    /// The end of the space that may be written.
    package let limit: UnsafeMutablePointer<UInt8>
    /// Executable address minus writable address.
    package let executableDelta: Int
    /// Set once an instruction was dropped because fewer than 16 bytes were left.
    package var overflowed = false
    /// Set once a relative target was too far away; the code written is then wrong and must be thrown away.
    package var outOfRange = false

    /// - Parameters:
    ///   - write: first byte to write, in the writable view.
    ///   - limit: end of the writable space.
    ///   - executableDelta: executable address of a byte minus its writable address.
    package init(write: UnsafeMutablePointer<UInt8>, limit: UnsafeMutablePointer<UInt8>, executableDelta: Int) {
        self.cursor = write
        self.limit = limit
        self.executableDelta = executableDelta
    }

    /// The executable address of the next instruction.
    @inline(__always)
    package var here: UInt64 { UInt64(UInt(bitPattern: UnsafeRawPointer(cursor))) &+ UInt64(bitPattern: Int64(executableDelta)) }

    /// Whether a rel32 written near the cursor can name this address.
    package func reaches(_ address: UInt64) -> Bool {
        // 64 bytes of slack cover the instruction that will contain the field.
        let distance = Int64(bitPattern: address &- here)
        return distance > Int64(Int32.min) &+ 64 && distance < Int64(Int32.max) &- 64
    }

    /// True if an instruction fits; otherwise marks the overflow.
    @inline(__always)
    mutating func hasRoom() -> Bool {
        if limit - cursor >= 16 { return true }
        overflowed = true
        return false
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        cursor.pointee = value
        cursor += 1
    }

    @inline(__always)
    mutating func word32(_ value: UInt32) {
        UnsafeMutableRawPointer(cursor).storeBytes(of: value, as: UInt32.self)
        cursor += 4
    }

    @inline(__always)
    mutating func word64(_ value: UInt64) {
        UnsafeMutableRawPointer(cursor).storeBytes(of: value, as: UInt64.self)
        cursor += 8
    }

    /// The low 0, 1, 2 or 4 bytes of `value`.
    @inline(__always)
    mutating func immediate(_ value: Int32, bytes: Int) {
        switch bytes {
        case 0: break
        case 1: byte(UInt8(truncatingIfNeeded: value))
        case 2:
            byte(UInt8(truncatingIfNeeded: value))
            byte(UInt8(truncatingIfNeeded: value >> 8))
        default: word32(UInt32(bitPattern: value))
        }
    }

    /// A displacement from `end` (an executable address) to `target`.
    @inline(__always)
    mutating func relative(to target: UInt64, from end: UInt64) -> Int32 {
        let distance = Int64(bitPattern: target &- end)
        if distance != Int64(Int32(truncatingIfNeeded: distance)) { outOfRange = true }
        return Int32(truncatingIfNeeded: distance)
    }

    /// An instruction outside VEX and EVEX.
    ///
    /// `code` is read by hexadecimal digit, `0x P M OO`: mandatory prefix (0 none, 1 = 66, 2 = F3, 3 = F2), map
    /// (0 one byte, 1 = 0F, 2 = 0F 38, 3 = 0F 3A), opcode byte. The size adds 66 or REX.W; choosing the byte form
    /// of the opcode is the caller's.
    /// - Parameters:
    ///   - byteRegister: `reg` names a byte register, so spl, bpl, sil and dil need a REX prefix.
    ///   - byteOperand: the same for a direct `rm`.
    mutating func legacy(_ code: UInt32, _ size: OperandSize, reg: UInt8, rm: Mem, byteRegister: Bool = false,
                         byteOperand: Bool = false, lock: Bool = false, immediate value: Int32 = 0,
                         immediateBytes: Int = 0) {
        guard hasRoom() else { return }
        if lock { byte(0xF0) }
        if size == .b16 { byte(0x66) }
        switch (code >> 12) & 15 {
        case 0: break
        case 1: byte(0x66)
        case 2: byte(0xF3)
        default: byte(0xF2)
        }
        var rex: UInt8 = size == .b64 ? 8 : 0
        rex |= (reg & 8) >> 1 | (rm.indexNumber & 8) >> 2 | (rm.baseNumber & 8) >> 3
        if rex != 0 || (byteRegister && reg >= 4) || (byteOperand && rm.isDirect && rm.baseNumber >= 4) {
            byte(0x40 | rex)
        }
        switch (code >> 8) & 15 {
        case 0: break
        case 1: byte(0x0F)
        case 2: byte(0x0F); byte(0x38)
        default: byte(0x0F); byte(0x3A)
        }
        byte(UInt8(truncatingIfNeeded: code))
        modRM(reg: reg, rm: rm, trailing: immediateBytes)
        immediate(value, bytes: immediateBytes)
    }

    /// ModRM, SIB and displacement.
    /// - Parameters:
    ///   - trailing: bytes of the instruction after the displacement, which RIP-relative addresses count from.
    ///   - compression: log2 of the unit of an 8-bit displacement (EVEX); 0 elsewhere.
    mutating func modRM(reg: UInt8, rm: Mem, trailing: Int, compression: UInt8 = 0) {
        let regField = (reg & 7) << 3
        let base = rm.baseNumber & 7
        switch rm.mode {
        case .direct:
            byte(0xC0 | regField | base)
        case .ripRelative:
            byte(0x05 | regField)
            let end = here &+ 4 &+ UInt64(trailing)
            word32(UInt32(bitPattern: relative(to: UInt64(bitPattern: rm.offset), from: end)))
        case .absolute:
            byte(0x04 | regField)
            byte(0x25)
            displacement32(rm.offset)
        case .indexOnly:
            byte(0x04 | regField)
            byte(rm.scaleShift << 6 | (rm.indexNumber & 7) << 3 | 5)
            displacement32(rm.offset)
        case .base, .baseIndex:
            let indexed = rm.mode == .baseIndex
            // rsp and r12 in the rm field mean "SIB follows", so as a base they need one.
            let needsSIB = indexed || base == 4
            let short = rm.offset >> Int64(compression)
            let mod: UInt8
            // rbp and r13 without displacement mean "no base", so they take a zero one.
            if rm.offset == 0 && base != 5 {
                mod = 0
            } else if short == Int64(Int8(truncatingIfNeeded: short)), short << Int64(compression) == rm.offset {
                mod = 0x40
            } else {
                mod = 0x80
            }
            byte(mod | regField | (needsSIB ? 4 : base))
            if needsSIB { byte(indexed ? rm.scaleShift << 6 | (rm.indexNumber & 7) << 3 | base : 0x20 | base) }
            if mod == 0x40 {
                byte(UInt8(truncatingIfNeeded: short))
            } else if mod == 0x80 {
                displacement32(rm.offset)
            }
        }
    }

    @inline(__always)
    private mutating func displacement32(_ offset: Int64) {
        if offset != Int64(Int32(truncatingIfNeeded: offset)) { outOfRange = true }
        word32(UInt32(truncatingIfNeeded: offset))
    }
}
