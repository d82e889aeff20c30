import IR
import IRPasses
import Translation

// Half precision by way of single precision (F16C). Operands widen exactly; the result of one operation on singles is
// rounded once more, to 11 bits. That is innocuous for sums, differences, products, quotients and square roots, since a
// single has 24 bits (2 × 11 + 2), and for integers, which overflow before singles lose bits. Flags are right too: where
// the single is inexact no half is near enough to be hit exactly, and tininess is seen by the conversion. A fused
// multiply-add needs more bits and goes to `SlowFloat`, and so do minimum and maximum.
//
// Invariant: above an f16 in the low 64 bits of a register are zeros or ones, since the conversion of four numbers at once
// must not find a signalling NaN there.
extension Lowering {
    /// A scratch register with the f16 `ref` as an f32.
    mutating func widen(_ ref: Ref) -> XMM {
        let value = useFloat(ref)
        let wide = takeFloat()
        a.avx(.vcvtph2ps, wide, value)
        unlock(value)
        return wide
    }

    /// Turns the f32 in `register` into an f16; a NaN becomes the canonical one.
    mutating func narrowToHalf(_ register: XMM, _ mode: FloatMode) {
        let canonical = mode.defaultNaN
        if canonical { a.avx(.vucomiss, register, register) }
        // Only the lowest number is one.
        a.avx(.vinsertps, register, register, register, imm: 0b1110)
        a.vcvtps2ph(register, register, imm: Self.halfRounding(mode))
        guard canonical else { return }
        var code = ColdCode(.canonicalNaN)
        code.jump = a.jccForward(.p)
        code.x = register.rawValue
        code.y = ValueType.f16.rawValue
        code.resume = a.cursor
        cold.append(code)
    }

    /// The immediate of VCVTPS2PH: bit 2 takes MXCSR's rounding.
    private static func halfRounding(_ mode: FloatMode) -> UInt8 {
        if mode.resident { return 4 }
        return switch mode.rounding { case .down: 1; case .up: 2; case .towardZero: 3; default: 0 }
    }

    /// fadd, fsub, fmul, fdiv and fsqrt.
    mutating func lowerHalfArithmetic(_ op: Op, _ mode: FloatMode) {
        let left = widen(op.a)
        if op.code == .fsqrt {
            withRounding(mode) { $0.a.avx(.vsqrtss, left, left, left) }
        } else {
            let right = op.a == op.b ? left : widen(op.b)
            let instruction: AVX3 = switch op.code { case .fadd: .vaddss; case .fsub: .vsubss; case .fmul: .vmulss; default: .vdivss }
            withRounding(mode) { $0.a.avx(instruction, left, left, right) }
        }
        narrowToHalf(left, mode)
        deliver(left)
    }

    /// To and from f16; false for what rounds twice.
    mutating func lowerHalfConversion(_ op: Op, _ mode: FloatMode) -> Bool {
        if op.type == .f16 {
            guard type(op.a) == .f32 else { return false }
            let value = useFloat(op.a)
            let target = takeFloat()
            // The conversion raises the flag of a signalling NaN.
            a.vmovaps(target, value)
            narrowToHalf(target, mode)
            deliver(target)
            return true
        }
        let target = widen(op.a)
        if op.type == .f64 { a.avx(.vcvtss2sd, target, target, target) }
        canonicalize(target, op.type, mode)
        deliver(target)
        return true
    }

    mutating func lowerHalfRound(_ op: Op, _ mode: FloatMode) {
        let target = widen(op.a)
        let direction: UInt8 = switch mode.rounding { case .towardZero: 3; case .down: 1; case .up: 2; default: 0 }
        a.avx(.vroundss, target, target, target, imm: direction | (mode.exact ? 0 : 8))
        narrowToHalf(target, mode)
        deliver(target)
    }
}
