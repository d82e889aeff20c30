import IR
import IRPasses
import Translation

// Floating point on scalar AVX and FMA. The guest's MXCSR is resident: sticky flags collect in it, and its rounding is
// the guest's dynamic one. Ops that round otherwise switch MXCSR around themselves; rounding to nearest-away and other
// rare cases go to `SlowFloat`.
//
// An f32 or f16 in a vector register has anything above it; `isBoxed` marks those whose bits 32–63 are known to be
// ones, which is what most of them are: an AVX scalar operation copies these bits from its first operand.
extension Lowering {
    /// Rounding modes the host has.
    private func hostCanRound(_ mode: FloatMode) -> Bool { mode.rounding != .nearestAway }

    /// The temporary that `withRounding` needs. Code that jumps around it must take it before the jump, since making
    /// room may store a value that is needed on both paths.
    private mutating func roundingTemporary(_ mode: FloatMode) -> GPR? { mode.resident ? nil : takeInteger() }

    /// Emits `body` with MXCSR set to the op's rounding if that is not the resident one.
    mutating func withRounding(_ mode: FloatMode, _ reserved: GPR? = nil, _ body: (inout Lowering) -> Void) {
        guard !mode.resident else { return body(&self) }
        let temporary = reserved ?? takeInteger()
        let control: UInt32 = switch mode.rounding { case .towardZero: 0x6000; case .down: 0x2000; case .up: 0x4000; default: 0 }
        let scratch = Self.mem(BackendState.controlScratch)
        a.vstmxcsr(scratch)
        a.alu(.and, .b32, scratch, imm: ~0x6000)
        if control != 0 { a.alu(.or, .b32, scratch, imm: Int32(control)) }
        a.vldmxcsr(scratch)
        body(&self)
        a.vstmxcsr(scratch)
        a.alu(.and, .b32, scratch, imm: ~0x6000)
        a.mov(.b32, temporary, Self.mem(BackendState.residentRounding))
        a.alu(.or, .b32, scratch, temporary)
        a.vldmxcsr(scratch)
        unlock(temporary)
    }

    /// Replaces a NaN in `register` by the canonical one, out of line.
    mutating func canonicalize(_ register: XMM, _ type: ValueType, _ mode: FloatMode) {
        guard mode.defaultNaN else { return }
        a.avx(type == .f64 ? .vucomisd : .vucomiss, register, register)
        var code = ColdCode(.canonicalNaN)
        code.jump = a.jccForward(.p)
        code.x = register.rawValue
        code.y = type.rawValue
        code.resume = a.cursor
        cold.append(code)
    }

    mutating func lowerFloatArithmetic(_ op: Op) {
        let mode = FloatMode(rawValue: op.aux)
        guard hostCanRound(mode), op.type != .f16 || op.code != .fma else { return lowerFloatSlow(op) }
        if op.type == .f16 { return lowerHalfArithmetic(op, mode) }
        let double = op.type == .f64
        if op.code == .fma { return lowerFMA(op, mode, double) }
        if op.code == .fsqrt {
            let source = useFloat(op.a)
            let target = defineFloat(reusing: op.a)
            withRounding(mode) { $0.a.avx(double ? .vsqrtsd : .vsqrtss, target, source, source) }
            isBoxed[index] = isBoxed[Int(op.a)]
            return canonicalize(target, op.type, mode)
        }
        let left = useFloat(op.a)
        let right = useFloatOperand(op.b)
        let target = defineFloat(reusing: op.a)
        let instruction: AVX3 = switch op.code {
        case .fadd: double ? .vaddsd : .vaddss
        case .fsub: double ? .vsubsd : .vsubss
        case .fmul: double ? .vmulsd : .vmulss
        default: double ? .vdivsd : .vdivss
        }
        withRounding(mode) { $0.a.avx(instruction, target, left, right) }
        isBoxed[index] = isBoxed[Int(op.a)]
        canonicalize(target, op.type, mode)
    }

