import IR
import IRPasses
import Translation

// Helpers that the host has an instruction for (`HelperIntrinsic`): emitted in place of the call.
extension Lowering {
    /// Emits `op`, a helper, in line if it can be; false if it must be called.
    mutating func lowerIntrinsic(_ op: Op) -> Bool {
        guard op.imm < UInt64(HelperTable.capacity) else { return false }
        let intrinsic = HelperTable.intrinsics[Int(op.imm)]
        if intrinsic == .none { return false }
        if intrinsic == .lookUpBytes {
            lowerByteLookUp(op)
            return true
        }
        guard CPUFeatures.host.contains(.aes) else { return false }
        switch intrinsic {
        case .aesEncryptLast: lowerRound(op, .vaesenclast)
        case .aesEncryptMiddle: lowerRound(op, .vaesenc)
        case .aesDecryptLast: lowerRound(op, .vaesdeclast)
        case .aesDecryptMiddle: lowerRound(op, .vaesdec)
        case .aesInverseMixColumns:
            let state = vectorCopy(op.a)
            a.avx(.vaesimc, state, state)
            deliverLow(op, state)
        default:
            // VAESKEYGENASSIST substitutes the second word.
            let state = vectorCopy(op.a)
            a.avx(.vpsllq, state, state, imm: 32)
            a.avx(.vaeskeygenassist, state, state, imm: 0)
            let target = define(reusing: op.a)
            a.vmovd(target, state)
        }
        return true
    }

    /// A scratch vector register with `ref` below and zero above.
    private mutating func vectorCopy(_ ref: Ref) -> XMM {
        let target = takeFloat()
        a.vmovq(target, use(ref))
        return target
    }

    private mutating func deliverLow(_ op: Op, _ register: XMM) {
        let target = define(reusing: op.a)
        a.vmovq(target, register)
    }

    /// One round on the state whose halves are the arguments, with the key 0.
    private mutating func lowerRound(_ op: Op, _ instruction: AVX3) {
        let state = vectorCopy(op.a), key = takeFloat()
        a.vpinsrq(state, state, use(op.b), 1)
        a.avx(.vpxor, key, key, key)
        a.avx(instruction, state, state, key)
        deliverLow(op, state)
    }

    /// VPSHUFB gives 0 where bit 7 of an index is set, which a saturating addition of 112 does from 16 on; 8 to 15 take the
    /// zeros above the table.
    private mutating func lowerByteLookUp(_ op: Op) {
        let table = vectorCopy(op.a), indices = vectorCopy(op.b), offset = takeFloat()
        let temporary = takeInteger()
        a.movImmediate(temporary, 0x7070_7070_7070_7070)
        a.vmovq(offset, temporary)
        a.avx(.vpaddusb, indices, indices, offset)
        a.avx(.vpshufb, table, table, indices)
        unlock(temporary)
        deliverLow(op, table)
    }
}
