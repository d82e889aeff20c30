import IR
import Translation

// Lanes that meet each other: reductions and slides.
extension Lowering {
    mutating func emitLaneReduction(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift
        guard let op = Self.reduction(lanes.operation, lane) else { return }
        if lanes.isPartial {
            // Without elements nothing is written.
            a.alu(.cmp, .b64, Self.mem(StateSlots.laneLength), imm: 0)
            leaveLanes(.e)
        }
        prepareTail(lanes, laneShift: lane)
        for position in stride(from: 0, to: form.groupBytes, by: 16) {
            let here = form.x + Int32(truncatingIfNeeded: position)
            let target = position == 0 ? Lanes.r : Lanes.v
            loadChunk(target, here, 16)
            if lanes.isMasked {
                activeLanes(lanes, Lanes.m, laneShift: lane, chunk: 16, at: position)
                a.avx(.vpand, target, target, Lanes.m)
            }
            if position > 0 { a.avx(op, Lanes.r, Lanes.r, Lanes.v) }
        }
        a.avx(.vpshufd, Lanes.v, Lanes.r, imm: 0x4E)
        a.avx(op, Lanes.r, Lanes.r, Lanes.v)
        if lane <= 2 {
            a.avx(.vpshufd, Lanes.v, Lanes.r, imm: 0xB1)
            a.avx(op, Lanes.r, Lanes.r, Lanes.v)
        }
        if lane <= 1 {
            a.avx(.vpsrld, Lanes.v, Lanes.r, imm: 16)
            a.avx(op, Lanes.r, Lanes.r, Lanes.v)
        }
        if lane == 0 {
            a.avx(.vpsrlw, Lanes.v, Lanes.r, imm: 8)
            a.avx(op, Lanes.r, Lanes.r, Lanes.v)
        }
        a.vmovq(Lanes.v, Self.mem(form.y))
        a.avx(op, Lanes.r, Lanes.r, Lanes.v)
        let d = Self.mem(form.d)
        switch lane {
        case 0: a.vpextr(.b8, d, Lanes.r, lane: 0)
        case 1: a.vpextr(.b16, d, Lanes.r, lane: 0)
        case 2: a.vmovd(d, Lanes.r)
        default: a.vmovq(d, Lanes.r)
        }
    }

    mutating func emitLaneSlide(_ lanes: Lanes) {
        let form = lanes.form, lane = form.laneShift, bytes = form.groupBytes
        let size: OperandSize = [.b8, .b16, .b32, .b64][lane]
        let lanesOfChunk = UInt8(16 >> lane)
        if form.second == .float, let scalar = lanes.scalar { checkBox(lanes, scalar) }
        let distance = lanes.operation == .slideDown ? form.immediate << lane : 1 << lane
        for position in stride(from: 0, to: bytes, by: 16) {
            let here = form.d + Int32(truncatingIfNeeded: position)
            if lanes.operation == .slideUpOne {
                // The destination overlaps no source, so the order does not matter.
                if position > 0 {
                    a.vmovdqu(Lanes.r, Self.mem(form.x + Int32(truncatingIfNeeded: position - distance)))
                } else {
                    a.vmovdqu(Lanes.r, Self.mem(form.x))
                    a.avx(.vpslldq, Lanes.r, Lanes.r, imm: UInt8(distance))
                    if let scalar = lanes.scalar { a.vpinsr(size, Lanes.r, Lanes.r, scalar, lane: 0) }
                }
                a.vmovdqu(Self.mem(here), Lanes.r)
                continue
            }
            let from = position + distance
            if from >= bytes {
                a.avx(.vpxor, Lanes.r, Lanes.r, Lanes.r)
            } else if from + 16 <= bytes {
                a.vmovdqu(Lanes.r, Self.mem(form.x + Int32(truncatingIfNeeded: from)))
            } else {
                a.vmovdqu(Lanes.r, Self.mem(form.x + Int32(truncatingIfNeeded: bytes - 16)))
                a.avx(.vpsrldq, Lanes.r, Lanes.r, imm: UInt8(from + 16 - bytes))
            }
            if lanes.operation == .slideDownOne, position + 16 == bytes, let scalar = lanes.scalar {
                a.vpinsr(size, Lanes.r, Lanes.r, scalar, lane: lanesOfChunk - 1)
            }
            a.vmovdqu(Self.mem(here), Lanes.r)
        }
    }
}
