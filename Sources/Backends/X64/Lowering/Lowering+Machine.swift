import Core
import IR
import Translation

// Guest memory in machines: each access probes the vCPU's table for its MMU index (`SoftTLB`); what the table does not know
// goes out of line to `SlowMemory`, which either says where the memory is or has the block left at this instruction.
extension Lowering {
    /// What a block of a machine checks before its first instruction: that the page it was made from is still the one that
    /// the vCPU sees at its address.
    struct FetchCheck: BitwiseCopyable {
        /// Offset from the state pointer of the cell that names the mapping.
        var slot: Int32
        /// The mapping's number, of a size that no short immediate holds.
        var identity: UInt32
    }

    /// Bytes of one check.
    static let fetchCheckBytes = 16

    /// Writes the checks; a block on one page is entered behind them from code on that page.
    mutating func writeFetchChecks(at pc: UInt64) {
        for check in [firstCheck, secondCheck] {
            guard let check else { continue }
            a.alu(.cmp, .b32, Self.mem(check.slot), imm: Int32(bitPattern: check.identity))
            var code = ColdCode(.fetchMiss)
            code.jump = a.jccForward(.ne)
            code.pc = pc
            cold.append(code)
        }
    }

    mutating func writeFetchMiss(_ code: ColdCode) {
        bind(code)
        storePC(code.pc)
        a.movImmediate(.rax, Exit.lookup)
        a.jmp(trampolines.exit)
    }

    /// Finds the memory of an access at `op.a` plus a displacement: the operand to use in its place. Takes two scratch
    /// registers, of which it gives one back.
    /// - Parameter isUpdate: the store also reads.
    mutating func probedAddress(_ ref: Ref, _ displacement: UInt64, _ access: MemoryAccess, _ kind: AccessKind, isUpdate: Bool = false) -> Mem {
        var base: GPR, offset = Int32(truncatingIfNeeded: displacement)
        if isConstant(ref) {
            base = takeInteger()
            let sum = constantValue(ref) &+ displacement
            a.movImmediate(base, type(ref) == .i32 ? sum & 0xFFFF_FFFF : sum)
            offset = 0
        } else {
            base = use(ref)
            if type(ref) == .i32, displacement != 0 {
                // Addresses of 32 bits wrap.
                let sum = takeInteger()
                a.lea(.b32, sum, .base(base, offset))
                unlock(base)
                base = sum
                offset = 0
            } else if UInt64(bitPattern: Int64(offset)) != displacement {
                let sum = takeInteger()
                a.movImmediate(sum, displacement)
                a.alu(.add, .b64, sum, base)
                unlock(base)
                base = sum
                offset = 0
            }
        }
        let index = takeInteger(), inside = takeInteger()
        let table = SoftTLB.table(kind, access.mmuIndex)
        if offset == 0 { a.mov(.b64, .direct(inside), base) } else { a.lea(.b64, inside, .base(base, offset)) }
        a.rorx(.b32, index, offset == 0 ? base : inside, 8)
        a.alu(.and, .b32, index, imm: Int32(SoftTLB.mask))
        a.alu(.xor, .b64, inside, .indexed(HostRegisters.state, index, 1, table))
        // What is left of the address is the offset in the page, or larger.
        let isRotated = access.aligned && access.bytes > 1
        let shift = isRotated ? access.bytes.trailingZeroBitCount : 0
        if isRotated { a.shift(.ror, .b64, inside, UInt8(shift)) }
        a.alu(.cmp, .b64, inside, imm: Int32((Int(RAMBlock.pageBytes) - access.bytes) >> shift))
        var code = ColdCode(.slowMemory)
        code.jump = a.jccForward(.a)
        a.mov(.b64, index, .indexed(HostRegisters.state, index, 1, table + SoftTLB.addendOffset))
        code.resume = a.cursor
        code.x = base.rawValue
        code.y = index.rawValue
        code.imm = Int64(offset)
        code.aux = access.rawValue
        code.z = kind.rawValue | (isUpdate ? SlowMemory.update : 0)
        code.pc = guestPC
        cold.append(code)
        unlock(inside)
        return .indexed(base, index, 1, offset)
    }

