// "C" Extension for Compressed Instructions: Zca, Zcd and RV32's Zcf. HINT encodings write x0 or change nothing; reserved
// ones match no pattern (`n` marks the fields that must not be 0).

import IR

extension Pattern {
    static let compressed: [Pattern] = [
        Pattern("c.addi4spn rd', sp, uimmCIW", "000 nnnnnnnn ... 00", .zca) { x, i in x[i.rdLow] = x.sum(.sp, i.uimmCIW) },
        Pattern("c.fld fd', uimmCL8(rs1')", "001 ... ... .. ... 00", .zcd) { x, i in x.loadDouble(i.fdLow, i.rs1Low, i.uimmCL8) },
        Pattern("c.lw rd', uimmCL4(rs1')", "010 ... ... .. ... 00", .zca) { x, i in
            x[i.rdLow] = x.load(i.rs1Low, i.uimmCL4, bytes: 4, signed: true)
        },
        Pattern("c.ld rd', uimmCL8(rs1')", "011 ... ... .. ... 00", [.zca, .rv64]) { x, i in x[i.rdLow] = x.load(i.rs1Low, i.uimmCL8, bytes: 8) },
        Pattern("c.flw fd', uimmCL4(rs1')", "011 ... ... .. ... 00", [.zcf, .rv32]) { x, i in x.loadSingle(i.fdLow, i.rs1Low, i.uimmCL4) },
        Pattern("c.fsd fs2', uimmCL8(rs1')", "101 ... ... .. ... 00", .zcd) { x, i in x.storeDouble(i.fs2Low, i.rs1Low, i.uimmCL8) },
        Pattern("c.sw rs2', uimmCL4(rs1')", "110 ... ... .. ... 00", .zca) { x, i in x.store(i.rs1Low, i.uimmCL4, x[i.rs2Low], bytes: 4) },
        Pattern("c.fsw fs2', uimmCL4(rs1')", "111 ... ... .. ... 00", [.zcf, .rv32]) { x, i in x.storeSingle(i.fs2Low, i.rs1Low, i.uimmCL4) },
        Pattern("c.sd rs2', uimmCL8(rs1')", "111 ... ... .. ... 00", [.zca, .rv64]) { x, i in x.store(i.rs1Low, i.uimmCL8, x[i.rs2Low], bytes: 8) },

        Pattern("c.nop", "000 0 00000 00000 01", .zca) { _, _ in },
        Pattern("c.addi rd, immCI", "000 . ..... ..... 01", .zca) { x, i in x[i.rd] = x.sum(i.rd, i.immCI) },
        Pattern("c.jal immCJ", "001 ........... 01", [.zca, .rv32]) { x, i in x.jump(link: .ra, i.immCJ) },
        Pattern("c.addiw rd, immCI", "001 . nnnnn ..... 01", [.zca, .rv64]) { x, i in x[i.rd] = x.word(x.sum(i.rd, i.immCI)) },
        Pattern("c.li rd, immCI", "010 . ..... ..... 01", .zca) { x, i in x[i.rd] = x.constant(i.immCI) },
        Pattern("c.addi16sp sp, immCI16", "011 n 00010 nnnnn 01", .zca) { x, i in x[.sp] = x.sum(.sp, i.immCI16) },
        Pattern("c.lui rd, immCU", "011 n ..... nnnnn 01", .zca) { x, i in x[i.rd] = x.constant(i.immCU) },
        Pattern("c.srli rs1', shamtC", "100 x 00 ... ..... 01", .zca) { x, i in
            x[i.rs1Low] = x[i.rs1Low].shiftedRightUnsigned(by: x.constant(i.shamtC))
        },
        Pattern("c.srai rs1', shamtC", "100 x 01 ... ..... 01", .zca) { x, i in
            x[i.rs1Low] = x[i.rs1Low].shiftedRightSigned(by: x.constant(i.shamtC))
        },
        Pattern("c.andi rs1', immCI", "100 . 10 ... ..... 01", .zca) { x, i in x[i.rs1Low] = x[i.rs1Low] & x.constant(i.immCI) },
        Pattern("c.sub rs1', rs2'", "100 0 11 ... 00 ... 01", .zca) { x, i in x[i.rs1Low] = x[i.rs1Low] - x[i.rs2Low] },
        Pattern("c.xor rs1', rs2'", "100 0 11 ... 01 ... 01", .zca) { x, i in x[i.rs1Low] = x[i.rs1Low] ^ x[i.rs2Low] },
        Pattern("c.or rs1', rs2'", "100 0 11 ... 10 ... 01", .zca) { x, i in x[i.rs1Low] = x[i.rs1Low] | x[i.rs2Low] },
        Pattern("c.and rs1', rs2'", "100 0 11 ... 11 ... 01", .zca) { x, i in x[i.rs1Low] = x[i.rs1Low] & x[i.rs2Low] },
        Pattern("c.subw rs1', rs2'", "100 1 11 ... 00 ... 01", [.zca, .rv64]) { x, i in x[i.rs1Low] = x.word(x[i.rs1Low] - x[i.rs2Low]) },
        Pattern("c.addw rs1', rs2'", "100 1 11 ... 01 ... 01", [.zca, .rv64]) { x, i in x[i.rs1Low] = x.word(x[i.rs1Low] + x[i.rs2Low]) },
        Pattern("c.j immCJ", "101 ........... 01", .zca) { x, i in x.jump(link: .zero, i.immCJ) },
        Pattern("c.beqz rs1', immCB", "110 ... ... ..... 01", .zca) { x, i in x.branch(.equal, i.rs1Low, .zero, i.immCB) },
        Pattern("c.bnez rs1', immCB", "111 ... ... ..... 01", .zca) { x, i in x.branch(.notEqual, i.rs1Low, .zero, i.immCB) },

        Pattern("c.slli rd, shamtC", "000 x ..... ..... 10", .zca) { x, i in x[i.rd] = x[i.rd] << x.constant(i.shamtC) },
        Pattern("c.fldsp fd, uimmCI8(sp)", "001 . ..... ..... 10", .zcd) { x, i in x.loadDouble(i.fd, .sp, i.uimmCI8) },
        Pattern("c.lwsp rd, uimmCI4(sp)", "010 . nnnnn ..... 10", .zca) { x, i in
            x[i.rd] = x.load(.sp, i.uimmCI4, bytes: 4, signed: true)
        },
        Pattern("c.ldsp rd, uimmCI8(sp)", "011 . nnnnn ..... 10", [.zca, .rv64]) { x, i in x[i.rd] = x.load(.sp, i.uimmCI8, bytes: 8) },
        Pattern("c.flwsp fd, uimmCI4(sp)", "011 . ..... ..... 10", [.zcf, .rv32]) { x, i in x.loadSingle(i.fd, .sp, i.uimmCI4) },
        Pattern("c.jr rd", "100 0 nnnnn 00000 10", .zca) { x, i in x.jump(link: .zero, base: i.rd, 0) },
        Pattern("c.mv rd, rs2C", "100 0 ..... nnnnn 10", .zca) { x, i in x[i.rd] = x[i.rs2C] },
        Pattern("c.ebreak", "100 1 00000 00000 10", .zca) { x, i in x.exit(.breakpoint) },
        Pattern("c.jalr rd", "100 1 nnnnn 00000 10", .zca) { x, i in x.jump(link: .ra, base: i.rd, 0) },
        Pattern("c.add rd, rs2C", "100 1 ..... nnnnn 10", .zca) { x, i in x[i.rd] = x[i.rd] + x[i.rs2C] },
        Pattern("c.fsdsp fs2C, uimmCSS8(sp)", "101 ...... ..... 10", .zcd) { x, i in x.storeDouble(i.fs2C, .sp, i.uimmCSS8) },
        Pattern("c.swsp rs2C, uimmCSS4(sp)", "110 ...... ..... 10", .zca) { x, i in x.store(.sp, i.uimmCSS4, x[i.rs2C], bytes: 4) },
        Pattern("c.fswsp fs2C, uimmCSS4(sp)", "111 ...... ..... 10", [.zcf, .rv32]) { x, i in x.storeSingle(i.fs2C, .sp, i.uimmCSS4) },
        Pattern("c.sdsp rs2C, uimmCSS8(sp)", "111 ...... ..... 10", [.zca, .rv64]) { x, i in x.store(.sp, i.uimmCSS8, x[i.rs2C], bytes: 8) },
    ]
}
