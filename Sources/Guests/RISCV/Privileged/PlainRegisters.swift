// The CSRs that only keep what is written to them stand in the state block: code in line reads and writes them.

import IR
import Translation

extension RISCVState {
    /// UInt64 each, behind the floating-point registers.
    static let plainRegisters = StateHeader.guestStart &+ 32 &* 8
    static let plainRegisterBytes = 8 * 8

    static let mscratch = plainRegisters, mepc = plainRegisters &+ 8, mcause = plainRegisters &+ 16, mtval = plainRegisters &+ 24
    static let sscratch = plainRegisters &+ 32, sepc = plainRegisters &+ 40, scause = plainRegisters &+ 48, stval = plainRegisters &+ 56
}

extension Hart {
    private subscript(slot: Int32) -> UInt64 {
        @inline(__always) get { state.load(fromByteOffset: Int(slot), as: UInt64.self) }
        @inline(__always) set { state.storeBytes(of: newValue, toByteOffset: Int(slot), as: UInt64.self) }
    }

    var pc: UInt64 { get { self[StateHeader.pc] } set { self[StateHeader.pc] = newValue } }
    var translationContext: UInt64 { get { self[StateHeader.context] } set { self[StateHeader.context] = newValue } }

    var mscratch: UInt64 { get { self[RISCVState.mscratch] } set { self[RISCVState.mscratch] = newValue } }
    var mepc: UInt64 { get { self[RISCVState.mepc] } set { self[RISCVState.mepc] = newValue } }
    var mcause: UInt64 { get { self[RISCVState.mcause] } set { self[RISCVState.mcause] = newValue } }
    var mtval: UInt64 { get { self[RISCVState.mtval] } set { self[RISCVState.mtval] = newValue } }
    var sscratch: UInt64 { get { self[RISCVState.sscratch] } set { self[RISCVState.sscratch] = newValue } }
    var sepc: UInt64 { get { self[RISCVState.sepc] } set { self[RISCVState.sepc] = newValue } }
    var scause: UInt64 { get { self[RISCVState.scause] } set { self[RISCVState.scause] = newValue } }
    var stval: UInt64 { get { self[RISCVState.stval] } set { self[RISCVState.stval] = newValue } }
}

extension Emit {
    /// The slot of CSR `number` if the code's own mode may access it and it does nothing but keep its value.
    private func plainSlot(_ number: UInt32) -> Int32? {
        switch (privilege, number) {
        case (3, 0x340 ... 0x343): return RISCVState.mscratch &+ Int32(number &- 0x340) &* 8
        // A virtual machine's numbers mean other registers.
        case (1, 0x140 ... 0x143) where context & MachineContext.virtual == 0: return RISCVState.sscratch &+ Int32(number &- 0x140) &* 8
        default: return nil
        }
    }

    /// - Returns: whether the access is done.
    mutating func accessPlainCSR(_ i: Instruction, _ operation: CSROperation, _ operand: Value, isWritten: Bool) -> Bool {
        guard let slot = plainSlot(i.csr) else { return false }
        let old = builder.get(slot, xlen.type)
        if isWritten {
            var new = switch operation {
            case .write: operand
            case .set: old | operand
            case .clear: old.andNot(operand)
            }
            if i.csr & 0xff == 0x41 { new = new & constant(extensions.contains(.zca) ? ~1 : ~3 as UInt64) }
            builder.put(slot, xlen == .rv64 ? new : new.zeroExtended())
        }
        self[i.rd] = old
        return true
    }
}
