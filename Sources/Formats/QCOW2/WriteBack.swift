// qcow2: writing changed metadata in an order that is consistent at each moment:
//
//   data · flush · refcounts (only ever raised) · flush · L2 tables · flush · L1 table · flush · refcounts lowered
//
// A loss of power in between leaves clusters that are counted but not used (leaks), never one that is used but not counted.
// With lazy refcounts, counts are written only when the image is closed (or the cache is full), under the dirty bit.

import Block

extension QCOW2Tables {
    var hasChanges: Bool { !dirtyL1.isEmpty || l2Cache.dirtyCount > 0 || refcountCache.dirtyCount > 0 || !pendingFrees.isEmpty }

    /// Writes what has changed.
    mutating func writeBack() throws(BlockError) {
        guard hasChanges else { return }
        if l2Cache.dirtyCount > 0 || !dirtyL1.isEmpty {
            if hasDataFile { try data.flush() }
            try file.flush()
            if refcountCache.dirtyCount > 0, !header.hasLazyRefcounts {
                try refcountCache.write(to: file)
                try file.flush()
            }
            if l2Cache.dirtyCount > 0 {
                try l2Cache.write(to: file)
                if !dirtyL1.isEmpty || !pendingFrees.isEmpty { try file.flush() }
            }
            try writeL1()
        }
        if !pendingFrees.isEmpty {
            try applyFrees()
        }
        if !header.hasLazyRefcounts { try refcountCache.write(to: file) }
    }

    private mutating func writeL1() throws(BlockError) {
        guard !dirtyL1.isEmpty else { return }
        for piece in dirtyL1.sorted() {
            let first = piece * 64
            guard first < l1.count else { continue }
            try file.write(header.l1Offset + UInt64(first) * 8, bytes: QCOW2Tables.encoded(l1[first..<min(l1.count, first + 64)]))
        }
        if !pendingFrees.isEmpty { try file.flush() }
        dirtyL1.removeAll()
    }

    /// Nothing in the file points to these clusters any more.
    private mutating func applyFrees() throws(BlockError) {
        let frees = pendingFrees
        pendingFrees.removeAll()
        for run in frees {
            for cluster in run.first..<run.first &+ run.count {
                try release(cluster)
                if file.access.discards, try refcount(cluster) == 0 { try file.discard(cluster * clusterSize, clusterSize) }
            }
        }
    }

    /// The end of writing: lazy refcounts are written, the dirty bit goes, the file ends on a sector.
    mutating func finish() throws(BlockError) {
        try storeBitmaps()
        try writeBack()
        try refcountCache.write(to: file)
        let length = try file.length()
        if length % 512 != 0, let whole = length.roundedUp(to: 512) { try file.setLength(whole) }
        if header.incompatible & QCOW2Feature.dirty != 0 {
            try file.flush()
            try setIncompatible(QCOW2Feature.dirty, false)
        }
    }
}
