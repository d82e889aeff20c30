import IR
import Translation

// Lanes that change width: widening arithmetic, extensions, narrowing shifts.
extension Lowering {
    /// The instruction that widens lanes of `from` (log₂ bytes) to lanes of `to`.
    static func widening(_ from: Int, _ to: Int, signed: Bool) -> AVX2Operand? {
        switch (from, to) {
        case (0, 1): signed ? .vpmovsxbw : .vpmovzxbw
        case (1, 2): signed ? .vpmovsxwd : .vpmovzxwd
        case (2, 3): signed ? .vpmovsxdq : .vpmovzxdq
        case (0, 2): signed ? .vpmovsxbd : .vpmovzxbd
        case (1, 3): signed ? .vpmovsxwq : .vpmovzxwq
        case (0, 3): signed ? .vpmovsxbq : .vpmovzxbq
        default: nil
        }
    }

    mutating func emitLaneExtension(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift
        let (steps, signed): (Int, Bool) = switch lanes.operation {
        case .extendS2: (1, true)
        case .extendU2: (1, false)
        case .extendS4: (2, true)
        case .extendU4: (2, false)
        case .extendS8: (3, true)
        default: (3, false)
        }
        guard let op = Self.widening(lane - steps, lane, signed: signed) else { return }
        let chunk = Lanes.chunk(form.groupBytes)
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            a.avx(op, Lanes.r, Self.mem(form.x + Int32(truncatingIfNeeded: position >> steps)), Self.length(chunk))
            finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk, at: position)
        }
    }

    mutating func emitLaneWidening(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, wide = lane + 1
        let bytes = form.groupBytes * 2, chunk = Lanes.chunk(bytes), length = Self.length(chunk)
        let signed: Bool = switch lanes.operation {
        case .wideAddS, .wideSubS, .wideAddSW, .wideSubSW, .wideMulS, .wideMultiplyAddS: true
        default: false
        }
        let isFirstWide: Bool = switch lanes.operation { case .wideAddSW, .wideAddUW, .wideSubSW, .wideSubUW: true; default: false }
        guard let extend = Self.widening(lane, wide, signed: signed) else { return }
        if let scalar = lanes.scalar {
            let size: OperandSize = lane == 0 ? .b8 : lane == 1 ? .b16 : .b32
            if signed { a.movsx(.b64, lanes.t1, scalar, from: size) } else if size == .b32 { a.mov(.b32, lanes.t1, scalar) } else { a.movzx(lanes.t1, scalar, from: size) }
            broadcast(Lanes.s, lanes.t1, laneShift: wide)
        }
        prepareTail(lanes, laneShift: wide)
        let product: AVX3 = lane == 0 ? .vpmullw : lane == 1 ? .vpmulld : signed ? .vpmuldq : .vpmuludq
        let sum: AVX3 = lane == 0 ? .vpaddw : lane == 1 ? .vpaddd : .vpaddq
        let difference: AVX3 = lane == 0 ? .vpsubw : lane == 1 ? .vpsubd : .vpsubq
        for position in stride(from: 0, to: bytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position), half = Int32(truncatingIfNeeded: position / 2)
            if isFirstWide { loadChunk(Lanes.r, form.x + here, chunk) } else { a.avx(extend, Lanes.r, Self.mem(form.x + half), length) }
            var y = Lanes.s
            if form.second == .group {
                y = Lanes.v
                a.avx(extend, y, Self.mem(form.y + half), length)
            }
            switch lanes.operation {
            case .wideAddS, .wideAddU, .wideAddSW, .wideAddUW: a.avx(sum, Lanes.r, Lanes.r, y, length)
            case .wideSubS, .wideSubU, .wideSubSW, .wideSubUW: a.avx(difference, Lanes.r, Lanes.r, y, length)
            case .wideMulS, .wideMulU: a.avx(product, Lanes.r, Lanes.r, y, length)
            default:
                a.avx(product, Lanes.r, Lanes.r, y, length)
                loadChunk(Lanes.m, form.d + here, chunk)
                a.avx(sum, Lanes.r, Lanes.r, Lanes.m, length)
            }
            finishChunk(lanes, Lanes.r, laneShift: wide, chunk: chunk, at: position)
        }
    }

    mutating func emitLaneNarrowing(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, wideBits = 16 << lane
        let bytes = form.groupBytes * 2, chunk = Lanes.chunk(bytes), length = Self.length(chunk)
        let signed = lanes.operation == .narrowShrS
        let amount = form.second == .immediate ? form.immediate & (wideBits - 1) : 0
        if let scalar = lanes.scalar {
            a.mov(.b32, lanes.t1, scalar)
            a.alu(.and, .b32, lanes.t1, imm: Int32(wideBits - 1))
            a.vmovd(Lanes.s, lanes.t1)
        }
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: bytes, by: chunk) {
            loadChunk(Lanes.r, form.x + Int32(truncatingIfNeeded: position), chunk)
            if lanes.scalar != nil {
                let op: AVX3 = lane == 0 ? (signed ? .vpsraw : .vpsrlw) : lane == 1 ? (signed ? .vpsrad : .vpsrld) : .vpsrlq
                a.avx(op, Lanes.r, Lanes.r, Lanes.s, length)
            } else if amount > 0 {
                // Of 64 bits the logical shift serves: no more than 32 places are shifted, and the low half is taken.
                let op: AVXShift = lane == 0 ? (signed ? .vpsraw : .vpsrlw) : lane == 1 ? (signed ? .vpsrad : .vpsrld) : .vpsrlq
                a.avx(op, Lanes.r, Lanes.r, imm: UInt8(truncatingIfNeeded: amount), length)
            }
            switch lane {
            case 0:
                a.avx(.vpand, Lanes.r, Lanes.r, table(.lowByte), length)
                a.avx(.vpackuswb, Lanes.r, Lanes.r, Lanes.r, length)
            case 1:
                a.avx(.vpand, Lanes.r, Lanes.r, table(.lowWord), length)
                a.avx(.vpackusdw, Lanes.r, Lanes.r, Lanes.r, length)
            default: a.avx(.vshufps, Lanes.r, Lanes.r, Lanes.r, imm: 0x88, length)
            }
            // The halves of a YMM register are packed apart.
            if chunk == 32 { a.avx(.vpermq, Lanes.r, Lanes.r, imm: 0x08, .bits256) }
            finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk / 2, at: position / 2)
        }
    }
}
