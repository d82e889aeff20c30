import IR
import Translation

// Lanes of bits: rotations, reversals, widening shifts, carry-less products.
extension Lowering {
    mutating func emitLaneBits(_ lanes: Lanes) {
        switch lanes.operation {
        case .wideShl: emitLaneWideShift(lanes)
        case .rotateLeft, .rotateRight: emitLaneRotation(lanes)
        default: emitLanePatterns(lanes)
        }
    }

    private mutating func emitLanePatterns(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift
        // Carry-less products are of 128 bits.
        let isProduct = lanes.operation == .clmulLow || lanes.operation == .clmulHigh
        let chunk = isProduct ? 16 : Lanes.chunk(form.groupBytes), length = Self.length(chunk)
        if lanes.isScalar { broadcastSecond(lanes, laneShift: lane) }
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position)
            loadChunk(Lanes.r, form.x + here, chunk)
            let y = form.second == .group ? Lanes.v : Lanes.s
            if form.second == .group { loadChunk(y, form.y + here, chunk) }
            switch lanes.operation {
            case .andNot: a.avx(.vpandn, Lanes.r, y, Lanes.r, length)
            case .clmulLow, .clmulHigh:
                a.avx(.vpclmulqdq, Lanes.m, Lanes.r, y, imm: 0x00)
                a.avx(.vpclmulqdq, Lanes.r, Lanes.r, y, imm: 0x11)
                a.avx(lanes.operation == .clmulLow ? .vpunpcklqdq : .vpunpckhqdq, Lanes.r, Lanes.m, Lanes.r)
            case .reverseBytes:
                let order: LaneTable? = switch lane { case 0: nil; case 1: .reverse16; case 2: .reverse32; default: .reverse64 }
                if let order { a.avx(.vpshufb, Lanes.r, Lanes.r, table(order), length) }
            default:
                a.avx(.vpsrlw, Lanes.v, Lanes.r, imm: 4, length)
                a.avx(.vpand, Lanes.r, Lanes.r, table(.lowNibble), length)
                a.avx(.vpand, Lanes.v, Lanes.v, table(.lowNibble), length)
                a.move(.vmovdqu, Lanes.m, table(.nibbleToHigh), length)
                a.avx(.vpshufb, Lanes.r, Lanes.m, Lanes.r, length)
                a.move(.vmovdqu, Lanes.m, table(.nibbleToLow), length)
                a.avx(.vpshufb, Lanes.v, Lanes.m, Lanes.v, length)
                a.avx(.vpor, Lanes.r, Lanes.r, Lanes.v, length)
            }
            finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk, at: position)
        }
    }

    private static func shifts(_ lane: Int) -> (left: AVXShift, right: AVXShift) {
        switch lane { case 0, 1: (.vpsllw, .vpsrlw); case 2: (.vpslld, .vpsrld); default: (.vpsllq, .vpsrlq) }
    }

    private mutating func emitLaneRotation(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, bits = 8 << lane
        let chunk = Lanes.chunk(form.groupBytes), length = Self.length(chunk)
        let isLeft = lanes.operation == .rotateLeft
        let amount = form.immediate & (bits - 1)
        if let scalar = lanes.scalar {
            // `s` counts places to the left, `m` (made anew for each chunk) the others.
            a.mov(.b32, lanes.t1, scalar)
            if !isLeft { a.neg(.b32, lanes.t1) }
            a.alu(.and, .b32, lanes.t1, imm: Int32(bits - 1))
            a.vmovd(Lanes.s, lanes.t1)
        } else if form.second == .group {
            a.movImmediate(lanes.t1, UInt64(bits - 1))
            broadcast(Lanes.s, lanes.t1, laneShift: lane)
        }
        // The places to the right: t2 outlives the chunks.
        if lanes.scalar != nil {
            a.movImmediate(lanes.t2, UInt64(bits))
            a.alu(.sub, .b32, lanes.t2, lanes.t1)
        }
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position)
            loadChunk(Lanes.r, form.x + here, chunk)
            if lanes.scalar != nil {
                // Shifts by the width, and beyond, leave 0.
                a.vmovd(Lanes.m, lanes.t2)
                a.avx(lane == 1 ? .vpsrlw : lane == 2 ? .vpsrld : .vpsrlq, Lanes.v, Lanes.r, Lanes.m, length)
                a.avx(lane == 1 ? .vpsllw : lane == 2 ? .vpslld : .vpsllq, Lanes.r, Lanes.r, Lanes.s, length)
            } else if form.second == .group {
                let left: AVX3 = lane == 2 ? .vpsllvd : .vpsllvq, right: AVX3 = lane == 2 ? .vpsrlvd : .vpsrlvq
                loadChunk(Lanes.v, form.y + here, chunk)
                a.avx(.vpand, Lanes.v, Lanes.v, Lanes.s, length)
                a.avx(isLeft ? left : right, Lanes.m, Lanes.r, Lanes.v, length)
                // The width less the amount: the bits of the mask turned, and one.
                a.avx(.vpsubq, Lanes.v, Lanes.s, Lanes.v, length)
                a.avx(isLeft ? right : left, Lanes.r, Lanes.r, Lanes.v, length)
                a.avx(lane == 2 ? (isLeft ? .vpsrld : .vpslld) : (isLeft ? .vpsrlq : .vpsllq), Lanes.v, Lanes.r, imm: 1, length)
                a.avx(.vpor, Lanes.r, Lanes.m, Lanes.v, length)
                finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk, at: position)
                continue
            } else {
                let (left, right) = Self.shifts(lane)
                let toLeft = isLeft ? amount : (bits - amount) & (bits - 1)
                a.avx(right, Lanes.v, Lanes.r, imm: UInt8(truncatingIfNeeded: bits - toLeft), length)
                a.avx(left, Lanes.r, Lanes.r, imm: UInt8(truncatingIfNeeded: toLeft), length)
            }
            a.avx(.vpor, Lanes.r, Lanes.r, Lanes.v, length)
            finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk, at: position)
        }
    }

    private mutating func emitLaneWideShift(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, wide = lane + 1
        let bytes = form.groupBytes * 2, chunk = Lanes.chunk(bytes), length = Self.length(chunk)
        guard let extend = Self.widening(lane, wide, signed: false) else { return }
        let mask = Int32(truncatingIfNeeded: (8 << wide) - 1)
        if let scalar = lanes.scalar {
            a.mov(.b32, lanes.t1, scalar)
            a.alu(.and, .b32, lanes.t1, imm: mask)
            a.vmovd(Lanes.s, lanes.t1)
        } else if form.second == .group {
            a.movImmediate(lanes.t1, UInt64(mask))
            broadcast(Lanes.s, lanes.t1, laneShift: wide)
        }
        prepareTail(lanes, laneShift: wide)
        for position in stride(from: 0, to: bytes, by: chunk) {
            let half = Int32(truncatingIfNeeded: position / 2)
            a.avx(extend, Lanes.r, Self.mem(form.x + half), length)
            switch form.second {
            case .group:
                a.avx(extend, Lanes.v, Self.mem(form.y + half), length)
                a.avx(.vpand, Lanes.v, Lanes.v, Lanes.s, length)
                a.avx(wide == 2 ? .vpsllvd : .vpsllvq, Lanes.r, Lanes.r, Lanes.v, length)
            case .immediate: a.avx(Self.shifts(wide).left, Lanes.r, Lanes.r, imm: UInt8(truncatingIfNeeded: Int32(form.immediate) & mask), length)
            default: a.avx(wide == 1 ? .vpsllw : wide == 2 ? .vpslld : .vpsllq, Lanes.r, Lanes.r, Lanes.s, length)
            }
            finishChunk(lanes, Lanes.r, laneShift: wide, chunk: chunk, at: position)
        }
    }
}
