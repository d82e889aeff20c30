// A vector instruction under a vector type: its fields, and which combinations are reserved ("Vector Register Grouping",
// "Vector Operands", "Reserved" notes of each section). Reserved combinations are illegal instructions.

/// What the CPU has, packed for the runtime's functions.
struct VectorCapability: OptionSet {
    let rawValue: UInt64
    static let half = VectorCapability(rawValue: 1), single = VectorCapability(rawValue: 2), double = VectorCapability(rawValue: 4)
    /// ELEN is 64, not 32.
    static let element64 = VectorCapability(rawValue: 8)
    /// Conversions between f16 and f32 only.
    static let halfConversions = VectorCapability(rawValue: 16)
    /// Addresses have 32 bits.
    static let narrowAddresses = VectorCapability(rawValue: 32)
    /// SHA-2 on 64-bit elements.
    static let longHashes = VectorCapability(rawValue: 64)
}

struct VectorInstruction {
    let bits: UInt32
    let operation: VectorOperation
    let capability: VectorCapability
    /// log₂ of VLEN in bytes.
    let registerShift: Int
    /// log₂ of SEW in bytes; log₂ of LMUL.
    let sew: Int
    let lmul: Int
    let hasType: Bool

    init(_ bits: UInt32, _ operation: VectorOperation, _ capability: VectorCapability, registerShift: Int, type: VectorType) {
        self.bits = bits
        self.operation = operation
        self.capability = capability
        self.registerShift = registerShift
        sew = type.elementShift
        lmul = type.lengthShift
        hasType = !type.isIllegal
    }

    @inline(__always) func field(_ low: UInt32, _ width: UInt32) -> Int { Int(bits &>> low & (1 &<< width &- 1)) }
    var vd: Int { field(7, 5) }
    var vs1: Int { field(15, 5) }
    var vs2: Int { field(20, 5) }
    var isUnmasked: Bool { bits &>> 25 & 1 != 0 }
    /// The category of the second operand: 0 OPIVV, 1 OPFVV, 2 OPMVV, 3 OPIVI, 4 OPIVX, 5 OPFVF, 6 OPMVX.
    var category: Int { field(12, 3) }
    var hasVectorOperand: Bool { category <= 2 }
    /// Of memory instructions: log₂ of the encoded width in bytes; fields of a segment.
    var width: Int { [0, 0, 0, 0, 0, 1, 2, 3][category] }
    var segments: Int { field(29, 3) &+ 1 }

    /// log₂ of SEW allowed by ELEN.
    private var widest: Int { capability.contains(.element64) ? 3 : 2 }

    private func hasFloat(_ sew: Int) -> Bool {
        switch sew {
        case 1: capability.contains(.half)
        case 2: capability.contains(.single)
        case 3: capability.contains(.double)
        default: false
        }
    }

    // MARK: rules

    /// The registers of a group.
    func size(_ lmul: Int) -> Int { lmul <= 0 ? 1 : 1 &<< lmul }
    func isAligned(_ register: Int, _ lmul: Int) -> Bool { register & (size(lmul) &- 1) == 0 }
    func overlap(_ a: Int, _ countA: Int, _ b: Int, _ countB: Int) -> Bool { a < b &+ countB && b < a &+ countA }

    /// A destination of one EEW may overlap a source of another only where the lowest (narrowing) or highest (widening)
    /// part of the group is shared.
    private func mayOverlap(_ destination: Int, _ dl: Int, _ source: Int, _ sl: Int) -> Bool {
        let ds = size(dl), ss = size(sl)
        guard overlap(destination, ds, source, ss) else { return true }
        // Narrowing: only in the lowest-numbered part of the source group; widening: only in the highest-numbered part of
        // the destination group, and only from a whole register.
        if ds > ss { return sl >= 0 && source == destination &+ ds &- ss }
        return false
    }

    /// A masked instruction does not write its own mask.
    private var sparesMask: Bool { isUnmasked || vd != 0 }

    func single(_ lmul: Int) -> Bool { isAligned(vd, lmul) && isAligned(vs2, lmul) && sparesMask }
    /// Destination and sources in groups of LMUL.
    var same: Bool { single(lmul) && (!hasVectorOperand || isAligned(vs1, lmul)) }

