// `-netdev stream`, and `-netdev socket` with listen= and connect=: frames over a stream socket, each behind its length in four
// bytes, the highest first. One peer at a time.

import CHost
import Core
import Glibc
import Host
import Sockets

public final class StreamPort: NetworkPort, @unchecked Sendable {
    private let loop: EventLoop
    private let card: CardSide
    private let clock: MachineClock
    private let address: SocketAddress
    private let isServer: Bool
    /// Milliseconds after which a lost connection is made again; 0: not.
    private let retry: Int
    private let type: String

    // Invariant: touched on the loop's thread only, once `init` is over.
    private var listeners: [Watch] = []
    private var peer: Peer?
    private var retryTimer: MachineTimer?
    private let peerName = Locked("")

    /// `addr.*`, `server`, `reconnect` (seconds), `reconnect-ms`
    static func open(_ options: inout OptionValues, loop: EventLoop) throws(ConfigurationError) -> StreamPort {
        let address = try takeAddress(&options, "addr")
        let isServer = try options.flag("server", default: false)
        let seconds = try options.number("reconnect", in: 0 ... 1_000_000), milliseconds = try options.number("reconnect-ms", in: 0 ... 1_000_000_000)
        guard !isServer || seconds == nil && milliseconds == nil else { throw ConfigurationError("\(options.owner): 'reconnect' does not go with server=on") }
        return try StreamPort("stream", address, isServer: isServer, retry: milliseconds ?? (seconds ?? 0) * 1000, owner: options.owner, loop: loop)
    }

    /// `NAME.type` and what belongs to it.
    static func takeAddress(_ options: inout OptionValues, _ name: String) throws(ConfigurationError) -> SocketAddress {
        let type = try options.require(name + ".type")
        switch type {
        case "inet":
            let host = options.take(name + ".host") ?? "", port = try options.require(name + ".port")
            return .inet(host: host, port: port)
        case "unix": return .unix(path: try options.require(name + ".path"))
        case "fd":
            let text = try options.require(name + ".str")
            guard let number = Int32(text), number >= 0 else { throw ConfigurationError("\(options.owner): '\(name).str' is '\(text)', expected a descriptor's number") }
            return .descriptor(number)
        default: throw ConfigurationError("\(options.owner): '\(name).type' is '\(type)', expected inet, unix or fd")
        }
    }

    init(_ type: String, _ address: SocketAddress, isServer: Bool, retry: Int = 0, owner: String, loop: EventLoop) throws(ConfigurationError) {
        self.type = type
        self.address = address
        self.isServer = isServer
        self.retry = retry
        self.loop = loop
        card = CardSide(loop: loop)
        clock = MachineClock(loop: loop)
        clock.start()
        card.drained.withLock { $0 = { [weak self] in self?.peer?.goOn() } }
        do throws(SocketError) {
            if isServer {
                let descriptors = try address.listen()
                for descriptor in descriptors {
                    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
                    if let watch = loop.watch(descriptor, for: .read, { [weak self] _ in self?.accept(descriptor) }) { listeners.append(watch) }
                }
            } else {
                let descriptor = try address.connect(seconds: 10)
                loop.submit { [weak self] in self?.connected(descriptor) }
            }
        } catch {
            guard retry > 0 else { throw ConfigurationError("\(owner): \(error)") }
            loop.submit { [weak self] in self?.retryLater() }
        }
    }

    deinit {
        for watch in listeners {
            watch.cancel()
            close(watch.descriptor)
        }
        if isServer { address.cleanUp() }
    }

    private func accept(_ listener: Int32) {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        connected(descriptor)
        // The next one waits until this one is gone.
        for watch in listeners { watch.wait(for: []) }
    }

    private func connected(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        peer = Peer(descriptor, loop: loop, card: card) { [weak self] in self?.lost() }
        peerName.withLock { $0 = "\(address)" }
    }

    private func lost() {
        peer = nil
        peerName.withLock { $0 = "" }
        if isServer { for watch in listeners { watch.wait(for: .read) } } else if retry > 0 { retryLater() }
    }

    private func retryLater() {
        let timer = clock.timer { [weak self] in self?.tryAgain() }
        timer.arm(at: clock.now &+ UInt64(retry) * 1_000_000)
        retryTimer = timer
    }

    private func tryAgain() {
        // Looking up a name and connecting may take long: not on the loop.
        let address = address, loop = loop
        let finish: @Sendable (Int32?) -> Void = { [weak self] descriptor in
            guard let self else {
                if let descriptor { close(descriptor) }
                return
            }
            if let descriptor { connected(descriptor) } else { retryLater() }
        }
        let isStarted = BackgroundThread.start {
            let descriptor: Int32? = try? address.connect(seconds: 10)
            loop.submit { finish(descriptor) }
        }
        if !isStarted { retryLater() }
    }

