import Translation

/// A Linux program built for another instruction set, running inside this host process.
///
/// Everything that is per process stands here, one object a concern; threads share it. Each concern guards its own
/// state with its own lock.
public final class Process: Sendable {
    public let options: UserOptions
    public let abi: any GuestABI
    public let engine: any Engine
    /// The guest's address space.
    let memory: GuestMemory
    /// Dispositions and process-directed pending signals.
    let signals: SignalTable
    /// The live guest threads.
    let threads: ThreadTable
    /// Where the guest's absolute paths are looked up first (`-L`).
    let paths: PathTranslation
    /// The program as loaded: paths, entry point, auxiliary vector.
    let image: ProgramImage
    /// The table of system calls by the guest's numbers.
    let systemCalls: SystemCallDispatcher
    let death = ProgramDeath()
    /// With `-g`.
    let debugger: GuestDebugger?
    let tools: ProgramTools?

    init(options: UserOptions, abi: any GuestABI, engine: any Engine, memory: GuestMemory, signals: SignalTable,
         threads: ThreadTable, paths: PathTranslation, image: ProgramImage, debugger: GuestDebugger? = nil,
         tools: ProgramTools? = nil, systemCalls: SystemCallDispatcher? = nil) {
        self.tools = tools
        self.debugger = debugger
        self.options = options
        self.abi = abi
        self.engine = engine
        self.memory = memory
        self.signals = signals
        self.threads = threads
        self.paths = paths
        self.image = image
        self.systemCalls = systemCalls ?? SystemCallDispatcher(abi: abi, options: options)
    }
}
