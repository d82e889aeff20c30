// "RV64I Base Integer Instruction Set": the instructions on words, whose results are sign-extended.

import IR

extension Pattern {
    static let integerWords: [Pattern] = [
        Pattern("addiw rd, rs1, immI", "............ ..... 000 ..... 0011011", .rv64) { x, i in x[i.rd] = x.word(x.sum(i.rs1, i.immI)) },
        Pattern("slliw rd, rs1, shamtW", "0000000 ..... ..... 001 ..... 0011011", .rv64) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32 << x.constant32(i.shamtW))
        },
        Pattern("srliw rd, rs1, shamtW", "0000000 ..... ..... 101 ..... 0011011", .rv64) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.shiftedRightUnsigned(by: x.constant32(i.shamtW)))
        },
        Pattern("sraiw rd, rs1, shamtW", "0100000 ..... ..... 101 ..... 0011011", .rv64) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.shiftedRightSigned(by: x.constant32(i.shamtW)))
        },
        Pattern("addw rd, rs1, rs2", "0000000 ..... ..... 000 ..... 0111011", .rv64) { x, i in x[i.rd] = x.word(x[i.rs1] + x[i.rs2]) },
        Pattern("subw rd, rs1, rs2", "0100000 ..... ..... 000 ..... 0111011", .rv64) { x, i in x[i.rd] = x.word(x[i.rs1] - x[i.rs2]) },
        Pattern("sllw rd, rs1, rs2", "0000000 ..... ..... 001 ..... 0111011", .rv64) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32 << x[i.rs2].low32)
        },
        Pattern("srlw rd, rs1, rs2", "0000000 ..... ..... 101 ..... 0111011", .rv64) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.shiftedRightUnsigned(by: x[i.rs2].low32))
        },
        Pattern("sraw rd, rs1, rs2", "0100000 ..... ..... 101 ..... 0111011", .rv64) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.shiftedRightSigned(by: x[i.rs2].low32))
        },
    ]
}
