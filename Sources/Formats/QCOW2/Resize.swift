// qcow2: growing and shrinking, preallocation.

import Block

extension QCOW2: ResizableImage {
    public func resize(to size: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.resize(to: size, preallocation) }
    }
}

extension QCOW2Tables {
    mutating func resize(to size: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        try refuseIfCorrupt()
        guard size % 512 == 0 else { throw .invalid("The new size must be a multiple of 512") }
        if header.version < 3, !snapshots.isEmpty { throw .unsupported("Can't resize a v2 image which has snapshots") }
        try refuseUnlessBitmapsResize()
        guard size.divided(roundingUpBy: header.l2Coverage) * 8 <= QCOW2Header.largestL1 else { throw .invalid("Image size too large") }
        let old = header.size
        if size < old {
            guard preallocation == .off else { throw .invalid("Preallocation can't be used for shrinking an image") }
            try shrink(to: size)
        } else if size > old || l1.isEmpty {
            try grow(to: size, preallocation)
        }
        try resizeBitmaps(from: old)
    }

    private mutating func shrink(to size: UInt64) throws(BlockError) {
        if let start = size.roundedUp(to: clusterSize), start < header.size { try discard(start, header.size - start, full: true) }
        let keep = Int(size.divided(roundingUpBy: header.l2Coverage))
        for index in keep..<max(keep, l1.count) where l1[index] & QCOW2Entry.offsetMask != 0 {
            let table = try l2Table(l1[index], index)
            if l1[index] & QCOW2Entry.copied != 0 { l2Cache.drop(table, clusterSize) }
            setL1(index, 0)
            free(table, clusterSize)
        }
        try writeSize(size)
        try writeBack()
        if hasDataFile { try data.setLength(size) }
    }

    private mutating func writeSize(_ size: UInt64) throws(BlockError) {
        try writeBack()
        try file.flush()
        try file.write(24, bytes: QCOW2Tables.encoded(size))
        header.size = size
    }

    private mutating func grow(to size: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        let old = header.size
        // What may stand beyond the old end (a machine's state) is not part of the disk.
        try dropState()
        try growL1(to: max(1, size.divided(roundingUpBy: header.l2Coverage)))
        try zeroTail(from: old)
        if hasDataFile {
            let whole = size.roundedUp(to: 512) ?? size
            if try data.length() < whole { try data.setLength(whole, preallocation == .metadata ? .off : preallocation) }
        }
        if preallocation != .off, size > old { try preallocate(old, size, preallocation) }
        try writeSize(size)
    }

    /// The rest of the last cluster of the old size may hold anything: it becomes part of the disk as zeros.
    private mutating func zeroTail(from old: UInt64) throws(BlockError) {
        let tail = old % clusterSize == 0 ? 0 : clusterSize - old % clusterSize
        guard tail > 0, let first = try entry(at: old), first != QCOW2Entry(word: 0) else { return }
        if case .zero = try map(old, tail).place, try map(old, tail).length == tail { return }
        try writeInside(old, [UInt8](repeating: 0, count: Int(tail)))
    }

    /// Moves the L1 table to where it has room for `count` entries.
    mutating func growL1(to count: UInt64) throws(BlockError) {
        guard count > UInt64(l1.count) || l1.isEmpty else { return }
        guard count * 8 <= QCOW2Header.largestL1 else { throw BlockError(.noSpace, "the L1 table would grow beyond \(QCOW2Header.largestL1) bytes") }
        try writeBack()
        let clusters = (count * 8).divided(roundingUpBy: clusterSize)
        let have = (UInt64(l1.count) * 8).divided(roundingUpBy: clusterSize)
        let table = l1 + [UInt64](repeating: 0, count: Int(count) - l1.count)
        let old = (offset: header.l1Offset, clusters: have)
        var offset = old.offset
        if clusters > have || offset == 0 {
            offset = try allocate(clusters).offset
            zeroFrom = max(zeroFrom, offset + clusters * clusterSize)
            try writeBack()
        }
        // Whole clusters: what follows the table is zeros.
        let padding = [UInt64](repeating: 0, count: Int(clusters * clusterSize / 8) - table.count)
        try file.write(offset, bytes: QCOW2Tables.encoded(table + padding))
        try file.flush()
        try file.write(36, bytes: QCOW2Tables.encoded(UInt32(truncatingIfNeeded: count)) + QCOW2Tables.encoded(offset))
        try file.flush()
        l1 = table
        header.l1Count = UInt32(truncatingIfNeeded: count)
        header.l1Offset = offset
        if offset != old.offset { for number in 0..<old.clusters { try release(old.offset / clusterSize + number) } }
    }

    /// Takes space for the whole of a range of the disk.
    private mutating func preallocate(_ start: UInt64, _ end: UInt64, _ mode: Preallocation) throws(BlockError) {
        if mode != .metadata, !hasDataFile {
            // Set aside first: the tables in between take from it too.
            let room = QCOW2Size.allocated(end - start, header) + zeroFrom - clusterSize
            if try file.length() < room { try file.setLength(room, mode) }
        }
        var position = start
        while position < end {
            let placement = try place(position, end - position)
            if let fresh = placement.fresh {
                if !fresh.isZero { try data.writeZeroes(placement.offset - (position - fresh.start), fresh.length, unmap: false) }
                try link(fresh)
            }
            position += placement.length
        }
        try writeBack()
        // The file holds all that the tables point to.
        if try file.length() < zeroFrom || mode != .metadata { try file.setLength(zeroFrom, mode == .metadata ? .off : mode) }
    }
}
