// "Zimop" and "Zcmop": may-be-operations. Until an extension gives them another meaning, those of 32 bits write 0 and the
// compressed ones nothing.

import IR

extension Pattern {
    static let mayBeOperations: [Pattern] = [
        Pattern("mop.r.{mopR} rd, rs1", "1 . 00 .. 0111 .. ..... 100 ..... 1110011", .zimop) { x, i in x[i.rd] = x.constant(0 as UInt64) },
        Pattern("mop.rr.{mopRR} rd, rs1, rs2", "1 . 00 .. 1 ..... ..... 100 ..... 1110011", .zimop) { x, i in
            x[i.rd] = x.constant(0 as UInt64)
        },
        Pattern("c.mop.{mopC}", "011 00 ... 1 00000 01", .zcmop) { _, _ in },
    ]
}
