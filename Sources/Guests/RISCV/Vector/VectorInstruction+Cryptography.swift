// Which instructions of the vector cryptography extensions are reserved under a vector type ("Element Groups" and the
// "Reserved Encodings" of each instruction).

extension VectorInstruction {
    /// EGS: how many elements make a group; 1 where there are no groups. `vl` and `vstart` are multiples of it.
    var elementGroup: Int {
        switch operation {
        case .aesEncryptLast, .aesEncryptMiddle, .aesDecryptLast, .aesDecryptMiddle, .aesAddKey, .aesKeySchedule1, .aesKeySchedule2,
             .gmul, .ghsh, .sha2ms, .sha2ch, .sha2cl, .sm4k, .sm4r: 4
        case .sm3c, .sm3me: 8
        default: 1
        }
    }

    /// The second source is one element group, which serves all of the destination: the forms named `.vs`.
    var hasScalarGroup: Bool { field(26, 6) == 0b101001 }

    /// EGW ≤ LMUL × VLEN, in groups that their registers are numbered for.
    private var holdsGroups: Bool {
        let width = elementGroup.trailingZeroBitCount &+ sew
        return registerShift &+ lmul >= width && isAligned(vd, lmul)
    }

    /// The one group of a `.vs` form: it may not lie in the destination.
    private var scalarGroupIsApart: Bool {
        // A register, or as many as make a group.
        let emul = max(0, elementGroup.trailingZeroBitCount &+ sew &- registerShift)
        return isAligned(vs2, emul) && !overlap(vd, size(lmul), vs2, size(emul))
    }

    private func apart(_ source: Int) -> Bool { !overlap(vd, size(lmul), source, size(lmul)) }

    /// nil: none of these instructions.
    var isLegalCryptography: Bool? {
        switch operation {
        case .andNot, .rol, .ror: return same
        case .reverseBits, .reverseBitsInBytes, .reverseBytes, .leadingZeros, .trailingZeros, .countOnes: return single(lmul)
        case .wsll: return widening
        case .clmul, .clmulh: return sew == 3 && same
        case .aesEncryptLast, .aesEncryptMiddle, .aesDecryptLast, .aesDecryptMiddle, .aesAddKey, .sm4r:
            return sew == 2 && holdsGroups && (hasScalarGroup ? scalarGroupIsApart : isAligned(vs2, lmul))
        case .aesKeySchedule1, .aesKeySchedule2, .gmul, .sm4k: return sew == 2 && holdsGroups && isAligned(vs2, lmul)
        case .ghsh: return sew == 2 && holdsGroups && isAligned(vs2, lmul) && isAligned(vs1, lmul)
        case .sha2ms, .sha2ch, .sha2cl:
            return (sew == 2 || sew == 3 && capability.contains(.longHashes)) && holdsGroups && isAligned(vs2, lmul) && isAligned(vs1, lmul)
                && apart(vs1) && apart(vs2)
        case .sm3me: return sew == 2 && holdsGroups && isAligned(vs2, lmul) && isAligned(vs1, lmul) && apart(vs2)
        case .sm3c: return sew == 2 && holdsGroups && isAligned(vs2, lmul) && apart(vs2)
        default: return nil
        }
    }
}
