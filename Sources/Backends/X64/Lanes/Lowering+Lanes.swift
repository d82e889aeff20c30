import IR
import IRPasses
import Translation

// Vector instructions in line, on 128- and 256-bit host vectors over the register groups in the state block. This file:
// the guard, the way out of line, and the words the other files of this folder are written in.
//
// Both paths of an instruction begin and end with the same placement: scratch registers are emptied before the guard, and
// nothing is assigned to them behind it. Chunks of a group are done in ascending order, which is right wherever the
// manual lets groups overlap.
extension Lowering {
    /// Lowers the form if this back end knows it; then the helper op that follows makes no code.
    mutating func lowerLanes(_ op: Op) {
        let next = index &+ 1
        guard next < count, ops[next].code == .helper, let operation = LaneForm(rawValue: op.imm).operation else { return }
        let form = LaneForm(rawValue: op.imm)
        let isMasked = op.aux != 0
        if isMachine {
            switch operation {
            case .load, .store, .loadSegments, .storeSegments: return
            default: break
            }
        }
        guard Self.isSupported(form, operation, isMasked: isMasked) else { return }
        let helper = ops[next]
        evictScratch()
        places.locked = 0
        var lanes = Lanes(form: form, operation: operation, mask: Int32(op.aux) &* 8)
        if form.second == .integer || form.second == .float { lanes.scalar = use(helper.b) }
        let scalarForHelper = lanes.scalar ?? (isConstant(helper.b) ? nil : use(helper.b))
        for _ in 0 ..< 4 { _ = takeFloat() }
        lanes.t1 = takeInteger()
        lanes.t2 = takeInteger()
        lanes.t3 = takeInteger()

        a.alu(.cmp, .b32, Self.mem(StateSlots.laneMode), imm: form.mode)
        let firstCold = cold.count
        leaveLanes(.ne)
        laneHelper = next
        storesMayBePending = true
        emitLanes(lanes)
        // Every way out of line comes back here; the first is the guard's.
        noteColdLanes(from: firstCold, op: index, scalar: scalarForHelper?.rawValue ?? Placement.none, resume: a.cursor)
        if firstCold < cold.count { cold.base[firstCold].aux = 1 }
        places.locked = 0
    }

    private mutating func noteColdLanes(from first: Int, op: Int, scalar: UInt8, resume: UnsafeMutablePointer<UInt8>) {
        for entry in first ..< cold.count {
            cold.base[entry].resume = resume
            cold.base[entry].x = scalar
            cold.base[entry].imm = Int64(op)
        }
    }

    /// Goes to the helper if `condition` holds.
    mutating func leaveLanes(_ condition: ConditionCode) {
        var code = ColdCode(.lanes)
        code.jump = a.jccForward(condition)
        code.pc = guestPC
        cold.append(code)
    }

    /// Calls the helper and comes back behind the instruction, or leaves as it says. Where the guard failed because not all
    /// elements are active, the form is tried with a mask for the tail first.
    mutating func writeColdLanes(_ code: ColdCode) {
        bind(code)
        // Nothing has been done of the instruction: a signal may stop the vCPU here.
        boundaries.append(Boundary(offset: UInt32(truncatingIfNeeded: a.cursor - entry), pc: code.pc))
        let number = Int(truncatingIfNeeded: code.imm), helper = ops[number &+ 1]
        if code.aux == 1 { writePartialLanes(code, ops[number]) }
        if code.x != Placement.none { a.mov(.b64, Self.mem(BackendState.argument + 8), GPR(rawValue: code.x)) }
        // The scalar stays in its register, where later instructions may look for it.
        let other: GPR = code.x == GPR.rax.rawValue ? .rcx : .rax
        a.movImmediate(other, constantValue(helper.a))
        a.mov(.b64, Self.mem(BackendState.argument), other)
        a.mov(.b64, Self.mem(BackendState.argument + 16), imm: 0)
        a.mov(.b32, Self.mem(BackendState.slowDescriptor), imm: Int32(truncatingIfNeeded: helper.imm))
        a.call(trampolines.slowLanes)
        a.alu(.cmp, .b64, Self.mem(BackendState.argument), imm: 0)
        a.jcc(.e, executable(code.resume))
        storePC(code.pc)
        a.mov(.b64, .rax, Self.mem(BackendState.argument))
        a.lea(.b64, .rax, .base(.rax, -1))
        a.shift(.shl, .b64, .rax, 8)
        a.jmp(trampolines.exit)
    }

