import IR
import IRPasses
import Translation

// Finding, loading and moving values: the words that the lowering of every op is written in.
// `use` names an operand, `define` a result, `scratch` a temporary; each locks what it returns until the op is done.
extension Lowering {
    func type(_ ref: Ref) -> ValueType { ops[Int(ref)].type }
    func isConstant(_ ref: Ref) -> Bool { ops[Int(ref)].code == .const }
    func constantValue(_ ref: Ref) -> UInt64 { ops[Int(ref)].imm }
    /// Whether `ref` is not needed after this op.
    func dies(_ ref: Ref) -> Bool { liveness.lastUse[Int(ref)] == Ref(truncatingIfNeeded: index) }

    /// The constant as a sign-extended 32-bit immediate of an operation of `type`, if it is one.
    func immediate(_ ref: Ref) -> Int32? {
        guard isConstant(ref) else { return nil }
        let value = constantValue(ref)
        if type(ref) != .i64 { return Int32(truncatingIfNeeded: value) }
        let small = Int32(truncatingIfNeeded: value)
        return UInt64(bitPattern: Int64(small)) == value ? small : nil
    }

    /// The constant, zero-extended, as a sign-extended 32-bit immediate of a 64-bit operation, if it is one.
    func wideImmediate(_ ref: Ref) -> Int32? {
        guard let small = immediate(ref), small >= 0 || type(ref) == .i64 else { return nil }
        return small
    }

    static func mem(_ offset: Int32) -> Mem { .base(HostRegisters.state, offset) }
    func slotMem(_ slot: Int16) -> Mem { Self.mem(Placement.offset(ofSlot: Int(slot))) }
    func spillMem(_ spill: Int16) -> Mem { Self.mem(BackendState.spill + Int32(spill) * 8) }

    /// The register that holds `value` now, or `Placement.none`.
    @inline(__always)
    func registerHolding(_ value: Int) -> UInt8 {
        let held = places.register[value]
        if held != Placement.none { return held }
        let home = places.home[value]
        if home >= 0 {
            let register = places.homeRegister[Int(home)]
            if register != Placement.none { return register }
            let second = places.secondHome[value]
            if second >= 0 { return places.homeRegister[Int(second)] }
        }
        return Placement.none
    }

    // MARK: integer operands

    /// A register with the value of `ref`.
    mutating func use(_ ref: Ref) -> GPR {
        let value = Int(ref)
        let held = registerHolding(value)
        if held != Placement.none {
            places.lock(held)
            record(.read, value, .register(held))
            return GPR(rawValue: held)
        }
        let target = takeInteger()
        load(value, into: target)
        places.assign(value, target.rawValue)
        return target
    }

    /// The value of `ref` as a ModRM operand: a register, or its home or spill slot in memory if it is only there and
    /// used just this once.
    mutating func useOperand(_ ref: Ref) -> Mem {
        let value = Int(ref)
        if registerHolding(value) == Placement.none, dies(ref), !isConstant(ref) {
            if let memory = onlyInMemory(value) { return memory }
        }
        return .direct(use(ref))
    }

    private func onlyInMemory(_ value: Int) -> Mem? {
        if places.home[value] >= 0 {
            record(.read, value, .slot(Int(places.home[value])))
            return slotMem(places.home[value])
        }
        guard places.spill[value] >= 0 else { return nil }
        record(.read, value, .spill(places.spill[value]))
        return spillMem(places.spill[value])
    }

    /// Records that `value` is brought to `target` from where it is.
    private func recordLoad(_ value: Int, _ target: UInt8) {
        guard placementLog != nil else { return }
        let held = registerHolding(value)
        if held != Placement.none {
            record(.move, value, .register(target), from: .register(held))
        } else if ops[value].code == .const {
            record(.write, value, .register(target))
        } else if places.spill[value] >= 0 {
            record(.move, value, .register(target), from: .spill(places.spill[value]))
        } else if places.home[value] >= 0 {
            record(.move, value, .register(target), from: .slot(Int(places.home[value])))
        }
    }

    /// Writes the value into `target` without changing where it is known to be.
    mutating func load(_ value: Int, into target: GPR) {
        recordLoad(value, target.rawValue)
        let held = registerHolding(value)
        if held != Placement.none {
            if held != target.rawValue { a.mov(.b64, target, GPR(rawValue: held)) }
        } else if ops[value].code == .const {
            if ops[value].imm == 0 {
                a.mov(.b32, .direct(target), imm: 0)
            } else {
                a.movImmediate(target, ops[value].imm)
            }
        } else if places.spill[value] >= 0 {
            a.mov(.b64, target, spillMem(places.spill[value]))
        } else if places.home[value] >= 0 {
            a.mov(.b64, target, slotMem(places.home[value]))
        } else {
            failed = true
        }
    }

    /// Copies `ref` into `target`, a register that the caller has taken.
    mutating func copy(_ ref: Ref, to target: GPR) { load(Int(ref), into: target) }

    // MARK: vector operands

