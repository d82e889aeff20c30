import IR
import Translation

// Guest memory in user mode: raw accesses. A fault is recovered through the block's boundary table.
extension Lowering {
    /// The memory operand of a load or store.
    mutating func address(_ op: Op) -> Mem {
        let displacement = op.displacement
        if isConstant(op.a) {
            let target = takeInteger()
            a.movImmediate(target, constantValue(op.a) &+ op.imm &+ memoryBase)
            return .base(target, 0)
        }
        let base = use(op.a)
        if memoryBase != 0 { return based(base, op.imm) }
        let small = Int32(truncatingIfNeeded: displacement)
        if Int64(small) == displacement { return .base(base, small) }
        let index = takeInteger()
        a.movImmediate(index, op.imm)
        return .indexed(base, index, 1, 0)
    }

    /// The address of an atomic access, without displacement, checked for alignment if the access asks for it.
    private mutating func atomicAddress(_ op: Op, _ access: MemoryAccess) -> Mem {
        let base = use(op.a)
        checkAlignment(base, 0, access)
        return memoryBase != 0 ? based(base, 0) : .base(base, 0)
    }

    /// Host memory at guest address `base + displacement`, where guest addresses are not the host's. The register
    /// given back holds the whole address, so that `base` is free for other uses.
    private mutating func based(_ base: GPR, _ displacement: UInt64) -> Mem {
        let sum = takeInteger()
        a.movImmediate(sum, memoryBase &+ displacement)
        a.alu(.add, .b64, sum, base)
        unlock(base)
        return .base(sum, 0)
    }

    private mutating func checkAlignment(_ base: GPR, _ displacement: Int32, _ access: MemoryAccess) {
        guard access.aligned, access.bytes > 1 else { return }
        if displacement & Int32(access.bytes - 1) == 0 {
            a.test(.b32, base, imm: Int32(access.bytes - 1))
        } else {
            let sum = takeInteger()
            a.lea(.b32, sum, .base(base, displacement))
            a.test(.b32, sum, imm: Int32(access.bytes - 1))
            unlock(sum)
        }
        var code = ColdCode(.misaligned)
        code.jump = a.jccForward(.ne)
        code.x = base.rawValue
        code.imm = Int64(displacement)
        code.pc = guestPC
        cold.append(code)
    }

    private func accessSize(_ access: MemoryAccess) -> OperandSize {
        switch access.bytes { case 1: .b8; case 2: .b16; case 4: .b32; default: .b64 }
    }

    mutating func lowerLoad(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let memory = address(op)
        if access.aligned, memory.mode == .base {
            checkAlignment(GPR(rawValue: memory.baseNumber), Int32(truncatingIfNeeded: memory.offset), access)
        }
        switch op.type {
        case .f64: a.vmovsd(defineFloat(), memory)
        case .f32: a.vmovss(defineFloat(), memory)
        case .f16:
            let target = defineFloat()
            a.avx(.vpxor, target, target, target)
            a.vpinsr(.b16, target, target, memory, lane: 0)
        case .v128, .v256, .none: failed = true
        default:
            let target = define(reusing: op.a)
            let to = size(op.type)
            switch access.bytes {
            case 1: if access.signed { a.movsx(to, target, memory, from: .b8) } else { a.movzx(target, memory, from: .b8) }
            case 2:
                if access.bigEndian {
                    a.movzx(target, memory, from: .b16)
                    a.shift(.rol, .b16, target, 8)
                    if access.signed { a.movsx(to, target, target, from: .b16) }
                } else if access.signed {
                    a.movsx(to, target, memory, from: .b16)
                } else {
                    a.movzx(target, memory, from: .b16)
                }
            case 4:
                if access.bigEndian {
                    a.movbe(.b32, target, memory)
                    if access.signed, to == .b64 { a.movsx(.b64, target, target, from: .b32) }
                } else if access.signed, to == .b64 {
                    a.movsx(.b64, target, memory, from: .b32)
                } else {
                    a.mov(.b32, target, memory)
                }
            default: if access.bigEndian { a.movbe(.b64, target, memory) } else { a.mov(.b64, target, memory) }
            }
            if op.type == .i8 || op.type == .i16 { narrow(target, op.type) }
        }
    }

    mutating func lowerStore(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let memory = address(op)
        if access.aligned, memory.mode == .base {
            checkAlignment(GPR(rawValue: memory.baseNumber), Int32(truncatingIfNeeded: memory.offset), access)
        }
        switch op.type {
        case .f16, .f32, .f64:
            // The access may be narrower than the value: a boxed number is stored without its box.
            switch access.bytes {
            case 2: a.vpextr(.b16, memory, useFloat(op.b), lane: 0)
            case 4: a.vmovss(memory, useFloat(op.b))
            default: a.vmovsd(memory, useFloat(op.b))
            }
        case .v128, .v256, .none: failed = true
        default:
            let s = accessSize(access)
            if access.bigEndian, access.bytes > 1 {
                if access.bytes == 2 {
                    let swapped = takeInteger()
                    copy(op.b, to: swapped)
                    a.shift(.rol, .b16, swapped, 8)
                    a.mov(.b16, memory, swapped)
                } else {
                    a.movbe(s, memory, use(op.b))
                }
            } else if let imm = immediate(op.b) {
                a.mov(s, memory, imm: imm)
            } else {
                a.mov(s, memory, use(op.b))
            }
        }
    }

    // MARK: atomics

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

    mutating func lowerAtomicRMW(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let s = accessSize(access)
        let operation = AtomicOperation(rawValue: op.imm) ?? .swap
        if access.bigEndian { failed = true }
        take(fixed: .rax)
        let operand = use(op.b)
        let memory = atomicAddress(op, access)
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
        take(fixed: .rax)
        let new = use(op.c)
        let memory = atomicAddress(op, access)
        copy(op.b, to: .rax)
        a.lockCmpxchg(s, memory, new)
        extendOld(.rax, op, access)
        deliver(.rax)
    }

    mutating func lowerStoreConditional(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let s = accessSize(access)
        // The op itself changes this slot.
        let slot = SlotMap.slot(StateHeader.reservationAddress, .i64)
        if slot >= 0 { vacate(slot) }
        places.locked = 0
        take(fixed: .rax)
        let value = use(op.b)
        let memory = atomicAddress(op, access)
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
