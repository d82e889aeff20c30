import Glibc
import RISCV
import Translation

// Shadow stacks and landing pads of riscv64 programs as Linux has them (`Documentation/arch/riscv/zicfiss.rst`, `zicfilp.rst`):
// what prctl and map_shadow_stack ask for, and the instructions that leave translated code while they are on.
//
// An indirect jump and its landing pad are done as one, so that no signal comes between them.

extension RISCVLinuxABI {
    private static let enable: UInt64 = 1, disable: UInt64 = 2, lock: UInt64 = 4
    private static let shadowStackLock: UInt64 = 1, landingPadLock: UInt64 = 2
    private static let controlProtection: Int32 = 10  // SEGV_CPERR

    // MARK: instructions

    public func emulate(_ vcpu: VCPU, memory: GuestMemory) -> EmulatedInstruction {
        var bits: UInt32 = 0
        let count = withUnsafeMutableBytes(of: &bits) { bytes in bytes.baseAddress.map { memory.readCode(at: vcpu.pc, into: $0, count: 4) } ?? 0 }
        bits = UInt32(littleEndian: bits)
        let length: UInt64 = bits & 3 == 3 ? 4 : 2
        guard count >= Int(length), let operation = ControlFlowIntegrity(bits) else { return .signal(SIGILL, code: 1, address: vcpu.pc) }
        func register(_ number: Int) -> UInt64 { number == 0 ? 0 : vcpu[x: number] }
        let pointer = vcpu[UInt64.self, RISCVState.shadowStackPointer]
        switch operation {
        case .push(let source):
            guard memory.storeShadow(pointer &- 8, register(source), bytes: 8) else { return fault(pointer &- 8, memory) }
            vcpu[UInt64.self, RISCVState.shadowStackPointer] = pointer &- 8
        case .popAndCheck(let source):
            guard let value = memory.loadShadow(pointer, bytes: 8) else { return fault(pointer, memory) }
            if value != register(source) { return .signal(SIGSEGV, code: Self.controlProtection, address: vcpu.pc) }
            vcpu[UInt64.self, RISCVState.shadowStackPointer] = pointer &+ 8
        case .swap(let destination, let source, let base, let bytes):
            let address = register(base), value = register(source)
            guard let old = memory.updateShadow(address, bytes: bytes, { _ in value }) else {
                return address & UInt64(bytes &- 1) != 0 ? .signal(SIGBUS, code: 1, address: address) : fault(address, memory)
            }
            if destination != 0 { vcpu[x: destination] = bytes == 8 ? old : UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: old))) }
        case .jump(let link, let base, let offset):
            let target = (register(base) &+ UInt64(bitPattern: offset)) & ~1
            if link != 0 { vcpu[x: link] = vcpu.pc &+ length }
            vcpu.pc = target
            var pad: UInt32 = 0
            let got = withUnsafeMutableBytes(of: &pad) { bytes in bytes.baseAddress.map { memory.readCode(at: target, into: $0, count: 4) } ?? 0 }
            // What cannot be fetched faults when it is run.
            guard got > 0 else { return .done }
            guard got == 4, target & 3 == 0, ControlFlowIntegrity.isLandingPad(UInt32(littleEndian: pad), label: vcpu[x: 7]) else {
                return .signal(SIGSEGV, code: Self.controlProtection, address: target)
            }
            vcpu.pc = target &+ 4
            return .done
        }
        vcpu.pc &+= length
        return .done
    }

    private func fault(_ address: UInt64, _ memory: GuestMemory) -> EmulatedInstruction {
        .signal(SIGSEGV, code: memory.isMapped(address) ? 2 : 1, address: address)
    }

    // MARK: prctl and map_shadow_stack

    /// PR_GET_SHADOW_STACK_STATUS, PR_SET_…, PR_LOCK_…
    func shadowStackControl(_ option: Int32, _ argument: UInt64, _ vcpu: VCPU, _ memory: GuestMemory) -> Int64 {
        let isOn = vcpu.context & RISCVState.shadowStackIsOn != 0
        let isLocked = vcpu[UInt64.self, RISCVState.controlFlowLocks] & Self.shadowStackLock != 0
        switch option {
        case 74: return memory.write(argument, isOn ? Self.enable : 0) ? 0 : -Int64(EFAULT)
        case 75:
            guard argument & ~Self.enable == 0, !isLocked else { return -Int64(EINVAL) }
            if argument == 0 {
                releaseShadowStack(vcpu, memory)
                return 0
            }
            return isOn ? -Int64(EINVAL) : makeShadowStack(vcpu, memory)
        default:
            guard isOn, argument == 0 else { return -Int64(EINVAL) }
            vcpu[UInt64.self, RISCVState.controlFlowLocks] |= Self.shadowStackLock
            return 0
        }
    }

    private func makeShadowStack(_ vcpu: VCPU, _ memory: GuestMemory) -> Int64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(3 /* RLIMIT_STACK */), &limit) == 0 else { return -Int64(ENOMEM) }
        // Calls need less of it than of the ordinary stack.
        let size = max(4096, min(UInt64(limit.rlim_cur) / 2, 1 &<< 30)) & ~4095
        let base = memory.mapShadowStack(0, size)
        guard base >= 0 else { return -Int64(ENOMEM) }
        vcpu[UInt64.self, RISCVState.shadowStackBase] = UInt64(bitPattern: base)
        vcpu[UInt64.self, RISCVState.shadowStackSize] = size
        vcpu[UInt64.self, RISCVState.shadowStackPointer] = UInt64(bitPattern: base) &+ size
        vcpu.context |= RISCVState.shadowStackIsOn
        return 0
    }

    private func releaseShadowStack(_ vcpu: VCPU, _ memory: GuestMemory) {
        let base = vcpu[UInt64.self, RISCVState.shadowStackBase]
        if base != 0 { _ = memory.munmap(base, vcpu[UInt64.self, RISCVState.shadowStackSize]) }
        vcpu[UInt64.self, RISCVState.shadowStackBase] = 0
        vcpu[UInt64.self, RISCVState.shadowStackPointer] = 0
        vcpu.context &= ~RISCVState.shadowStackIsOn
    }

    public func threadBegins(_ vcpu: VCPU, memory: GuestMemory) -> Bool {
        // A thread has a shadow stack of its own if its parent has one.
        vcpu.context & RISCVState.shadowStackIsOn == 0 || makeShadowStack(vcpu, memory) == 0
    }

    public func threadEnds(_ vcpu: VCPU, memory: GuestMemory) {
        if vcpu.context & RISCVState.shadowStackIsOn != 0 { releaseShadowStack(vcpu, memory) }
    }

    /// PR_GET_CFI and PR_SET_CFI for branch landing pads.
    func landingPadControl(_ option: Int32, _ argument: UInt64, _ vcpu: VCPU, _ memory: GuestMemory) -> Int64 {
        let isOn = vcpu.context & RISCVState.landingPadsAreOn != 0
        let isLocked = vcpu[UInt64.self, RISCVState.controlFlowLocks] & Self.landingPadLock != 0
        if option == 80 {
            return memory.write(argument, (isOn ? Self.enable : Self.disable) | (isLocked ? Self.lock : 0)) ? 0 : -Int64(EFAULT)
        }
        let wanted = argument & 3
        guard argument & ~7 == 0, wanted == Self.enable || wanted == Self.disable, !isLocked else { return -Int64(EINVAL) }
        if wanted == Self.enable { vcpu.context |= RISCVState.landingPadsAreOn } else { vcpu.context &= ~RISCVState.landingPadsAreOn }
        if argument & Self.lock != 0, wanted == Self.enable { vcpu[UInt64.self, RISCVState.controlFlowLocks] |= Self.landingPadLock }
        return 0
    }

    public func mapShadowStack(_ address: UInt64, _ length: UInt64, _ flags: UInt64, memory: GuestMemory) -> Int64? {
        guard model.extensions.contains(.zicfiss) else { return nil }
        let token = flags & 1 != 0
        guard flags & ~1 == 0, address & 4095 == 0, length != 0 else { return -Int64(EINVAL) }
        if token, length < 8 { return -Int64(ENOSPC) }
        if token, length & 7 != 0 { return -Int64(EINVAL) }
        let (padded, overflow) = length.addingReportingOverflow(4095)
        if overflow { return -Int64(EOVERFLOW) }
        let start = memory.mapShadowStack(address, padded & ~4095)
        if token, start >= 0 {
            // What `ssp` may be switched to: the top, stored below itself.
            let top = UInt64(bitPattern: start) &+ length
            guard memory.storeShadow(top &- 8, top, bytes: 8) else { return -Int64(EFAULT) }
        }
        return start
    }

    // MARK: signal frames

    /// Leaves a token on the shadow stack and says where; nil if there is no room.
    func pushShadowToken(_ vcpu: VCPU, _ memory: GuestMemory) -> UInt64? {
        let pointer = vcpu[UInt64.self, RISCVState.shadowStackPointer]
        guard memory.storeShadow(pointer &- 8, pointer, bytes: 8) else { return nil }
        vcpu[UInt64.self, RISCVState.shadowStackPointer] = pointer &- 8
        return pointer &- 8
    }

    /// Takes the token at `address` back; false if none is there.
    func popShadowToken(_ address: UInt64, _ vcpu: VCPU, _ memory: GuestMemory) -> Bool {
        guard vcpu.context & RISCVState.shadowStackIsOn != 0, let token = memory.loadShadow(address, bytes: 8), token == address &+ 8 else { return false }
        vcpu[UInt64.self, RISCVState.shadowStackPointer] = token
        return true
    }
}
