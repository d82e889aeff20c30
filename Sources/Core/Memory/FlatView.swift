// The address space as one sorted list of ranges: what a lookup searches. Immutable once made.

/// A stretch of addresses that one thing answers.
public struct FlatRange: Sendable {
    public enum Target: Sendable {
        case memory(RAMBlock, isReadOnly: Bool)
        /// Reads are the block's, writes go to the device.
        case romDevice(RAMBlock, any BusTarget, bank: Int)
        case device(any BusTarget, bank: Int)
    }

    public var start: UInt64
    public var size: UInt64
    public var target: Target
    /// Where `start` lies in the block or window.
    public var offset: UInt64
    public var name: String

    /// Whether `count` bytes at `address` are inside.
    @inline(__always)
    public func contains(_ address: UInt64, _ count: UInt64 = 1) -> Bool {
        let skipped = address &- start
        return address >= start && skipped < size && count <= size &- skipped
    }
}

/// Sorted, disjoint ranges.
final class FlatView: Sendable {
    let ranges: [FlatRange]

    init(of root: Region) {
        var builder = FlatViewBuilder()
        builder.add(root, base: 0, clip: 0 ..< root.size, depth: 0)
        ranges = builder.ranges
    }

    /// The range with `address`; nil: nothing answers there.
    func find(_ address: UInt64) -> FlatRange? {
        var low = 0, high = ranges.count
        while low < high {
            let middle = (low &+ high) &>> 1
            if ranges[middle].start <= address { low = middle &+ 1 } else { high = middle }
        }
        guard low > 0, ranges[low &- 1].contains(address) else { return nil }
        return ranges[low &- 1]
    }

    /// The first address at or above `address` that something answers, or nil.
    func nextStart(after address: UInt64) -> UInt64? { ranges.first { $0.start > address }?.start }
}

/// Lays regions over one another, the one that wins first: later ones only fill gaps.
private struct FlatViewBuilder {
    var ranges: [FlatRange] = []
    private static let maximumDepth = 32

    /// - Parameters:
    ///   - base: the address of the region's offset 0, wrapping: an alias may begin before its window.
    ///   - clip: the addresses that may be filled.
    mutating func add(_ region: Region, base: UInt64, clip: Range<UInt64>, depth: Int) {
        guard region.isEnabled, depth < Self.maximumDepth else { return }
        let ordered = region.children.sorted { ($0.priority, $0.serial) > ($1.priority, $1.serial) }
        for child in ordered {
            guard let window = Self.window(base &+ child.offset, child.region.size, clip) else { continue }
            add(child.region, base: base &+ child.offset, clip: window, depth: depth + 1)
        }
        switch region.kind {
        case .container: break
        case .memory(let block, let offset, let isReadOnly):
            fill(clip, FlatRange(start: base, size: region.size, target: .memory(block, isReadOnly: isReadOnly), offset: offset, name: region.name))
        case .romDevice(let block, let target, let bank):
            fill(clip, FlatRange(start: base, size: region.size, target: .romDevice(block, target, bank: bank), offset: 0, name: region.name))
        case .device(let target, let bank):
            fill(clip, FlatRange(start: base, size: region.size, target: .device(target, bank: bank), offset: 0, name: region.name))
        case .alias(let target, let offset):
            add(target, base: base &- offset, clip: clip, depth: depth + 1)
        }
    }

    /// The part of `base ..< base + size` inside `clip`.
    private static func window(_ base: UInt64, _ size: UInt64, _ clip: Range<UInt64>) -> Range<UInt64>? {
        let (end, overflow) = base.addingReportingOverflow(size)
        let low = max(base, clip.lowerBound), high = min(overflow ? .max : end, clip.upperBound)
        return low < high ? low ..< high : nil
    }

    /// Puts `range` wherever nothing is yet in `clip`.
    private mutating func fill(_ clip: Range<UInt64>, _ range: FlatRange) {
        guard range.size > 0 else { return }
        var start = clip.lowerBound
        var pieces: [FlatRange] = []
        func piece(_ from: UInt64, _ to: UInt64) -> FlatRange {
            var piece = range
            piece.start = from
            piece.size = to - from
            piece.offset = range.offset &+ (from &- range.start)
            return piece
        }
        for other in ranges {
            if other.start >= clip.upperBound { break }
            let otherEnd = other.start &+ other.size
            if otherEnd <= start { continue }
            if other.start > start { pieces.append(piece(start, other.start)) }
            start = otherEnd
            if start >= clip.upperBound { break }
        }
        if start < clip.upperBound { pieces.append(piece(start, clip.upperBound)) }
        guard !pieces.isEmpty else { return }
        ranges.append(contentsOf: pieces)
        ranges.sort { $0.start < $1.start }
    }
}
