// CSR instructions of a machine: all registers but the floating-point and vector ones go through one function of the runtime.

import IR
import Translation

enum CSRAccess {
    /// Bits of the descriptor above the register's number.
    static let operationShift: UInt64 = 12, written: UInt64 = 1 << 16

    /// Arguments: descriptor, operand. What was read goes to `RISCVState.readValue`.
    static let helper = HelperTable.register { state, descriptor, operand, _ in
        guard let hart = Hart.of(state) else { return UInt64(ExitReason.illegalInstruction.rawValue) + 1 }
        let isWritten = descriptor & CSRAccess.written != 0
        let (found, denial) = hart.register(UInt16(truncatingIfNeeded: descriptor & 0xfff), isWritten: isWritten)
        guard let register = found else { return hart.deny(denial ?? .illegal) }
        if isWritten, let exchange = register.exchange {
            let (clear, set): (UInt64, UInt64) = switch descriptor >> CSRAccess.operationShift & 3 {
            case 0: (~0, operand)
            case 1: (0, operand)
            default: (operand, 0)
            }
            state.storeBytes(of: exchange(hart, clear, set), toByteOffset: Int(RISCVState.readValue), as: UInt64.self)
            return 0
        }
        let old = register.read(hart)
        state.storeBytes(of: old, toByteOffset: Int(RISCVState.readValue), as: UInt64.self)
        if isWritten, let write = register.write {
            switch descriptor >> CSRAccess.operationShift & 3 {
            case 0: write(hart, operand)
            // Bits that wires drive are not written back to what software drives.
            case 1: write(hart, (register.number == 0x344 ? hart.softwareBits : old) | operand)
            default: write(hart, (register.number == 0x344 ? hart.softwareBits : old) & ~operand)
            }
        }
        return 0
    }
}

extension Hart {
    /// What a helper returns whose instruction is not allowed.
    func deny(_ denial: AccessDenial) -> UInt64 {
        switch denial {
        case .illegal: return UInt64(ExitReason.illegalInstruction.rawValue) + 1
        case .virtual:
            record(.virtualInstruction, 0)
            return UInt64(ExitReason.guestException.rawValue) + 1
        }
    }
}

extension Emit {
    /// Whether this is a machine's code, and the privilege it runs with.
    var privilege: UInt64 { context >> MachineContext.privilegeShift & 3 }
    var floatState: UInt64 { context >> MachineContext.floatShift & 3 }
    var vectorState: UInt64 { context >> MachineContext.vectorShift & 3 }

    mutating func accessMachineCSR(_ i: Instruction, _ operation: CSROperation, _ operand: Value, isWritten: Bool) {
        if accessPlainCSR(i, operation, operand, isWritten: isWritten) { return }
        let code: UInt64 = switch operation { case .write: 0; case .set: 1; case .clear: 2 }
        let descriptor = UInt64(i.csr) | code << CSRAccess.operationShift | (isWritten ? CSRAccess.written : 0)
        let wide = xlen == .rv64 ? operand : operand.zeroExtended()
        _ = builder.helper(CSRAccess.helper, [.readsState, .writesState, .mayFault, .mayExit], constant64(descriptor), wide)
        self[i.rd] = builder.get(RISCVState.readValue)
        if isWritten, ControlRegister.endsTrace(i.csr) { endInNewContext() }
    }

    /// The unit of an instruction is on, and its state known to be dirty. False: the instruction has become something else.
    mutating func claimUnit(isFloat: Bool, isVector: Bool) -> Bool {
        if isFloat && floatState == 0 || isVector && vectorState == 0 {
            illegal()
            return false
        }
        guard isFloat && floatState != 2 || isVector && vectorState != 2 else { return true }
        // From now on code is translated for dirty units, beginning with this instruction.
        _ = builder.helper(SystemInstructions.markDirty, [.readsState, .writesState], constant64((isFloat ? 1 : 0) | (isVector ? 2 : 0)))
        builder.jumpContext(to: pc)
        flow = .end
        return false
    }
}
