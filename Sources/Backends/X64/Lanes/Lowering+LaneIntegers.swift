import IR
import Translation

// Lanes of integers: memory, arithmetic, shifts, merges.
extension Lowering {
    /// Unit-stride accesses of a whole group. A fault is finished by the guest, element by element (`FaultCompleting`).
    mutating func emitLaneMemory(_ lanes: Lanes) {
        guard var base = lanes.scalar else { return }
        let form = lanes.form, chunk = Lanes.chunk(form.groupBytes)
        if memoryBase != 0 {
            a.movImmediate(lanes.t1, memoryBase)
            a.alu(.add, .b64, lanes.t1, base)
            base = lanes.t1
        }
        if lanes.isPartial {
            return lanes.operation == .load ? loadPartial(lanes, base) : storePartial(lanes, base)
        }
        // Up to four chunks in flight: loads before stores, so that nothing waits.
        var position = 0, number = 0
        while position < form.groupBytes {
            let register = XMM(number & 3)
            let memory = Mem.base(base, Int32(truncatingIfNeeded: position)), offset = form.d + Int32(truncatingIfNeeded: position)
            if lanes.operation == .load {
                loadChunk(register, memory, chunk)
                storeChunk(offset, register, chunk)
            } else {
                loadChunk(register, offset, chunk)
                storeChunk(memory, register, chunk)
            }
            position += chunk
            number += 1
        }
    }

