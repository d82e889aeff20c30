// Where sockets connect to and listen: names as users write them, and QEMU's `SocketAddress` objects. Left out: vsock,
// the fields `keep-alive`, `mptcp` and `numeric`.

import CHost
import Core
import Glibc

/// What went wrong with a socket: one line.
public struct SocketError: Error, Sendable, Equatable, CustomStringConvertible {
    public var text: String
    /// The host's error number, 0 if it had no part in this.
    public var number: Int32

    public init(_ text: String, number: Int32 = 0) {
        self.text = number == 0 ? text : "\(text): \(String(cString: strerror(number)))"
        self.number = number
    }
    public var description: String { text }
}

/// The address of a stream socket.
public enum SocketAddress: Sendable, Equatable, CustomStringConvertible {
    /// A host (empty: any, or this one) and a port number or service name.
    case inet(host: String, port: String)
    case unix(path: String)
    /// An open descriptor, handed over by whoever started the process.
    case descriptor(Int32)

    public var description: String {
        switch self {
        case .inet(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        case .descriptor(let number): "descriptor \(number)"
        }
    }

    /// QEMU's object: `type`, and what belongs to it; in `wrapped` form, `data` holds that.
    public init(json: JSONValue) throws(SocketError) {
        let body = json["data"] ?? json
        func text(_ name: String) throws(SocketError) -> String {
            switch body[name] {
            case .text(let text): return text
            case .integer(let number): return String(number)
            default: throw SocketError("Parameter '\(name)' is missing")
            }
        }
        switch json["type"]?.string {
        case "inet": self = .inet(host: try text("host"), port: try text("port"))
        case "unix": self = .unix(path: try text("path"))
        case "fd":
            let word = try text("str")
            guard let number = Int32(word), number >= 0 else { throw SocketError("the descriptor '\(word)' is not a number") }
            self = .descriptor(number)
        case let other?: throw SocketError("socket type '\(other)' is not supported (inet, unix, fd are)")
        case nil: throw SocketError("Parameter 'type' is missing")
        }
    }

    public var json: JSONValue {
        switch self {
        case .inet(let host, let port): .object([.init("type", .text("inet")), .init("host", .text(host)), .init("port", .text(port))])
        case .unix(let path): .object([.init("type", .text("unix")), .init("path", .text(path))])
        case .descriptor(let number): .object([.init("type", .text("fd")), .init("str", .text(String(number)))])
        }
    }

    // MARK: Opening

    /// A connected socket. - Parameter seconds: how long to wait for the other side.
    public func connect(seconds: Double = 30) throws(SocketError) -> Int32 {
        switch self {
        case .descriptor(let number): return number
        case .unix:
            let descriptor = try SocketAddress.make(AF_UNIX, 0)
            let result = try withUnix { SocketAddress.connect(descriptor, $0, $1, seconds) }
            guard result == 0 else {
                close(descriptor)
                throw SocketError("Failed to connect to '\(self)'", number: result)
            }
            return descriptor
        case .inet:
            var last: Int32 = ECONNREFUSED
            for choice in try resolve(passive: false) {
                let descriptor = try SocketAddress.make(choice.family, choice.kind)
                last = choice.withAddress { SocketAddress.connect(descriptor, $0, $1, seconds) }
                if last == 0 {
                    SocketAddress.setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
                    return descriptor
                }
                close(descriptor)
            }
            throw SocketError("Failed to connect to '\(self)'", number: last)
        }
    }

    /// Sockets that listen: one for each address that the name stands for.
    public func listen() throws(SocketError) -> [Int32] {
        switch self {
        case .descriptor(let number): return [number]
        case .unix(let path):
            // A socket that nobody listens on any more is in the way; any other file is not ours to remove.
            var info = stat()
            if lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFSOCK {
                if let busy = try? connect(seconds: 1) {
                    close(busy)
                    throw SocketError("Failed to bind socket to \(path)", number: EADDRINUSE)
                }
                unlink(path)
            }
            let descriptor = try SocketAddress.make(AF_UNIX, 0)
            let result = try withUnix { bind(descriptor, $0, $1) == 0 && Glibc.listen(descriptor, 128) == 0 ? 0 : errno }
            guard result == 0 else {
                close(descriptor)
                throw SocketError("Failed to bind socket to \(path)", number: result)
            }
            return [descriptor]
        case .inet:
            var descriptors: [Int32] = []
            var last: Int32 = EADDRNOTAVAIL
            for choice in try resolve(passive: true) {
                guard let descriptor = try? SocketAddress.make(choice.family, choice.kind) else { continue }
                SocketAddress.setOption(descriptor, SOL_SOCKET, SO_REUSEADDR)
                // So that `::` and `0.0.0.0` can both be had.
                if choice.family == AF_INET6 { SocketAddress.setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY) }
                let result = choice.withAddress { bind(descriptor, $0, $1) == 0 && Glibc.listen(descriptor, 128) == 0 ? 0 : errno }
                if result == 0 { descriptors.append(descriptor) } else { last = result; close(descriptor) }
            }
            if descriptors.isEmpty { throw SocketError("Failed to listen on '\(self)'", number: last) }
            return descriptors
        }
    }

