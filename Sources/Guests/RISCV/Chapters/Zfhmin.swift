// "Zfhmin" Extension for Minimal Half-Precision Floating-Point: transfers and conversions.

import IR

extension Pattern {
    static let half: [Pattern] = [
        Pattern("flh fd, immI(rs1)", "............ ..... 001 ..... 0000111", .zfhmin, or: .zfbfmin) { x, i in
            x[half: i.fd] = x.builder.load(x[i.rs1], i.immI, MemoryAccess(bytes: 2), .f16)
        },
        Pattern("fsh fs2, immS(rs1)", "....... ..... ..... 001 ..... 0100111", .zfhmin, or: .zfbfmin) { x, i in
            x.store(i.rs1, i.immS, x[double: i.fs2], bytes: 2)
        },
        Pattern("fmv.x.h rd, fs1", "1110010 00000 ..... 000 ..... 1010011", .zfhmin, or: .zfbfmin) { x, i in
            x[i.rd] = x.bits(i.fs1).truncated(to: .i16).signExtended()
        },
        Pattern("fmv.h.x fd, rs1", "1111010 00000 ..... 000 ..... 1010011", .zfhmin, or: .zfbfmin) { x, i in
            x[half: i.fd] = x[i.rs1].truncated(to: .i16).bits(as: .f16)
        },
        Pattern("fcvt.s.h fd, fs1, rm", "0100000 00010 ..... ... ..... 1010011", .zfhmin) { x, i in
            x[single: i.fd] = x.convert(x[half: i.fs1], to: .f32)
        },
        Pattern("fcvt.h.s fd, fs1, rm", "0100010 00000 ..... ... ..... 1010011", .zfhmin) { x, i in
            x[half: i.fd] = x.convert(x[single: i.fs1], to: .f16)
        },
        Pattern("fcvt.d.h fd, fs1, rm", "0100001 00010 ..... ... ..... 1010011", [.zfhmin, .d]) { x, i in
            x[double: i.fd] = x.convert(x[half: i.fs1], to: .f64)
        },
        Pattern("fcvt.h.d fd, fs1, rm", "0100010 00001 ..... ... ..... 1010011", [.zfhmin, .d]) { x, i in
            x[half: i.fd] = x.convert(x[double: i.fs1], to: .f16)
        },
    ]
}