    private mutating func lowerFMA(_ op: Op, _ mode: FloatMode, _ double: Bool) {
        let x = useFloat(op.a), y = useFloat(op.b), z = useFloat(op.c)
        let p = mode.negateProduct, n = mode.negateAddend
        let instruction: AVX3 = double
            ? (p ? (n ? .vfnmsub213sd : .vfnmadd213sd) : (n ? .vfmsub213sd : .vfmadd213sd))
            : (p ? (n ? .vfnmsub213ss : .vfnmadd213ss) : (n ? .vfmsub213ss : .vfmadd213ss))
        // Every operand survives for the slow case: a NaN result, for the host does not call zero times infinity
        // invalid if the addend is a quiet NaN.
        let target = takeFloat()
        withRounding(mode) { me in
            me.a.vmovaps(target, x)
            me.a.avx(instruction, target, y, z)
        }
        a.avx(double ? .vucomisd : .vucomiss, target, target)
        var code = ColdCode(.slowFloat)
        code.jump = a.jccForward(.p)
        record(.leave)
        code.x = 16 &+ x.rawValue
        code.y = 16 &+ y.rawValue
        code.z = 16 &+ z.rawValue
        code.imm = Int64(index)
        code.aux = UInt16(16 &+ target.rawValue)
        code.resume = a.cursor
        record(.rejoin)
        cold.append(code)
        isBoxed[index] = isBoxed[Int(op.a)]
        deliver(target)
    }

    mutating func lowerFloatMinMax(_ op: Op) {
        let kind = FloatMinMax(rawValue: op.aux) ?? .minimumNumber
        let double = op.type == .f64
        guard op.type != .f16 else { return lowerFloatSlow(op) }
        let left = useFloat(op.a), right = useFloat(op.b)
        let target = takeFloat()
        let isMinimum = kind == .minimumNumber || kind == .minimum
        a.avx(double ? .vucomisd : .vucomiss, left, right)
        // Equal or unordered: zeros of either sign and NaNs are settled out of line.
        let jump = a.jccForward(.e)
        record(.leave)
        a.avx(isMinimum ? (double ? .vminsd : .vminss) : (double ? .vmaxsd : .vmaxss), target, left, right)
        let resume = a.cursor
        record(.rejoin)
        var equal = ColdCode(.equalMinMax)
        equal.jump = jump
        equal.resume = resume
        equal.x = target.rawValue
        equal.y = left.rawValue
        equal.z = right.rawValue
        equal.aux = (isMinimum ? 1 : 0) | (double ? 2 : 0)
        equal.imm = Int64(index)
        cold.append(equal)
        isBoxed[index] = isBoxed[Int(op.a)] && isBoxed[Int(op.b)]
        deliver(target)
    }

    mutating func writeColdMinMax(_ code: ColdCode) {
        bind(code)
        let target = XMM(rawValue: code.x), left = XMM(rawValue: code.y), right = XMM(rawValue: code.z)
        let unordered = a.jccForward(.p)
        // Equal values differ at most in the sign of zero.
        a.avx(code.aux & 1 != 0 ? .vorpd : .vandpd, target, left, right)
        a.jmp(executable(code.resume))
        a.bind(unordered)
        emitSlowFloat(ops[Int(code.imm)], operands: (16 &+ left.rawValue, 16 &+ right.rawValue, Placement.none),
                      result: 16 &+ target.rawValue, isFloat: true)
        a.jmp(executable(code.resume))
    }

    mutating func lowerFloatCompare(_ op: Op) {
        let relation = FloatCompare(rawValue: op.aux) ?? .equalQuiet
        let operandType = type(op.a)
        let double = operandType == .f64, isHalf = operandType == .f16
        let quiet: AVX2Operand = double ? .vucomisd : .vucomiss
        let signaling: AVX2Operand = double ? .vcomisd : .vcomiss
        switch relation {
        case .equalQuiet:
            let left = isHalf ? widen(op.a) : useFloat(op.a), right = isHalf ? .direct(widen(op.b)) : useFloatOperand(op.b)
            let result = takeInteger(), other = takeInteger()
            a.mov(.b32, .direct(other), imm: 0)
            a.avx(quiet, left, right)
            a.setcc(.e, result)
            a.movzx(result, result, from: .b8)
            a.cmov(.p, .b32, result, other)
            deliver(result)
        default:
            // b > a and b >= a are false for unordered operands.
            let left = isHalf ? .direct(widen(op.a)) : useFloatOperand(op.a), right = isHalf ? widen(op.b) : useFloat(op.b)
            let isStrict = relation == .less || relation == .lessQuiet
            a.avx(relation == .less || relation == .lessEqual ? signaling : quiet, right, left)
            let target = define()
            a.setcc(isStrict ? .a : .ae, target)
            a.movzx(target, target, from: .b8)
        }
    }

