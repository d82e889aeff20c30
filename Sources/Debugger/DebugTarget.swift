// What the remote protocol debugs, as it sees it: user mode's process, or a machine. Signals are in gdb's numbers.

import Translation

/// A thread of the target: a thread of a process, or a vCPU of machine 1.
public struct DebugThread: Hashable, Sendable {
    public var process: Int32
    public var thread: Int32

    public init(process: Int32, thread: Int32) {
        self.process = process
        self.thread = thread
    }
}

public enum WatchKind: UInt8, Sendable { case write = 2, read = 3, access = 4 }

public enum BreakpointKind: Equatable, Sendable {
    case software, hardware
    case watch(WatchKind)
}

/// Why the target stopped.
public enum StopEvent: Sendable, Equatable {
    case signal(UInt8)
    case step
    case breakpoint(hardware: Bool)
    case watchpoint(WatchKind, address: UInt64)
    case systemCallEntry(Int), systemCallReturn(Int)
    /// A new process: of `fork`, or of `vfork` (then the parent waits).
    case fork(DebugThread), vfork(DebugThread)
    case vforkDone
    /// The thread runs another program.
    case execution(path: [UInt8])
    /// The process is gone: by itself, or by a signal.
    case exited(UInt8), killed(UInt8)
}

public struct Stop: Sendable, Equatable {
    public var thread: DebugThread
    public var event: StopEvent

    public init(thread: DebugThread, event: StopEvent) {
        self.thread = thread
        self.event = event
    }
}

/// What a thread is to do when the target goes on.
public enum ResumeAction: Sendable, Equatable {
    /// Stay stopped.
    case hold
    case run(signal: UInt8)
    /// One instruction.
    case step(signal: UInt8)
    /// Steps while the program counter is in the range.
    case stepRange(Range<UInt64>)
}

/// Threads, registers, memory, breakpoints, stopping: enough for a machine. Called by the debugger's own thread only; what
/// reads or changes the target, only while it is stopped.
public protocol DebugTarget: AnyObject {
    var architecture: String { get }
    /// gdb's name of the operating system, or nil for bare machines.
    var operatingSystem: String? { get }
    var registerFeatures: [RegisterFeature] { get }

    var threads: [DebugThread] { get }
    func name(of thread: DebugThread) -> String?
    func readRegister(_ register: DebugRegister, of thread: DebugThread) -> [UInt8]?
    func writeRegister(_ register: DebugRegister, of thread: DebugThread, _ bytes: [UInt8]) -> Bool
    /// As many of the bytes as can be read, as `thread` sees memory.
    func readMemory(_ address: UInt64, _ count: Int, of thread: DebugThread) -> [UInt8]
    func writeMemory(_ address: UInt64, _ bytes: [UInt8], of thread: DebugThread) -> Bool
    /// - Returns: false if there is no room or no such breakpoint.
    func insertBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool
    func removeBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool

    /// Lets threads go on as `action` says of each; the session is told when the target has stopped.
    /// - Parameter packet: the packet that asked for it, in case another process answers the debugger from now on.
    /// - Returns: false if it does: the session is over here.
    func resume(packet: [UInt8], _ action: (DebugThread) -> ResumeAction) -> Bool
    /// Stops the target as soon as possible.
    func interrupt()
    /// Lets `process` go for good, without breakpoints. - Returns: whether it was the session's last one.
    func detach(_ process: Int32) -> Bool
    func kill()
    /// The answer to gdb's `monitor` command, nil if it is unknown.
    func monitor(_ command: String) -> String?
    /// Whether the target was there before the debugger, which then leaves it running when it quits.
    var wasRunning: Bool { get }
    /// The answer to a `q` or `Q` packet that the protocol itself does not have; nil: it is unknown.
    func answer(_ query: String) -> String?
}

extension DebugTarget {
    public var wasRunning: Bool { false }
    public func answer(_ query: String) -> String? { nil }
}

/// What only programs of an operating system have.
public protocol DebugOperatingSystem: AnyObject {
    /// The auxiliary vector in the target's layout.
    var auxiliaryVector: [UInt8] { get }
    /// The path of the executable as `openFile` takes it.
    var executablePath: [UInt8] { get }
    /// The `siginfo_t` that a thread stopped with.
    func signalInformation(of thread: DebugThread) -> [UInt8]?
    /// Signals to deliver without stopping.
    func passSignals(_ signals: Set<UInt8>)
    /// System calls to stop at: nil none, empty all.
    func catchSystemCalls(_ numbers: Set<Int>?)
    /// What gdb can be told of.
    func reportEvents(_ events: RemoteEvents)
    /// Files as the target sees them. A descriptor, or a negated host errno.
    func openFile(_ path: [UInt8], flags: Int32, mode: UInt32) -> Int32
    func readLink(_ path: [UInt8]) -> [UInt8]?
}

/// Events that a debugger said it understands.
public struct RemoteEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let fork = RemoteEvents(rawValue: 1)
    public static let vfork = RemoteEvents(rawValue: 2)
    public static let execution = RemoteEvents(rawValue: 4)
    public static let multiprocess = RemoteEvents(rawValue: 8)
    public static let softwareBreakpoint = RemoteEvents(rawValue: 16)
    public static let hardwareBreakpoint = RemoteEvents(rawValue: 32)
    /// Packets are not acknowledged.
    public static let noAcknowledgement = RemoteEvents(rawValue: 64)
}
