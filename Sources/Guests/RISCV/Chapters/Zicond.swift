// "Zicond" Extension for Integer Conditional Operations.

import IR

extension Pattern {
    static let conditional: [Pattern] = [
        Pattern("czero.eqz rd, rs1, rs2", "0000111 ..... ..... 101 ..... 0110011", .zicond) { x, i in
            x[i.rd] = x.select(x[i.rs2], x[i.rs1], x.constant(0 as UInt64))
        },
        Pattern("czero.nez rd, rs1, rs2", "0000111 ..... ..... 111 ..... 0110011", .zicond) { x, i in
            x[i.rd] = x.select(x[i.rs2], x.constant(0 as UInt64), x[i.rs1])
        },
    ]
}
