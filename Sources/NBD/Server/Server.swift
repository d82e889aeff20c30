// A server: exports by name, and the clients that are connected to them.

import Block
import Host
import Sockets

/// Where a handshake finds exports.
protocol ExportSource: Sendable {
    /// The empty name is the default export's.
    func export(named name: String) -> Export?
    /// In the order in which they were added.
    var all: [Export] { get }
}

/// An NBD server.
public final class Server: ExportSource {
    private struct State {
        var exports: [Export] = []
        var clients = 0
        /// Of those, how many are on their way out.
        var leaving = 0
        var channels: [ObjectIdentifier: Channel] = [:]
        var isStopped = false
    }
    private let state = Waiting(State())
    private let credentials: TLSCredentials?
    /// 0: any number.
    private let mostClients: Int
    private let handshakeSeconds: Double
    private let onLeave: (@Sendable (_ remaining: Int, _ negotiated: Bool) -> Void)?

    /// - Parameters: `credentials`: of a server; with them, clients must use TLS. `handshakeSeconds`: who has not chosen an
    ///   export by then is sent away; 0: nobody is. `onLeave`: called when a client has gone, with how many are left and
    ///   whether it had chosen an export.
    public init(credentials: TLSCredentials? = nil, mostClients: Int = 0, handshakeSeconds: Double = 10,
                onLeave: (@Sendable (Int, Bool) -> Void)? = nil) {
        self.credentials = credentials
        self.mostClients = mostClients
        self.handshakeSeconds = handshakeSeconds
        self.onLeave = onLeave
    }

    // MARK: Exports

    func export(named name: String) -> Export? { state.look { $0.exports.first { $0.name == name } } }
    public var all: [Export] { state.look { $0.exports } }

    public func add(_ export: Export) throws(BlockError) {
        let isNew = state.change { state in
            if state.exports.contains(where: { $0.name == export.name }) { return false }
            state.exports.append(export)
            return true
        }
        if !isNew { throw .invalid("NBD server already has export named '\(export.name)'") }
    }
    /// New clients do not find it any more; `Export.retire` sends away those that are there.
    public func remove(_ export: Export) { state.change { $0.exports.removeAll { $0 === export } } }

    // MARK: Clients

    /// Serves a connection, on threads of its own. Waits first while there are too many clients.
    public func admit(_ channel: Channel) {
        let isIn = state.wait { [mostClients] state -> Bool? in
            if state.isStopped { return false }
            guard mostClients == 0 || state.clients < mostClients else { return nil }
            state.clients += 1
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
        guard isIn == true else { return }
        let started = BackgroundThread.start { [self] in
            let negotiated = serve(channel)
            leave(channel, negotiated)
        }
        if !started { leave(channel, false) }
    }

    private func leave(_ channel: Channel, _ negotiated: Bool) {
        let remaining = state.look { state in
            state.channels[ObjectIdentifier(channel)] = nil
            state.leaving += 1
            return state.clients - state.leaving
        }
        // Told before the count changes: who waits for the last one to go finds everything said.
        onLeave?(remaining, negotiated)
        state.change { state in
            state.clients -= 1
            state.leaving -= 1
        }
    }

    /// Serves a connection on this thread until it ends; whether it came to an export.
    public func serve(_ channel: Channel) -> Bool {
        var handshake = ServerHandshake(channel, self, credentials)
        if handshakeSeconds > 0 { channel.setDeadline(handshakeSeconds) }
        guard let (export, agreement) = (try? handshake.run()) ?? nil else {
            channel.shutDown()
            return false
        }
        channel.setDeadline(nil)
        let session = ServerSession(channel, export, agreement)
        guard export.enter(session) else {
            channel.shutDown()
            return false
        }
        session.run()
        channel.finish()
        channel.shutDown()
        export.leave(session)
        return true
    }

    /// Serves a connection that needs no handshake, such as the kernel's, on this thread until it ends.
    public static func serve(_ channel: Channel, _ export: Export) {
        let session = ServerSession(channel, export, Agreement())
        guard export.enter(session) else { return }
        session.run()
        channel.shutDown()
        export.leave(session)
    }

    /// Admits nobody any more, sends all away, and returns when the last has gone.
    public func stop() {
        let channels = state.change { state in
            state.isStopped = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.shutDown() }
        _ = state.wait { $0.clients == 0 ? true : nil }
    }

    public var clientCount: Int { state.look { $0.clients } }
}
