// What devices ask of the machine as a whole.

/// Why a machine stops or starts over, as QMP's events name it.
public enum MachineRequest: Sendable, Equatable {
    /// The guest powers off; with the exit status that it asks the emulator for.
    case powerOff(status: Int32?)
    case reset
    /// The guest's kernel says that it shuts down (pvpanic).
    case guestShutDown
    /// The guest's kernel has panicked (pvpanic); whether it has loaded a crash kernel instead.
    case panicked(crashLoaded: Bool)
    /// A watchdog has expired.
    case watchdog
    /// A request of a disk has failed.
    case diskFailure(DiskFailure)
}

/// A request of a disk that failed, as the event BLOCK_IO_ERROR tells it.
public struct DiskFailure: Sendable, Equatable {
    public enum Action: String, Sendable, CaseIterable {
        /// The guest is told.
        case report
        /// The guest is told that all went well.
        case ignore
        /// The machine stops; the request is done again when it goes on.
        case stop
    }
    /// The drive's name, and the block node's.
    public var drive: String
    public var node: String
    /// The device's path in QOM.
    public var path: String
    public var isWrite: Bool
    public var action: Action
    public var isNoSpace: Bool
    public var reason: String

    public init(drive: String, node: String, path: String, isWrite: Bool, action: Action, isNoSpace: Bool, reason: String) {
        self.drive = drive
        self.node = node
        self.path = path
        self.isWrite = isWrite
        self.action = action
        self.isNoSpace = isNoSpace
        self.reason = reason
    }
}

/// The machine's ear for such requests: called from any thread, must not block.
public struct MachineRequests: Sendable {
    private let sink: @Sendable (MachineRequest) -> Void
    public init(_ sink: @escaping @Sendable (MachineRequest) -> Void) { self.sink = sink }
    public func post(_ request: MachineRequest) { sink(request) }
}