    // MARK: NetworkPort

    public func send(_ frame: UnsafeRawBufferPointer) {
        if loop.isCurrent { return peer?.send(frame) ?? () }
        let copy = [UInt8](frame)
        loop.submit { [weak self] in copy.withUnsafeBytes { self?.peer?.send($0) } }
    }

    public func attach(_ handlers: NetworkHandlers?) { card.attach(handlers) }
    public func resume() { card.resume() }
    public var isLinkUp: Bool { true }
    public var description: String {
        let name = peerName.withLock { $0 }
        return "index=0,type=\(type)," + (name.isEmpty ? (isServer ? "listening on \(address)" : "not connected") : isServer ? "connected at \(name)" : "connected to \(name)")
    }

    // MARK: a connection

    /// Invariant: on the loop's thread only.
    private final class Peer: @unchecked Sendable {
        private let descriptor: Int32
        private let card: CardSide
        private let lost: () -> Void
        private var watch: Watch?
        private var input: [UInt8] = []
        private var output: [UInt8] = []
        private var chunk = [UInt8](repeating: 0, count: 65536)
        private var isOver = false
        /// More than any card sends.
        private static let largestFrame = 1 << 17
        private static let outputLimit = 1 << 20

        init(_ descriptor: Int32, loop: EventLoop, card: CardSide, lost: @escaping () -> Void) {
            self.descriptor = descriptor
            self.card = card
            self.lost = lost
            watch = loop.watch(descriptor, for: .read) { [weak self] in self?.happened($0) }
        }

        deinit {
            watch?.cancel()
            close(descriptor)
        }

        private func end() {
            guard !isOver else { return }
            isOver = true
            watch?.cancel()
            lost()
        }

        private func happened(_ readiness: Readiness) {
            if readiness.contains(.write) { flush() }
            if readiness.contains(.read) || readiness.contains(.hangUp) { receive() }
            rewatch()
        }

        private func rewatch() {
            guard !isOver else { return }
            watch?.wait(for: (card.isFull ? [] : Readiness.read).union(output.isEmpty ? [] : Readiness.write))
        }

        private func receive() {
            guard !isOver, !card.isFull else { return }
            let count = read(descriptor, &chunk, chunk.count)
            if count > 0 {
                input += chunk[..<count]
                takeFrames()
            } else if count == 0 || errno != EAGAIN && errno != EINTR {
                end()
            }
        }

        /// The card has room again.
        func goOn() {
            takeFrames()
            rewatch()
        }

        private func takeFrames() {
            var at = 0
            while !card.isFull, input.count - at >= 4 {
                let length = input[at ..< at + 4].reduce(0) { $0 << 8 | Int($1) }
                guard length <= Self.largestFrame else { return end() }
                guard input.count - at - 4 >= length else { break }
                input.withUnsafeBytes { bytes in
                    if length > 0 { card.deliver(UnsafeRawBufferPointer(rebasing: bytes[(at + 4) ..< (at + 4 + length)])) }
                }
                at += 4 + length
            }
            if at == input.count { input.removeAll(keepingCapacity: true) } else if at > 0 { input.removeFirst(at) }
        }

        func send(_ frame: UnsafeRawBufferPointer) {
            guard !isOver, frame.count <= Self.largestFrame else { return }
            var header = UInt32(frame.count).bigEndian
            guard output.isEmpty else {
                // A peer that does not read loses whole frames.
                guard output.count < Self.outputLimit else { return }
                withUnsafeBytes(of: header) { output += $0 }
                output += frame
                return
            }
            let total = 4 + frame.count
            let done = withUnsafeMutableBytes(of: &header) { head in
                var parts = [iovec(iov_base: head.baseAddress, iov_len: 4), iovec(iov_base: UnsafeMutableRawPointer(mutating: frame.baseAddress), iov_len: frame.count)]
                return parts.withUnsafeMutableBufferPointer { parts in
                    var message = msghdr()
                    message.msg_iov = parts.baseAddress
                    message.msg_iovlen = 2
                    return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
                }
            }
            if done < 0, errno != EAGAIN, errno != EINTR { return end() }
            let sent = max(done, 0)
            guard sent < total else { return }
            withUnsafeBytes(of: header) { if sent < 4 { output += $0[sent...] } }
            output += frame[max(0, sent - 4)...]
            rewatch()
        }

        private func flush() {
            guard !isOver, !output.isEmpty else { return }
            let done = output.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if done > 0 { output.removeFirst(min(done, output.count)) } else if done < 0, errno != EAGAIN, errno != EINTR { end() }
        }
    }
}
