// "Zfa" Extension for Additional Floating-Point Instructions, for single and double precision. Those on half precision
// stand with Zfh.

import IR
import Translation

/// The constants of FLI, by the value of the rs1 field.
enum LoadImmediateConstant {
    /// Entries 1 (the least normal number, which depends on the format), 30 (infinity) and 31 (the canonical NaN) are
    /// made where they are used.
    static let values: [Double] = [
        -1, 0, 0x1p-16, 0x1p-15, 0x1p-8, 0x1p-7, 0.0625, 0.125, 0.25, 0.3125, 0.375, 0.4375, 0.5, 0.625, 0.75, 0.875,
        1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 8, 16, 128, 256, 0x1p15, 0x1p16, .infinity, .nan,
    ]

    /// The operand as disassemblers show it.
    static func text(_ field: UInt32) -> String {
        switch field & 31 {
        case 1: return "min"
        case 30: return "inf"
        case 31: return "nan"
        default:
            let value = values[Int(field & 31)]
            // What is left of the significand is a multiple of a quarter of its unit.
            let fraction = ["", ".4", ".8", ".c"][Int(value.significandBitPattern &>> 50)]
            return "\(value.sign == .minus ? "-" : "")0x1\(fraction)p\(value.exponent < 0 ? "" : "+")\(value.exponent)"
        }
    }

    /// In half precision 2⁻¹⁶ and 2⁻¹⁵ are subnormal and 2¹⁶ is infinity.
    static func half(_ field: UInt32) -> UInt16 {
        switch field & 31 {
        case 1: return 0x0400
        case 2: return 0x0100
        case 3: return 0x0200
        case 29, 30: return 0x7c00
        case 31: return 0x7e00
        default:
            let value = values[Int(field & 31)]
            if value == 0 { return 0 }
            let exponent = UInt16(truncatingIfNeeded: value.exponent &+ 15) &<< 10
            return (value < 0 ? 0x8000 : 0) | exponent | UInt16(truncatingIfNeeded: value.significandBitPattern &>> 42)
        }
    }

    static func single(_ field: UInt32) -> UInt32 {
        switch field & 31 {
        case 1: 0x0080_0000
        case 31: 0x7fc0_0000
        default: Float(values[Int(field & 31)]).bitPattern
        }
    }

    static func double(_ field: UInt32) -> UInt64 {
        switch field & 31 {
        case 1: 0x0010_0000_0000_0000
        case 31: 0x7ff8_0000_0000_0000
        default: values[Int(field & 31)].bitPattern
        }
    }
}

/// FCVTMOD.W.D: a double truncated to an integer modulo 2^32.
enum ModularConversion {
    static let helper = HelperTable.register { _, bits, _, _ in
        UInt64(bitPattern: Int64(ModularConversion.convert(bits)))
    }

    /// The low word of the integer that `bits`, a double, truncates to; 0 for infinities and NaNs.
    static func convert(_ bits: UInt64) -> Int32 {
        let exponent = Int64(bits &>> 52 & 0x7ff) &- 1075
        // Too small to leave an integer (denormal numbers too), or a multiple of 2^32, or no number.
        if exponent < -52 || exponent > 31 { return 0 }
        let significand = bits & 0x000f_ffff_ffff_ffff | 0x0010_0000_0000_0000
        let magnitude = exponent < 0 ? significand &>> UInt64(-exponent) : significand &<< UInt64(exponent)
        return Int32(truncatingIfNeeded: bits &>> 63 != 0 ? 0 &- magnitude : magnitude)
    }
}

