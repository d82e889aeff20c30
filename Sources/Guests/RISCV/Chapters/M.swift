// "M" Extension for Integer Multiplication and Division. Zmmul is its multiplications alone.

import IR

extension Pattern {
    static let multiply: [Pattern] = [
        Pattern("mul rd, rs1, rs2", "0000001 ..... ..... 000 ..... 0110011", .zmmul, or: .m) { x, i in x[i.rd] = x[i.rs1] * x[i.rs2] },
        Pattern("mulh rd, rs1, rs2", "0000001 ..... ..... 001 ..... 0110011", .zmmul, or: .m) { x, i in
            x[i.rd] = x.builder.binary(.mulHighS, x[i.rs1], x[i.rs2])
        },
        Pattern("mulhsu rd, rs1, rs2", "0000001 ..... ..... 010 ..... 0110011", .zmmul, or: .m) { x, i in
            x[i.rd] = x.builder.binary(.mulHighSU, x[i.rs1], x[i.rs2])
        },
        Pattern("mulhu rd, rs1, rs2", "0000001 ..... ..... 011 ..... 0110011", .zmmul, or: .m) { x, i in
            x[i.rd] = x.builder.binary(.mulHighU, x[i.rs1], x[i.rs2])
        },
        Pattern("mulw rd, rs1, rs2", "0000001 ..... ..... 000 ..... 0111011", [.zmmul, .rv64], or: [.m, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32 * x[i.rs2].low32)
        },
        // Division by zero and overflow give what the manual wants because the IR defines them so.
        Pattern("div rd, rs1, rs2", "0000001 ..... ..... 100 ..... 0110011", .m) { x, i in x[i.rd] = x[i.rs1].dividedSigned(by: x[i.rs2]) },
        Pattern("divu rd, rs1, rs2", "0000001 ..... ..... 101 ..... 0110011", .m) { x, i in x[i.rd] = x[i.rs1].dividedUnsigned(by: x[i.rs2]) },
        Pattern("rem rd, rs1, rs2", "0000001 ..... ..... 110 ..... 0110011", .m) { x, i in x[i.rd] = x[i.rs1].remainderSigned(by: x[i.rs2]) },
        Pattern("remu rd, rs1, rs2", "0000001 ..... ..... 111 ..... 0110011", .m) { x, i in x[i.rd] = x[i.rs1].remainderUnsigned(by: x[i.rs2]) },
        Pattern("divw rd, rs1, rs2", "0000001 ..... ..... 100 ..... 0111011", [.m, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.dividedSigned(by: x[i.rs2].low32))
        },
        Pattern("divuw rd, rs1, rs2", "0000001 ..... ..... 101 ..... 0111011", [.m, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.dividedUnsigned(by: x[i.rs2].low32))
        },
        Pattern("remw rd, rs1, rs2", "0000001 ..... ..... 110 ..... 0111011", [.m, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.remainderSigned(by: x[i.rs2].low32))
        },
        Pattern("remuw rd, rs1, rs2", "0000001 ..... ..... 111 ..... 0111011", [.m, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.remainderUnsigned(by: x[i.rs2].low32))
        },
    ]
}
