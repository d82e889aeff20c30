// Accepts connections on the sockets of one address until it is stopped.

import CHost
import Glibc
import Host

/// A listening address.
public final class Listener: Sendable {
    public let address: SocketAddress
    private let descriptors: [Int32]
    /// Written to when it is time to stop.
    private let wake: (read: Int32, write: Int32)
    private let isOver = Waiting(true)

    /// Listens from now on; connections wait until `start`.
    public init(_ address: SocketAddress) throws(SocketError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SocketError("a pipe", number: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        wake = (ends[0], ends[1])
        do {
            descriptors = try address.listen()
        } catch {
            close(ends[0])
            close(ends[1])
            throw error
        }
        var shown = address
        if case .inet(let host, "0") = address, let first = descriptors.first, case .inet(_, let port)? = SocketAddress.local(first) {
            shown = .inet(host: host, port: port)
        }
        self.address = shown
    }
    deinit {
        for descriptor in descriptors { close(descriptor) }
        close(wake.read)
        close(wake.write)
    }

    /// Gives each connection to `body`, on the listener's own thread.
    public func start(_ body: @escaping @Sendable (Channel) -> Void) throws(SocketError) {
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) }
        isOver.change { $0 = false }
        guard BackgroundThread.start({ [self] in serve(body) }) else {
            isOver.change { $0 = true }
            throw SocketError("the host gives no thread to listen on")
        }
    }

    private func serve(_ body: @Sendable (Channel) -> Void) {
        defer { isOver.change { $0 = true } }
        var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) } + [pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0)]
        while true {
            if poll(&entries, nfds_t(entries.count), -1) < 0 {
                if errno == EINTR { continue }
                return
            }
            if entries[entries.count - 1].revents != 0 { return }
            for entry in entries.dropLast() where entry.revents != 0 {
                let connection = accept(entry.fd, nil, nil)
                guard connection >= 0 else {
                    // No descriptors left: others may give some back.
                    if errno == EMFILE || errno == ENFILE || errno == ENOMEM { usleep(100_000) }
                    continue
                }
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                _ = fcntl(connection, F_SETFL, fcntl(connection, F_GETFL) & ~O_NONBLOCK)
                if case .inet = address { SocketAddress.setOption(connection, Int32(IPPROTO_TCP), TCP_NODELAY) }
                body(Channel(connection))
            }
        }
    }

    /// Accepts nothing more, and returns when `body` is not running any more. Not to be called from it.
    public func stop() {
        var byte: UInt8 = 0
        _ = write(wake.write, &byte, 1)
        _ = isOver.wait { $0 ? true : nil }
        address.cleanUp()
    }
}