    /// The same as one register, which leaves all others free.
    mutating func probedRegister(_ ref: Ref, _ access: MemoryAccess, isUpdate: Bool) -> Mem {
        let memory = probedAddress(ref, 0, access, .store, isUpdate: isUpdate)
        let register = GPR(rawValue: memory.indexNumber)
        a.lea(.b64, register, memory)
        unlock(GPR(rawValue: memory.baseNumber))
        return .base(register, 0)
    }

    /// Asks `SlowMemory`, which comes back only if there is memory.
    mutating func writeSlowMemory(_ code: ColdCode) {
        bind(code)
        // Nothing has been done of the instruction: by this record the dispatcher finds it from the call's return address.
        boundaries.append(Boundary(offset: UInt32(truncatingIfNeeded: a.cursor - entry), pc: code.pc))
        let register = GPR(rawValue: code.y)
        let base = GPR(rawValue: code.x)
        if code.imm == 0 {
            a.mov(.b64, Self.mem(BackendState.slowAddress), base)
        } else {
            a.lea(.b64, register, .base(base, Int32(truncatingIfNeeded: code.imm)))
            a.mov(.b64, Self.mem(BackendState.slowAddress), register)
        }
        a.mov(.b32, Self.mem(BackendState.slowAccess), imm: Int32(code.aux) | Int32(code.z) << 16)
        a.call(trampolines.slowMemory)
        a.mov(.b64, register, Self.mem(BackendState.slowAddend))
        a.jmp(executable(code.resume))
    }
}

/// The out-of-line part of an access in a machine, called from translated code.
enum SlowMemory {
    /// In `BackendState.slowStatus`, beside exit reasons plus one: the instruction is one for the stepper.
    static let step: UInt32 = 0x10000
    /// Beside `AccessKind.store`: it reads what it replaces.
    static let update: UInt8 = 0x80

    static let entry: @convention(c) (UnsafeMutableRawPointer) -> Void = { state in
        let address = state.load(fromByteOffset: Int(BackendState.slowAddress), as: UInt64.self)
        let bits = state.load(fromByteOffset: Int(BackendState.slowAccess), as: UInt32.self)
        let access = MemoryAccess(rawValue: UInt16(truncatingIfNeeded: bits))
        let kind: AccessKind = bits >> 16 & 0x7f == UInt32(AccessKind.store.rawValue) ? .store : .load
        let status: UInt32
        if access.aligned, address & UInt64(truncatingIfNeeded: access.bytes &- 1) != 0 {
            // Addresses of 32 bits come without anything above them.
            state.storeBytes(of: address, toByteOffset: Int(StateHeader.faultAddress), as: UInt64.self)
            state.storeBytes(of: UInt32(kind.rawValue), toByteOffset: Int(StateHeader.faultCode), as: UInt32.self)
            status = UInt32(ExitReason.misaligned.rawValue) + 1
        } else if let mmu = SoftMMU.of(state) {
            let isUpdate = bits >> 16 & UInt32(update) != 0
            if isUpdate { mmu.isUpdate = true }
            defer { if isUpdate { mmu.isUpdate = false } }
            switch mmu.host(address, kind, bytes: access.bytes, mmuIndex: access.mmuIndex) {
            case .memory(let host) where mmu.watched == nil:
                state.storeBytes(of: UInt64(UInt(bitPattern: host)) &- address, toByteOffset: Int(BackendState.slowAddend), as: UInt64.self)
                status = 0
            case .fault: status = UInt32(ExitReason.memoryFault.rawValue) + 1
            case .memory, .other: status = step
            }
        } else {
            status = step
        }
        state.storeBytes(of: status, toByteOffset: Int(BackendState.slowStatus), as: UInt32.self)
    }
}