    mutating func useFloat(_ ref: Ref) -> XMM {
        let value = Int(ref)
        let held = registerHolding(value)
        if held != Placement.none {
            places.lock(held)
            record(.read, value, .register(held))
            return XMM(rawValue: held &- 16)
        }
        let target = takeFloat()
        loadFloat(value, into: target)
        places.assign(value, 16 &+ target.rawValue)
        return target
    }

    /// As `useOperand`; a 64-bit slot whose low half is the value serves an f32 as well.
    mutating func useFloatOperand(_ ref: Ref) -> Mem {
        let value = Int(ref)
        if registerHolding(value) == Placement.none, dies(ref), !isConstant(ref) {
            if let memory = onlyInMemory(value) { return memory }
        }
        return .direct(useFloat(ref))
    }

    mutating func loadFloat(_ value: Int, into target: XMM) {
        recordLoad(value, 16 &+ target.rawValue)
        let held = registerHolding(value)
        if held != Placement.none {
            if held != 16 &+ target.rawValue { a.vmovaps(target, XMM(rawValue: held &- 16)) }
        } else if ops[value].code == .const {
            if ops[value].imm == 0 {
                a.avx(.vpxor, target, target, target)
            } else {
                let temporary = takeInteger()
                a.movImmediate(temporary, ops[value].imm)
                a.vmovq(target, temporary)
                unlock(temporary)
            }
        } else if places.spill[value] >= 0 {
            a.vmovsd(target, spillMem(places.spill[value]))
        } else if places.home[value] >= 0 {
            a.vmovsd(target, slotMem(places.home[value]))
        } else {
            failed = true
        }
    }

    // MARK: results

    /// The slot of a pinned register into which the next op puts this op's result, or -1.
    @inline(__always)
    private func nextPut() -> Int {
        let next = index &+ 1
        guard next < count, ops[next].code == .put, ops[next].a == Ref(truncatingIfNeeded: index) else { return -1 }
        let slot = SlotMap.slot(ops[next].offset, ops[next].type)
        return slot >= 0 && places.homeRegister[slot] != Placement.none ? slot : -1
    }

    /// The register for this op's integer result: where the next op wants it, or scratch.
    ///
    /// - Parameter avoid: registers that must not be it although they may hold dying operands.
    mutating func define(reusing operand: Ref = -1, avoiding avoid: UInt64 = 0) -> GPR {
        if let home = defineInHome(avoiding: avoid, vector: false) { return GPR(rawValue: home) }
        if operand >= 0, dies(operand) {
            let held = places.register[Int(operand)]
            if held != Placement.none, avoid &>> UInt64(held & 63) & 1 == 0 {
                places.release(held)
                assignResult(held)
                places.lock(held)
                return GPR(rawValue: held)
            }
        }
        let target = takeInteger()
        assignResult(target.rawValue)
        return target
    }

    mutating func defineFloat(reusing operand: Ref = -1, avoiding avoid: UInt64 = 0) -> XMM {
        if let home = defineInHome(avoiding: avoid, vector: true) { return XMM(rawValue: home &- 16) }
        if operand >= 0, dies(operand) {
            let held = places.register[Int(operand)]
            if held != Placement.none, avoid &>> UInt64(held & 63) & 1 == 0 {
                places.release(held)
                assignResult(held)
                places.lock(held)
                return XMM(rawValue: held &- 16)
            }
        }
        let target = takeFloat()
        assignResult(16 &+ target.rawValue)
        return target
    }

    /// Makes the result's pinned home free for it, if the next op puts it there and nothing needs what it holds.
    private mutating func defineInHome(avoiding avoid: UInt64, vector: Bool) -> UInt8? {
        let slot = nextPut()
        guard slot >= 0 else { return nil }
        let register = places.homeRegister[slot]
        guard (register >= 16) == vector, avoid &>> UInt64(register & 63) & 1 == 0 else { return nil }
        let old = places.slotValue[slot]
        if old >= 0, liveness.lastUse[Int(old)] > Ref(truncatingIfNeeded: index) {
            // Still wanted later: it moves to a scratch register first.
            vacate(slot)
        } else if old >= 0 {
            places.removeHome(Int(old), slot)
        }
        places.addHome(index, slot)
        places.lock(register)
        record(.write, index, .register(register))
        return register
    }

    /// The content of `slot`'s home is about to be replaced: what is still needed of it is saved.
    mutating func vacate(_ slot: Int) {
        let old = places.slotValue[slot]
        guard old >= 0 else { return }
        let value = Int(old)
        if liveness.lastUse[value] > Ref(truncatingIfNeeded: index), ops[value].code != .const,
           places.register[value] == Placement.none, places.spill[value] < 0,
           places.secondHome[value] < 0 || places.home[value] < 0 {
            let register = places.homeRegister[slot]
            let place = register != Placement.none ? Place.register(register) : .slot(slot)
            if ops[value].type.isVector {
                let target = takeFloat()
                record(.move, value, .register(16 &+ target.rawValue), from: place)
                if register != Placement.none { a.vmovaps(target, XMM(rawValue: register &- 16)) } else { a.vmovsd(target, slotMem(Int16(truncatingIfNeeded: slot))) }
                places.assign(value, 16 &+ target.rawValue)
                unlock(target)
            } else {
                let target = takeInteger()
                record(.move, value, .register(target.rawValue), from: place)
                if register != Placement.none { a.mov(.b64, target, GPR(rawValue: register)) } else { a.mov(.b64, target, slotMem(Int16(truncatingIfNeeded: slot))) }
                places.assign(value, target.rawValue)
                unlock(target)
            }
        }
        places.removeHome(value, slot)
        places.slotValue[slot] = -1
    }

