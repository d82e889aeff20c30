// "B" Extension for Bit Manipulation, Zbs: single-bit instructions.

import IR

extension Emit {
    /// A one at the position that a register names, modulo XLEN.
    func bit(_ register: Register) -> Value { constant(1 as UInt64) << self[register] }
    func bit(_ position: UInt64) -> Value { constant(1 as UInt64 &<< position) }
}

extension Pattern {
    static let singleBits: [Pattern] = [
        Pattern("bclr rd, rs1, rs2", "0100100 ..... ..... 001 ..... 0110011", .zbs) { x, i in x[i.rd] = x[i.rs1].andNot(x.bit(i.rs2)) },
        Pattern("bclri rd, rs1, shamt", "010010 x..... ..... 001 ..... 0010011", .zbs) { x, i in
            x[i.rd] = x[i.rs1] & x.constant(~(1 &<< i.shamt))
        },
        Pattern("bext rd, rs1, rs2", "0100100 ..... ..... 101 ..... 0110011", .zbs) { x, i in
            x[i.rd] = x[i.rs1].shiftedRightUnsigned(by: x[i.rs2]) & x.constant(1 as UInt64)
        },
        Pattern("bexti rd, rs1, shamt", "010010 x..... ..... 101 ..... 0010011", .zbs) { x, i in
            x[i.rd] = x[i.rs1].shiftedRightUnsigned(by: x.constant(i.shamt)) & x.constant(1 as UInt64)
        },
        Pattern("binv rd, rs1, rs2", "0110100 ..... ..... 001 ..... 0110011", .zbs) { x, i in x[i.rd] = x[i.rs1] ^ x.bit(i.rs2) },
        Pattern("binvi rd, rs1, shamt", "011010 x..... ..... 001 ..... 0010011", .zbs) { x, i in x[i.rd] = x[i.rs1] ^ x.bit(i.shamt) },
        Pattern("bset rd, rs1, rs2", "0010100 ..... ..... 001 ..... 0110011", .zbs) { x, i in x[i.rd] = x[i.rs1] | x.bit(i.rs2) },
        Pattern("bseti rd, rs1, shamt", "001010 x..... ..... 001 ..... 0010011", .zbs) { x, i in x[i.rd] = x[i.rs1] | x.bit(i.shamt) },
    ]
}
