// The width of the integer registers and of the address space: what makes a CPU an RV32 or an RV64 one.
//
// The tables of instructions serve both. Integer registers live in the same 64-bit slots; on RV32 they are i32s, which the
// IR and every back end keep zero-extended: the host's 32-bit instructions do that by themselves, so that RV32 arithmetic
// costs no extension, and an address needs none to reach the 4 GiB above the memory base.

import IR

/// XLEN: 32 or 64 bits.
public enum XLEN: UInt8, Sendable, Hashable, CaseIterable {
    case rv32 = 32
    case rv64 = 64

    public var bits: Int { Int(rawValue) }
    public var bytes: Int { bits / 8 }
    /// All ones in XLEN bits.
    public var mask: UInt64 { self == .rv32 ? 0xffff_ffff : ~0 }
    /// The IR type of an integer register.
    public var type: ValueType { self == .rv32 ? .i32 : .i64 }
    /// The base that an ISA string begins with.
    public var baseName: String { self == .rv32 ? "rv32" : "rv64" }

    /// What stands for the base among the extensions, so that an instruction can ask for one.
    var marker: Extensions { self == .rv32 ? .rv32 : .rv64 }

    /// A register's value as the signed number it stands for.
    public func signExtended(_ value: UInt64) -> UInt64 {
        self == .rv32 ? UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: value))) : value
    }
}