    private var canWiden: Bool { lmul <= 2 && sew < widest }
    var widening: Bool {
        canWiden && isAligned(vd, lmul &+ 1) && sparesMask && isAligned(vs2, lmul) && mayOverlap(vd, lmul &+ 1, vs2, lmul) && wideningOperand
    }
    private var wideningOperand: Bool { !hasVectorOperand || isAligned(vs1, lmul) && mayOverlap(vd, lmul &+ 1, vs1, lmul) }
    /// The first source is wide already.
    private var wideningWide: Bool {
        canWiden && isAligned(vd, lmul &+ 1) && sparesMask && isAligned(vs2, lmul &+ 1) && wideningOperand
    }
    private var narrowing: Bool {
        canWiden && isAligned(vd, lmul) && isAligned(vs2, lmul &+ 1) && sparesMask
            && (vd == vs2 || mayOverlap(vd, lmul, vs2, lmul &+ 1)) && (!hasVectorOperand || isAligned(vs1, lmul))
    }
    /// A mask destination: one register, which may be the mask itself.
    private var comparing: Bool {
        isAligned(vs2, lmul) && (vd == vs2 || mayOverlap(vd, 0, vs2, lmul))
            && (!hasVectorOperand || isAligned(vs1, lmul) && (vd == vs1 || mayOverlap(vd, 0, vs1, lmul)))
    }

    /// Whether `vstart` must be 0.
    var needsStartZero: Bool {
        switch operation {
        case .redsum, .redand, .redor, .redxor, .redminu, .redmin, .redmaxu, .redmax, .wredsumu, .wredsum, .fredsum, .fredmin,
             .fredmax, .fwredsum, .cpop, .first, .msbf, .msof, .msif, .iota, .compress: true
        default: false
        }
    }

    /// Whether the instruction exists under its vector type. What depends on `vl` and `vstart` is checked elsewhere.
    var isLegal: Bool {
        switch operation {
        case .loadWhole: return vd & (segments &- 1) == 0 && width <= widest
        case .storeWhole: return vd & (segments &- 1) == 0
        default: break
        }
        guard hasType, sourcesAgree else { return false }
        switch operation {
        case .add, .sub, .rsub, .minu, .min, .maxu, .max, .and, .or, .xor, .sll, .srl, .sra, .divu, .div, .remu, .rem, .mulhu,
             .mul, .mulhsu, .mulh, .madd, .nmsub, .macc, .nmsac, .saddu, .sadd, .ssubu, .ssub, .smul, .ssrl, .ssra, .aaddu, .aadd,
             .asubu, .asub:
            return same
        case .adc, .sbc, .merge:
            return vd != 0 && isAligned(vd, lmul) && isAligned(vs2, lmul) && (!hasVectorOperand || isAligned(vs1, lmul))
                && (category != 5 || hasFloat(sew))
        case .copy:
            return isAligned(vd, lmul) && (!hasVectorOperand || isAligned(vs1, lmul)) && (category != 5 || hasFloat(sew))
        case .mseq, .msne, .msltu, .mslt, .msleu, .msle, .msgtu, .msgt, .madc, .msbc: return comparing
        case .waddu, .wadd, .wsubu, .wsub, .wmulu, .wmulsu, .wmul, .wmaccu, .wmacc, .wmaccus, .wmaccsu: return widening
        case .wadduw, .waddw, .wsubuw, .wsubw: return wideningWide
        case .nsrl, .nsra, .nclipu, .nclip: return narrowing
        case .redsum, .redand, .redor, .redxor, .redminu, .redmin, .redmaxu, .redmax: return isAligned(vs2, lmul)
        case .wredsumu, .wredsum: return isAligned(vs2, lmul) && sew < widest
        case .maskAndNot, .maskAnd, .maskOr, .maskXor, .maskOrNot, .maskNand, .maskNor, .maskXnor, .cpop, .first, .moveToScalar,
             .moveFromScalar: return true
        case .msbf, .msof, .msif: return sparesMask && vd != vs2
        case .iota: return sparesMask && isAligned(vd, lmul) && !overlap(vd, size(lmul), vs2, 1)
        case .id: return sparesMask && isAligned(vd, lmul)
        case .moveToFloat, .moveFromFloat: return hasFloat(sew)
        case .slideup: return single(lmul) && vd != vs2
        case .slide1up: return single(lmul) && vd != vs2 && (category != 5 || hasFloat(sew))
        case .slidedown: return single(lmul)
        case .slide1down: return single(lmul) && (category != 5 || hasFloat(sew))
        case .rgather: return same && vd != vs2 && (!hasVectorOperand || vd != vs1)
        case .rgatherei16:
            let emul = 1 &- sew &+ lmul
            return emul >= -3 && emul <= 3 && single(lmul) && isAligned(vs1, emul) && vd != vs2
                && !overlap(vd, size(lmul), vs1, size(emul))
        case .compress: return isAligned(vd, lmul) && isAligned(vs2, lmul) && vd != vs2 && !overlap(vd, size(lmul), vs1, 1)
        case .moveWhole:
            let count = (vs1 & 7) &+ 1
            return vd & (count &- 1) == 0 && vs2 & (count &- 1) == 0
        case .extend:
            // vf8, vf4, vf2 in bits 2:1 of the field.
            let shift = 4 &- (vs1 &>> 1)
            return shift >= 1 && sew >= shift && lmul &- shift >= -3 && isAligned(vd, lmul) && isAligned(vs2, lmul &- shift)
                && sparesMask && mayOverlap(vd, lmul, vs2, lmul &- shift)
        default: break
        }
        return isLegalFloat
    }

