// A monitor: the commands that it knows, and the clients that listen for events. The protocol is QMP (docs/interop/qmp-spec
// of QEMU). Left out: out-of-band execution.

import Core
import Glibc
import Host

/// Commands, events, clients.
public final class Monitor: Sendable {
    private struct State {
        var commands: [String: CommandDeclaration] = [:]
        var events: [EventDeclaration] = []
        var sessions: [ObjectIdentifier: MonitorSession] = [:]
    }
    private let state = Locked(State())
    /// What `query-version` calls this program.
    private let package: String
    /// One command at a time, whoever sends it.
    private let executing = Locked(())

    public init(package: String = "Apus") {
        self.package = package
        let own: [CommandDeclaration] = [
            CommandDeclaration("qmp_capabilities", [Parameter("enable", .array(.enumeration("QMPCapability", ["oob"])), optional: true)]) { arguments throws(MonitorError) in
                if !arguments.array("enable").isEmpty { throw MonitorError("Capability oob is not available") }
                return .nothing
            },
            CommandDeclaration("query-version", returns: .object("VersionInfo", [
                Parameter("qemu", .object("VersionTriple", [Parameter("major", .integer), Parameter("minor", .integer), Parameter("micro", .integer)])),
                Parameter("package", .text),
            ])) { [self] _ in version },
            CommandDeclaration("query-commands", returns: .array(.object("CommandInfo", [Parameter("name", .text)]))) { [self] _ in
                .array(commands.map { .object([.init("name", .text($0.name))]) })
            },
            CommandDeclaration("query-qmp-schema", returns: .array(.open("SchemaInfo", [Parameter("name", .text), Parameter("meta-type", .text)]))) { [self] _ in
                Introspection.schema(commands, state.withLock { $0.events })
            },
        ]
        register(own)
    }

    private var version: JSONValue {
        .object([.init("qemu", .object([.init("micro", .integer(0)), .init("minor", .integer(0)), .init("major", .integer(10))])), .init("package", .text(package))])
    }
    var greeting: JSONValue { .object([.init("QMP", .object([.init("version", version), .init("capabilities", .array([]))]))]) }

    /// Makes commands and events known. A command that is there already is replaced.
    public func register(_ commands: [CommandDeclaration], events: [EventDeclaration] = []) {
        state.withLock { state in
            for command in commands { state.commands[command.name] = command }
            state.events += events
        }
    }

    /// All commands, by name.
    public var commands: [CommandDeclaration] { state.withLock { $0.commands.values.sorted { $0.name < $1.name } } }

    // MARK: Executing

    /// Runs a command by name, from within.
    public func execute(_ name: String, _ arguments: JSONValue = .object([])) throws(MonitorError) -> JSONValue {
        guard let command = state.withLock({ $0.commands[name] }) else { throw MonitorError("The command \(name) has not been found", .commandNotFound) }
        try command.check(arguments)
        return try executing.withLock { (_) throws(MonitorError) in try command.handler(Arguments(arguments)) }
    }

    /// The same from inside a command: no other one runs.
    public func executeInside(_ name: String, _ arguments: JSONValue = .object([])) throws(MonitorError) -> JSONValue {
        guard let command = state.withLock({ $0.commands[name] }) else { throw MonitorError("The command \(name) has not been found", .commandNotFound) }
        try command.check(arguments)
        return try command.handler(Arguments(arguments))
    }

    /// Runs `body` while no command runs.
    public func alone<Result>(_ body: () -> Result) -> Result { executing.withLock { _ in body() } }

    /// Names of all events, sorted.
    public var eventNames: [String] { Set(state.withLock { $0.events.map(\.name) }).sorted() }

    /// Before the process ends: waits, not for long, until the clients have been told everything.
    public func settle() { for session in state.withLock({ Array($0.sessions.values) }) { _ = session.settle(seconds: 2) } }

    // MARK: Events

    /// Tells all clients that have finished negotiating.
    public func emit(_ event: String, _ data: JSONValue? = nil) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var members: [JSONValue.Member] = [
            .init("timestamp", .object([.init("seconds", .integer(Int64(time.tv_sec))), .init("microseconds", .integer(Int64(time.tv_nsec / 1000)))])),
            .init("event", .text(event)),
        ]
        if let data { members.append(.init("data", data)) }
        let message = JSONValue.object(members)
        for session in state.withLock({ Array($0.sessions.values) }) { session.tell(message) }
    }

    func enter(_ session: MonitorSession) { state.withLock { $0.sessions[ObjectIdentifier(session)] = session } }
    func leave(_ session: MonitorSession) { state.withLock { $0.sessions[ObjectIdentifier(session)] = nil } }
}