    // MARK: temporaries

    /// A scratch register for this op; locked.
    mutating func takeInteger() -> GPR { GPR(rawValue: take(Placement.integerScratchMask)) }
    mutating func takeFloat() -> XMM { XMM(rawValue: take(Placement.floatScratchMask) &- 16) }

    mutating func unlock(_ register: GPR) { places.locked &= ~(1 &<< UInt64(register.rawValue & 63)) }
    mutating func unlock(_ register: XMM) { places.locked &= ~(1 &<< UInt64((register.rawValue &+ 16) & 63)) }

    private mutating func take(_ kind: UInt64) -> UInt8 {
        let candidates = places.free & kind & ~places.locked
        if candidates != 0 {
            let register = UInt8(truncatingIfNeeded: candidates.trailingZeroBitCount)
            places.lock(register)
            record(.clobber, -1, .register(register))
            return register
        }
        // Evict the value that is backed elsewhere, else the one whose next use is likely furthest.
        var best: UInt8 = Placement.none, bestScore = -1
        var rest = kind & ~places.locked
        while rest != 0 {
            let register = UInt8(truncatingIfNeeded: rest.trailingZeroBitCount)
            rest &= rest &- 1
            let value = Int(places.owner[Int(register)])
            guard value >= 0 else { continue }
            let backed = places.isBacked(value) || ops[value].code == .const
            let score = Int(liveness.lastUse[value]) &+ (backed ? 1 << 20 : 0)
            if score > bestScore {
                bestScore = score
                best = register
            }
        }
        guard best != Placement.none else {
            failed = true
            return UInt8(truncatingIfNeeded: kind.trailingZeroBitCount)
        }
        evict(best)
        places.lock(best)
        record(.clobber, -1, .register(best))
        return best
    }

    /// Empties scratch register `register`, keeping its value alive elsewhere.
    mutating func evict(_ register: UInt8) {
        let value = Int(places.owner[Int(register & 63)])
        guard value >= 0 else { return }
        if !places.isBacked(value), ops[value].code != .const, liveness.lastUse[value] >= Ref(truncatingIfNeeded: index) {
            guard places.freeSpills != 0 else {
                failed = true
                return
            }
            let spill = places.freeSpills.trailingZeroBitCount
            places.freeSpills &= places.freeSpills &- 1
            places.spill[value] = Int16(spill)
            record(.move, value, .spill(Int16(spill)), from: .register(register))
            if register >= 16 {
                a.vmovsd(spillMem(Int16(spill)), XMM(rawValue: register &- 16))
            } else {
                a.mov(.b64, spillMem(Int16(spill)), GPR(rawValue: register))
            }
        }
        places.release(register)
    }

    /// Takes this particular scratch register (for instructions with fixed operands), moving its value to a free
    /// scratch register or memory.
    mutating func take(fixed register: GPR) {
        let number = register.rawValue
        let value = Int(places.owner[Int(number)])
        if value >= 0 {
            let others = places.free & Placement.integerScratchMask & ~places.locked & ~(1 &<< UInt64(number))
            if others != 0, liveness.lastUse[value] >= Ref(truncatingIfNeeded: index) {
                let target = UInt8(truncatingIfNeeded: others.trailingZeroBitCount)
                a.mov(.b64, GPR(rawValue: target), register)
                record(.move, value, .register(target), from: .register(number))
                places.release(number)
                places.assign(value, target)
            } else {
                evict(number)
            }
        }
        places.lock(number)
        record(.clobber, -1, .register(number))
    }

    /// The result is in scratch register `register`, which the caller took: it stays there or moves to its home.
    ///
    /// It is the op's last step: nothing but the result is needed any more, so that room can be made for what its home
    /// held. Code out of line comes back before this.
    mutating func deliver(_ register: GPR) {
        places.locked = 1 &<< UInt64(register.rawValue & 63)
        if let home = defineInHome(avoiding: 0, vector: false) {
            a.mov(.b64, GPR(rawValue: home), register)
        } else {
            assignResult(register.rawValue)
        }
    }

    mutating func deliver(_ register: XMM) {
        places.locked = 1 &<< UInt64((16 &+ register.rawValue) & 63)
        if let home = defineInHome(avoiding: 0, vector: true) {
            a.vmovaps(XMM(rawValue: home &- 16), register)
        } else {
            assignResult(16 &+ register.rawValue)
        }
    }

    /// The result is in scratch register `register`, which the caller took.
    mutating func result(in register: GPR) { assignResult(register.rawValue) }

    /// The op's result is in scratch register `register`.
    @inline(__always)
    mutating func assignResult(_ register: UInt8) {
        places.assign(index, register)
        record(.write, index, .register(register))
    }
}
