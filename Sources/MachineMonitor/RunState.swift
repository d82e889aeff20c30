// What a machine is doing, and what happens when its guest resets it, ends it or panics: the words are QMP's.

import Core

/// What a machine is doing.
public enum RunState: String, Sendable, CaseIterable {
    /// It has not begun, or was reset while it stood still.
    case prelaunch
    case running, paused
    /// The guest has switched it off, and `-no-shutdown` or `-action shutdown=pause` keeps it.
    case shutdown
    case guestPanicked = "guest-panicked"
    case watchdog
    /// A debugger has stopped it at a breakpoint, watchpoint or step.
    case debug
    case internalError = "internal-error"
    case ioError = "io-error"
}

/// What a machine does by itself: `-action`, `-no-reboot`, `-no-shutdown`, `set-action`.
public struct RunPolicy: Sendable {
    public enum Reboot: String, Sendable, CaseIterable { case reset, shutdown }
    public enum Shutdown: String, Sendable, CaseIterable { case poweroff, pause }
    public enum Panic: String, Sendable, CaseIterable { case pause, shutdown, exitFailure = "exit-failure", none }
    public enum Watchdog: String, Sendable, CaseIterable { case reset, shutdown, poweroff, pause, debug, none }
    public var reboot = Reboot.reset
    public var shutdown = Shutdown.poweroff
    public var panic = Panic.shutdown
    public var watchdog = Watchdog.reset
    public init() {}

    /// Sets one of them by its words.
    public mutating func set(_ name: String, _ value: String) throws(ConfigurationError) {
        func choose<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
            if let choice = Choice(rawValue: value) { return choice }
            throw ConfigurationError("-action: \(name) is '\(value)', expected one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        switch name {
        case "reboot": reboot = try choose(Reboot.self)
        case "shutdown": shutdown = try choose(Shutdown.self)
        case "panic": panic = try choose(Panic.self)
        case "watchdog": watchdog = try choose(Watchdog.self)
        default: throw ConfigurationError("-action: '\(name)' is not supported, expected reboot, shutdown, panic or watchdog")
        }
    }
}

/// Why a machine was reset or ends, as the events RESET and SHUTDOWN name it.
public enum RunCause: String, Sendable, CaseIterable {
    case none, hostError = "host-error", hostQuit = "host-qmp-quit", hostReset = "host-qmp-system-reset", hostSignal = "host-signal", hostUI = "host-ui"
    case guestShutdown = "guest-shutdown", guestReset = "guest-reset", guestPanic = "guest-panic"
    public var isGuest: Bool { self == .guestShutdown || self == .guestReset || self == .guestPanic }
}
