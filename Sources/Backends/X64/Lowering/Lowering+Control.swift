import IR
import IRPasses
import Translation

/// What translated code returns to the dispatcher: a kind in the low byte, a payload above it.
enum Exit {
    /// Payload: an `ExitReason`; the guest program counter is set.
    static let reason: UInt64 = 0
    /// Payload: the number of the link to patch.
    static let link: UInt64 = 1
    /// The guest program counter is set to an address that was not in the jump cache.
    static let lookup: UInt64 = 2
    /// As `lookup`, and the translation context may have changed.
    static let context: UInt64 = 3
    /// Payload: the number of the indirect branch whose first target is now known; the guest program counter is set.
    static let site: UInt64 = 4
    /// An access of a machine that cannot be made in translated code: `BackendState.slowStatus` and `slowReturn` say which.
    static let memory: UInt64 = 5

    static func reason(_ reason: ExitReason) -> UInt64 { UInt64(reason.rawValue) << 8 }
}

// Leaving a block: links, indirect jumps, calls and returns on the shadow stack, exits.
extension Lowering {
    /// Queues the stub for an exit to `target` through the rel32 of `jump`.
    mutating func link(_ jump: ForwardJump, to target: UInt64, _ kind: ColdCode.Kind = .link, isReturn: Bool = false) {
        var code = ColdCode(kind)
        code.aux = isReturn ? 1 : 0
        code.jump = jump
        code.pc = target
        cold.append(code)
    }

    mutating func writeColdLink(_ code: ColdCode) {
        guard let jump = code.jump, let field = jump.field else {
            failed = true
            return
        }
        let stub = a.cursor
        a.bind(jump)
        a.mov(.b32, .direct(.rax), imm: Int32(truncatingIfNeeded: links.count &+ linkBase))
        a.jmp(trampolines.linkExit)
        if code.kind == .siteLink { site.link = links.count }
        links.append(PendingLink(target: code.pc, field: field, stub: stub, isReturn: code.aux != 0))
    }

    mutating func lowerBranch(_ op: Op) {
        let condition = emitCompare(op.aux, op.a, op.b)
        a.alignForPatch(fieldOffset: 2)
        link(a.jccForward(condition), to: op.imm)
    }

    mutating func lowerJump(_ op: Op) { jump(to: op.imm) }

    /// - Parameter isReturn: control comes from anywhere, by a return.
    mutating func jump(to target: UInt64, isReturn: Bool = false) {
        a.alignForPatch(fieldOffset: 1)
        link(a.jmpForward(), to: target, isReturn: isReturn)
    }

    mutating func pushReturn(_ pc: UInt64, heldBy ref: Ref) {
        if ref >= 0 {
            let held = registerHolding(Int(ref))
            if held != Placement.none {
                a.push(GPR(rawValue: held))
                return
            }
        }
        if UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: pc))) == pc {
            a.push(imm: Int32(truncatingIfNeeded: pc))
        } else {
            let temporary = takeInteger()
            a.movImmediate(temporary, pc)
            a.push(temporary)
            unlock(temporary)
        }
    }

    mutating func lowerCall(_ op: Op) {
        let next = constantValue(op.a)
        pushReturn(next, heldBy: op.a)
        a.alignForPatch(fieldOffset: 1)
        a.call(a.here)
        link(ForwardJump(field: a.cursor - 4, isShort: false), to: op.imm)
        a.lea(.b64, .rsp, .base(.rsp, 8))
        jump(to: next, isReturn: true)
    }

    mutating func lowerReturn(_ op: Op) {
        let target = use(op.a)
        a.alu(.cmp, .b64, target, .base(.rsp, 8))
        var miss = ColdCode(.returnMiss)
        miss.jump = a.jccForward(.ne)
        miss.x = target.rawValue
        cold.append(miss)
        a.ret()
    }

    mutating func lowerExit(_ op: Op) {
        storePC(op.imm)
        a.movImmediate(.rax, UInt64(op.aux) << 8 | Exit.reason)
        a.jmp(trampolines.exit)
    }

    mutating func lowerJumpContext(_ op: Op) {
        storePC(op.imm)
        a.movImmediate(.rax, Exit.context)
        a.jmp(trampolines.exit)
    }

    mutating func lowerHelper(_ op: Op) {
        if lowerIntrinsic(op) { return }
        storesMayBePending = true
        let arguments = [op.a, op.b, op.c]
        for (number, ref) in arguments.enumerated() where ref >= 0 {
            let memory = Self.mem(BackendState.argument + Int32(number) * 8)
            if let imm = wideImmediate(ref) { a.mov(.b64, memory, imm: imm) } else { a.mov(.b64, memory, use(ref)) }
        }
        places.locked = 0
        if op.aux & HelperEffects.writesState.rawValue != 0 { leaveHomes() }
        evictScratch()
        take(fixed: .rax)
        if op.aux & HelperEffects.mayFault.rawValue != 0 { storePC(guestPC) }
        let raisesFlags = op.aux & HelperEffects.raisesFlags.rawValue != 0
        if raisesFlags { a.mov(.b32, Self.mem(StateHeader.floatFlags), imm: 0) }
        a.mov(.b32, .direct(.rax), imm: Int32(truncatingIfNeeded: op.imm))
        a.call(trampolines.helper)
        record(.call)
        if raisesFlags { raiseHelperFlags() }
        if op.aux & HelperEffects.mayExit.rawValue != 0 {
            a.test(.b64, .rax, .rax)
            var code = ColdCode(.helperExit)
            code.jump = a.jccForward(.ne)
            code.pc = guestPC
            cold.append(code)
        }
        deliver(.rax)
    }

    /// Adds the flags that a helper left in the state header to those in MXCSR. All scratch registers but rax are free.
    private mutating func raiseHelperFlags() {
        let scratch = Self.mem(BackendState.controlScratch)
        let flags = takeInteger(), table = takeInteger()
        a.mov(.b32, flags, Self.mem(StateHeader.floatFlags))
        a.alu(.and, .b32, flags, imm: 31)
        a.movImmediate(table, trampolines.flagsToMXCSR)
        a.movzx(flags, .indexed(table, flags, 1, 0), from: .b8)
        a.vstmxcsr(scratch)
        a.alu(.or, .b32, scratch, flags)
        a.vldmxcsr(scratch)
    }

    /// Guest state may change: what is still wanted of it moves out of its homes.
    private mutating func leaveHomes() {
        for slot in 0 ..< SlotMap.slots where places.slotValue[slot] >= 0 {
            vacate(slot)
            places.locked = 0
        }
    }

    /// Empties all scratch registers, which a call out of the block destroys.
    mutating func evictScratch() {
        var rest = (Placement.integerScratchMask | Placement.floatScratchMask) & ~places.free
        while rest != 0 {
            let register = UInt8(truncatingIfNeeded: rest.trailingZeroBitCount)
            rest &= rest &- 1
            evict(register)
        }
    }
}