    /// A load of fewer lanes than the group has: whole chunks, if they lie on one page with the first byte.
    private mutating func loadPartial(_ lanes: Lanes, _ base: GPR) {
        let form = lanes.form, chunk = Lanes.chunk(form.groupBytes)
        a.mov(.b32, lanes.t2, base)
        a.alu(.and, .b32, lanes.t2, imm: 4095)
        a.alu(.cmp, .b32, lanes.t2, imm: Int32(4096 - form.groupBytes))
        leaveLanes(.a)
        // No lane at all: nothing may be read.
        a.alu(.cmp, .b64, Self.mem(StateSlots.laneLength), imm: 0)
        leaveLanes(.e)
        if base == lanes.t1 { a.mov(.b64, lanes.t2, base) }
        let address = base == lanes.t1 ? lanes.t2 : base
        prepareTail(lanes, laneShift: form.laneShift)
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            loadChunk(Lanes.r, .base(address, Int32(truncatingIfNeeded: position)), chunk)
            finishChunk(lanes, Lanes.r, laneShift: form.laneShift, chunk: chunk, at: position)
        }
    }

    /// A store of fewer lanes than the group has: a piece for each power of two in their number.
    private mutating func storePartial(_ lanes: Lanes, _ base: GPR) {
        let form = lanes.form
        // t3: the place in memory; t2: the bytes; t1: the place in the state.
        a.mov(.b64, lanes.t3, base)
        a.mov(.b64, lanes.t2, Self.mem(StateSlots.laneLength))
        if form.laneShift > 0 { a.shift(.shl, .b64, lanes.t2, UInt8(form.laneShift)) }
        a.lea(.b64, lanes.t1, Self.mem(form.d))
        for size in [128, 64, 32, 16, 8, 4, 2, 1] where size < form.groupBytes && size >= form.laneBytes {
            // The bits of the length say which sizes are needed.
            a.test(.b32, lanes.t2, imm: Int32(size))
            let skip = a.jccForward(.e)
            if size >= 16 {
                for position in stride(from: 0, to: size, by: Lanes.chunk(size)) {
                    loadChunk(Lanes.r, .base(lanes.t1, Int32(position)), Lanes.chunk(size))
                    storeChunk(.base(lanes.t3, Int32(position)), Lanes.r, Lanes.chunk(size))
                }
            } else if size >= 4 {
                loadChunk(Lanes.r, .base(lanes.t1), size)
                storeChunk(.base(lanes.t3), Lanes.r, size)
            } else {
                loadChunk(Lanes.r, .base(lanes.t1), 4)
                a.vpextr(size == 2 ? .b16 : .b8, .base(lanes.t3), Lanes.r, lane: 0)
            }
            a.alu(.add, .b64, lanes.t1, imm: Int32(size))
            a.alu(.add, .b64, lanes.t3, imm: Int32(size))
            a.bind(skip)
        }
    }

    private static func instruction(_ operation: LaneOperation, _ lane: Int) -> AVX3? {
        func choose(_ b: AVX3?, _ w: AVX3?, _ d: AVX3?, _ q: AVX3?) -> AVX3? { [b, w, d, q][lane & 3] }
        switch operation {
        case .add: return choose(.vpaddb, .vpaddw, .vpaddd, .vpaddq)
        case .sub, .reverseSub: return choose(.vpsubb, .vpsubw, .vpsubd, .vpsubq)
        case .and: return .vpand
        case .or: return .vpor
        case .xor: return .vpxor
        case .minS: return choose(.vpminsb, .vpminsw, .vpminsd, nil)
        case .minU: return choose(.vpminub, .vpminuw, .vpminud, nil)
        case .maxS: return choose(.vpmaxsb, .vpmaxsw, .vpmaxsd, nil)
        case .maxU: return choose(.vpmaxub, .vpmaxuw, .vpmaxud, nil)
        case .mul: return choose(nil, .vpmullw, .vpmulld, nil)
        default: return nil
        }
    }

    /// The instruction of an associative operation of reductions.
    static func reduction(_ operation: LaneOperation, _ lane: Int) -> AVX3? {
        switch operation {
        case .sumAll: instruction(.add, lane)
        case .andAll: .vpand
        case .orAll: .vpor
        case .xorAll: .vpxor
        case .minAllS: instruction(.minS, lane)
        case .minAllU: instruction(.minU, lane)
        case .maxAllS: instruction(.maxS, lane)
        default: instruction(.maxU, lane)
        }
    }

    mutating func emitLaneIntegers(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, chunk = Lanes.chunk(form.groupBytes), length = Self.length(chunk)
        let isShift = lanes.operation == .shl || lanes.operation == .shrU || lanes.operation == .shrS
        if isShift { prepareShift(lanes) } else if lanes.isScalar { broadcastSecond(lanes, laneShift: lane) }
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position)
            // The second source: memory of the group, or the scalar.
            func second(_ lowering: inout Lowering) -> XMM {
                guard form.second == .group else { return Lanes.s }
                lowering.loadChunk(Lanes.v, form.y + here, chunk)
                return Lanes.v
            }
            switch lanes.operation {
            case .copy:
                if form.second == .group { loadChunk(Lanes.r, form.y + here, chunk) } else { a.move(.vmovdqa, Lanes.r, Lanes.s, length) }
            case .reverseSub:
                let y = second(&self)
                loadChunk(Lanes.r, form.x + here, chunk)
                if let op = Self.instruction(.sub, lane) { a.avx(op, Lanes.r, y, Lanes.r, length) }
            case .merge:
                let y = second(&self)
                loadChunk(Lanes.r, form.x + here, chunk)
                expandMask(lanes, Lanes.m, laneShift: lane, chunk: chunk, at: position)
                a.avx(.vpblendvb, Lanes.r, Lanes.r, y, mask: Lanes.m, length)
                if lanes.isPartial {
                    loadChunk(Lanes.m, .base(lanes.t3, here), chunk)
                    loadChunk(Lanes.v, form.d + here, chunk)
                    a.avx(.vpblendvb, Lanes.r, Lanes.v, Lanes.r, mask: Lanes.m, length)
                }
                storeChunk(form.d + here, Lanes.r, chunk)
                continue
            case .multiplyAdd, .multiplySub, .multiplyAddToX, .multiplySubFromX:
                let product: AVX3 = lane == 1 ? .vpmullw : .vpmulld
                let y = second(&self)
                let overwrites = lanes.operation == .multiplyAddToX || lanes.operation == .multiplySubFromX
                loadChunk(Lanes.r, (overwrites ? form.d : form.x) + here, chunk)
                a.avx(product, Lanes.r, y, Lanes.r, length)
                loadChunk(Lanes.m, (overwrites ? form.x : form.d) + here, chunk)
                let isSum = lanes.operation == .multiplyAdd || lanes.operation == .multiplyAddToX
                if let op = Self.instruction(isSum ? .add : .sub, lane) { a.avx(op, Lanes.r, Lanes.m, Lanes.r, length) }
            case .gather:
                loadChunk(Lanes.v, form.y + here, chunk)
                a.avx(.vpaddusb, Lanes.v, Lanes.v, table(.sixteen), length)
                loadChunk(Lanes.r, form.x + here, chunk)
                a.avx(.vpshufb, Lanes.r, Lanes.r, Lanes.v, length)
            case .shl, .shrU, .shrS:
                loadChunk(Lanes.r, form.x + here, chunk)
                shiftChunk(lanes, here, chunk)
            default:
                guard let op = Self.instruction(lanes.operation, lane) else { continue }
                loadChunk(Lanes.r, form.x + here, chunk)
                if form.second == .group, chunk >= 16 {
                    a.avx(op, Lanes.r, Lanes.r, Self.mem(form.y + here), length)
                } else {
                    a.avx(op, Lanes.r, Lanes.r, second(&self), length)
                }
            }
            finishChunk(lanes, Lanes.r, laneShift: lane, chunk: chunk, at: position)
        }
    }

    // MARK: shifts

    /// Puts what all chunks need into `Lanes.s`: the amount, or what a shift of bytes may leave set.
    private mutating func prepareShift(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, bits = 8 << lane
        switch form.second {
        case .group:
            a.movImmediate(lanes.t1, UInt64(bits - 1))
            broadcast(Lanes.s, lanes.t1, laneShift: lane)
        case .immediate where lane == 0:
            let amount = UInt64(form.immediate & 7)
            a.movImmediate(lanes.t1, lanes.operation == .shl ? 0xFF << amount & 0xFF : 0xFF >> amount)
            broadcast(Lanes.s, lanes.t1, laneShift: 0)
        case .integer:
            guard let scalar = lanes.scalar else { return }
            a.mov(.b32, lanes.t1, scalar)
            a.alu(.and, .b32, lanes.t1, imm: Int32(bits - 1))
            a.vmovd(Lanes.s, lanes.t1)
        default: break
        }
    }

    private mutating func shiftChunk(_ lanes: Lanes, _ here: Int32, _ chunk: Int) {
        let form = lanes.form, lane = form.laneShift, length = Self.length(chunk)
        let amount = UInt8(truncatingIfNeeded: form.immediate & (8 << lane - 1))
        switch form.second {
        case .group:
            loadChunk(Lanes.v, form.y + here, chunk)
            a.avx(.vpand, Lanes.v, Lanes.v, Lanes.s, length)
            let op: AVX3 = switch lanes.operation {
            case .shl: lane == 2 ? .vpsllvd : .vpsllvq
            case .shrU: lane == 2 ? .vpsrlvd : .vpsrlvq
            default: .vpsravd
            }
            a.avx(op, Lanes.r, Lanes.r, Lanes.v, length)
        case .immediate:
            let op: AVXShift = switch lanes.operation {
            case .shl: lane <= 1 ? .vpsllw : lane == 2 ? .vpslld : .vpsllq
            case .shrU: lane <= 1 ? .vpsrlw : lane == 2 ? .vpsrld : .vpsrlq
            default: lane <= 1 ? .vpsraw : .vpsrad
            }
            a.avx(op, Lanes.r, Lanes.r, imm: amount & UInt8(lane == 0 ? 7 : 63), length)
            if lane == 0 { a.avx(.vpand, Lanes.r, Lanes.r, Lanes.s, length) }
        default:
            let op: AVX3 = switch lanes.operation {
            case .shl: lane == 1 ? .vpsllw : lane == 2 ? .vpslld : .vpsllq
            case .shrU: lane == 1 ? .vpsrlw : lane == 2 ? .vpsrld : .vpsrlq
            default: lane == 1 ? .vpsraw : .vpsrad
            }
            a.avx(op, Lanes.r, Lanes.r, Lanes.s, length)
        }
    }
}
