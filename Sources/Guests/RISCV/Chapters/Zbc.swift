// "B" Extension for Bit Manipulation, Zbc: carry-less multiplication.

import IR

extension Pattern {
    static let carryless: [Pattern] = [
        Pattern("clmul rd, rs1, rs2", "0000101 ..... ..... 001 ..... 0110011", .zbc, or: .zbkc) { x, i in
            x[i.rd] = x.builder.binary(.clmul, x[i.rs1], x[i.rs2])
        },
        Pattern("clmulh rd, rs1, rs2", "0000101 ..... ..... 011 ..... 0110011", .zbc, or: .zbkc) { x, i in
            x[i.rd] = x.builder.binary(.clmulHigh, x[i.rs1], x[i.rs2])
        },
        Pattern("clmulr rd, rs1, rs2", "0000101 ..... ..... 010 ..... 0110011", .zbc) { x, i in
            x[i.rd] = x.builder.binary(.clmulReversed, x[i.rs1], x[i.rs2])
        },
    ]
}
