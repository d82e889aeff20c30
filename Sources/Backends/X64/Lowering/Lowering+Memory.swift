import IR
import Translation

// Guest memory: in user mode raw accesses. A fault is recovered through the block's boundary table. In machines see
// Lowering+Machine.swift.
extension Lowering {
    /// The memory operand of a load or store.
    mutating func address(_ op: Op) -> Mem {
        let displacement = op.displacement
        if isConstant(op.a) {
            let target = takeInteger()
            let sum = constantValue(op.a) &+ op.imm
            a.movImmediate(target, (type(op.a) == .i32 ? sum & 0xffff_ffff : sum) &+ memoryBase)
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

    /// Host memory at guest address `base + displacement`, where guest addresses are not the host's. The register
    /// given back holds the whole address, so that `base` is free for other uses.
    mutating func based(_ base: GPR, _ displacement: UInt64) -> Mem {
        let sum = takeInteger()
        a.movImmediate(sum, memoryBase &+ displacement)
        a.alu(.add, .b64, sum, base)
        unlock(base)
        return .base(sum, 0)
    }

    /// Leaves the block if the address `base + displacement` is not a multiple of the access width. `isHost` says that
    /// the register holds a host address, which differs from the guest's by `memoryBase`.
    mutating func checkAlignment(_ base: GPR, _ displacement: Int32, _ access: MemoryAccess, isHost: Bool = false) {
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
        code.y = isHost ? 1 : 0
        code.pc = guestPC
        cold.append(code)
    }

    func accessSize(_ access: MemoryAccess) -> OperandSize {
        switch access.bytes { case 1: .b8; case 2: .b16; case 4: .b32; default: .b64 }
    }

    mutating func lowerLoad(_ op: Op) {
        let access = MemoryAccess(rawValue: op.aux)
        let memory = isMachine ? probedAddress(op.a, op.imm, access, .load) : address(op)
        if access.aligned, memory.mode == .base {
            checkAlignment(GPR(rawValue: memory.baseNumber), Int32(truncatingIfNeeded: memory.offset), access, isHost: true)
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
        storesMayBePending = true
        let access = MemoryAccess(rawValue: op.aux)
        let memory = isMachine ? probedAddress(op.a, op.imm, access, .store) : address(op)
        if access.aligned, memory.mode == .base {
            checkAlignment(GPR(rawValue: memory.baseNumber), Int32(truncatingIfNeeded: memory.offset), access, isHost: true)
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
}