extension Pattern {
    static let additionalFloat: [Pattern] = [
        Pattern("fli.s fd, fli", "1111000 00001 ..... 000 ..... 1010011", .zfa) { x, i in
            x[single: i.fd] = x.builder.constant(UInt64(LoadImmediateConstant.single(i.field(15, 5))), .f32)
        },
        Pattern("fminm.s fd, fs1, fs2", "0010100 ..... ..... 010 ..... 1010011", .zfa) { x, i in
            x[single: i.fd] = x.minMax(.minimum, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fmaxm.s fd, fs1, fs2", "0010100 ..... ..... 011 ..... 1010011", .zfa) { x, i in
            x[single: i.fd] = x.minMax(.maximum, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fround.s fd, fs1, rm", "0100000 00100 ..... ... ..... 1010011", .zfa) { x, i in
            x[single: i.fd] = x.roundToIntegral(x[single: i.fs1], exact: false)
        },
        Pattern("froundnx.s fd, fs1, rm", "0100000 00101 ..... ... ..... 1010011", .zfa) { x, i in
            x[single: i.fd] = x.roundToIntegral(x[single: i.fs1], exact: true)
        },
        Pattern("fleq.s rd, fs1, fs2", "1010000 ..... ..... 100 ..... 1010011", .zfa) { x, i in
            x[i.rd] = x.compare(.lessEqualQuiet, x[single: i.fs1], x[single: i.fs2])
        },
        Pattern("fltq.s rd, fs1, fs2", "1010000 ..... ..... 101 ..... 1010011", .zfa) { x, i in
            x[i.rd] = x.compare(.lessQuiet, x[single: i.fs1], x[single: i.fs2])
        },

        Pattern("fli.d fd, fli", "1111001 00001 ..... 000 ..... 1010011", [.zfa, .d]) { x, i in
            x[double: i.fd] = x.builder.constant(LoadImmediateConstant.double(i.field(15, 5)), .f64)
        },
        Pattern("fminm.d fd, fs1, fs2", "0010101 ..... ..... 010 ..... 1010011", [.zfa, .d]) { x, i in
            x[double: i.fd] = x.minMax(.minimum, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fmaxm.d fd, fs1, fs2", "0010101 ..... ..... 011 ..... 1010011", [.zfa, .d]) { x, i in
            x[double: i.fd] = x.minMax(.maximum, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fround.d fd, fs1, rm", "0100001 00100 ..... ... ..... 1010011", [.zfa, .d]) { x, i in
            x[double: i.fd] = x.roundToIntegral(x[double: i.fs1], exact: false)
        },
        Pattern("froundnx.d fd, fs1, rm", "0100001 00101 ..... ... ..... 1010011", [.zfa, .d]) { x, i in
            x[double: i.fd] = x.roundToIntegral(x[double: i.fs1], exact: true)
        },
        Pattern("fleq.d rd, fs1, fs2", "1010001 ..... ..... 100 ..... 1010011", [.zfa, .d]) { x, i in
            x[i.rd] = x.compare(.lessEqualQuiet, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fltq.d rd, fs1, fs2", "1010001 ..... ..... 101 ..... 1010011", [.zfa, .d]) { x, i in
            x[i.rd] = x.compare(.lessQuiet, x[double: i.fs1], x[double: i.fs2])
        },
        Pattern("fmvh.x.d rd, fs1", "1110001 00001 ..... 000 ..... 1010011", [.zfa, .d, .rv32]) { x, i in
            x[i.rd] = x.bits(i.fs1).shiftedRightUnsigned(by: x.constant64(32))
        },
        Pattern("fmvp.d.x fd, rs1, rs2", "1011001 ..... ..... 000 ..... 1010011", [.zfa, .d, .rv32]) { x, i in
            x[double: i.fd] = (x.zeroExtended(i.rs1) | x.zeroExtended(i.rs2) << x.constant64(32)).bits(as: .f64)
        },
        // Its rounding mode field is fixed: toward zero.
        Pattern("fcvtmod.w.d rd, fs1, rtz", "1100001 01000 ..... 001 ..... 1010011", [.zfa, .d]) { x, i in
            // The flags are those of FCVT.W.D.
            x.rounding = .towardZero
            _ = x.toInteger(x[double: i.fs1], .i32, signed: true)
            x[i.rd] = x.builder.helper(ModularConversion.helper, .pure, x.bits(i.fs1))
        },
    ]
}
