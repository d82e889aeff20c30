// What a translation was made from: the guest address ranges of a trace and a private copy of their bytes, in one
// allocation. Engines keep one per block to answer two questions: does a range of guest memory that changed touch
// this block, and does guest memory still hold the bytes it was translated from.

/// A run of guest code bytes; it may end at the top of the address space, so it is a start and a length.
@frozen
public struct CodeRange: BitwiseCopyable, Sendable, Equatable {
    public var start: UInt64
    public var length: Int

    public init(start: UInt64, length: Int) {
        self.start = start
        self.length = length
    }

    /// Whether `address` is inside.
    @inline(__always)
    public func contains(_ address: UInt64) -> Bool { address &- start < UInt64(truncatingIfNeeded: length) }

    /// Whether one of the bytes is in `range`.
    @inline(__always)
    public func intersects(_ range: Range<UInt64>) -> Bool {
        guard length > 0, !range.isEmpty else { return false }
        return contains(range.lowerBound) || range.contains(start)
    }
}

/// The ranges and source bytes of one trace.
///
/// Invariant: `memory` holds `rangeCount` ranges followed by as many bytes as their lengths sum to. It is owned by
/// whoever made the snapshot and given back by `deallocate`.
@frozen
public struct CodeSnapshot: @unchecked Sendable {
    private let memory: UnsafeMutableRawPointer
    public let rangeCount: Int
    /// The lengths of all ranges together.
    public let byteCount: Int

    public init(ranges: UnsafePointer<CodeRange>, rangeCount: Int, bytes: UnsafeRawPointer, byteCount: Int) {
        let header = rangeCount &* MemoryLayout<CodeRange>.stride
        memory = .allocate(byteCount: max(header &+ byteCount, 1), alignment: 8)
        memory.copyMemory(from: ranges, byteCount: header)
        (memory + header).copyMemory(from: bytes, byteCount: byteCount)
        self.rangeCount = rangeCount
        self.byteCount = byteCount
    }

    public func deallocate() { memory.deallocate() }

    public var ranges: UnsafeBufferPointer<CodeRange> {
        UnsafeBufferPointer(start: memory.assumingMemoryBound(to: CodeRange.self), count: rangeCount)
    }

    /// Whether one of the source bytes is in `range`.
    public func intersects(_ range: Range<UInt64>) -> Bool {
        for run in ranges where run.intersects(range) { return true }
        return false
    }

    /// Whether `source` still holds the same executable bytes.
    public func isUnchanged(in source: any CodeSource) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { buffer in
            guard let fresh = buffer.baseAddress else { return false }
            var saved = UnsafeRawPointer(memory) + rangeCount &* MemoryLayout<CodeRange>.stride
            for run in ranges {
                var done = 0
                while done < run.length {
                    let count = min(run.length &- done, buffer.count)
                    let address = run.start &+ UInt64(truncatingIfNeeded: done)
                    guard source.readCode(at: address, into: fresh, count: count) == count else { return false }
                    for index in 0 ..< count
                    where fresh.load(fromByteOffset: index, as: UInt8.self) != saved.load(fromByteOffset: index, as: UInt8.self) {
                        return false
                    }
                    saved += count
                    done &+= count
                }
            }
            return true
        }
    }
}
