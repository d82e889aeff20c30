import IR

// Which forms this back end does in line, and where each is written.
extension Lowering {
    /// AVX2 lacks some operations on some lanes; those are left to the helper.
    static func isSupported(_ form: LaneForm, _ operation: LaneOperation, isMasked: Bool) -> Bool {
        let lane = form.laneShift
        guard form.groupBytes <= 256 else { return false }
        switch operation {
        case .load, .store: return !isMasked
        case .loadSegments, .storeSegments: return !isMasked && form.groupBytes >= 16 && form.immediate >= 2 && form.immediate <= 4
        case .copy, .add, .sub, .reverseSub, .and, .or, .xor, .merge: return true
        case .minS, .minU, .maxS, .maxU: return lane < 3
        case .mul, .multiplyAdd, .multiplySub, .multiplyAddToX, .multiplySubFromX:
            return lane == 1 || lane == 2
        case .shl, .shrU, .shrS:
            if form.second == .group { return lane == 2 || lane == 3 && operation != .shrS }
            if lane == 0 { return form.second == .immediate && operation != .shrS }
            return operation != .shrS || lane < 3
        case .equal, .notEqual, .lessS, .lessEqualS, .greaterS: return form.count <= 64
        case .lessU, .lessEqualU, .greaterU: return form.count <= 64 && lane < 3
        case .wideAddS, .wideAddU, .wideSubS, .wideSubU, .wideAddSW, .wideAddUW, .wideSubSW, .wideSubUW, .wideMulS, .wideMulU:
            return form.groupBytes <= 128
        case .wideMultiplyAddS, .wideMultiplyAddU: return form.groupBytes <= 128
        case .extendS2, .extendU2, .extendS4, .extendU4, .extendS8, .extendU8: return true
        case .narrowShrU: return form.second != .group && form.groupBytes <= 128
        case .narrowShrS:
            return form.groupBytes <= 128 && (lane < 2 ? form.second != .group : form.second == .immediate && form.immediate <= 32)
        case .sumAll, .orAll, .xorAll: return form.groupBytes >= 16
        case .andAll: return form.groupBytes >= 16 && !isMasked
        case .minAllS, .minAllU, .maxAllS, .maxAllU: return form.groupBytes >= 16 && lane < 3 && !isMasked
        case .slideDown: return form.groupBytes >= 16 && !isMasked && form.second == .immediate
        case .slideDownOne, .slideUpOne: return form.groupBytes >= 16 && !isMasked
        case .gather: return lane == 0 && form.groupBytes == 16 && form.second == .group
        case .moveToInteger: return true
        case .moveToFloat: return lane >= 2
        case .countMask, .firstInMask, .maskAnd, .maskOr, .maskXor, .maskAndNot, .maskOrNot, .maskNand, .maskNor, .maskXnor:
            return form.count <= 64
        case .andNot: return true
        case .rotateLeft, .rotateRight: return lane >= 1 && (form.second != .group || lane >= 2)
        case .reverseBytes, .reverseBitsInBytes: return true
        case .wideShl: return form.groupBytes <= 128 && (form.second != .group || lane >= 1)
        case .clmulLow, .clmulHigh: return lane == 3 && form.groupBytes >= 16
        case .aesEncryptMiddle, .aesEncryptLast, .aesDecryptMiddle, .aesDecryptLast, .aesAddKey:
            return CPUFeatures.host.contains(.aes) && form.groupBytes >= 16
        // Each group takes thirty instructions.
        case .ghashMultiply, .ghashAddMultiply: return form.groupBytes >= 16 && form.groupBytes <= 64
        case .sha256Schedule, .sha256RoundsLow, .sha256RoundsHigh:
            return CPUFeatures.host.contains(.sha) && form.groupBytes >= 16 && form.groupBytes <= 64
        case .fadd, .fsub, .freverseSub: return lane >= 2
        // The unused lanes of short groups are 0: times an infinite scalar, or divided, they would raise flags.
        case .fmul: return lane >= 2 && (form.groupBytes >= 16 || form.second == .group)
        case .fmin, .fmax: return lane >= 2 && !isMasked && (form.groupBytes >= 16 || form.second == .group)
        case .fdiv, .freverseDiv: return lane >= 2 && !isMasked && form.groupBytes >= 16
        case .fsqrt: return lane >= 2 && !isMasked
        case .copySign, .negateSign, .xorSign: return lane >= 2
        case .fmaPlusPlus, .fmaMinusMinus, .fmaPlusMinus, .fmaMinusPlus, .fmaToXPlusPlus, .fmaToXMinusMinus, .fmaToXPlusMinus,
             .fmaToXMinusPlus: return lane >= 2 && !isMasked && (form.groupBytes >= 16 || form.second == .group)
        case .fequal, .fnotEqual, .fless, .flessEqual, .fgreater, .fgreaterEqual: return lane >= 2 && form.count <= 64 && !isMasked
        case .intToFloat, .floatToInt, .floatToIntTruncating: return lane == 2 && !isMasked
        case .floatToWide, .floatToNarrow: return lane == 2 && !isMasked && form.groupBytes <= 128
        case .fsumAll: return lane >= 2 && !isMasked && form.groupBytes >= 8 && form.groupBytes <= 64
        }
    }

