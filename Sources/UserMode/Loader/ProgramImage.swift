/// A program as it was loaded: what `/proc/self`, `execve` and the run loop ask about it later.
public final class ProgramImage: Sendable {
    /// The absolute host path of the executable, links resolved: what `/proc/self/exe` points to.
    package let executable: [UInt8]
    package let arguments: [[UInt8]]
    package let environment: [[UInt8]]
    /// Where the first instruction is: the interpreter's entry point if there is one.
    package let start: UInt64
    package let stackPointer: UInt64
    /// The main thread's stack area.
    package let stack: Range<UInt64>
    /// The auxiliary vector without its null entry.
    package let auxiliary: [(key: UInt64, value: UInt64)]
    /// Guest addresses of the argument and environment strings.
    package let argumentRange: Range<UInt64>
    package let environmentRange: Range<UInt64>
    /// Guest address of the vDSO, or nil.
    package let vdso: UInt64?
    /// Where a signal handler without a restorer of its own returns to.
    package let signalReturn: UInt64
    /// The pages of the program itself, without its interpreter.
    package let program: Range<UInt64>
    /// `e_flags` of the program's ELF header.
    package let elfFlags: UInt32

    package init(executable: [UInt8], arguments: [[UInt8]], environment: [[UInt8]], start: UInt64, stack: Range<UInt64>,
                 initialStack: InitialStack, vdso: UInt64?, signalReturn: UInt64, program: Range<UInt64>, elfFlags: UInt32 = 0) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.start = start
        self.stack = stack
        stackPointer = initialStack.pointer
        auxiliary = initialStack.auxiliary
        argumentRange = initialStack.argumentRange
        environmentRange = initialStack.environmentRange
        self.vdso = vdso
        self.signalReturn = signalReturn
        self.program = program
        self.elfFlags = elfFlags
    }
}