    /// The form for a length less than the greatest, if there is one and this is the case.
    private mutating func writePartialLanes(_ code: ColdCode, _ op: Op) {
        let form = LaneForm(rawValue: op.imm)
        guard let operation = form.operation, Self.isSupportedPartially(form, operation, isMasked: op.aux != 0) else { return }
        a.alu(.cmp, .b32, Self.mem(StateSlots.laneMode), imm: form.partialMode)
        let other = a.jccForward(.ne)
        var lanes = Lanes(form: form, operation: operation, mask: Int32(op.aux) &* 8)
        lanes.isPartial = !form.isWhole
        let free = HostRegisters.integerScratch.filter { $0.rawValue != code.x }
        (lanes.t1, lanes.t2, lanes.t3) = (free[0], free[1], free[2])
        if form.second == .integer || form.second == .float { lanes.scalar = GPR(rawValue: code.x) }
        let first = cold.count, outer = guestPC
        guestPC = code.pc
        emitLanes(lanes)
        guestPC = outer
        noteColdLanes(from: first, op: Int(truncatingIfNeeded: code.imm), scalar: code.x, resume: code.resume)
        a.jmp(executable(code.resume))
        a.bind(other)
    }

    /// Lanes of a partial form: points `t3` so that `t3` + position holds the tail's mask.
    mutating func prepareTail(_ lanes: Lanes, laneShift: Int) {
        guard lanes.isPartial else { return }
        a.movImmediate(lanes.t3, trampolines.laneTail)
        a.mov(.b64, lanes.t1, Self.mem(StateSlots.laneLength))
        if laneShift > 0 { a.shift(.shl, .b64, lanes.t1, UInt8(laneShift)) }
        a.alu(.sub, .b64, lanes.t3, lanes.t1)
    }

    // MARK: words

    func table(_ row: LaneTable, at offset: Int = 0) -> Mem { .ripRelative(address: trampolines.laneTables &+ UInt64(row.rawValue * 32 + offset)) }

    /// `bytes` of state at `offset` into a vector register, the rest of it zero or unknown.
    mutating func loadChunk(_ target: XMM, _ offset: Int32, _ bytes: Int) { loadChunk(target, Self.mem(offset), bytes) }

    mutating func loadChunk(_ target: XMM, _ memory: Mem, _ bytes: Int) {
        switch bytes {
        case 32: a.move(.vmovdqu, target, memory, .bits256)
        case 16: a.vmovdqu(target, memory)
        case 8: a.vmovq(target, memory)
        default: a.vmovd(target, memory)
        }
    }

    mutating func storeChunk(_ offset: Int32, _ source: XMM, _ bytes: Int) { storeChunk(Self.mem(offset), source, bytes) }

    mutating func storeChunk(_ memory: Mem, _ source: XMM, _ bytes: Int) {
        switch bytes {
        case 32: a.move(.vmovdqu, memory, source, .bits256)
        case 16: a.vmovdqu(memory, source)
        case 8: a.vmovq(memory, source)
        default: a.vmovd(memory, source)
        }
    }

    static func length(_ bytes: Int) -> VectorLength { bytes == 32 ? .bits256 : .bits128 }

    /// All ones in the active lanes of a chunk; `target` is the only register it uses.
    mutating func activeLanes(_ lanes: Lanes, _ target: XMM, laneShift: Int, chunk: Int, at position: Int) {
        let tail = Mem.base(lanes.t3, Int32(truncatingIfNeeded: position))
        guard lanes.mask != 0 else { return loadChunk(target, tail, chunk) }
        expandMask(lanes, target, laneShift: laneShift, chunk: chunk, at: position)
        if lanes.isPartial { a.avx(.vpand, target, target, tail, Self.length(chunk)) }
    }

