import IR
import Translation

// Comparisons into masks, operations on masks, and scalar results. Masks of up to 64 elements are handled in integer
// registers.
extension Lowering {
    private static func maskBits(_ count: Int) -> UInt64 { count >= 64 ? ~0 : 1 << UInt64(count) - 1 }
    private static func size(_ count: Int) -> OperandSize { count <= 8 ? .b8 : count <= 16 ? .b16 : count <= 32 ? .b32 : .b64 }

    private mutating func loadMask(_ target: GPR, _ offset: Int32, _ count: Int) {
        let size = Self.size(count)
        switch size {
        case .b8, .b16: a.movzx(target, Self.mem(offset), from: size)
        default: a.mov(size, target, Self.mem(offset))
        }
    }

    /// Bit i of t1: whether element i is active. Uses t3.
    private mutating func activeBits(_ lanes: Lanes, masked: Bool, _ count: Int) {
        if masked, lanes.mask != 0 { loadMask(lanes.t1, lanes.mask, count) } else { a.movImmediate(lanes.t1, Self.maskBits(count)) }
        guard lanes.isPartial else { return }
        a.mov(.b64, lanes.t3, Self.mem(StateSlots.laneLength))
        a.bzhi(.b64, lanes.t1, lanes.t1, lanes.t3)
    }

    /// Stores the low bits of `bits` as the mask at d, where the form's mask operand lets it.
    private mutating func storeMask(_ lanes: Lanes, _ bits: GPR, _ count: Int, masked: Bool) {
        let size = Self.size(count), d = lanes.form.d
        if masked || count < 8 || lanes.isPartial {
            activeBits(lanes, masked: masked, count)
            if masked, count < 8 { a.alu(.and, .b32, lanes.t1, imm: Int32(Self.maskBits(count))) }
            a.alu(.and, .b64, bits, lanes.t1)
            loadMask(lanes.t3, d, count)
            a.andn(.b64, lanes.t1, lanes.t1, lanes.t3)
            a.alu(.or, .b64, bits, lanes.t1)
        }
        a.mov(size, Self.mem(d), bits)
    }

