// The bytes of one connection that have been received and not yet understood. Touched by one thread at a time: the one
// that reads requests (ServerSession).
// Unsafe code; invariant: start ≤ end ≤ capacity, and nobody keeps a pointer from `take` across a call of `fill`.

import Glibc
import Sockets

final class Incoming: @unchecked Sendable {
    static let capacity = 256 << 10
    private let channel: Channel
    private let base = UnsafeMutableRawPointer.allocate(byteCount: Incoming.capacity, alignment: 4096)
    private var start = 0
    private var end = 0

    init(_ channel: Channel) { self.channel = channel }
    deinit { base.deallocate() }

    var available: Int { end - start }

    /// Receives until `count` bytes (at most half the capacity) are there; false if the peer ended before the first.
    func fill(_ count: Int) throws(SocketError) -> Bool {
        if Incoming.capacity - start < count || start == end {
            memmove(base, base + start, available)
            end -= start
            start = 0
        }
        while available < count {
            let received = try channel.receive(UnsafeMutableRawBufferPointer(start: base + end, count: Incoming.capacity - end))
            if received == 0 {
                if available == 0 { return false }
                throw SocketError("the connection ended inside a message")
            }
            end += received
        }
        return true
    }

    /// `count` bytes that are known to be there.
    func take(_ count: Int) -> UnsafeMutableRawPointer {
        let pointer = base + start
        start += min(count, available)
        return pointer
    }

    /// Fills `memory`, first with what is there already.
    func copy(to memory: UnsafeMutableRawBufferPointer) throws(SocketError) {
        let first = min(available, memory.count)
        if first > 0, let target = memory.baseAddress { memcpy(target, take(first), first) }
        guard first < memory.count else { return }
        guard try channel.receive(all: UnsafeMutableRawBufferPointer(rebasing: memory[first...])) else {
            throw SocketError("the connection ended inside a message")
        }
    }

    /// Reads over `count` bytes.
    func skip(_ count: Int) throws(SocketError) {
        var left = count
        while left > 0 {
            if available == 0, !(try fill(1)) { throw SocketError("the connection ended inside a message") }
            let part = min(left, available)
            _ = take(part)
            left -= part
        }
    }
}