    // MARK: conversions

    mutating func lowerFloatToInt(_ op: Op) {
        let mode = FloatMode(rawValue: op.aux)
        let source = type(op.a)
        guard hostCanRound(mode), op.type == .i32 || op.type == .i64 else { return lowerFloatSlow(op) }
        let double = source == .f64
        let operand = useFloat(op.a)
        var value = operand
        if source == .f16 {
            value = takeFloat()
            a.avx(.vcvtph2ps, value, operand)
        }
        let truncates = mode.rounding == .towardZero
        let convert: FloatToInteger
        if truncates { convert = double ? .vcvttsd2si : .vcvttss2si } else { convert = double ? .vcvtsd2si : .vcvtss2si }
        let result = takeInteger()
        if mode.signed {
            let s = size(op.type)
            if truncates || mode.resident {
                a.convert(convert, s, result, value)
            } else {
                withRounding(mode) { $0.a.convert(convert, s, result, value) }
            }
            // The host's indefinite value is the most negative integer: right for what is below, wrong for the rest.
            a.alu(.cmp, s, result, imm: 1)
            var code = ColdCode(.signedOverflow)
            code.jump = a.jccForward(.o)
            code.x = result.rawValue
            code.y = value.rawValue
            code.z = (double ? 1 : 0) | (s == .b64 ? 2 : 0)
            code.resume = a.cursor
            cold.append(code)
            return deliver(result)
        }
        let temporary = truncates ? nil : roundingTemporary(mode)
        // Unsigned: 0 ≤ x < 2ʷ⁻¹ (i64) or 2³² (i32) goes through a signed 64-bit conversion, the rest out of line.
        let limit: ConstantPool.Slot = op.type == .i64 ? (double ? .two63Double : .two63Single) : (double ? .two32Double : .two32Single)
        if op.type == .i32, !truncates {
            // Rounding could reach 2³²: round first, in place of the range check after.
            let rounded = takeFloat()
            let immediate: UInt8 = mode.resident ? 4 : UInt8(mode.rounding == .down ? 1 : mode.rounding == .up ? 2 : 0)
            // A slow case must see the unrounded operand and raise its own flags: only the range decides here.
            a.avx(double ? .vroundsd : .vroundss, rounded, value, value, imm: immediate | 8)
            let original = value
            value = rounded
            emitUnsignedRangeCheck(op, value, operand, result, double, limit)
            value = original
        } else {
            emitUnsignedRangeCheck(op, value, operand, result, double, limit)
        }
        if truncates || mode.resident {
            a.convert(convert, .b64, result, value)
        } else {
            withRounding(mode, temporary) { $0.a.convert(convert, .b64, result, value) }
        }
        finishSlow(op, result: result.rawValue)
        deliver(result)
    }

    /// Jumps to the slow case unless 0 ≤ `value` < `limit`.
    private mutating func emitUnsignedRangeCheck(_ op: Op, _ value: XMM, _ original: XMM, _ result: GPR, _ double: Bool, _ limit: ConstantPool.Slot) {
        var code = ColdCode(.slowFloat)
        a.avx(double ? .vucomisd : .vucomiss, value, .ripRelative(address: constants.address(limit)))
        code.jump = a.jccForward(.ae)
        record(.leave)
        // Unordered sets the carry, as less does; parity tells it apart below, where the second compare sets it too.
        a.avx(double ? .vucomisd : .vucomiss, value, .ripRelative(address: constants.address(.zero)))
        code.secondJump = a.jccForward(.b)
        code.x = 16 &+ original.rawValue
        code.y = Placement.none
        code.z = Placement.none
        code.imm = Int64(index)
        code.aux = UInt16(result.rawValue)
        pendingSlow = cold.count
        cold.append(code)
    }

    /// The slow case queued last comes back to here.
    private mutating func finishSlow(_ op: Op, result: UInt8) {
        record(.rejoin)
        if pendingSlow < cold.count { cold.base[pendingSlow].resume = a.cursor }
    }

