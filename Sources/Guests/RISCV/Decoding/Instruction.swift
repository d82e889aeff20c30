// The operand fields of an encoding, by the formats of the unprivileged manual: "RV32I Base Instruction Formats" and
// "Compressed Instruction Formats". Prime names are the three-bit register fields of compressed formats.

/// An integer register, 0 to 31.
struct Register: Equatable {
    let number: UInt8
    @inline(__always) init(_ bits: UInt32) { number = UInt8(truncatingIfNeeded: bits & 31) }

    static let zero = Register(0), ra = Register(1), sp = Register(2)
    /// The registers that calls conventionally keep their return address in: ra and t0.
    var isLink: Bool { number == 1 || number == 5 }
}

/// A floating-point register, 0 to 31.
struct FloatRegister: Equatable {
    let number: UInt8
    @inline(__always) init(_ bits: UInt32) { number = UInt8(truncatingIfNeeded: bits & 31) }
}

/// One encoding: 32 bits, or 16 in the low half.
struct Instruction {
    let bits: UInt32
    @inline(__always) init(_ bits: UInt32) { self.bits = bits }

    /// Bits `low ... low + width - 1`.
    @inline(__always) func field(_ low: UInt32, _ width: UInt32) -> UInt32 { bits &>> low & ((1 &<< width) &- 1) }
    /// Those bits moved to start at bit `position`.
    @inline(__always) private func piece(_ low: UInt32, _ width: UInt32, at position: UInt32) -> UInt32 {
        field(low, width) &<< position
    }
    @inline(__always) private func signed(_ value: UInt32, _ width: Int32) -> Int64 {
        Int64((Int32(bitPattern: value) &<< (32 &- width)) &>> (32 &- width))
    }

    // MARK: registers
    var rd: Register { Register(field(7, 5)) }
    var rs1: Register { Register(field(15, 5)) }
    var rs2: Register { Register(field(20, 5)) }
    var fd: FloatRegister { FloatRegister(field(7, 5)) }
    var fs1: FloatRegister { FloatRegister(field(15, 5)) }
    var fs2: FloatRegister { FloatRegister(field(20, 5)) }
    var fs3: FloatRegister { FloatRegister(field(27, 5)) }
    /// Vector registers: destination (or stored data), first and second source.
    var vd: Int { Int(field(7, 5)) }
    var vs1: Int { Int(field(15, 5)) }
    var vs2: Int { Int(field(20, 5)) }

    // MARK: immediates
    var immI: Int64 { Int64(Int32(bitPattern: bits) &>> 20) }
    var immS: Int64 { Int64((Int32(bitPattern: bits) &>> 25) &<< 5) | Int64(field(7, 5)) }
    var immB: Int64 {
        signed(piece(8, 4, at: 1) | piece(25, 6, at: 5) | piece(7, 1, at: 11) | piece(31, 1, at: 12), 13)
    }
    var immU: Int64 { Int64(Int32(bitPattern: bits & 0xffff_f000)) }
    var immJ: Int64 {
        signed(piece(21, 10, at: 1) | piece(20, 1, at: 11) | piece(12, 8, at: 12) | piece(31, 1, at: 20), 21)
    }
    /// A shift amount of six bits, of five for operations on words.
    var shamt: UInt64 { UInt64(field(20, 6)) }
    var shamtW: UInt64 { UInt64(field(20, 5)) }
    var csr: UInt32 { field(20, 12) }
    /// The immediate of CSR instructions.
    var uimm: UInt64 { UInt64(field(15, 5)) }
    var rm: UInt32 { field(12, 3) }
    var predecessor: UInt32 { field(24, 4) }
    var successor: UInt32 { field(20, 4) }

    // MARK: compressed registers
    /// Bits 11:7 of CR and CI formats are `rd` (and rs1) as in 32-bit formats.
    var rs2C: Register { Register(field(2, 5)) }
    var fs2C: FloatRegister { FloatRegister(field(2, 5)) }
    var rdLow: Register { Register(8 | field(2, 3)) }
    var rs2Low: Register { Register(8 | field(2, 3)) }
    var rs1Low: Register { Register(8 | field(7, 3)) }
    var fdLow: FloatRegister { FloatRegister(8 | field(2, 3)) }
    var fs2Low: FloatRegister { FloatRegister(8 | field(2, 3)) }

    // MARK: compressed immediates, named by format
    var immCI: Int64 { signed(piece(2, 5, at: 0) | piece(12, 1, at: 5), 6) }
    var immCU: Int64 { immCI &<< 12 }
    var shamtC: UInt64 { UInt64(piece(2, 5, at: 0) | piece(12, 1, at: 5)) }
    var immCI16: Int64 {
        signed(piece(6, 1, at: 4) | piece(2, 1, at: 5) | piece(5, 1, at: 6) | piece(3, 2, at: 7) | piece(12, 1, at: 9), 10)
    }
    var uimmCIW: Int64 { Int64(piece(6, 1, at: 2) | piece(5, 1, at: 3) | piece(11, 2, at: 4) | piece(7, 4, at: 6)) }
    var uimmCL4: Int64 { Int64(piece(6, 1, at: 2) | piece(10, 3, at: 3) | piece(5, 1, at: 6)) }
    var uimmCL8: Int64 { Int64(piece(10, 3, at: 3) | piece(5, 2, at: 6)) }
    var uimmCI4: Int64 { Int64(piece(4, 3, at: 2) | piece(12, 1, at: 5) | piece(2, 2, at: 6)) }
    var uimmCI8: Int64 { Int64(piece(5, 2, at: 3) | piece(12, 1, at: 5) | piece(2, 3, at: 6)) }
    var uimmCSS4: Int64 { Int64(piece(9, 4, at: 2) | piece(7, 2, at: 6)) }
    var uimmCSS8: Int64 { Int64(piece(10, 3, at: 3) | piece(7, 3, at: 6)) }
    var immCB: Int64 {
        signed(piece(3, 2, at: 1) | piece(10, 2, at: 3) | piece(2, 1, at: 5) | piece(5, 2, at: 6) | piece(12, 1, at: 8), 9)
    }
    var immCJ: Int64 {
        signed(piece(3, 3, at: 1) | piece(11, 1, at: 4) | piece(2, 1, at: 5) | piece(7, 1, at: 6) | piece(6, 1, at: 7)
            | piece(9, 2, at: 8) | piece(8, 1, at: 10) | piece(12, 1, at: 11), 12)
    }
    /// Offsets of the byte and halfword accesses of Zcb.
    var uimmCLB: Int64 { Int64(piece(6, 1, at: 0) | piece(5, 1, at: 1)) }
    var uimmCLH: Int64 { Int64(piece(5, 1, at: 1)) }
}
