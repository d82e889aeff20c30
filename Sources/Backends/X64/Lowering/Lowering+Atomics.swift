import IR
import Translation

// Atomic accesses and fences. The host orders all but a store before a later load (Intel SDM volume 3, 9.2), so only the
// full fence makes code; each locked instruction is one, too.
extension Lowering {
    mutating func lowerFence(_ op: Op) {
        guard op.imm == FenceKind.full.rawValue, storesMayBePending else { return }
        storesMayBePending = false
        // Cheaper than MFENCE, which also waits for what no guest can make: non-temporal stores.
        a.lockAlu(.or, .b32, Self.mem(BackendState.controlScratch), imm: 0)
    }

    /// The address of an atomic access, without displacement, checked for alignment if the access asks for it.
    private mutating func atomicAddress(_ op: Op, _ access: MemoryAccess) -> Mem {
        if isMachine { return probedRegister(op.a, access, isUpdate: op.code != .storeConditional) }
        let base = use(op.a)
        checkAlignment(base, 0, access)
        return memoryBase != 0 ? based(base, 0) : .base(base, 0)
    }

    /// Extends an old value of the access width in `register` to the op's type.
    private mutating func extendOld(_ register: GPR, _ op: Op, _ access: MemoryAccess) {
        let to = size(op.type)
        switch access.bytes {
        case 1: if access.signed { a.movsx(to, register, register, from: .b8) } else { a.movzx(register, register, from: .b8) }
        case 2: if access.signed { a.movsx(to, register, register, from: .b16) } else { a.movzx(register, register, from: .b16) }
        case 4: if access.signed, to == .b64 { a.movsx(.b64, register, register, from: .b32) } else { a.mov(.b32, register, register) }
        default: break
        }
    }

    /// The locked instruction that does `operation` and tells nothing of the old value.
    private func lockable(_ operation: AtomicOperation) -> ALU? {
        switch operation { case .add: .add; case .and: .and; case .or: .or; case .xor: .xor; default: nil }
    }

    mutating func lowerAtomicRMW(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let s = accessSize(access)
        let operation = AtomicOperation(rawValue: op.imm) ?? .swap
        if access.bigEndian { failed = true }
        storesMayBePending = false
        if liveness.uses[index] == 0, let plain = lockable(operation) {
            let memory = atomicAddress(op, access)
            a.lockAlu(plain, s, memory, use(op.b))
            return
        }
        // The address first: a probe takes all but one of the scratch registers.
        take(fixed: .rax)
        let memory = atomicAddress(op, access)
        let operand = use(op.b)
        switch operation {
        case .swap:
            a.mov(.b64, .rax, operand)
            a.xchg(s, memory, .rax)
        case .add:
            a.mov(.b64, .rax, operand)
            a.lockXadd(s, memory, .rax)
        default:
            let new = takeInteger()
            switch s {
            case .b8, .b16: a.movzx(.rax, memory, from: s)
            default: a.mov(s, .rax, memory)
            }
            let again = a.cursor
            switch operation {
            case .and, .or, .xor:
                a.mov(.b64, new, .rax)
                a.alu(operation == .and ? .and : operation == .or ? .or : .xor, s == .b64 ? .b64 : .b32, new, operand)
            default:
                a.mov(.b64, new, operand)
                a.alu(.cmp, s, .rax, operand)
                // Keep the old value where it is the smaller or greater one.
                let keep: ConditionCode = switch operation { case .minS: .le; case .maxS: .ge; case .minU: .be; default: .ae }
                a.cmov(keep, .b64, new, .rax)
            }
            a.lockCmpxchg(s, memory, new)
            a.jcc(.ne, executable(again))
        }
        extendOld(.rax, op, access)
        deliver(.rax)
    }

    mutating func lowerCompareAndSwap(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let s = accessSize(access)
        if access.bigEndian { failed = true }
        storesMayBePending = false
        take(fixed: .rax)
        let memory = atomicAddress(op, access)
        let new = use(op.c)
        copy(op.b, to: .rax)
        a.lockCmpxchg(s, memory, new)
        extendOld(.rax, op, access)
        deliver(.rax)
    }

    mutating func lowerStoreConditional(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let s = accessSize(access)
        storesMayBePending = false
        // The op itself changes this slot.
        let slot = SlotMap.slot(StateHeader.reservationAddress, .i64)
        if slot >= 0 { vacate(slot) }
        places.locked = 0
        take(fixed: .rax)
        let memory = atomicAddress(op, access)
        let value = use(op.b)
        let address = use(op.a)
        a.mov(.b64, .rax, Self.mem(StateHeader.reservationAddress))
        a.mov(.b64, Self.mem(StateHeader.reservationAddress), imm: -1)
        a.alu(.cmp, .b64, .rax, address)
        let match = a.jccShort(.e)
        // The page must be writable even then: this faults or changes nothing; rsp is not 0.
        a.lockAlu(.or, s, memory, imm: 0)
        a.test(.b64, .rsp, .rsp)
        let failure = a.jmpShort()
        a.bind(match)
        a.mov(.b64, .rax, Self.mem(StateHeader.reservationValue))
        a.lockCmpxchg(s, memory, value)
        a.bind(failure)
        // The flags of the test or the exchange say how it went.
        a.setcc(.ne, .rax)
        a.movzx(.rax, .rax, from: .b8)
        deliver(.rax)
    }
}