    /// Of those, which it can do where only the first lanes are active.
    static func isSupportedPartially(_ form: LaneForm, _ operation: LaneOperation, isMasked: Bool) -> Bool {
        switch operation {
        case .load, .store: return !isMasked
        case .moveToInteger, .moveToFloat: return true
        case .countMask, .firstInMask, .maskAnd, .maskOr, .maskXor, .maskAndNot, .maskOrNot, .maskNand, .maskNor, .maskXnor:
            return form.count <= 64
        case .loadSegments, .storeSegments, .slideDown, .slideDownOne, .slideUpOne, .fsumAll, .floatToWide, .floatToNarrow: return false
        default: return isSupported(form, operation, isMasked: true)
        }
    }

    mutating func emitLanes(_ lanes: Lanes) {
        switch lanes.operation {
        case .load, .store: emitLaneMemory(lanes)
        case .loadSegments, .storeSegments: emitLaneSegments(lanes)
        case .copy, .add, .sub, .reverseSub, .and, .or, .xor, .minS, .minU, .maxS, .maxU, .mul, .shl, .shrU, .shrS, .multiplyAdd,
             .multiplySub, .multiplyAddToX, .multiplySubFromX, .merge, .gather: emitLaneIntegers(lanes)
        case .equal, .notEqual, .lessS, .lessU, .lessEqualS, .lessEqualU, .greaterS, .greaterU, .fequal, .fnotEqual, .fless,
             .flessEqual, .fgreater, .fgreaterEqual: emitLaneCompare(lanes)
        case .wideAddS, .wideAddU, .wideSubS, .wideSubU, .wideAddSW, .wideAddUW, .wideSubSW, .wideSubUW, .wideMulS, .wideMulU,
             .wideMultiplyAddS, .wideMultiplyAddU: emitLaneWidening(lanes)
        case .extendS2, .extendU2, .extendS4, .extendU4, .extendS8, .extendU8: emitLaneExtension(lanes)
        case .narrowShrU, .narrowShrS: emitLaneNarrowing(lanes)
        case .andNot, .rotateLeft, .rotateRight, .reverseBytes, .reverseBitsInBytes, .wideShl, .clmulLow, .clmulHigh: emitLaneBits(lanes)
        case .aesEncryptMiddle, .aesEncryptLast, .aesDecryptMiddle, .aesDecryptLast, .aesAddKey: emitLaneCipher(lanes)
        case .ghashMultiply, .ghashAddMultiply, .sha256Schedule, .sha256RoundsLow, .sha256RoundsHigh: emitLaneHash(lanes)
        case .sumAll, .andAll, .orAll, .xorAll, .minAllS, .minAllU, .maxAllS, .maxAllU: emitLaneReduction(lanes)
        case .slideDown, .slideDownOne, .slideUpOne: emitLaneSlide(lanes)
        case .moveToInteger, .moveToFloat: emitLaneMoveOut(lanes)
        case .countMask, .firstInMask, .maskAnd, .maskOr, .maskXor, .maskAndNot, .maskOrNot, .maskNand, .maskNor, .maskXnor:
            emitLaneMasks(lanes)
        default: emitLaneFloats(lanes)
        }
    }
}
