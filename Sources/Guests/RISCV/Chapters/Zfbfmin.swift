// "Zfbfmin" Extension: conversions between BF16 and single precision. Its transfers are those of Zfhmin.
//
// BF16 is the upper half of a single, so that widening is a shift; the host rounds to it in no mode, so narrowing goes to
// the soft float.

import IR
import SoftFloat
import Translation

enum BrainFloat {
    /// Arguments: the bits of a single, the rounding mode.
    static let narrow = HelperTable.register { state, bits, rounding, _ in
        var environment = FloatEnvironment(RoundingDirection(rawValue: UInt8(truncatingIfNeeded: rounding)) ?? .nearestEven)
        let result = FloatFormat.f32.convert(bits, to: .bf16, &environment)
        let flags = state.load(fromByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        state.storeBytes(of: flags | environment.flags.rawValue, toByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        return result
    }
}

extension Emit {
    /// The boxed BF16 number in a register, in the low bits of a word; the canonical NaN if it is not boxed properly.
    func brainBits(_ register: FloatRegister) -> Value {
        let all = bits(register)
        let isBox = all.shiftedRightSigned(by: constant64(16)) == constant64(~0)
        return select(isBox, all & constant64(0xffff), constant64(0x7fc0))
    }
}

extension Pattern {
    static let brainFloat: [Pattern] = [
        // Multiplication by one makes a NaN canonical, signals a signalling one, and changes nothing else.
        Pattern("fcvt.s.bf16 fd, fs1, rm", "0100000 00110 ..... ... ..... 1010011", .zfbfmin) { x, i in
            let wide = (x.brainBits(i.fs1) << x.constant64(16)).low32.bits(as: .f32)
            x[single: i.fd] = x.float(.fmul, wide, x.builder.constant(0x3f80_0000, .f32))
        },
        Pattern("fcvt.bf16.s fd, fs1, rm", "0100010 01000 ..... ... ..... 1010011", .zfbfmin) { x, i in
            let word = x[single: i.fs1].bits(as: .i32).zeroExtended()
            let result = x.builder.helper(BrainFloat.narrow, .raisesFlags, word, x.constant(UInt64(x.rounding.rawValue)))
            x[half: i.fd] = result.truncated(to: .i16).bits(as: .f16)
        },
    ]
}
