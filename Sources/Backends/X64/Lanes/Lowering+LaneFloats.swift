import IR
import Translation

// Lanes of floats, in the guest's resident rounding mode; flags collect in MXCSR. What the host answers differently is
// found before anything is written and left to the helper: NaN addends of fused products (∞ × 0 beside a quiet NaN is
// invalid on RISC-V only), NaN operands of minimum and maximum.
extension Lowering {
    mutating func emitLaneFloats(_ lanes: Lanes) {
        switch lanes.operation {
        case .fsumAll: return emitFloatSum(lanes)
        case .intToFloat, .floatToInt, .floatToIntTruncating, .floatToWide, .floatToNarrow: return emitFloatConversion(lanes)
        default: break
        }
        let form = lanes.form, lane = form.laneShift, double = lane == 3
        let chunk = Lanes.chunk(form.groupBytes), length = Self.length(chunk)
        if lanes.isScalar { broadcastSecond(lanes, laneShift: lane) }
        checkOperands(lanes, chunk, length)
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position)
            loadChunk(Lanes.r, form.x + here, chunk)
            var y = Lanes.s
            if form.second == .group {
                y = Lanes.v
                loadChunk(y, form.y + here, chunk)
            }
            if lanes.isMasked, isArithmetic(lanes.operation) {
                // Inactive lanes compute 0 with 0, which raises nothing.
                activeLanes(lanes, Lanes.m, laneShift: lane, chunk: chunk, at: position)
                a.avx(.vpand, Lanes.r, Lanes.r, Lanes.m, length)
                a.avx(.vpand, Lanes.v, y, Lanes.m, length)
                y = Lanes.v
            }
            compute(lanes, y, here, chunk, double, length)
            finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk, at: position)
        }
    }

    private func isArithmetic(_ operation: LaneOperation) -> Bool {
        switch operation { case .copySign, .negateSign, .xorSign: false; default: true }
    }

    /// Leaves for the helper if an operand is a NaN that the host would treat differently.
    private mutating func checkOperands(_ lanes: Lanes, _ chunk: Int, _ length: VectorLength) {
        let form = lanes.form, op: AVX3Immediate = form.laneShift == 3 ? .vcmppd : .vcmpps
        var sources: [Int32] = []
        var hasScalar = false
        switch lanes.operation {
        case .fmaPlusPlus, .fmaMinusMinus, .fmaPlusMinus, .fmaMinusPlus: sources = [form.d]
        case .fmaToXPlusPlus, .fmaToXMinusMinus, .fmaToXPlusMinus, .fmaToXMinusPlus: sources = [form.x]
        case .fmin, .fmax:
            sources = form.second == .group ? [form.x, form.y] : [form.x]
            hasScalar = form.second != .group
        default: return
        }
        var isFirst = true
        func note(_ lowering: inout Lowering, _ register: XMM) {
            // The integers' view raises no flag: a NaN is what differs from itself only to a float comparison, so compare
            // quietly; a signalling NaN raises NV, which the helper would raise as well.
            lowering.a.avx(op, isFirst ? Lanes.m : Lanes.v, register, register, imm: 3, length)
            if !isFirst { lowering.a.avx(.vpor, Lanes.m, Lanes.m, Lanes.v, length) }
            isFirst = false
        }
        for source in sources {
            for position in stride(from: 0, to: form.groupBytes, by: chunk) {
                loadChunk(Lanes.r, source + Int32(truncatingIfNeeded: position), chunk)
                note(&self, Lanes.r)
            }
        }
        if hasScalar { note(&self, Lanes.s) }
        a.avx(.vptest, Lanes.m, Lanes.m, length)
        leaveLanes(.ne)
    }

    private mutating func compute(_ lanes: Lanes, _ y: XMM, _ here: Int32, _ chunk: Int, _ double: Bool, _ length: VectorLength) {
        let form = lanes.form
        let sign = table(double ? .sign64 : .sign32)
        func pick(_ single: AVX3, _ wide: AVX3) -> AVX3 { double ? wide : single }
        switch lanes.operation {
        case .fadd: a.avx(pick(.vaddps, .vaddpd), Lanes.r, Lanes.r, y, length)
        case .fsub: a.avx(pick(.vsubps, .vsubpd), Lanes.r, Lanes.r, y, length)
        case .freverseSub: a.avx(pick(.vsubps, .vsubpd), Lanes.r, y, Lanes.r, length)
        case .fmul: a.avx(pick(.vmulps, .vmulpd), Lanes.r, Lanes.r, y, length)
        case .fdiv: a.avx(pick(.vdivps, .vdivpd), Lanes.r, Lanes.r, y, length)
        case .freverseDiv: a.avx(pick(.vdivps, .vdivpd), Lanes.r, y, Lanes.r, length)
        case .fsqrt: a.avx(double ? .vsqrtpd : .vsqrtps, Lanes.r, Lanes.r, length)
        case .fmin, .fmax:
            // The host gives its second operand where both are zero: the results of both orders are joined.
            let isMinimum = lanes.operation == .fmin
            let op = isMinimum ? pick(.vminps, .vminpd) : pick(.vmaxps, .vmaxpd)
            a.avx(op, Lanes.m, Lanes.r, y, length)
            a.avx(op, Lanes.r, y, Lanes.r, length)
            a.avx(isMinimum ? .vpor : .vpand, Lanes.r, Lanes.r, Lanes.m, length)
            return
        case .copySign:
            a.avx(.vpand, Lanes.v, y, sign, length)
            a.move(.vmovdqu, Lanes.m, sign, length)
            a.avx(.vpandn, Lanes.r, Lanes.m, Lanes.r, length)
            a.avx(.vpor, Lanes.r, Lanes.r, Lanes.v, length)
            return
        case .negateSign:
            a.avx(.vpandn, Lanes.v, y, sign, length)
            a.move(.vmovdqu, Lanes.m, sign, length)
            a.avx(.vpandn, Lanes.r, Lanes.m, Lanes.r, length)
            a.avx(.vpor, Lanes.r, Lanes.r, Lanes.v, length)
            return
        case .xorSign:
            a.avx(.vpand, Lanes.v, y, sign, length)
            a.avx(.vpxor, Lanes.r, Lanes.r, Lanes.v, length)
            return
        default:
            // The addend is in `Lanes.r`: d, or x where d is a factor.
            let toX: Bool = switch lanes.operation {
            case .fmaToXPlusPlus, .fmaToXMinusMinus, .fmaToXPlusMinus, .fmaToXMinusPlus: true
            default: false
            }
            loadChunk(toX ? Lanes.m : Lanes.r, form.d + here, chunk)
            if !toX { loadChunk(Lanes.m, form.x + here, chunk) }
            let op: AVX3 = switch lanes.operation {
            case .fmaPlusPlus, .fmaToXPlusPlus: pick(.vfmadd231ps, .vfmadd231pd)
            case .fmaMinusMinus, .fmaToXMinusMinus: pick(.vfnmsub231ps, .vfnmsub231pd)
            case .fmaPlusMinus, .fmaToXPlusMinus: pick(.vfmsub231ps, .vfmsub231pd)
            default: pick(.vfnmadd231ps, .vfnmadd231pd)
            }
            a.avx(op, Lanes.r, Lanes.m, y, length)
        }
        canonicalizeLanes(Lanes.r, Lanes.m, double: double, length)
    }

    /// One lane after the other: the ordered sum, which the unordered one may be as well.
    private mutating func emitFloatSum(_ lanes: Lanes) {
        let form = lanes.form, double = form.laneShift == 3
        if double { a.vmovsd(Lanes.r, Self.mem(form.y)) } else { a.vmovss(Lanes.r, Self.mem(form.y)) }
        for position in stride(from: 0, to: form.groupBytes, by: form.laneBytes) {
            a.avx(double ? .vaddsd : .vaddss, Lanes.r, Lanes.r, Self.mem(form.x + Int32(truncatingIfNeeded: position)))
        }
        a.avx(double ? .vcmpsd : .vcmpss, Lanes.m, Lanes.r, Lanes.r, imm: 3)
        a.avx(double ? .vblendvpd : .vblendvps, Lanes.r, Lanes.r, table(double ? .nan64 : .nan32), mask: Lanes.m)
        if double { a.vmovsd(Self.mem(form.d), Lanes.r) } else { a.vmovss(Self.mem(form.d), Lanes.r) }
    }

    private mutating func emitFloatConversion(_ lanes: Lanes) {
        let form = lanes.form
        let changesWidth = lanes.operation == .floatToWide || lanes.operation == .floatToNarrow
        let bytes = changesWidth ? form.groupBytes * 2 : form.groupBytes, chunk = Lanes.chunk(bytes), length = Self.length(chunk)
        for position in stride(from: 0, to: bytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position), half = Int32(truncatingIfNeeded: position / 2)
            switch lanes.operation {
            case .floatToWide:
                loadChunk(Lanes.r, form.x + half, max(chunk / 2, 4))
                a.avx(.vcvtps2pd, Lanes.r, Lanes.r, length)
                canonicalizeLanes(Lanes.r, Lanes.m, double: true, length)
                storeChunk(form.d + here, Lanes.r, chunk)
            case .floatToNarrow:
                loadChunk(Lanes.r, form.x + here, chunk)
                a.avx(.vcvtpd2ps, Lanes.r, Lanes.r, length)
                canonicalizeLanes(Lanes.r, Lanes.m, double: false, .bits128)
                storeChunk(form.d + half, Lanes.r, chunk / 2)
            case .intToFloat:
                loadChunk(Lanes.r, form.x + here, chunk)
                a.avx(.vcvtdq2ps, Lanes.r, Lanes.r, length)
                storeChunk(form.d + here, Lanes.r, chunk)
            default:
                loadChunk(Lanes.v, form.x + here, chunk)
                a.avx(lanes.operation == .floatToInt ? .vcvtps2dq : .vcvttps2dq, Lanes.r, Lanes.v, length)
                // What is not less than 2³¹, a NaN too, becomes the greatest integer.
                a.move(.vmovdqu, Lanes.m, table(.two31), length)
                a.avx(.vcmpps, Lanes.m, Lanes.v, Lanes.m, imm: 0x15, length)
                a.avx(.vpxor, Lanes.r, Lanes.r, Lanes.m, length)
                storeChunk(form.d + here, Lanes.r, chunk)
            }
        }
    }
}
