// A stream over a stream socket: TCP or Unix, waiting for a client or connecting to a server, one peer at a time.

import Core
import Glibc
import Host

/// Where a socket is.
public enum SocketPlace: Sendable, Equatable {
    case tcp(host: String, port: String)
    case unix(path: String)
    /// A descriptor that was handed over: a listening socket or a connected one.
    case descriptor(Int32)
}

/// Settings of a socket stream.
public struct SocketSettings: Sendable {
    public var place: SocketPlace
    /// Waits for clients instead of connecting.
    public var isServer: Bool
    /// As a server: the constructor returns only when the first client is there.
    public var waits: Bool
    /// As a client: seconds after which a lost connection is made again; 0: not.
    public var reconnect: UInt64
    public var noDelay: Bool

    public init(_ place: SocketPlace, isServer: Bool, waits: Bool = false, reconnect: UInt64 = 0, noDelay: Bool = true) {
        self.place = place
        self.isServer = isServer
        self.waits = waits
        self.reconnect = reconnect
        self.noDelay = noDelay
    }
}

public final class SocketStream: PlacedStream, BreakableStream, @unchecked Sendable {
    private struct State: Sendable {
        var inner: DescriptorStream?
        var handlers: CharacterHandlers?
        var watch: Watch?
        var timer: MachineTimer?
    }

    public let description: String
    private let settings: SocketSettings
    private let loop: EventLoop
    private let listener: Int32
    private let state = Locked(State())
    private let clock: MachineClock

    public init(_ settings: SocketSettings, loop: EventLoop) throws(ConfigurationError) {
        self.settings = settings
        self.loop = loop
        description = Self.name(settings)
        clock = MachineClock(loop: loop)
        clock.start()
        if settings.isServer {
            listener = try Self.open(settings.place, listens: true)
            if settings.waits {
                let client = accept(listener, nil, nil)
                if client >= 0 { connected(client) }
            }
            let watch = loop.watch(listener, for: .read) { [weak self] _ in self?.accepted() }
            state.withLock { $0.watch = watch }
            if isConnected { watch?.wait(for: []) }
        } else {
            listener = -1
            do throws(ConfigurationError) { connected(try Self.open(settings.place, listens: false)) } catch {
                guard settings.reconnect > 0 else { throw error }
                retryLater()
            }
        }
    }

    deinit {
        state.withLock { $0.watch }?.cancel()
        if listener >= 0 { close(listener) }
        if settings.isServer, case .unix(let path) = settings.place { unlink(path) }
    }

    /// At the end of the process.
    public func removePath() { if settings.isServer, case .unix(let path) = settings.place { unlink(path) } }

    private static func name(_ settings: SocketSettings) -> String {
        let suffix = settings.isServer ? ",server=on" : ""
        switch settings.place {
        case .tcp(let host, let port): return "tcp:\(host):\(port)\(suffix)"
        case .unix(let path): return "unix:\(path)\(suffix)"
        case .descriptor(let number): return "fd:\(number)\(suffix)"
        }
    }

    private var isConnected: Bool { state.withLock { $0.inner?.isConnected ?? false } }

    // MARK: sockets

    private static func open(_ place: SocketPlace, listens: Bool) throws(ConfigurationError) -> Int32 {
        switch place {
        case .descriptor(let number):
            guard fcntl(number, F_GETFD) >= 0 else { throw ConfigurationError("chardev: descriptor \(number) is not open") }
            return number
        case .unix(let path): return try openUnix(path, listens)
        case .tcp(let host, let port): return try openTCP(host, port, listens)
        }
    }

    private static func openUnix(_ path: String, _ listens: Bool) throws(ConfigurationError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw ConfigurationError("socket '\(path)': the path is longer than \(MemoryLayout.size(ofValue: address.sun_path) - 1) bytes")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(path, "socket") }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        if listens { unlink(path) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { listens ? bind(descriptor, $0, size) : Glibc.connect(descriptor, $0, size) }
        }
        guard result == 0, !listens || listen(descriptor, 1) == 0 else {
            let error = failure(path, listens ? "bind" : "connect")
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func openTCP(_ host: String, _ port: String, _ listens: Bool) throws(ConfigurationError) -> Int32 {
        var hints = addrinfo(), list: UnsafeMutablePointer<addrinfo>?
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = listens ? AI_PASSIVE : 0
        let status = getaddrinfo(host.isEmpty ? (listens ? nil : "localhost") : host, port, &hints, &list)
        guard status == 0 else { throw ConfigurationError("socket '\(host):\(port)': \(String(cString: gai_strerror(status)))") }
        defer { freeaddrinfo(list) }
        var next = list, error = ConfigurationError("socket '\(host):\(port)': no address")
        while let entry = next {
            next = entry.pointee.ai_next
            let descriptor = socket(entry.pointee.ai_family, entry.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), entry.pointee.ai_protocol)
            guard descriptor >= 0 else { continue }
            var one: Int32 = 1
            if listens { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4) }
            let result = listens ? bind(descriptor, entry.pointee.ai_addr, entry.pointee.ai_addrlen)
                : Glibc.connect(descriptor, entry.pointee.ai_addr, entry.pointee.ai_addrlen)
            if result == 0, !listens || listen(descriptor, 1) == 0 { return descriptor }
            error = failure("\(host):\(port)", listens ? "bind" : "connect")
            close(descriptor)
        }
        throw error
    }

    private static func failure(_ place: String, _ what: String) -> ConfigurationError {
        ConfigurationError("socket '\(place)': \(what): \(String(cString: strerror(errno)))")
    }

    // MARK: peers

    private func accepted() {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        guard !isConnected else {
            close(client)
            return
        }
        state.withLock { $0.watch }?.wait(for: [])
        connected(client)
    }

    private func connected(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        if settings.noDelay, case .tcp = settings.place {
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        }
        let inner = DescriptorStream(description, loop: loop, input: descriptor, output: descriptor, ownsDescriptors: true) { [weak self] in self?.lost() }
        let handlers = state.withLock { state in
            state.inner = inner
            return state.handlers
        }
        inner.attach(handlers)
    }

    private func lost() {
        if settings.isServer {
            state.withLock { $0.watch }?.wait(for: .read)
        } else if settings.reconnect > 0 {
            retryLater()
        }
    }

    private func retryLater() {
        let timer = clock.timer { [weak self] in
            guard let self, !isConnected else { return }
            do throws(ConfigurationError) { connected(try Self.open(settings.place, listens: false)) } catch { retryLater() }
        }
        timer.arm(at: clock.now + settings.reconnect * 1_000_000_000)
        state.withLock { $0.timer = timer }
    }

    // MARK: CharacterStream

    public func send(_ bytes: ArraySlice<UInt8>) -> Int { state.withLock { $0.inner }?.send(bytes) ?? bytes.count }
    public func comeBreak() { state.withLock { $0.handlers }?.event(.interrupted) }

    public func attach(_ handlers: CharacterHandlers?) {
        let inner = state.withLock { state in
            state.handlers = handlers
            return state.inner
        }
        inner?.attach(handlers)
    }
    public func resume() { state.withLock { $0.inner }?.resume() }
}
