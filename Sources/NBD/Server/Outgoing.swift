// Replies of one worker that have not been sent yet: small ones are gathered, so that a client with many requests in flight
// gets many replies at once.
// Unsafe code; invariant: count ≤ capacity, and a pointer from `reserve` is used before the next call.

import Block
import Glibc
import Host
import Sockets

final class Outgoing: @unchecked Sendable {
    private static let usual = 256 << 10
    private let channel: Channel
    private let sending: Locked<Void>
    private var buffer: OwnedBuffer
    private(set) var count = 0

    init(_ channel: Channel, sending: Locked<Void>) throws(BlockError) {
        self.channel = channel
        self.sending = sending
        buffer = try OwnedBuffer(Outgoing.usual)
    }

    /// Room for `room` bytes behind what is there; what is there may be sent first.
    func reserve(_ room: Int) throws(SocketError) -> UnsafeMutableRawPointer {
        if buffer.buffer.count - count < room {
            try flush()
            if buffer.buffer.count < room {
                do { buffer = try OwnedBuffer(room) } catch { throw SocketError(error.text) }
            }
        }
        return buffer.buffer.base + count
    }

    /// What was written into the room of the last `reserve`.
    func commit(_ bytes: Int) { count = min(buffer.buffer.count, count + max(0, bytes)) }

    /// Sends all.
    func flush() throws(SocketError) {
        if count > 0 {
            let bytes = UnsafeRawBufferPointer(start: buffer.buffer.base, count: count)
            count = 0
            try sending.withLock { (_) throws(SocketError) in try channel.send(bytes) }
        }
        // Nobody keeps the memory of one large request.
        if buffer.buffer.count > Outgoing.usual, let small = try? OwnedBuffer(Outgoing.usual) { buffer = small }
    }
}
