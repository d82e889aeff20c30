// Bytes in UDP datagrams (`-chardev udp`): what is sent goes to one address, what comes from there is received.

import Core
import Glibc
import Host

public final class DatagramStream: BreakableStream, @unchecked Sendable {
    private struct State: Sendable {
        var handlers: CharacterHandlers?
        /// Received and not taken yet.
        var early: [UInt8] = []
        var watch: Watch?
    }

    public let description: String
    private let loop: EventLoop
    private let descriptor: Int32
    private let state = Locked(State())

    public init(host: String, port: String, localHost: String = "", localPort: String = "0", loop: EventLoop) throws(ConfigurationError) {
        self.loop = loop
        description = "udp:\(host):\(port)"
        let remote = try Self.address(host.isEmpty ? "localhost" : host, port), local = try Self.address(localHost, localPort)
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        let isBound = Self.with(local) { bind(descriptor, $0, $1) } == 0
        guard descriptor >= 0, isBound, Self.with(remote, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
            let why = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw ConfigurationError("udp '\(host):\(port)': \(why)")
        }
        let watch = loop.watch(descriptor, for: .read) { [weak self] _ in self?.receive() }
        state.withLock { $0.watch = watch }
    }

    deinit {
        state.withLock { $0.watch }?.cancel()
        close(descriptor)
    }

    private static func address(_ host: String, _ port: String) throws(ConfigurationError) -> [UInt8] {
        var hints = addrinfo(), list: UnsafeMutablePointer<addrinfo>?
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        let status = getaddrinfo(host.isEmpty ? nil : host, port.isEmpty ? "0" : port, &hints, &list)
        guard status == 0, let found = list?.pointee, let address = found.ai_addr else { throw ConfigurationError("udp '\(host):\(port)': \(String(cString: gai_strerror(status)))") }
        defer { freeaddrinfo(list) }
        return Array(UnsafeRawBufferPointer(start: address, count: Int(found.ai_addrlen)))
    }

    private static func with(_ address: [UInt8], _ body: (UnsafePointer<sockaddr>?, socklen_t) -> Int32) -> Int32 {
        address.withUnsafeBytes { body($0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) }
    }

    /// One datagram, or what is left of the last one.
    private func receive() {
        let (handlers, rest) = state.withLock { ($0.handlers, $0.early) }
        guard let handlers else { return state.withLock { $0.watch }?.wait(for: []) ?? () }
        var bytes = rest
        if bytes.isEmpty {
            bytes = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { return }
            bytes.removeLast(bytes.count - count)
        }
        let room = max(0, handlers.capacity()), taken = Array(bytes.prefix(room))
        let left = Array(bytes.dropFirst(room))
        let watch = state.withLock { state in
            state.early = left
            return state.watch
        }
        watch?.wait(for: left.isEmpty ? .read : [])
        if !taken.isEmpty { handlers.receive(taken) }
    }

    public func send(_ bytes: ArraySlice<UInt8>) -> Int {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        return bytes.count
    }
    public func comeBreak() { state.withLock { $0.handlers }?.event(.interrupted) }

    public func attach(_ handlers: CharacterHandlers?) {
        state.withLock { $0.handlers = handlers }
        handlers?.event(.opened)
        resume()
    }
    public func resume() { loop.submit { [weak self] in self?.receive() } }
}