    mutating func writeColdSignedOverflow(_ code: ColdCode) {
        bind(code)
        let result = GPR(rawValue: code.x), value = XMM(rawValue: code.y)
        let double = code.z & 1 != 0, s: OperandSize = code.z & 2 != 0 ? .b64 : .b32
        // Negative: the result stands. Positive or NaN (carry clear, or parity): the greatest integer.
        a.avx(double ? .vucomisd : .vucomiss, value, .ripRelative(address: constants.address(.zero)))
        let isNaN = a.jccShort(.p)
        a.jcc(.b, executable(code.resume))
        a.bind(isNaN)
        a.movImmediate(result, s == .b64 ? UInt64(Int64.max) : 0x7FFF_FFFF)
        a.jmp(executable(code.resume))
    }

    mutating func lowerIntToFloat(_ op: Op) {
        let mode = FloatMode(rawValue: op.aux)
        let source = type(op.a)
        guard hostCanRound(mode), source == .i32 || source == .i64 else { return lowerFloatSlow(op) }
        let double = op.type == .f64, isHalf = op.type == .f16
        let convert: IntegerToFloat = double ? .vcvtsi2sd : .vcvtsi2ss
        if !mode.signed, source == .i64 {
            let value = use(op.a)
            let target = takeFloat(), temporary = roundingTemporary(mode)
            a.test(.b64, value, value)
            var code = ColdCode(.slowFloat)
            code.jump = a.jccForward(.s)
            record(.leave)
            code.x = value.rawValue
            code.y = Placement.none
            code.z = Placement.none
            code.imm = Int64(index)
            code.aux = UInt16(16 &+ target.rawValue)
            emitOnes(target, double)
            withRounding(mode, temporary) { $0.a.convert(convert, .b64, target, target, value) }
            if isHalf { narrowToHalf(target, mode) }
            code.resume = a.cursor
            record(.rejoin)
            cold.append(code)
            isBoxed[index] = !isHalf
            return deliver(target)
        }
        let value = useOperand(op.a)
        let target = defineFloat()
        emitOnes(target, double)
        let s: OperandSize = source == .i32 && mode.signed ? .b32 : .b64
        // An unsigned 32-bit value is zero-extended in its register; memory holds only its own 32 bits for sure.
        if s == .b64, source == .i32, !value.isDirect {
            let register = takeInteger()
            a.mov(.b32, register, value)
            withRounding(mode) { $0.a.convert(convert, .b64, target, target, register) }
        } else {
            withRounding(mode) { $0.a.convert(convert, s, target, target, value) }
        }
        if isHalf { narrowToHalf(target, mode) }
        isBoxed[index] = !isHalf
    }

    /// Breaks the dependency on the old content, and boxes an f32 by the bits it will keep.
    private mutating func emitOnes(_ target: XMM, _ double: Bool) {
        a.avx(double ? .vpxor : .vpcmpeqd, target, target, target)
    }

    mutating func lowerFloatToFloat(_ op: Op) {
        let mode = FloatMode(rawValue: op.aux)
        let source = type(op.a)
        guard hostCanRound(mode) else { return lowerFloatSlow(op) }
        if source == .f16 || op.type == .f16 {
            if !lowerHalfConversion(op, mode) { lowerFloatSlow(op) }
            return
        }
        if source == op.type {
            let value = useFloat(op.a)
            let target = defineFloat(reusing: op.a)
            a.vmovaps(target, value)
            isBoxed[index] = isBoxed[Int(op.a)]
            return canonicalize(target, op.type, mode)
        }
        if op.type == .f64 {
            let value = useFloat(op.a)
            let target = defineFloat(reusing: op.a)
            a.avx(.vcvtss2sd, target, value, value)
            canonicalize(target, .f64, mode)
        } else {
            let value = useFloat(op.a)
            let target = takeFloat()
            emitOnes(target, false)
            withRounding(mode) { $0.a.avx(.vcvtsd2ss, target, target, value) }
            isBoxed[index] = true
            canonicalize(target, .f32, mode)
            deliver(target)
        }
    }

    mutating func lowerFloatRound(_ op: Op) {
        let mode = FloatMode(rawValue: op.aux)
        guard hostCanRound(mode) else { return lowerFloatSlow(op) }
        if op.type == .f16 { return lowerHalfRound(op, mode) }
        let double = op.type == .f64
        let value = useFloat(op.a)
        let target = defineFloat(reusing: op.a)
        let direction: UInt8 = switch mode.rounding { case .towardZero: 3; case .down: 1; case .up: 2; default: 0 }
        a.avx(double ? .vroundsd : .vroundss, target, value, value, imm: direction | (mode.exact ? 0 : 8))
        isBoxed[index] = isBoxed[Int(op.a)]
        canonicalize(target, op.type, mode)
    }

