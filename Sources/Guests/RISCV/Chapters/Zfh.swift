// "Zfh" Extension for Half-Precision Floating-Point, beyond what Zfhmin has of it, and the half-precision instructions of
// Zfa.

import IR

extension Pattern {
    static let halfArithmetic: [Pattern] = [
        Pattern("fmadd.h fd, fs1, fs2, fs3, rm", "..... 10 ..... ..... ... ..... 1000011", .zfh) { x, i in
            x[half: i.fd] = x.fused(x[half: i.fs1], x[half: i.fs2], x[half: i.fs3])
        },
        Pattern("fmsub.h fd, fs1, fs2, fs3, rm", "..... 10 ..... ..... ... ..... 1000111", .zfh) { x, i in
            x[half: i.fd] = x.fused(x[half: i.fs1], x[half: i.fs2], x[half: i.fs3], negateAddend: true)
        },
        Pattern("fnmsub.h fd, fs1, fs2, fs3, rm", "..... 10 ..... ..... ... ..... 1001011", .zfh) { x, i in
            x[half: i.fd] = x.fused(x[half: i.fs1], x[half: i.fs2], x[half: i.fs3], negateProduct: true)
        },
        Pattern("fnmadd.h fd, fs1, fs2, fs3, rm", "..... 10 ..... ..... ... ..... 1001111", .zfh) { x, i in
            x[half: i.fd] = x.fused(x[half: i.fs1], x[half: i.fs2], x[half: i.fs3], negateProduct: true, negateAddend: true)
        },
        Pattern("fadd.h fd, fs1, fs2, rm", "0000010 ..... ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.float(.fadd, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fsub.h fd, fs1, fs2, rm", "0000110 ..... ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.float(.fsub, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fmul.h fd, fs1, fs2, rm", "0001010 ..... ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.float(.fmul, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fdiv.h fd, fs1, fs2, rm", "0001110 ..... ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.float(.fdiv, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fsqrt.h fd, fs1, rm", "0101110 00000 ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.squareRoot(x[half: i.fs1])
        },
        Pattern("fsgnj.h fd, fs1, fs2", "0010010 ..... ..... 000 ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.injectSign(x[half: i.fs1], x[half: i.fs2], .copy)
        },
        Pattern("fsgnjn.h fd, fs1, fs2", "0010010 ..... ..... 001 ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.injectSign(x[half: i.fs1], x[half: i.fs2], .negate)
        },
        Pattern("fsgnjx.h fd, fs1, fs2", "0010010 ..... ..... 010 ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.injectSign(x[half: i.fs1], x[half: i.fs2], .xor)
        },
        Pattern("fmin.h fd, fs1, fs2", "0010110 ..... ..... 000 ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.minMax(.minimumNumber, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fmax.h fd, fs1, fs2", "0010110 ..... ..... 001 ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.minMax(.maximumNumber, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("feq.h rd, fs1, fs2", "1010010 ..... ..... 010 ..... 1010011", .zfh) { x, i in
            x[i.rd] = x.compare(.equalQuiet, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("flt.h rd, fs1, fs2", "1010010 ..... ..... 001 ..... 1010011", .zfh) { x, i in
            x[i.rd] = x.compare(.less, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fle.h rd, fs1, fs2", "1010010 ..... ..... 000 ..... 1010011", .zfh) { x, i in
            x[i.rd] = x.compare(.lessEqual, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fcvt.w.h rd, fs1, rm", "1100010 00000 ..... ... ..... 1010011", .zfh) { x, i in
            x[i.rd] = x.toInteger(x[half: i.fs1], .i32, signed: true)
        },
        Pattern("fcvt.wu.h rd, fs1, rm", "1100010 00001 ..... ... ..... 1010011", .zfh) { x, i in
            x[i.rd] = x.toInteger(x[half: i.fs1], .i32, signed: false)
        },
        Pattern("fcvt.l.h rd, fs1, rm", "1100010 00010 ..... ... ..... 1010011", [.zfh, .rv64]) { x, i in
            x[i.rd] = x.toInteger(x[half: i.fs1], .i64, signed: true)
        },
        Pattern("fcvt.lu.h rd, fs1, rm", "1100010 00011 ..... ... ..... 1010011", [.zfh, .rv64]) { x, i in
            x[i.rd] = x.toInteger(x[half: i.fs1], .i64, signed: false)
        },
        Pattern("fcvt.h.w fd, rs1, rm", "1101010 00000 ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.fromInteger(x[i.rs1].low32, .f16, signed: true)
        },
        Pattern("fcvt.h.wu fd, rs1, rm", "1101010 00001 ..... ... ..... 1010011", .zfh) { x, i in
            x[half: i.fd] = x.fromInteger(x[i.rs1].low32, .f16, signed: false)
        },
        Pattern("fcvt.h.l fd, rs1, rm", "1101010 00010 ..... ... ..... 1010011", [.zfh, .rv64]) { x, i in
            x[half: i.fd] = x.fromInteger(x[i.rs1], .f16, signed: true)
        },
        Pattern("fcvt.h.lu fd, rs1, rm", "1101010 00011 ..... ... ..... 1010011", [.zfh, .rv64]) { x, i in
            x[half: i.fd] = x.fromInteger(x[i.rs1], .f16, signed: false)
        },
        Pattern("fclass.h rd, fs1", "1110010 00000 ..... 001 ..... 1010011", .zfh) { x, i in
            x[i.rd] = x.classify(x[half: i.fs1])
        },

        // Zfa
        Pattern("fli.h fd, fli", "1111010 00001 ..... 000 ..... 1010011", [.zfa, .zfh]) { x, i in
            x[half: i.fd] = x.builder.constant(UInt64(LoadImmediateConstant.half(i.field(15, 5))), .f16)
        },
        Pattern("fminm.h fd, fs1, fs2", "0010110 ..... ..... 010 ..... 1010011", [.zfa, .zfh]) { x, i in
            x[half: i.fd] = x.minMax(.minimum, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fmaxm.h fd, fs1, fs2", "0010110 ..... ..... 011 ..... 1010011", [.zfa, .zfh]) { x, i in
            x[half: i.fd] = x.minMax(.maximum, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fround.h fd, fs1, rm", "0100010 00100 ..... ... ..... 1010011", [.zfa, .zfh]) { x, i in
            x[half: i.fd] = x.roundToIntegral(x[half: i.fs1], exact: false)
        },
        Pattern("froundnx.h fd, fs1, rm", "0100010 00101 ..... ... ..... 1010011", [.zfa, .zfh]) { x, i in
            x[half: i.fd] = x.roundToIntegral(x[half: i.fs1], exact: true)
        },
        Pattern("fleq.h rd, fs1, fs2", "1010010 ..... ..... 100 ..... 1010011", [.zfa, .zfh]) { x, i in
            x[i.rd] = x.compare(.lessEqualQuiet, x[half: i.fs1], x[half: i.fs2])
        },
        Pattern("fltq.h rd, fs1, fs2", "1010010 ..... ..... 101 ..... 1010011", [.zfa, .zfh]) { x, i in
            x[i.rd] = x.compare(.lessQuiet, x[half: i.fs1], x[half: i.fs2])
        },
    ]
}
