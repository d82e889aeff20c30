import Debugger
import Translation

/// What the command line and environment say about a user-mode run.
public struct UserOptions: Sendable {
    /// `-L`, `QEMU_LD_PREFIX`: the root under which the guest's interpreter and libraries are looked up first.
    public var sysroot: String?
    /// `-0`: what the guest sees as its argv[0].
    public var argv0: [UInt8]?
    /// The program, opened by the kernel; nil: it is opened by its name.
    public var programDescriptor: Int32?
    /// Whether the kernel started Apus for the program by itself and nothing was asked for that it would not pass on:
    /// then it can start the program's children too.
    public var isStartedByKernel = false
    /// The guest's environment, complete: bytes, which need not be text.
    public var environment: [[UInt8]] = []
    /// `-s`: size of the main thread's stack, bytes.
    public var stackSize: Int?
    /// `-R`: size of the guest's address space, bytes; 0: unlimited.
    public var reservedVirtualMemory: UInt64 = 0
    /// `-B`: guest base; nil: chosen.
    public var guestBase: UInt64?
    /// `-strace`
    public var strace = false
    /// `-cpu`
    public var cpu: String?
    /// The name of the engine: `x64` or `interpreter`; nil: the best of this host.
    public var engine: String?
    /// Where `-D` sends the log and `-strace`; nil: standard error.
    public var logFile: String?
    /// The options as given, for passing on to a child that `execve`s another guest program.
    public var passedOn: [String] = []
    /// `-g`: where a debugger connects, and whether the program waits for it.
    public var debugger: RemoteAddress?
    public var waitsForDebugger = true
    /// The debugger's session of the program that executed this one.
    public var inheritedSession: String?
    /// `--count`, `--trace-calls`, `--coverage`.
    public var counts = false
    public var tracesCalls = false
    public var coverage: String?
    public var engineOptions = EngineOptions()
    public init() {}
}
