// Which vector instructions have a fast form (`LaneForm`), under the vector type that the block was translated for. The
// back end may do these in line; everything else, and these whenever the type or length is another, goes to `VectorUnit`.

import IR
import SoftFloat
import Translation

extension Emit {
    /// Emits the form of the instruction whose helper call comes next, if it has one.
    func addForm(_ i: Instruction, _ operation: VectorOperation) {
        let mode = builder.arena.pointee.belief
        guard mode & ~(VectorMode.typeMask | VectorMode.full) == 0 else { return }
        let type = VectorType(mode & VectorMode.typeMask, vectorBytes: vectorConfiguration.bytes, elementBits: vectorConfiguration.elementBits)
        let instruction = VectorInstruction(i.bits, operation, vectorConfiguration.capability, registerShift: vectorConfiguration.shift, type: type)
        guard instruction.isLegal, let (code, second) = lanes(instruction) else { return }
        // Forms depend on the resident rounding mode; the manual's fifth is not among the host's, and others are illegal.
        if dynamicRounding > 3, code.rawValue >= LaneOperation.fadd.rawValue || instruction.category == 5 || operation == .moveToFloat { return }
        let shift = vectorConfiguration.shift
        var lane = instruction.sew, group = shift &+ instruction.lmul
        var x = instruction.vs2
        switch operation {
        case .load, .store, .loadFaultFirst:
            guard instruction.isUnmasked, instruction.segments <= 4 else { return }
            group = shift &+ instruction.width &- instruction.sew &+ instruction.lmul
            lane = instruction.width
        case .loadWhole, .storeWhole:
            guard instruction.segments & (instruction.segments &- 1) == 0 else { return }
            group = shift &+ instruction.segments.trailingZeroBitCount
            lane = 0
        case .moveWhole:
            group = shift &+ ((instruction.vs1 & 7) &+ 1).trailingZeroBitCount
            x = instruction.vs2
        default: break
        }
        guard group >= 2, group <= 10 else { return }
        let immediate: Int
        switch operation {
        case .load, .store, .loadFaultFirst: immediate = instruction.segments
        case .loadWhole, .storeWhole, .moveWhole: immediate = 0
        case .copy where instruction.hasVectorOperand: immediate = 1
        case .sll, .srl, .sra, .nsrl, .nsra, .slidedown, .wsll: immediate = instruction.vs1
        case .ror: immediate = rotation(instruction).amount
        case .aesEncryptLast, .aesEncryptMiddle, .aesDecryptLast, .aesDecryptMiddle, .aesAddKey: immediate = instruction.hasScalarGroup ? 1 : 0
        default: immediate = Int((Int32(bitPattern: i.bits) &<< 12) &>> 27)
        }
        let usesMask = !instruction.isUnmasked && operation != .merge
        var y = operation == .moveWhole ? instruction.vs2 : instruction.vs1, kind = code
        if code == .load || code == .store, operation != .loadWhole, operation != .storeWhole, instruction.segments > 1 {
            kind = code == .load ? .loadSegments : .storeSegments
            y = instruction.vd &+ (1 &<< max(0, group &- shift))
        }
        let form = LaneForm(kind, laneShift: lane, groupShift: group, d: RISCVState.vector(instruction.vd, shift), x: RISCVState.vector(x, shift),
                            y: RISCVState.vector(y, shift), second: second, immediate: immediate, mode: mode & VectorMode.typeMask)
        builder.lanes(form, mask: usesMask || operation == .merge ? RISCVState.vectorRegisters : 0)
    }

    /// Of VROR by an immediate: a rotation to the left if it is shorter, so that forms have room for the amount.
    private func rotation(_ v: VectorInstruction) -> (isLeft: Bool, amount: Int) {
        let bits = 8 &<< v.sew, amount = (v.field(26, 1) &<< 5 | v.vs1) & (bits &- 1)
        return amount > 31 ? (true, bits &- amount) : (false, amount)
    }

