// Serves sessions on a socket: one thread waits for the debugger's bytes and for the target's news.

import CHost
import Glibc

/// Where a debugger connects.
public enum RemoteAddress: Sendable, Equatable {
    case tcp(host: String, port: UInt16)
    case path(String)

    /// `PORT`, `HOST:PORT` or the path of a socket; nil for an empty text or a port that is none.
    public init?(parsing text: String) {
        guard !text.isEmpty else { return nil }
        if text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) {
            guard let port = UInt16(text) else { return nil }
            self = .tcp(host: "127.0.0.1", port: port)
            return
        }
        if !text.contains("/"), let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) {
            let host = String(text[..<colon])
            self = .tcp(host: host.isEmpty ? "0.0.0.0" : host, port: port)
            return
        }
        self = .path(text)
    }
}

/// What went wrong with the socket: one line.
public struct RemoteError: Error, Sendable {
    public let text: String
    init(_ text: String) { self.text = text }
}

public enum RemoteSocket {
    /// A socket that listens at `address`, closed by exec.
    public static func listen(at address: RemoteAddress) throws(RemoteError) -> Int32 {
        switch address {
        case .tcp(let host, let port):
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            guard inet_pton(AF_INET, host, &name.sin_addr) == 1 else { throw RemoteError("'\(host)' is not an IPv4 address") }
            return try open(AF_INET, "port \(port)") { descriptor in
                var on: Int32 = 1
                setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
                return withUnsafePointer(to: &name) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
            }
        case .path(let path):
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            let fits = withUnsafeMutableBytes(of: &name.sun_path) { room in
                guard path.utf8.count < room.count else { return false }
                room.copyBytes(from: path.utf8)
                return true
            }
            guard fits else { throw RemoteError("the name '\(path)' is too long for a socket") }
            // Only a socket that nobody listens on any more is replaced.
            var status = stat()
            if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
            return try open(AF_UNIX, path) { descriptor in
                withUnsafePointer(to: &name) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                    }
                }
            }
        }
    }

    private static func open(_ family: Int32, _ name: String, _ bind: (Int32) -> Int32) throws(RemoteError) -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0, bind(descriptor) == 0, Glibc.listen(descriptor, 1) == 0 else {
            let text = strerror(errno).map { String(cString: $0) } ?? "error"
            if descriptor >= 0 { close(descriptor) }
            throw RemoteError("cannot listen at \(name): \(text)")
        }
        return descriptor
    }
}

/// Carries packets between one connected debugger and a session.
package final class RemoteConnection {
    package let descriptor: Int32
    private var reader = PacketReader()
    private var lastPacket: [UInt8] = []

    package init(descriptor: Int32) {
        self.descriptor = descriptor
        var on: Int32 = 1
        // An error for a socket that is not TCP's does no harm.
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }

    /// Serves `session` until it ends or the debugger is gone.
    /// - Parameters:
    ///   - news: a descriptor that becomes readable when `takeStop` has something.
    ///   - first: a stop that the debugger is waiting to hear of.
    ///   - takeStop: why the target stopped, once.
    /// - Returns: how the session ended; nil: the connection was lost.
    package func serve(_ session: RemoteSession, news: Int32, first: Stop?, takeStop: () -> Stop?) -> RemoteSession.Ending? {
        defer { session.files.closeAll() }
        if let ending = session.ending { return ending }
        if let first, !send(session.didStop(first), session) { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            if session.isRunning, let stop = takeStop() {
                guard send(session.didStop(stop), session) else { return nil }
                if let ending = session.ending { return ending }
            }
            var wanted = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: news, events: Int16(POLLIN), revents: 0)]
            guard poll(&wanted, 2, -1) >= 0 || errno == EINTR else { return nil }
            if wanted[1].revents != 0 {
                var count: UInt64 = 0
                _ = read(news, &count, 8)
            }
            guard wanted[0].revents != 0 else { continue }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return nil }
            for byte in buffer[..<count] {
                guard let input = reader.take(byte) else { continue }
                guard handle(input, session) else { return nil }
                if let ending = session.ending { return ending }
            }
        }
    }

    /// - Returns: false if the connection is lost.
    private func handle(_ input: RemoteInput, _ session: RemoteSession) -> Bool {
        switch input {
        case .acknowledged: return true
        case .refused: return lastPacket.isEmpty || write(lastPacket)
        case .damaged: return session.events.contains(.noAcknowledgement) || write([UInt8(ascii: "-")])
        case .interrupt:
            if session.isRunning { session.target.interrupt() }
            return true
        case .packet(let packet):
            if !session.events.contains(.noAcknowledgement), !write([UInt8(ascii: "+")]) { return false }
            guard let answer = session.respond(to: packet) else { return true }
            return send(answer, session)
        }
    }

    private func send(_ payload: [UInt8], _ session: RemoteSession) -> Bool {
        let packet = PacketWriter.packet(payload)
        lastPacket = session.events.contains(.noAcknowledgement) ? [] : packet
        return write(packet)
    }

    private func write(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress.map { $0 + done }, bytes.count &- done, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done &+= count
        }
        return true
    }
}
