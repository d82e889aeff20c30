// The last few compressed units in expanded form, so that small reads do not expand the same unit again and again.

import Host

final class ExpandedUnits: Sendable {
    private struct Entry: Sendable {
        var start: UInt64
        var offset: UInt64
        var unit: OwnedBuffer
    }
    private static let capacity = 8
    private let entries = Locked<[Entry]>([])

    func find(_ unit: CompressedUnit) -> OwnedBuffer? {
        entries.withLock { $0.last { $0.start == unit.start && $0.offset == unit.offset }?.unit }
    }

    func keep(_ unit: CompressedUnit, _ buffer: OwnedBuffer) {
        entries.withLock { entries in
            if entries.count >= ExpandedUnits.capacity { entries.removeFirst() }
            entries.append(Entry(start: unit.start, offset: unit.offset, unit: buffer))
        }
    }

    /// Forgets all: the image is about to change.
    func forget() { entries.withLock { if !$0.isEmpty { $0.removeAll() } } }
}