    private var isLegalFloat: Bool {
        switch operation {
        case .fadd, .fsub, .fmin, .fmax, .fsgnj, .fsgnjn, .fsgnjx, .fdiv, .frdiv, .fmul, .frsub, .fmadd, .fnmadd, .fmsub, .fnmsub,
             .fmacc, .fnmacc, .fmsac, .fnmsac: return hasFloat(sew) && same
        case .fsqrt, .frsqrt7, .frec7, .fclass, .fcvtToInteger, .fcvtFromInteger: return hasFloat(sew) && single(lmul)
        case .mfeq, .mfle, .mflt, .mfne, .mfgt, .mfge: return hasFloat(sew) && comparing
        case .fredsum, .fredmin, .fredmax: return hasFloat(sew) && isAligned(vs2, lmul)
        case .fwredsum: return hasFloat(sew) && hasFloat(sew &+ 1) && isAligned(vs2, lmul)
        case .fwadd, .fwsub, .fwmul, .fwmacc, .fwnmacc, .fwmsac, .fwnmsac: return hasFloat(sew) && hasFloat(sew &+ 1) && widening
        case .fwaddw, .fwsubw: return hasFloat(sew) && hasFloat(sew &+ 1) && wideningWide
        case .fwcvtToInteger: return hasFloat(sew) && wideningUnary
        case .fwcvtFloat: return canConvert && wideningUnary
        case .fwcvtFromInteger: return hasFloat(sew &+ 1) && wideningUnary
        case .fncvtToInteger: return hasFloat(sew &+ 1) && narrowingUnary
        case .fncvtFloat: return (vs1 == 0x15 ? hasFloat(sew) && hasFloat(sew &+ 1) : canConvert) && narrowingUnary
        case .fncvtFromInteger: return hasFloat(sew) && narrowingUnary
        case .fwcvtBrain: return sew == 1 && wideningUnary
        case .fncvtBrain: return sew == 1 && narrowingUnary
        case .fwmaccBrain: return sew == 1 && widening
        default: return isLegalCryptography ?? isLegalMemory
        }
    }

    /// f16 converts to and from f32 with Zvfhmin already.
    private var canConvert: Bool {
        sew == 1 ? capability.contains(.halfConversions) && capability.contains(.single) : hasFloat(sew) && hasFloat(sew &+ 1)
    }
    private var wideningUnary: Bool {
        canWiden && isAligned(vd, lmul &+ 1) && sparesMask && isAligned(vs2, lmul) && mayOverlap(vd, lmul &+ 1, vs2, lmul)
    }
    private var narrowingUnary: Bool {
        canWiden && isAligned(vd, lmul) && isAligned(vs2, lmul &+ 1) && sparesMask
            && (vd == vs2 || mayOverlap(vd, lmul, vs2, lmul &+ 1))
    }

    // MARK: sources

