// A dirty bitmap in memory: which granules of a node were written since it was attached. Jobs copy by it; formats store
// it. One bit a granule.

import Host

/// Learns of writes to a node, also of zeroing and discards: before the first byte changes, and after the last one has
/// (or the write has failed).
public protocol WriteObserver: AnyObject, Sendable {
    func willWrite(_ offset: UInt64, _ count: UInt64)
    func didWrite(_ offset: UInt64, _ count: UInt64)
}

/// Records written ranges.
public final class DirtyTracker: WriteObserver {
    /// Bytes a bit stands for: a power of two, at least 512.
    public let granularity: UInt64
    /// Bytes covered.
    public let length: UInt64
    private struct State { var words: [UInt64]; var count: UInt64 = 0 }
    private let state: Locked<State>

    /// - Throws: `invalid` for a granularity that is no power of two, or a bitmap of more than 1 GiB.
    public init(length: UInt64, granularity: UInt64 = 65536) throws(BlockError) {
        guard granularity >= 512, granularity & (granularity - 1) == 0, granularity <= 1 << 31 else {
            throw .invalid("a bitmap's granularity is a power of two from 512 to 2 GiB, not \(granularity)")
        }
        let bits = length.divided(roundingUpBy: granularity)
        guard bits <= 1 << 33 else { throw .invalid("granularity \(granularity) is too fine for \(length) bytes") }
        self.length = length
        self.granularity = granularity
        state = Locked(State(words: [UInt64](repeating: 0, count: Int(bits.divided(roundingUpBy: 64)))))
    }

    public func willWrite(_ offset: UInt64, _ count: UInt64) {}
    public func didWrite(_ offset: UInt64, _ count: UInt64) { mark(offset, count) }

    /// Sets the granules that the range touches.
    public func mark(_ offset: UInt64, _ count: UInt64) { set(offset, count, true) }
    /// Clears the granules that the range touches.
    public func clear(_ offset: UInt64, _ count: UInt64) { set(offset, count, false) }

    private func set(_ offset: UInt64, _ count: UInt64, _ value: Bool) {
        guard count > 0, offset < length else { return }
        let last = min(length - 1, offset &+ (count - 1)) / granularity
        state.withLock { state in
            var bit = offset / granularity
            while bit <= last {
                // To the end of the word, or of the range.
                let word = Int(bit / 64), bits = min(last - bit, 63 - bit % 64) + 1
                let mask = (bits == 64 ? UInt64.max : (1 << bits) - 1) << (bit % 64)
                let old = state.words[word], new = value ? old | mask : old & ~mask
                state.words[word] = new
                state.count = state.count &+ UInt64(new.nonzeroBitCount) &- UInt64(old.nonzeroBitCount)
                bit += bits
            }
        }
    }

    /// Bytes in dirty granules.
    public var dirtyBytes: UInt64 { state.withLock { $0.count } &* granularity }

    /// The first run of dirty granules at or after `offset`, at most `limit` bytes of it.
    public func next(from offset: UInt64, limit: UInt64) -> Range<UInt64>? {
        // The last granule may be cut short by the end: what follows it is not that granule again.
        guard offset < length else { return nil }
        return state.withLock { state in
            var bit = offset / granularity
            let bits = length.divided(roundingUpBy: granularity)
            while bit < bits {
                let rest = state.words[Int(bit / 64)] >> (bit % 64)
                if rest != 0 { bit += UInt64(rest.trailingZeroBitCount); break }
                bit = (bit / 64 + 1) * 64
            }
            guard bit < bits else { return nil }
            var end = bit
            while end < bits, (end - bit) * granularity < limit, state.words[Int(end / 64)] >> (end % 64) & 1 != 0 { end += 1 }
            return bit * granularity ..< min(length, end * granularity)
        }
    }
}
