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
}

/// The machine's ear for such requests: called from any thread, must not block.
public struct MachineRequests: Sendable {
    private let sink: @Sendable (MachineRequest) -> Void
    public init(_ sink: @escaping @Sendable (MachineRequest) -> Void) { self.sink = sink }
    public func post(_ request: MachineRequest) { sink(request) }
}