    /// Removes what listening left in the file system.
    public func cleanUp() { if case .unix(let path) = self { unlink(path) } }

    /// The address that a listening socket has: the port, if the host chose it.
    public static func local(_ descriptor: Int32) -> SocketAddress? { name(descriptor, getsockname) }
    /// The address of the other side of a connection, where it has one.
    public static func peer(_ descriptor: Int32) -> SocketAddress? { name(descriptor, getpeername) }

    private static func name(_ descriptor: Int32, _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: 1025), port = [CChar](repeating: 0, count: 32)
        let family = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> Int32? in
                guard ask(descriptor, address, &length) == 0 else { return nil }
                if address.pointee.sa_family == sa_family_t(AF_UNIX) { return AF_UNIX }
                guard getnameinfo(address, length, &host, socklen_t(host.count), &port, socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV) == 0 else { return nil }
                return AF_INET
            }
        }
        guard let family, family == AF_INET else { return nil }
        func string(_ text: [CChar]) -> String { String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
        return .inet(host: string(host), port: string(port))
    }

    // MARK: Pieces

    private struct Choice {
        var family: Int32
        var kind: Int32
        var bytes: [UInt8]
        func withAddress(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            bytes.withUnsafeBytes { raw in
                guard let base = raw.baseAddress else { return EINVAL }
                return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
            }
        }
    }

    private func resolve(passive: Bool) throws(SocketError) -> [Choice] {
        guard case .inet(let host, let port) = self else { return [] }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = passive ? AI_PASSIVE : AI_ADDRCONFIG
        var found: UnsafeMutablePointer<addrinfo>?
        let result = host.isEmpty ? getaddrinfo(nil, port, &hints, &found) : getaddrinfo(host, port, &hints, &found)
        guard result == 0 else { throw SocketError("address resolution failed for \(self): \(String(cString: gai_strerror(result)))") }
        defer { freeaddrinfo(found) }
        var choices: [Choice] = []
        var next = found
        while let item = next?.pointee {
            if let address = item.ai_addr {
                choices.append(Choice(family: item.ai_family, kind: item.ai_protocol,
                                      bytes: Array(UnsafeRawBufferPointer(start: UnsafeRawPointer(address), count: Int(item.ai_addrlen)))))
            }
            next = item.ai_next
        }
        return choices
    }

    private func withUnix(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) throws(SocketError) -> Int32 {
        guard case .unix(let path) = self else { return EINVAL }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.contains(0) else {
            throw SocketError("the path of the socket '\(path)' is not from 1 to \(MemoryLayout.size(ofValue: address.sun_path) - 1) bytes long")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    private static func make(_ family: Int32, _ kind: Int32) throws(SocketError) -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), kind)
        guard descriptor >= 0 else { throw SocketError("Failed to create a socket", number: errno) }
        return descriptor
    }

    static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32 = 1) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// 0, or an error number.
    private static func connect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t, _ seconds: Double) -> Int32 {
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        defer { _ = fcntl(descriptor, F_SETFL, flags) }
        if Glibc.connect(descriptor, address, length) == 0 { return 0 }
        guard errno == EINPROGRESS || errno == EINTR else { return errno }
        guard Polling.wait(descriptor, Int16(POLLOUT), seconds: seconds) else { return ETIMEDOUT }
        var result: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &result, &size) == 0 ? result : errno
    }
}

/// Waiting for descriptors.
enum Polling {
    /// Whether one of the events, or an error, came in time.
    static func wait(_ descriptor: Int32, _ events: Int16, seconds: Double = .infinity) -> Bool {
        let milliseconds: Int32 = seconds.isFinite ? Int32(max(0, min(seconds, 1_000_000)) * 1000) + 1 : -1
        while true {
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let result = poll(&entry, 1, milliseconds)
            if result < 0, errno == EINTR { continue }
            return result != 0
        }
    }
}