    mutating func emitLaneCompare(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift
        let isFloat = lanes.operation.rawValue >= LaneOperation.fadd.rawValue
        // Words are packed to bytes, which a YMM register does in halves.
        let chunk = lane == 1 ? min(form.groupBytes, 16) : Lanes.chunk(form.groupBytes), length = Self.length(chunk)
        if lanes.isScalar { broadcastSecond(lanes, laneShift: lane) }
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position), first = position >> lane
            loadChunk(Lanes.r, form.x + here, chunk)
            var y = Lanes.s
            if form.second == .group {
                y = Lanes.v
                loadChunk(y, form.y + here, chunk)
            }
            if isFloat { compareFloats(lanes, y, length) } else { compareIntegers(lanes, y, length) }
            switch lane {
            case 0: a.vpmovmskb(lanes.t1, Lanes.r, length)
            case 1:
                a.avx(.vpacksswb, Lanes.r, Lanes.r, Lanes.r)
                a.vpmovmskb(lanes.t1, Lanes.r)
                a.movzx(lanes.t1, lanes.t1, from: .b8)
            case 2: a.vmovmskps(lanes.t1, Lanes.r, length)
            default: a.vmovmskpd(lanes.t1, Lanes.r, length)
            }
            if position == 0 {
                a.mov(.b64, lanes.t2, lanes.t1)
            } else {
                a.shift(.shl, .b64, lanes.t1, UInt8(truncatingIfNeeded: first))
                a.alu(.or, .b64, lanes.t2, lanes.t1)
            }
        }
        switch lanes.operation {
        case .notEqual, .lessEqualS, .lessU, .greaterU: a.not(.b64, lanes.t2)
        default: break
        }
        if form.count < 64 {
            a.movImmediate(lanes.t1, Self.maskBits(form.count))
            a.alu(.and, .b64, lanes.t2, lanes.t1)
        }
        storeMask(lanes, lanes.t2, form.count, masked: lanes.isMasked)
    }

    private mutating func compareFloats(_ lanes: Lanes, _ y: XMM, _ length: VectorLength) {
        // Equality is quiet, order raises NV for every NaN.
        let predicate: UInt8 = switch lanes.operation {
        case .fequal: 0x00
        case .fnotEqual: 0x04
        case .fless: 0x01
        case .flessEqual: 0x02
        case .fgreater: 0x0E
        default: 0x0D
        }
        a.avx(lanes.form.laneShift == 3 ? .vcmppd : .vcmpps, Lanes.r, Lanes.r, y, imm: predicate, length)
    }

    /// The relation, or for those that `emitLaneCompare` inverts its opposite, in `Lanes.r`.
    private mutating func compareIntegers(_ lanes: Lanes, _ y: XMM, _ length: VectorLength) {
        let lane = lanes.form.laneShift
        let equal: AVX3 = [.vpcmpeqb, .vpcmpeqw, .vpcmpeqd, .vpcmpeqq][lane]
        let greater: AVX3 = [.vpcmpgtb, .vpcmpgtw, .vpcmpgtd, .vpcmpgtq][lane]
        let least: AVX3 = [.vpminub, .vpminuw, .vpminud, .vpminud][lane], greatest: AVX3 = [.vpmaxub, .vpmaxuw, .vpmaxud, .vpmaxud][lane]
        switch lanes.operation {
        case .equal, .notEqual: a.avx(equal, Lanes.r, Lanes.r, y, length)
        case .lessS: a.avx(greater, Lanes.r, y, Lanes.r, length)
        case .greaterS, .lessEqualS: a.avx(greater, Lanes.r, Lanes.r, y, length)
        // x ≤ y where x is the lesser; x ≥ y where it is the greater.
        case .lessEqualU, .greaterU:
            a.avx(least, Lanes.m, Lanes.r, y, length)
            a.avx(equal, Lanes.r, Lanes.r, Lanes.m, length)
        default:
            a.avx(greatest, Lanes.m, Lanes.r, y, length)
            a.avx(equal, Lanes.r, Lanes.r, Lanes.m, length)
        }
    }

    mutating func emitLaneMasks(_ lanes: Lanes) {
        let form = lanes.form, count = form.count
        loadMask(lanes.t2, form.x, count)
        switch lanes.operation {
        case .countMask, .firstInMask:
            if lanes.isMasked {
                activeBits(lanes, masked: true, count)
                a.alu(.and, .b64, lanes.t2, lanes.t1)
            }
            if count < 8 { a.alu(.and, .b32, lanes.t2, imm: Int32(Self.maskBits(count))) }
            if lanes.operation == .countMask {
                a.popcnt(.b64, lanes.t2, lanes.t2)
            } else {
                a.movImmediate(lanes.t1, ~0)
                a.tzcnt(.b64, lanes.t2, lanes.t2)
                // The carry says that there was no bit.
                a.cmov(.b, .b64, lanes.t2, lanes.t1)
            }
            a.mov(.b64, Self.mem(StateSlots.laneScalar), lanes.t2)
        default:
            loadMask(lanes.t1, form.y, count)
            switch lanes.operation {
            case .maskAnd, .maskNand: a.alu(.and, .b64, lanes.t2, lanes.t1)
            case .maskOr, .maskNor: a.alu(.or, .b64, lanes.t2, lanes.t1)
            case .maskXor, .maskXnor: a.alu(.xor, .b64, lanes.t2, lanes.t1)
            case .maskAndNot:
                a.not(.b64, lanes.t1)
                a.alu(.and, .b64, lanes.t2, lanes.t1)
            default:
                a.not(.b64, lanes.t1)
                a.alu(.or, .b64, lanes.t2, lanes.t1)
            }
            switch lanes.operation {
            case .maskNand, .maskNor, .maskXnor: a.not(.b64, lanes.t2)
            default: break
            }
            storeMask(lanes, lanes.t2, count, masked: false)
        }
    }

    mutating func emitLaneMoveOut(_ lanes: Lanes) {
        let memory = Self.mem(lanes.form.x)
        if lanes.operation == .moveToInteger {
            switch lanes.form.laneShift {
            case 0: a.movsx(.b64, lanes.t1, memory, from: .b8)
            case 1: a.movsx(.b64, lanes.t1, memory, from: .b16)
            case 2: a.movsx(.b64, lanes.t1, memory, from: .b32)
            default: a.mov(.b64, lanes.t1, memory)
            }
        } else if lanes.form.laneShift == 2 {
            a.mov(.b32, lanes.t1, memory)
            a.movImmediate(lanes.t2, 0xFFFF_FFFF_0000_0000)
            a.alu(.or, .b64, lanes.t1, lanes.t2)
        } else {
            a.mov(.b64, lanes.t1, memory)
        }
        a.mov(.b64, Self.mem(StateSlots.laneScalar), lanes.t1)
    }
}