    /// A register serves as a source with one EEW only; the mask operand has EEW 1.
    private var sourcesAgree: Bool {
        // Each as register, log₂ of EMUL, log₂ of EEW in bytes (-3 for masks).
        var first = (register: vs2, lmul: lmul, eew: sew), second = (register: vs1, lmul: lmul, eew: sew)
        var third = (register: vd, lmul: lmul, eew: sew)
        var hasFirst = true, hasSecond = hasVectorOperand, hasThird = false
        switch operation {
        case .aesEncryptLast, .aesEncryptMiddle, .aesDecryptLast, .aesDecryptMiddle, .aesAddKey, .aesKeySchedule1, .aesKeySchedule2, .gmul,
             .ghsh, .sha2ms, .sha2ch, .sha2cl, .sm3c, .sm3me, .sm4k, .sm4r: return true
        case .reverseBits, .reverseBitsInBytes, .reverseBytes, .leadingZeros, .trailingZeros, .countOnes, .fwcvtBrain: hasSecond = false
        case .fncvtBrain:
            first = (vs2, lmul &+ 1, sew &+ 1)
            hasSecond = false
        case .madd, .nmsub, .macc, .nmsac, .fmadd, .fnmadd, .fmsub, .fnmsub, .fmacc, .fnmacc, .fmsac, .fnmsac: hasThird = true
        case .wmaccu, .wmacc, .wmaccus, .wmaccsu, .fwmaccBrain, .fwmacc, .fwnmacc, .fwmsac, .fwnmsac:
            hasThird = true
            third = (vd, lmul &+ 1, sew &+ 1)
        case .wadduw, .waddw, .wsubuw, .wsubw, .fwaddw, .fwsubw, .nsrl, .nsra, .nclip, .nclipu: first = (vs2, lmul &+ 1, sew &+ 1)
        case .fncvtToInteger, .fncvtFromInteger, .fncvtFloat:
            first = (vs2, lmul &+ 1, sew &+ 1)
            hasSecond = false
        case .fsqrt, .frsqrt7, .frec7, .fclass, .fcvtToInteger, .fcvtFromInteger, .fwcvtToInteger, .fwcvtFromInteger, .fwcvtFloat:
            hasSecond = false
        case .rgatherei16: second = (vs1, 1 &- sew &+ lmul, 1)
        case .extend:
            let shift = 4 &- (vs1 &>> 1)
            first = (vs2, lmul &- shift, sew &- shift)
            hasSecond = false
        case .compress: second = (vs1, 0, -3)
        case .copy: hasFirst = false
        case .maskAndNot, .maskAnd, .maskOr, .maskXor, .maskOrNot, .maskNand, .maskNor, .maskXnor, .cpop, .first, .msbf, .msof, .msif,
             .iota, .id, .moveToScalar, .moveFromScalar, .moveToFloat, .moveFromFloat, .moveWhole, .load, .loadFaultFirst,
             .loadStrided, .loadWhole, .storeWhole, .loadMask, .storeMask: return true
        // Reserved by the same rule; executed, as QEMU does.
        case .mseq, .msne, .msltu, .mslt, .msleu, .msle, .msgtu, .msgt, .mfeq, .mfne, .mflt, .mfle, .mfgt, .mfge, .madc, .msbc, .adc, .sbc,
             .redsum, .redand, .redor, .redxor, .redminu, .redmin, .redmaxu, .redmax, .wredsumu, .wredsum, .fredsum, .fredmin, .fredmax,
             .fwredsum, .store, .storeStrided: return true
        case .loadIndexed: return isUnmasked || vs2 != 0
        case .storeIndexed:
            let emul = width &- sew &+ lmul
            if !isUnmasked && (vd == 0 || vs2 == 0) { return false }
            return width == sew || !overlap(vd, size(lmul), vs2, size(emul))
        default: break
        }
        if !isUnmasked {
            // Groups are aligned, so only those that begin there contain v0.
            if hasFirst && first.register == 0 && first.eew >= 0 || hasSecond && second.register == 0 && second.eew >= 0 { return false }
        }
        func agree(_ a: (register: Int, lmul: Int, eew: Int), _ b: (register: Int, lmul: Int, eew: Int)) -> Bool {
            a.eew == b.eew || !overlap(a.register, size(a.lmul), b.register, size(b.lmul))
        }
        if hasFirst && hasSecond && !agree(first, second) { return false }
        return !hasThird || (!hasFirst || agree(first, third)) && (!hasSecond || agree(second, third))
    }

    // MARK: memory

    private func fits(_ emul: Int) -> Bool { size(emul) &* segments <= 8 && vd &+ size(emul) &* segments <= 32 }

    private var isLegalMemory: Bool {
        let emul = width &- sew &+ lmul
        switch operation {
        case .loadMask, .storeMask: return true
        case .load, .loadFaultFirst, .loadStrided:
            return width <= widest && emul >= -3 && emul <= 3 && isAligned(vd, emul) && fits(emul) && sparesMask
        case .store, .storeStrided: return width <= widest && emul >= -3 && emul <= 3 && isAligned(vd, emul) && fits(emul)
        case .storeIndexed, .loadIndexed:
            // An index wider than a register is reserved.
            if width > 2, capability.contains(.narrowAddresses) { return false }
            guard width <= widest, emul >= -3, emul <= 3, isAligned(vs2, emul), isAligned(vd, lmul), fits(lmul) else { return false }
            guard operation == .loadIndexed else { return true }
            guard sparesMask else { return false }
            for segment in 0 ..< segments {
                let first = vd &+ segment &* size(lmul)
                if segments > 1, overlap(first, size(lmul), vs2, size(emul)) { return false }
                if width > sew, first != vs2, !mayOverlap(first, lmul, vs2, emul) { return false }
                if width < sew, !mayOverlap(first, lmul, vs2, emul) { return false }
            }
            return true
        default: return false
        }
    }
}
