import RISCV
import Translation

/// What a core file holds of a thread's registers.
public struct CoreRegisters: Sendable {
    /// `elf_gregset_t`: the general registers as NT_PRSTATUS has them.
    public var general: [UInt8]
    /// The contents of NT_FPREGSET.
    public var float: [UInt8]
}

extension RISCV64LinuxABI {
    /// pc, x1 to x31; f0 to f31, fcsr (`asm/ptrace.h`).
    public func coreRegisters(of vcpu: VCPU) -> CoreRegisters {
        var general = ByteWriter(), float = ByteWriter()
        general.u64(vcpu.pc)
        for number in 1 ..< 32 { general.u64(vcpu[x: number]) }
        for number in 0 ..< 32 { float.u64(vcpu[UInt64.self, RISCVState.float(number)]) }
        float.u64(UInt64(RISCVState.floatControl(of: vcpu)))
        return CoreRegisters(general: general.bytes, float: float.bytes)
    }
}
