// "B" Extension for Bit Manipulation, Zba: address generation.

import IR

extension Emit {
    func shiftedAdd(_ i: Instruction, _ amount: UInt64) -> Value { (self[i.rs1] << constant(amount)) + self[i.rs2] }
    func shiftedAddWord(_ i: Instruction, _ amount: UInt64) -> Value {
        let index = self[i.rs1].low32.zeroExtended()
        return (amount == 0 ? index : index << constant(amount)) + self[i.rs2]
    }
}

extension Pattern {
    static let addressGeneration: [Pattern] = [
        Pattern("add.uw rd, rs1, rs2", "0000100 ..... ..... 000 ..... 0111011", [.zba, .rv64]) { x, i in x[i.rd] = x.shiftedAddWord(i, 0) },
        Pattern("sh1add rd, rs1, rs2", "0010000 ..... ..... 010 ..... 0110011", .zba) { x, i in x[i.rd] = x.shiftedAdd(i, 1) },
        Pattern("sh2add rd, rs1, rs2", "0010000 ..... ..... 100 ..... 0110011", .zba) { x, i in x[i.rd] = x.shiftedAdd(i, 2) },
        Pattern("sh3add rd, rs1, rs2", "0010000 ..... ..... 110 ..... 0110011", .zba) { x, i in x[i.rd] = x.shiftedAdd(i, 3) },
        Pattern("sh1add.uw rd, rs1, rs2", "0010000 ..... ..... 010 ..... 0111011", [.zba, .rv64]) { x, i in x[i.rd] = x.shiftedAddWord(i, 1) },
        Pattern("sh2add.uw rd, rs1, rs2", "0010000 ..... ..... 100 ..... 0111011", [.zba, .rv64]) { x, i in x[i.rd] = x.shiftedAddWord(i, 2) },
        Pattern("sh3add.uw rd, rs1, rs2", "0010000 ..... ..... 110 ..... 0111011", [.zba, .rv64]) { x, i in x[i.rd] = x.shiftedAddWord(i, 3) },
        Pattern("slli.uw rd, rs1, shamt", "000010 ...... ..... 001 ..... 0011011", [.zba, .rv64]) { x, i in
            x[i.rd] = x[i.rs1].low32.zeroExtended() << x.constant(i.shamt)
        },
    ]
}
