// "Zcb": simple code-size saving instructions of the Zc chapter. Those that need another extension say so.

import IR

extension Pattern {
    static let compressedCodeSize: [Pattern] = [
        Pattern("c.lbu rd', uimmCLB(rs1')", "100 000 ... .. ... 00", .zcb) { x, i in x[i.rdLow] = x.load(i.rs1Low, i.uimmCLB, bytes: 1) },
        Pattern("c.lhu rd', uimmCLH(rs1')", "100 001 ... 0 . ... 00", .zcb) { x, i in x[i.rdLow] = x.load(i.rs1Low, i.uimmCLH, bytes: 2) },
        Pattern("c.lh rd', uimmCLH(rs1')", "100 001 ... 1 . ... 00", .zcb) { x, i in
            x[i.rdLow] = x.load(i.rs1Low, i.uimmCLH, bytes: 2, signed: true)
        },
        Pattern("c.sb rs2', uimmCLB(rs1')", "100 010 ... .. ... 00", .zcb) { x, i in x.store(i.rs1Low, i.uimmCLB, x[i.rs2Low], bytes: 1) },
        Pattern("c.sh rs2', uimmCLH(rs1')", "100 011 ... 0 . ... 00", .zcb) { x, i in x.store(i.rs1Low, i.uimmCLH, x[i.rs2Low], bytes: 2) },
        Pattern("c.zext.b rs1'", "100 1 11 ... 11 000 01", .zcb) { x, i in x[i.rs1Low] = x[i.rs1Low] & x.constant(0xff as UInt64) },
        Pattern("c.sext.b rs1'", "100 1 11 ... 11 001 01", [.zcb, .zbb]) { x, i in
            x[i.rs1Low] = x[i.rs1Low].truncated(to: .i8).signExtended()
        },
        Pattern("c.zext.h rs1'", "100 1 11 ... 11 010 01", [.zcb, .zbb]) { x, i in
            x[i.rs1Low] = x[i.rs1Low].truncated(to: .i16).zeroExtended()
        },
        Pattern("c.sext.h rs1'", "100 1 11 ... 11 011 01", [.zcb, .zbb]) { x, i in
            x[i.rs1Low] = x[i.rs1Low].truncated(to: .i16).signExtended()
        },
        Pattern("c.zext.w rs1'", "100 1 11 ... 11 100 01", [.zcb, .zba, .rv64]) { x, i in x[i.rs1Low] = x[i.rs1Low].low32.zeroExtended() },
        Pattern("c.not rs1'", "100 1 11 ... 11 101 01", .zcb) { x, i in x[i.rs1Low] = ~x[i.rs1Low] },
        Pattern("c.mul rs1', rs2'", "100 1 11 ... 10 ... 01", [.zcb, .zmmul], or: [.zcb, .m]) { x, i in x[i.rs1Low] = x[i.rs1Low] * x[i.rs2Low] },
    ]
}
