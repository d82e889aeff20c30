// "F" Extension for Single-Precision Floating-Point.
//
// Every `rm` is checked before the meaning runs: an invalid mode, static or in frm, is an illegal instruction.

import IR

extension Emit {
    func loadSingle(_ destination: FloatRegister, _ base: Register, _ offset: Int64) {
        self[single: destination] = builder.load(self[base], offset, MemoryAccess(bytes: 4), .f32)
    }
    /// A store takes the low half of the register, boxed or not.
    func storeSingle(_ source: FloatRegister, _ base: Register, _ offset: Int64) {
        store(base, offset, self[double: source], bytes: 4)
    }
}

extension Pattern {
    static let single: [Pattern] = [
        Pattern("flw fd, immI(rs1)", "............ ..... 010 ..... 0000111", .f) { x, i in x.loadSingle(i.fd, i.rs1, i.immI) },
        Pattern("fsw fs2, immS(rs1)", "....... ..... ..... 010 ..... 0100111", .f) { x, i in x.storeSingle(i.fs2, i.rs1, i.immS) },
        Pattern("fmadd.s fd, fs1, fs2, fs3, rm", "..... 00 ..... ..... ... ..... 1000011", .f) { x, i in
            x[single: i.fd] = x.fused(x[single: i.fs1], x[single: i.fs2], x[single: i.fs3])
        },
        Pattern("fmsub.s fd, fs1, fs2, fs3, rm", "..... 00 ..... ..... ... ..... 1000111", .f) { x, i in
            x[single: i.fd] = x.fused(x[single: i.fs1], x[single: i.fs2], x[single: i.fs3], negateAddend: true)
        },
        Pattern("fnmsub.s fd, fs1, fs2, fs3, rm", "..... 00 ..... ..... ... ..... 1001011", .f) { x, i in
            x[single: i.fd] = x.fused(x[single: i.fs1], x[single: i.fs2], x[single: i.fs3], negateProduct: true)
        },
        Pattern("fnmadd.s fd, fs1, fs2, fs3, rm", "..... 00 ..... ..... ... ..... 1001111", .f) { x, i in
            x[single: i.fd] = x.fused(x[single: i.fs1], x[single: i.fs2], x[single: i.fs3], negateProduct: true, negateAddend: true)
        },
        Pattern("fadd.s fd, fs1, fs2, rm", "0000000 ..... ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.float(.fadd, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fsub.s fd, fs1, fs2, rm", "0000100 ..... ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.float(.fsub, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fmul.s fd, fs1, fs2, rm", "0001000 ..... ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.float(.fmul, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fdiv.s fd, fs1, fs2, rm", "0001100 ..... ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.float(.fdiv, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fsqrt.s fd, fs1, rm", "0101100 00000 ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.squareRoot(x[single: i.fs1])
        },
        Pattern("fsgnj.s fd, fs1, fs2", "0010000 ..... ..... 000 ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.injectSign(x[single: i.fs1], x[single: i.fs2], .copy)
        },
        Pattern("fsgnjn.s fd, fs1, fs2", "0010000 ..... ..... 001 ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.injectSign(x[single: i.fs1], x[single: i.fs2], .negate)
        },
        Pattern("fsgnjx.s fd, fs1, fs2", "0010000 ..... ..... 010 ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.injectSign(x[single: i.fs1], x[single: i.fs2], .xor)
        },
        Pattern("fmin.s fd, fs1, fs2", "0010100 ..... ..... 000 ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.minMax(.minimumNumber, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fmax.s fd, fs1, fs2", "0010100 ..... ..... 001 ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.minMax(.maximumNumber, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("feq.s rd, fs1, fs2", "1010000 ..... ..... 010 ..... 1010011", .f) { x, i in
            x[i.rd] = x.compare(.equalQuiet, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("flt.s rd, fs1, fs2", "1010000 ..... ..... 001 ..... 1010011", .f) { x, i in
            x[i.rd] = x.compare(.less, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fle.s rd, fs1, fs2", "1010000 ..... ..... 000 ..... 1010011", .f) { x, i in
            x[i.rd] = x.compare(.lessEqual, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fcvt.w.s rd, fs1, rm", "1100000 00000 ..... ... ..... 1010011", .f) { x, i in
            x[i.rd] = x.toInteger(x[single: i.fs1], .i32, signed: true)
        },
        Pattern("fcvt.wu.s rd, fs1, rm", "1100000 00001 ..... ... ..... 1010011", .f) { x, i in
            x[i.rd] = x.toInteger(x[single: i.fs1], .i32, signed: false)
        },
        Pattern("fcvt.l.s rd, fs1, rm", "1100000 00010 ..... ... ..... 1010011", [.f, .rv64]) { x, i in
            x[i.rd] = x.toInteger(x[single: i.fs1], .i64, signed: true)
        },
        Pattern("fcvt.lu.s rd, fs1, rm", "1100000 00011 ..... ... ..... 1010011", [.f, .rv64]) { x, i in
            x[i.rd] = x.toInteger(x[single: i.fs1], .i64, signed: false)
        },
        Pattern("fcvt.s.w fd, rs1, rm", "1101000 00000 ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.fromInteger(x[i.rs1].low32, .f32, signed: true)
        },
        Pattern("fcvt.s.wu fd, rs1, rm", "1101000 00001 ..... ... ..... 1010011", .f) { x, i in
            x[single: i.fd] = x.fromInteger(x[i.rs1].low32, .f32, signed: false)
        },
        Pattern("fcvt.s.l fd, rs1, rm", "1101000 00010 ..... ... ..... 1010011", [.f, .rv64]) { x, i in
            x[single: i.fd] = x.fromInteger(x[i.rs1], .f32, signed: true)
        },
        Pattern("fcvt.s.lu fd, rs1, rm", "1101000 00011 ..... ... ..... 1010011", [.f, .rv64]) { x, i in
            x[single: i.fd] = x.fromInteger(x[i.rs1], .f32, signed: false)
        },
        Pattern("fclass.s rd, fs1", "1110000 00000 ..... 001 ..... 1010011", .f) { x, i in x[i.rd] = x.classify(x[single: i.fs1]) },
        // A move takes the low half of the register, boxed or not.
        Pattern("fmv.x.w rd, fs1", "1110000 00000 ..... 000 ..... 1010011", .f) { x, i in x[i.rd] = x.word(x.bits(i.fs1)) },
        Pattern("fmv.w.x fd, rs1", "1111000 00000 ..... 000 ..... 1010011", .f) { x, i in x[single: i.fd] = x[i.rs1].low32.bits(as: .f32) },
    ]
}