    /// The operation and its second source; nil if there is no form.
    private func lanes(_ v: VectorInstruction) -> (LaneOperation, LaneForm.Second)? {
        let second: LaneForm.Second = switch v.category { case 0, 1, 2: .group; case 3: .immediate; case 5: .float; default: .integer }
        let isFloat = v.sew >= 2
        func integer(_ code: LaneOperation) -> (LaneOperation, LaneForm.Second)? { (code, second) }
        func float(_ code: LaneOperation) -> (LaneOperation, LaneForm.Second)? { isFloat ? (code, second) : nil }
        func unary(_ code: LaneOperation) -> (LaneOperation, LaneForm.Second)? { (code, .none) }
        switch v.operation {
        case .load, .loadFaultFirst, .loadWhole: return (.load, .integer)
        case .store, .storeWhole: return (.store, .integer)
        case .moveWhole: return (.copy, .group)
        case .copy: return v.category == 5 && !isFloat ? nil : integer(.copy)
        case .add: return integer(.add)
        case .sub: return integer(.sub)
        case .rsub: return integer(.reverseSub)
        case .and: return integer(.and)
        case .or: return integer(.or)
        case .xor: return integer(.xor)
        case .min: return integer(.minS)
        case .minu: return integer(.minU)
        case .max: return integer(.maxS)
        case .maxu: return integer(.maxU)
        case .mul: return integer(.mul)
        case .sll: return integer(.shl)
        case .srl: return integer(.shrU)
        case .sra: return integer(.shrS)
        case .macc: return integer(.multiplyAdd)
        case .nmsac: return integer(.multiplySub)
        case .madd: return integer(.multiplyAddToX)
        case .nmsub: return integer(.multiplySubFromX)
        case .merge: return v.category == 5 && !isFloat ? nil : integer(.merge)
        case .mseq: return integer(.equal)
        case .msne: return integer(.notEqual)
        case .mslt: return integer(.lessS)
        case .msltu: return integer(.lessU)
        case .msle: return integer(.lessEqualS)
        case .msleu: return integer(.lessEqualU)
        case .msgt: return integer(.greaterS)
        case .msgtu: return integer(.greaterU)
        case .wadd: return integer(.wideAddS)
        case .waddu: return integer(.wideAddU)
        case .wsub: return integer(.wideSubS)
        case .wsubu: return integer(.wideSubU)
        case .waddw: return integer(.wideAddSW)
        case .wadduw: return integer(.wideAddUW)
        case .wsubw: return integer(.wideSubSW)
        case .wsubuw: return integer(.wideSubUW)
        case .wmul: return integer(.wideMulS)
        case .wmulu: return integer(.wideMulU)
        case .wmacc: return integer(.wideMultiplyAddS)
        case .wmaccu: return integer(.wideMultiplyAddU)
        case .extend:
            let codes: [LaneOperation] = [.extendU8, .extendS8, .extendU4, .extendS4, .extendU2, .extendS2]
            let index = v.vs1 &- 2
            return index >= 0 && index < 6 ? unary(codes[index]) : nil
        case .nsrl: return v.hasVectorOperand ? nil : integer(.narrowShrU)
        case .nsra: return v.hasVectorOperand ? nil : integer(.narrowShrS)
        case .redsum: return integer(.sumAll)
        case .redand: return integer(.andAll)
        case .redor: return integer(.orAll)
        case .redxor: return integer(.xorAll)
        case .redmin: return integer(.minAllS)
        case .redminu: return integer(.minAllU)
        case .redmax: return integer(.maxAllS)
        case .redmaxu: return integer(.maxAllU)
        case .slidedown: return v.category == 3 ? integer(.slideDown) : nil
        case .slide1down: return v.category == 5 && !isFloat ? nil : integer(.slideDownOne)
        case .slide1up: return v.category == 5 && !isFloat ? nil : integer(.slideUpOne)
        case .rgather: return v.hasVectorOperand ? integer(.gather) : nil
        case .moveToScalar: return unary(.moveToInteger)
        case .moveToFloat: return isFloat ? unary(.moveToFloat) : nil
        case .cpop: return unary(.countMask)
        case .first: return unary(.firstInMask)
        case .maskAnd: return integer(.maskAnd)
        case .maskOr: return integer(.maskOr)
        case .maskXor: return integer(.maskXor)
        case .maskAndNot: return integer(.maskAndNot)
        case .maskOrNot: return integer(.maskOrNot)
        case .maskNand: return integer(.maskNand)
        case .maskNor: return integer(.maskNor)
        case .maskXnor: return integer(.maskXnor)
        case .andNot: return integer(.andNot)
        case .rol: return integer(.rotateLeft)
        case .ror: return integer(second == .immediate && rotation(v).isLeft ? .rotateLeft : .rotateRight)
        case .reverseBytes: return unary(.reverseBytes)
        case .reverseBitsInBytes: return unary(.reverseBitsInBytes)
        case .wsll: return integer(.wideShl)
        case .clmul: return integer(.clmulLow)
        case .clmulh: return integer(.clmulHigh)
        case .aesEncryptMiddle: return unary(.aesEncryptMiddle)
        case .aesEncryptLast: return unary(.aesEncryptLast)
        case .aesDecryptMiddle: return unary(.aesDecryptMiddle)
        case .aesDecryptLast: return unary(.aesDecryptLast)
        case .aesAddKey: return unary(.aesAddKey)
        case .gmul: return unary(.ghashMultiply)
        case .ghsh: return integer(.ghashAddMultiply)
        case .sha2ms: return v.sew == 2 ? integer(.sha256Schedule) : nil
        case .sha2cl: return v.sew == 2 ? integer(.sha256RoundsLow) : nil
        case .sha2ch: return v.sew == 2 ? integer(.sha256RoundsHigh) : nil
        case .fadd: return float(.fadd)
        case .fsub: return float(.fsub)
        case .frsub: return float(.freverseSub)
        case .fmul: return float(.fmul)
        case .fdiv: return float(.fdiv)
        case .frdiv: return float(.freverseDiv)
        case .fsqrt: return isFloat ? unary(.fsqrt) : nil
        case .fmin: return float(.fmin)
        case .fmax: return float(.fmax)
        case .fsgnj: return float(.copySign)
        case .fsgnjn: return float(.negateSign)
        case .fsgnjx: return float(.xorSign)
        case .fmacc: return float(.fmaPlusPlus)
        case .fnmacc: return float(.fmaMinusMinus)
        case .fmsac: return float(.fmaPlusMinus)
        case .fnmsac: return float(.fmaMinusPlus)
        case .fmadd: return float(.fmaToXPlusPlus)
        case .fnmadd: return float(.fmaToXMinusMinus)
        case .fmsub: return float(.fmaToXPlusMinus)
        case .fnmsub: return float(.fmaToXMinusPlus)
        case .mfeq: return float(.fequal)
        case .mfne: return float(.fnotEqual)
        case .mflt: return float(.fless)
        case .mfle: return float(.flessEqual)
        case .mfgt: return float(.fgreater)
        case .mfge: return float(.fgreaterEqual)
        case .fcvtFromInteger: return v.sew == 2 && v.vs1 & 1 != 0 ? unary(.intToFloat) : nil
        case .fcvtToInteger: return v.sew == 2 && v.vs1 & 1 != 0 ? unary(v.vs1 & 6 == 6 ? .floatToIntTruncating : .floatToInt) : nil
        case .fwcvtFloat: return v.sew == 2 ? unary(.floatToWide) : nil
        case .fncvtFloat: return v.sew == 2 && v.vs1 != 0x15 ? unary(.floatToNarrow) : nil
        case .fredsum: return float(.fsumAll)
        default: return nil
        }
    }
}
