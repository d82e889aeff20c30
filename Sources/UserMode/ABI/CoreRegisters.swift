import RISCV
import Translation

/// What a core file holds of a thread's registers.
public struct CoreRegisters: Sendable {
    /// `elf_gregset_t`: the general registers as NT_PRSTATUS has them.
    public var general: [UInt8]
    /// The contents of NT_FPREGSET.
    public var float: [UInt8]
    /// Further notes: their types and contents, by the name LINUX.
    public var others: [(type: UInt32, contents: [UInt8])] = []
}

extension RISCVLinuxABI {
    /// pc, x1 to x31; f0 to f31, fcsr (`asm/ptrace.h`).
    public func coreRegisters(of vcpu: VCPU) -> CoreRegisters {
        var general = ByteWriter(), float = ByteWriter()
        general.append(vcpu.pc, size: xlen.bytes)
        for number in 1 ..< 32 { general.append(vcpu[x: number], size: xlen.bytes) }
        for number in 0 ..< 32 { float.u64(vcpu[UInt64.self, RISCVState.float(number)]) }
        float.u64(UInt64(RISCVState.floatControl(of: vcpu)))
        var registers = CoreRegisters(general: general.bytes, float: float.bytes)
        if hasVectors { registers.others.append((0x901 /* NT_RISCV_VECTOR */, vectorNote(of: vcpu))) }
        return registers
    }

    /// `struct __riscv_v_regset_state`: vstart, vl, vtype, vcsr, vlenb, then the registers.
    private func vectorNote(of vcpu: VCPU) -> [UInt8] {
        var out = ByteWriter()
        for slot in [RISCVState.vectorStart, RISCVState.vectorLength, RISCVState.vectorType, RISCVState.vectorControl] {
            out.append(RISCVState.control(slot, of: vcpu, xlen), size: xlen.bytes)
        }
        out.append(UInt64(vectorBytes), size: xlen.bytes)
        for number in 0 ..< 32 { out.append(Array(RISCVState.vectorRegister(number, of: vcpu, bytes: vectorBytes))) }
        return out.bytes
    }
}
