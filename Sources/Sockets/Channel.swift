// A connected stream: a socket, plain or inside TLS. One thread may receive while another sends.
// Unsafe code of this module: raw memory is given by callers, who keep it for the length of a call.
// Invariants: `session` is set once, before the channel is shared between threads; GnuTLS is called under `tls` only.

import CHost
import Glibc
import Host

/// A connected stream socket.
public final class Channel: @unchecked Sendable {
    private let descriptor: Int32
    private var session: UnsafeMutableRawPointer?
    private var credentials: TLSCredentials?
    private let tls = Locked(())
    /// Seconds of a monotonic clock at which receiving and sending give up.
    private let deadline = Locked(Double.infinity)

    /// - Parameter descriptor: becomes the channel's, which closes it when it goes away.
    public init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit {
        if let session { apus_tls_close(session) }
        Glibc.close(descriptor)
    }

    /// The other side's address, where it has one.
    public var peer: SocketAddress? { SocketAddress.peer(descriptor) }

    /// Whether it is inside TLS.
    public var isSecure: Bool { session != nil }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// From now on, no call waits longer than `seconds` from now in all; nil: as long as it takes.
    public func setDeadline(_ seconds: Double?) { deadline.withLock { $0 = seconds.map { Channel.now() + $0 } ?? .infinity } }

    /// Ends both directions: threads that wait in `receive` or `send` come back.
    public func shutDown() { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Ends in order: what was sent arrives.
    public func finish() {
        if let session { tls.withLock { _ in apus_tls_goodbye(session) } }
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    // MARK: TLS

    /// Shakes hands. Called while one thread alone has the channel.
    /// - Parameter host: a client's: the name that the server's certificate must have.
    public func secure(_ credentials: TLSCredentials, host: String?, seconds: Double = 30) throws(SocketError) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        var text = [CChar](repeating: 0, count: Int(APUS_TLS_TEXT))
        let made = credentials.priority.withCString { priority in
            TLSCredentials.withOptional(host) { host in
                apus_tls_session(credentials.pointer, descriptor, priority, host, credentials.verifiesPeer ? 1 : 0, seconds, &text)
            }
        }
        guard let made else { throw SocketError(TLSCredentials.string(text)) }
        session = made
        self.credentials = credentials
    }

    // MARK: Bytes

    private func wait(_ events: Int16) throws(SocketError) {
        let limit = deadline.withLock { $0 }
        guard Polling.wait(descriptor, events, seconds: limit.isFinite ? limit - Channel.now() : .infinity) else {
            throw SocketError("the peer did not answer in time", number: 0)
        }
    }

    /// Receives at least one byte; 0: the peer has ended.
    public func receive(_ memory: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int {
        guard let base = memory.baseAddress, memory.count > 0 else { return 0 }
        if deadline.withLock({ $0.isFinite }), session == nil { try wait(Int16(POLLIN)) }
        while true {
            if let session {
                let (result, wantsWrite) = tls.withLock { _ in
                    let result = apus_tls_receive(session, base, memory.count)
                    return (result, apus_tls_wants_write(session) != 0)
                }
                if result >= 0 { return result }
                guard result == Int(APUS_TLS_AGAIN) else { throw SocketError("TLS: the connection is broken") }
                try wait(Int16(wantsWrite ? POLLOUT : POLLIN))
                continue
            }
            let result = recv(descriptor, base, memory.count, 0)
            if result >= 0 { return result }
            if errno == EINTR { continue }
            if errno == EAGAIN { try wait(Int16(POLLIN)); continue }
            throw SocketError("receiving", number: errno)
        }
    }

    /// Fills the memory; false if the peer ended before the first byte.
    public func receive(all memory: UnsafeMutableRawBufferPointer) throws(SocketError) -> Bool {
        var done = 0
        while done < memory.count {
            let count = try receive(UnsafeMutableRawBufferPointer(rebasing: memory[done...]))
            if count == 0 {
                if done == 0 { return false }
                throw SocketError("the connection ended inside a message")
            }
            done += count
        }
        return true
    }

    /// Sends all of it. One thread at a time.
    public func send(_ memory: UnsafeRawBufferPointer) throws(SocketError) {
        guard let base = memory.baseAddress else { return }
        var done = 0
        while done < memory.count {
            if let session {
                let (result, wantsWrite) = tls.withLock { _ in
                    let result = apus_tls_send(session, base + done, memory.count - done)
                    return (result, apus_tls_wants_write(session) != 0)
                }
                if result > 0 { done += result; continue }
                guard result == Int(APUS_TLS_AGAIN) else { throw SocketError("TLS: the connection is broken") }
                try wait(Int16(wantsWrite ? POLLOUT : POLLIN))
                continue
            }
            let result = Glibc.send(descriptor, base + done, memory.count - done, Int32(MSG_NOSIGNAL))
            if result >= 0 { done += result; continue }
            if errno == EINTR { continue }
            if errno == EAGAIN { try wait(Int16(POLLOUT)); continue }
            throw SocketError("sending", number: errno)
        }
    }

    /// Sends a header and what follows it. One thread at a time.
    public func send(_ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) throws(SocketError) {
        guard session == nil, payload.count > 0 else {
            try send(header)
            return try send(payload)
        }
        var parts = (iovec(iov_base: UnsafeMutableRawPointer(mutating: header.baseAddress), iov_len: header.count),
                     iovec(iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress), iov_len: payload.count))
        let sent = withUnsafeMutablePointer(to: &parts) { pointer -> Int in
            var message = msghdr()
            message.msg_iov = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: iovec.self)
            message.msg_iovlen = 2
            return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
        }
        guard sent >= 0 || errno == EINTR || errno == EAGAIN else { throw SocketError("sending", number: errno) }
        let done = max(0, sent)
        if done < header.count { try send(UnsafeRawBufferPointer(rebasing: header[done...])) }
        let rest = max(0, done - header.count)
        if rest < payload.count { try send(UnsafeRawBufferPointer(rebasing: payload[rest...])) }
    }

    /// Sends bytes of an array. One thread at a time.
    public func send(_ bytes: [UInt8]) throws(SocketError) {
        try bytes.withUnsafeBufferPointer { (memory) throws(SocketError) in try send(UnsafeRawBufferPointer(memory)) }
    }

    /// Exactly `count` bytes. - Throws: also if the peer ends before.
    public func bytes(_ count: Int) throws(SocketError) -> [UInt8] {
        var array = [UInt8](repeating: 0, count: max(0, count))
        guard count > 0 else { return array }
        let complete = try array.withUnsafeMutableBufferPointer { (memory: inout UnsafeMutableBufferPointer<UInt8>) throws(SocketError) -> Bool in
            try receive(all: UnsafeMutableRawBufferPointer(memory))
        }
        guard complete else { throw SocketError("the peer has closed the connection") }
        return array
    }
}
