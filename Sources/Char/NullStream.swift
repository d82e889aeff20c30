// Streams that lead nowhere, or into memory.

import Core
import Host

/// Takes everything and says nothing.
public final class NullStream: BreakableStream {
    private let handlers = Locked<CharacterHandlers?>(nil)
    public init() {}
    public var description: String { "null" }
    public func send(_ bytes: ArraySlice<UInt8>) -> Int { bytes.count }
    public func comeBreak() { handlers.withLock { $0 }?.event(.interrupted) }
    public func attach(_ new: CharacterHandlers?) {
        handlers.withLock { $0 = new }
        new?.event(.opened)
    }
    public func resume() {}
}

/// Keeps the last bytes that were sent, for `ringbuf-read`.
public final class RingStream: RingBuffer, BreakableStream {
    private struct Ring: Sendable {
        var bytes: [UInt8] = []
        var handlers: CharacterHandlers?
    }

    private let ring = Locked(Ring())
    private let size: Int

    /// - Parameter size: bytes that are kept, a power of two.
    public init(size: Int) { self.size = max(size, 1) }

    public var description: String { "ringbuf" }

    public func send(_ bytes: ArraySlice<UInt8>) -> Int {
        ring.withLock { ring in
            ring.bytes += bytes
            if ring.bytes.count > size { ring.bytes.removeFirst(ring.bytes.count - size) }
        }
        return bytes.count
    }

    /// Takes up to `count` of the oldest bytes.
    public func take(_ count: Int) -> [UInt8] {
        ring.withLock { ring in
            let taken = Array(ring.bytes.prefix(max(count, 0)))
            ring.bytes.removeFirst(taken.count)
            return taken
        }
    }

    /// Bytes for the front end, as `ringbuf-write` sends them.
    public func put(_ bytes: [UInt8]) { ring.withLock { $0.handlers }?.receive(bytes) }

    public func comeBreak() { ring.withLock { $0.handlers }?.event(.interrupted) }
    public func attach(_ handlers: CharacterHandlers?) { ring.withLock { $0.handlers = handlers } }
    public func resume() {}
}