    /// All ones in the lanes of a chunk whose mask bits are set; `target` is the only register it uses.
    mutating func expandMask(_ lanes: Lanes, _ target: XMM, laneShift: Int, chunk: Int, at position: Int) {
        let first = position >> laneShift
        let memory = Self.mem(lanes.mask + Int32(truncatingIfNeeded: first / 8))
        let length = Self.length(chunk)
        switch laneShift {
        case 0:
            a.avx(chunk == 32 ? .vpbroadcastd : .vpbroadcastw, target, memory, length)
            a.avx(.vpshufb, target, target, table(.spread8), length)
            a.avx(.vpand, target, target, table(.bits8), length)
            a.avx(.vpcmpeqb, target, target, table(.bits8), length)
        case 1:
            a.avx(.vpbroadcastw, target, memory, length)
            a.avx(.vpand, target, target, table(.bits16), length)
            a.avx(.vpcmpeqw, target, target, table(.bits16), length)
        case 2:
            a.avx(.vpbroadcastd, target, memory, length)
            a.avx(.vpand, target, target, table(.bits32, at: (first & 7) * 4), length)
            a.avx(.vpcmpeqd, target, target, table(.bits32, at: (first & 7) * 4), length)
        default:
            a.avx(.vpbroadcastd, target, memory, length)
            a.avx(.vpand, target, target, table(.bits64, at: (first & 7) * 8), length)
            a.avx(.vpcmpeqq, target, target, table(.bits64, at: (first & 7) * 8), length)
        }
    }

    /// Stores a chunk of the destination; where the form is masked, only active lanes. Uses `Lanes.m` and `Lanes.v`.
    mutating func finishChunk(_ lanes: Lanes, _ result: XMM, laneShift: Int, chunk: Int, at position: Int) {
        let offset = lanes.form.d + Int32(truncatingIfNeeded: position)
        if lanes.isMasked {
            activeLanes(lanes, Lanes.m, laneShift: laneShift, chunk: chunk, at: position)
            loadChunk(Lanes.v, offset, chunk)
            a.avx(.vpblendvb, result, Lanes.v, result, mask: Lanes.m, Self.length(chunk))
        }
        storeChunk(offset, result, chunk)
    }

    /// The scalar second source in every lane of `Lanes.s`.
    mutating func broadcastSecond(_ lanes: Lanes, laneShift: Int) {
        let form = lanes.form
        switch form.second {
        case .immediate: a.movImmediate(lanes.t1, UInt64(bitPattern: Int64(form.immediate)))
        case .integer: if let scalar = lanes.scalar { a.mov(.b64, lanes.t1, scalar) }
        case .float:
            guard let scalar = lanes.scalar else { return }
            checkBox(lanes, scalar)
            a.mov(.b64, lanes.t1, scalar)
        default: return
        }
        broadcast(Lanes.s, lanes.t1, laneShift: laneShift)
    }

    /// A single that is not boxed properly is for the helper.
    mutating func checkBox(_ lanes: Lanes, _ scalar: GPR) {
        guard lanes.form.laneShift == 2 else { return }
        a.mov(.b64, lanes.t1, scalar)
        a.shift(.sar, .b64, lanes.t1, 32)
        a.alu(.cmp, .b32, lanes.t1, imm: -1)
        leaveLanes(.ne)
    }

    mutating func broadcast(_ target: XMM, _ source: GPR, laneShift: Int) {
        a.vmovq(target, source)
        let op: AVX2Operand = switch laneShift { case 0: .vpbroadcastb; case 1: .vpbroadcastw; case 2: .vpbroadcastd; default: .vpbroadcastq }
        a.avx(op, target, target, .bits256)
    }

    /// Replaces NaNs in `register` by canonical ones; uses `temporary`.
    mutating func canonicalizeLanes(_ register: XMM, _ temporary: XMM, double: Bool, _ length: VectorLength) {
        a.avx(double ? .vcmppd : .vcmpps, temporary, register, register, imm: 3, length)
        a.avx(double ? .vblendvpd : .vblendvps, register, register, table(double ? .nan64 : .nan32), mask: temporary, length)
    }
}

/// One form in lowering, with the registers it may use.
struct Lanes {
    let form: LaneForm
    let operation: LaneOperation
    /// State offset of the mask operand; 0: there is none.
    let mask: Int32
    /// Holds the scalar operand, if there is one.
    var scalar: GPR?
    var t1 = GPR.rax, t2 = GPR.rax, t3 = GPR.rax

    /// Result and first source; second source or temporary; mask or temporary; the scalar in every lane.
    static let r = XMM(0), v = XMM(1), m = XMM(2), s = XMM(3)

    /// Only the first lanes are active.
    var isPartial = false
    /// Not all lanes are active.
    var isMasked: Bool { mask != 0 || isPartial }
    var isScalar: Bool { form.second != .group && form.second != .none }

    init(form: LaneForm, operation: LaneOperation, mask: Int32) {
        self.form = form
        self.operation = operation
        self.mask = mask
    }

    /// Bytes of the pieces in which a group of `bytes` is done.
    static func chunk(_ bytes: Int) -> Int { bytes >= 32 ? 32 : bytes }
}
