// What a session's next process must know: the program that this one executes, or a forked child that the debugger
// follows. Text, as it travels by a command line and by a socket.

import Debugger
import Glibc

struct SessionInheritance: Sendable, Equatable {
    var connection: Int32
    var listener: Int32
    var events: RemoteEvents
    var passed: Set<UInt8>
    var caught: Set<Int>?
    /// The parent that waits for the debugger to let it go, and the socket to tell it by.
    var parent: (process: Int32, gate: Int32)?
    var breakpoints: [DebugBreakpoint] = []

    static func == (a: Self, b: Self) -> Bool { a.text == b.text }

    init(connection: Int32, listener: Int32, events: RemoteEvents, passed: Set<UInt8>, caught: Set<Int>?,
         parent: (process: Int32, gate: Int32)?, breakpoints: [DebugBreakpoint] = []) {
        self.connection = connection
        self.listener = listener
        self.events = events
        self.passed = passed
        self.caught = caught
        self.parent = parent
        self.breakpoints = breakpoints
    }

    /// Fields between commas, lists between points.
    var text: String {
        let list = breakpoints.map { item in
            let kind: Int = switch item.kind { case .software: 0; case .hardware: 1; case .watch(let kind): Int(kind.rawValue) }
            return "\(kind)-\(item.address)-\(item.length)"
        }
        return [String(connection), String(listener), String(events.rawValue), passed.sorted().map { String($0) }.joined(separator: "."),
                caught.map { "c" + $0.sorted().map { String($0) }.joined(separator: ".") } ?? "",
                parent.map { "\($0.process).\($0.gate)" } ?? "", list.joined(separator: ".")].joined(separator: ",")
    }

    init?(parsing text: String) {
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count == 7, let connection = Int32(fields[0]), connection >= 0, let listener = Int32(fields[1]),
              let events = UInt32(fields[2]) else { return nil }
        self.connection = connection
        self.listener = listener
        self.events = RemoteEvents(rawValue: events)
        passed = Set(fields[3].split(separator: ".").compactMap { UInt8($0) })
        caught = fields[4].first == "c" ? Set(fields[4].dropFirst().split(separator: ".").compactMap { Int($0) }) : nil
        let parent = fields[5].split(separator: ".").compactMap { Int32($0) }
        self.parent = parent.count == 2 ? (parent[0], parent[1]) : nil
        breakpoints = fields[6].split(separator: ".").compactMap { item in
            let parts = item.split(separator: "-").compactMap { UInt64($0) }
            guard parts.count == 3 else { return nil }
            let kind: BreakpointKind
            switch parts[0] {
            case 0: kind = .software
            case 1: kind = .hardware
            case 2 ... 4: kind = .watch(WatchKind(rawValue: UInt8(parts[0])) ?? .access)
            default: return nil
            }
            return DebugBreakpoint(kind: kind, address: parts[1], length: parts[2])
        }
    }

    /// The descriptors that the next program needs.
    var descriptors: [Int32] { [connection, listener] + (parent.map { [$0.gate] } ?? []) }

    /// Lets them survive an exec, or not.
    func keepOpen(_ keeps: Bool) {
        for descriptor in descriptors where descriptor >= 0 { _ = fcntl(descriptor, F_SETFD, keeps ? 0 : FD_CLOEXEC) }
    }
}

extension GuestDebugger {
    /// What a program that this one executes is told of the session; nil: there is none, or the debugger would not
    /// understand.
    func inheritance() -> SessionInheritance? {
        let (descriptor, listener) = connection.withLock { $0 }
        guard descriptor >= 0 else { return nil }
        return state.withLock { state in
            guard state.isAttached, state.events.contains(.execution) else { return nil }
            return SessionInheritance(connection: descriptor, listener: listener, events: state.events, passed: state.passed,
                                      caught: state.caught, parent: state.parent)
        }
    }

    /// In the process that the session goes on in.
    func adopt(_ session: SessionInheritance) {
        for descriptor in session.descriptors { PrivateDescriptors.add(descriptor) }
        state.withLock { state in
            state.isAttached = true
            state.events = session.events
            state.passed = session.passed
            state.caught = session.caught
            state.parent = session.parent
            state.breakpoints = session.breakpoints
        }
        session.keepOpen(false)
    }
}