    // MARK: bits and boxes

    mutating func lowerBitcast(_ op: Op) {
        let from = type(op.a)
        if from.isVector == op.type.isVector {
            if op.type.isVector {
                let value = useFloat(op.a)
                a.vmovaps(defineFloat(reusing: op.a), value)
            } else {
                let value = use(op.a)
                a.mov(.b64, define(reusing: op.a), value)
            }
            return
        }
        if op.type.isVector {
            let value = use(op.a)
            let target = defineFloat()
            if op.type == .f64 { a.vmovq(target, value) } else { a.vmovd(target, value) }
            return
        }
        let value = useFloat(op.a)
        let target = define()
        if op.type == .i64 { a.vmovq(target, value) } else { a.vmovd(target, value) }
        if op.type == .i16 { narrow(target, .i16) }
    }

    mutating func lowerBox(_ op: Op) {
        let value = useFloat(op.a)
        let target = defineFloat(reusing: op.a)
        if type(op.a) == .f32, isBoxed[Int(op.a)] {
            if target != value { a.vmovaps(target, value) }
            return
        }
        if type(op.a) == .f32 {
            a.avx(.vorps, target, value, .ripRelative(address: constants.address(.box32)))
        } else {
            // Anything may stand above an f16: clear it, then box.
            a.avx(.vpsllq, target, value, imm: 48)
            a.avx(.vpsrlq, target, target, imm: 48)
            a.avx(.vorps, target, target, .ripRelative(address: constants.address(.box16)))
        }
    }

    mutating func lowerUnbox(_ op: Op) {
        let value = useFloat(op.a)
        guard op.type == .f32 else {
            // An f16: the canonical NaN unless all upper bits are ones.
            let bits = takeInteger()
            a.vmovq(bits, value)
            a.shift(.sar, .b64, bits, 16)
            a.alu(.cmp, .b64, bits, imm: -1)
            let target = takeFloat()
            a.vmovaps(target, value)
            let isBox = a.jccShort(.e)
            a.vmovsd(target, .ripRelative(address: constants.address(.nan16)))
            a.bind(isBox)
            return deliver(target)
        }
        let bits = takeInteger()
        a.vmovq(bits, value)
        a.shift(.sar, .b64, bits, 32)
        a.alu(.cmp, .b32, bits, imm: -1)
        let target: XMM
        if dies(op.a), places.register[Int(op.a)] != Placement.none {
            target = defineFloat(reusing: op.a)
            if target != value { a.vmovaps(target, value) }
        } else {
            target = takeFloat()
            a.vmovaps(target, value)
            assignResult(16 &+ target.rawValue)
        }
        var code = ColdCode(.unbox)
        code.jump = a.jccForward(.ne)
        code.x = target.rawValue
        code.resume = a.cursor
        cold.append(code)
        isBoxed[index] = true
    }

    // MARK: flags

    /// NX 1, UF 2, OF 4, DZ 8, NV 16 from MXCSR's PE 32, UE 16, OE 8, ZE 4, IE 1.
    mutating func lowerGetFloatFlags(_ op: Op) {
        let scratch = Self.mem(BackendState.controlScratch)
        let control = takeInteger(), table = takeInteger()
        a.vstmxcsr(scratch)
        a.mov(.b32, control, scratch)
        a.alu(.and, .b32, control, imm: 0x3F)
        a.movImmediate(table, trampolines.flagsFromMXCSR)
        a.movzx(control, .indexed(table, control, 1, 0), from: .b8)
        deliver(control)
    }

    mutating func lowerPutFloatFlags(_ op: Op) {
        let scratch = Self.mem(BackendState.controlScratch)
        let flags = takeInteger(), table = takeInteger()
        copy(op.a, to: flags)
        a.alu(.and, .b32, flags, imm: 31)
        a.movImmediate(table, trampolines.flagsToMXCSR)
        a.movzx(flags, .indexed(table, flags, 1, 0), from: .b8)
        a.vstmxcsr(scratch)
        a.alu(.and, .b32, scratch, imm: ~0x3F)
        a.alu(.or, .b32, scratch, flags)
        a.vldmxcsr(scratch)
    }
}
