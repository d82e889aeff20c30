// "D" Extension for Double-Precision Floating-Point.

import IR

extension Emit {
    func loadDouble(_ destination: FloatRegister, _ base: Register, _ offset: Int64) {
        self[double: destination] = builder.load(self[base], offset, MemoryAccess(bytes: 8), .f64)
    }
    func storeDouble(_ source: FloatRegister, _ base: Register, _ offset: Int64) {
        store(base, offset, self[double: source], bytes: 8)
    }
}

extension Pattern {
    static let double: [Pattern] = [
        Pattern("fld fd, immI(rs1)", "............ ..... 011 ..... 0000111", .d) { x, i in x.loadDouble(i.fd, i.rs1, i.immI) },
        Pattern("fsd fs2, immS(rs1)", "....... ..... ..... 011 ..... 0100111", .d) { x, i in x.storeDouble(i.fs2, i.rs1, i.immS) },
        Pattern("fmadd.d fd, fs1, fs2, fs3, rm", "..... 01 ..... ..... ... ..... 1000011", .d) { x, i in
            x[double: i.fd] = x.fused(x[double: i.fs1], x[double: i.fs2], x[double: i.fs3])
        },
        Pattern("fmsub.d fd, fs1, fs2, fs3, rm", "..... 01 ..... ..... ... ..... 1000111", .d) { x, i in
            x[double: i.fd] = x.fused(x[double: i.fs1], x[double: i.fs2], x[double: i.fs3], negateAddend: true)
        },
        Pattern("fnmsub.d fd, fs1, fs2, fs3, rm", "..... 01 ..... ..... ... ..... 1001011", .d) { x, i in
            x[double: i.fd] = x.fused(x[double: i.fs1], x[double: i.fs2], x[double: i.fs3], negateProduct: true)
        },
        Pattern("fnmadd.d fd, fs1, fs2, fs3, rm", "..... 01 ..... ..... ... ..... 1001111", .d) { x, i in
            x[double: i.fd] = x.fused(x[double: i.fs1], x[double: i.fs2], x[double: i.fs3], negateProduct: true, negateAddend: true)
        },
        Pattern("fadd.d fd, fs1, fs2, rm", "0000001 ..... ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.float(.fadd, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fsub.d fd, fs1, fs2, rm", "0000101 ..... ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.float(.fsub, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fmul.d fd, fs1, fs2, rm", "0001001 ..... ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.float(.fmul, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fdiv.d fd, fs1, fs2, rm", "0001101 ..... ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.float(.fdiv, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fsqrt.d fd, fs1, rm", "0101101 00000 ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.squareRoot(x[double: i.fs1])
        },
        Pattern("fsgnj.d fd, fs1, fs2", "0010001 ..... ..... 000 ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.injectSign(x[double: i.fs1], x[double: i.fs2], .copy)
        },
        Pattern("fsgnjn.d fd, fs1, fs2", "0010001 ..... ..... 001 ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.injectSign(x[double: i.fs1], x[double: i.fs2], .negate)
        },
        Pattern("fsgnjx.d fd, fs1, fs2", "0010001 ..... ..... 010 ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.injectSign(x[double: i.fs1], x[double: i.fs2], .xor)
        },
        Pattern("fmin.d fd, fs1, fs2", "0010101 ..... ..... 000 ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.minMax(.minimumNumber, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fmax.d fd, fs1, fs2", "0010101 ..... ..... 001 ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.minMax(.maximumNumber, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("feq.d rd, fs1, fs2", "1010001 ..... ..... 010 ..... 1010011", .d) { x, i in
            x[i.rd] = x.compare(.equalQuiet, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("flt.d rd, fs1, fs2", "1010001 ..... ..... 001 ..... 1010011", .d) { x, i in
            x[i.rd] = x.compare(.less, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fle.d rd, fs1, fs2", "1010001 ..... ..... 000 ..... 1010011", .d) { x, i in
            x[i.rd] = x.compare(.lessEqual, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fcvt.w.d rd, fs1, rm", "1100001 00000 ..... ... ..... 1010011", .d) { x, i in
            x[i.rd] = x.toInteger(x[double: i.fs1], .i32, signed: true)
        },
        Pattern("fcvt.wu.d rd, fs1, rm", "1100001 00001 ..... ... ..... 1010011", .d) { x, i in
            x[i.rd] = x.toInteger(x[double: i.fs1], .i32, signed: false)
        },
        Pattern("fcvt.l.d rd, fs1, rm", "1100001 00010 ..... ... ..... 1010011", [.d, .rv64]) { x, i in
            x[i.rd] = x.toInteger(x[double: i.fs1], .i64, signed: true)
        },
        Pattern("fcvt.lu.d rd, fs1, rm", "1100001 00011 ..... ... ..... 1010011", [.d, .rv64]) { x, i in
            x[i.rd] = x.toInteger(x[double: i.fs1], .i64, signed: false)
        },
        Pattern("fcvt.d.w fd, rs1, rm", "1101001 00000 ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.fromInteger(x[i.rs1].low32, .f64, signed: true)
        },
        Pattern("fcvt.d.wu fd, rs1, rm", "1101001 00001 ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.fromInteger(x[i.rs1].low32, .f64, signed: false)
        },
        Pattern("fcvt.d.l fd, rs1, rm", "1101001 00010 ..... ... ..... 1010011", [.d, .rv64]) { x, i in
            x[double: i.fd] = x.fromInteger(x[i.rs1], .f64, signed: true)
        },
        Pattern("fcvt.d.lu fd, rs1, rm", "1101001 00011 ..... ... ..... 1010011", [.d, .rv64]) { x, i in
            x[double: i.fd] = x.fromInteger(x[i.rs1], .f64, signed: false)
        },
        Pattern("fclass.d rd, fs1", "1110001 00000 ..... 001 ..... 1010011", .d) { x, i in x[i.rd] = x.classify(x[double: i.fs1]) },
        Pattern("fcvt.s.d fd, fs1, rm", "0100000 00001 ..... ... ..... 1010011", .d) { x, i in
            x[single: i.fd] = x.convert(x[double: i.fs1], to: .f32)
        },
        Pattern("fcvt.d.s fd, fs1, rm", "0100001 00000 ..... ... ..... 1010011", .d) { x, i in
            x[double: i.fd] = x.convert(x[single: i.fs1], to: .f64)
        },
        Pattern("fmv.x.d rd, fs1", "1110001 00000 ..... 000 ..... 1010011", [.d, .rv64]) { x, i in x[i.rd] = x.bits(i.fs1) },
        Pattern("fmv.d.x fd, rs1", "1111001 00000 ..... 000 ..... 1010011", [.d, .rv64]) { x, i in x[double: i.fd] = x[i.rs1].bits(as: .f64) },
    ]
}
