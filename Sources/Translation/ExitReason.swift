/// Why a vCPU left translated code. The guest program counter is exact for each.
public enum ExitReason: UInt16, Sendable, CaseIterable {
    /// `StateHeader.interruptRequest` was set; pc is the next instruction to run.
    case interrupted = 0
    /// A system call instruction; pc is that instruction.
    case systemCall
    /// A breakpoint instruction; pc is that instruction.
    case breakpoint
    /// An undefined or disabled instruction; pc is that instruction.
    case illegalInstruction
    /// A data access failed; pc is the accessing instruction; see `faultAddress`, `faultSignal`, `faultCode`.
    case memoryFault
    /// An access that must be aligned was not; pc is the accessing instruction; see `faultAddress`.
    case misaligned
    /// No instruction could be fetched; pc is its address; `faultAddress` is the byte that could not be read.
    case fetchFault
    /// The guest made earlier stores visible to its own fetches (riscv `fence.i`); pc is the next instruction.
    case instructionFence
    /// The processor may sleep for a short while (riscv `wrs.nto`, `pause`); pc is the next instruction.
    case idle
    /// The processor sleeps until an interrupt is pending (riscv `wfi`); pc is the next instruction.
    case waitForInterrupt
    /// An exception that the guest has recorded in its own state (a virtual-instruction exception, say); pc is exact.
    case guestException
}
