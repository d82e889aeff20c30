// A VNC server: shows one console to any number of clients up to a limit, over RFB 3.3, 3.7 and 3.8 (RFC 6143).

import Core
import Glibc
import Host
import Sockets

/// What a server is started with.
public struct VNCSettings: Sendable {
    /// What a client that wants the screen for itself gets.
    public enum Sharing: String, Sendable { case allowExclusive = "allow-exclusive", forceShared = "force-shared", ignore }

    public enum Password: Sendable {
        case none
        /// Clients need one, and it has not been set: nobody gets in.
        case missing
        case given([UInt8])
    }

    public var id = "default"
    /// The first of them that is free is listened on.
    public var addresses: [SocketAddress] = []
    public var webSocket: SocketAddress?
    public var password = Password.none
    /// Clients have to use TLS, with these.
    public var credentials: TLSCredentials?
    public var sharing = Sharing.allowExclusive
    /// nil: the machine's first console.
    public var console: Console?
    public var name = "Apus"

    public init() {}
}

public final class VNCServer: Sendable {
    /// A client, as monitors show it.
    public struct ClientInfo: Sendable {
        /// nil: on a Unix socket.
        public var peer: SocketAddress?
        public var isWebSocket: Bool
        public var isSecure: Bool
        public var isShared: Bool
    }

    /// What happens to a client.
    public enum Event: String, Sendable {
        case connected = "VNC_CONNECTED"
        /// It has come in.
        case initialized = "VNC_INITIALIZED"
        case disconnected = "VNC_DISCONNECTED"
    }
    /// How clients show who they are.
    public enum Authentication: Sendable, Equatable {
        case none, password
        /// VeNCrypt with this subtype: `x509-none`, `x509-vnc`, `tls-none`, `tls-vnc`.
        case vencrypt(String)
    }

    private struct State: Sendable {
        var listener: (@Sendable (Event, ClientInfo) -> Void)?
        var clients: [VNCClient] = []
        var password: VNCSettings.Password
        /// Seconds of the host's real time after which no password is good.
        var expiry: Int?
    }

    static let maximumClients = 16

    public let settings: VNCSettings
    let screen: Screen
    let input: InputHub
    private let state: Locked<State>
    private let listener: Listener
    private let webListener: Listener?

    /// Listens from now on.
    public init(_ settings: VNCSettings, _ displays: DisplaySet) throws(SocketError) {
        guard settings.credentials?.kind != .psk else { throw SocketError("tls-creds: VeNCrypt knows no pre-shared keys, expected tls-creds-x509 or tls-creds-anon") }
        self.settings = settings
        input = displays.input
        screen = Screen(settings.console ?? displays.consoles.first)
        state = Locked(State(password: settings.password))
        listener = try Self.listen(settings.addresses)
        webListener = try settings.webSocket.map { (address) throws(SocketError) in try Listener(address) }
        try listener.start { [weak self] in self?.serve($0, isWebSocket: false) }
        try webListener?.start { [weak self] in self?.serve($0, isWebSocket: true) }
    }

    private static func listen(_ addresses: [SocketAddress]) throws(SocketError) -> Listener {
        var problem = SocketError("no address to listen on")
        for address in addresses { do throws(SocketError) { return try Listener(address) } catch { problem = error } }
        throw problem
    }

    /// Where it listens.
    public var address: SocketAddress { listener.address }
    public var webAddress: SocketAddress? { webListener?.address }
    public var clients: [ClientInfo] { state.withLock { $0.clients }.compactMap(\.info) }

    /// Ends all connections and listens no more.
    public func stop() {
        for client in state.withLock({ $0.clients }) { client.end() }
        listener.stop()
        webListener?.stop()
    }

    /// Calls `body` from clients' threads, for each thing that happens to one of them.
    public func onEvent(_ body: @escaping @Sendable (Event, ClientInfo) -> Void) { state.withLock { $0.listener = body } }
    func tell(_ event: Event, _ client: ClientInfo) { state.withLock { $0.listener }?(event, client) }

    public var authentication: Authentication {
        guard let credentials = settings.credentials else { return needsPassword ? .password : .none }
        return .vencrypt((credentials.kind == .x509 ? "x509-" : "tls-") + (needsPassword ? "vnc" : "none"))
    }

    // MARK: passwords

    /// Sets the password that clients from now on need; only on a server that asks for one.
    /// - Returns: false: it does not ask for passwords.
    public func setPassword(_ password: [UInt8]) -> Bool {
        state.withLock { state in
            if case .none = state.password { return false }
            state.password = .given(password)
            return true
        }
    }

    /// - Parameter seconds: of the host's real time (since 1970); nil: it is good for ever.
    public func expirePassword(at seconds: Int?) { state.withLock { $0.expiry = seconds } }

    var needsPassword: Bool { state.withLock { if case .none = $0.password { false } else { true } } }

    /// The password that is good now; nil: none is.
    var password: [UInt8]? {
        state.withLock { state in
            guard case .given(let password) = state.password, state.expiry.map({ time(nil) < $0 }) ?? true else { return nil }
            return password
        }
    }

    // MARK: clients

    private func serve(_ channel: Channel, isWebSocket: Bool) {
        let client = VNCClient(self, channel, isWebSocket: isWebSocket)
        let isWelcome = state.withLock { state in
            guard state.clients.count < Self.maximumClients else { return false }
            state.clients.append(client)
            return true
        }
        guard isWelcome else { return }
        if !BackgroundThread.start({ client.run() }) { forget(client) }
    }

    func forget(_ client: VNCClient) { state.withLock { state in state.clients.removeAll { $0 === client } } }

    /// A client has come through. - Returns: whether it may stay.
    func admit(_ client: VNCClient, isShared: Bool) -> Bool {
        let others = state.withLock { $0.clients }.filter { $0 !== client && $0.info != nil }
        switch settings.sharing {
        case .ignore: return true
        case .forceShared: return isShared
        case .allowExclusive:
            if isShared { return !others.contains { $0.info?.isShared == false } }
            for other in others { other.end() }
            return true
        }
    }
}
