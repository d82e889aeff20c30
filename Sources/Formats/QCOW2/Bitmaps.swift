// qcow2: persistent dirty bitmaps while the image is open. Bits are loaded when they are first needed, and stored when the
// image is closed; an enabled bitmap is marked in use in the file before the first write that it has to record, so that a
// crash leaves it known as inconsistent, never wrong.

import Block

extension QCOW2: BitmappedImage {
    public var bitmaps: [BitmapRecord] { state.withLock { $0.bitmaps.map(\.record) } }
    public func addBitmap(_ record: BitmapRecord) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.addBitmap(record) }
    }
    public func removeBitmap(_ name: String) throws(BlockError) {
        try locked { (tables) throws(BlockError) in
            let index = try tables.bitmapIndex(name)
            tables.bitmaps.remove(at: index)
            tables.bitmapsChanged = true
        }
    }
    public func enableBitmap(_ name: String, _ enabled: Bool) throws(BlockError) {
        try locked { (tables) throws(BlockError) in
            let index = try tables.usableBitmap(name)
            tables.bitmaps[index].flags = tables.bitmaps[index].flags & ~QCOW2Bitmap.auto | (enabled ? QCOW2Bitmap.auto : 0)
            tables.bitmapsChanged = true
        }
    }
    public func dirtyRanges(_ name: String) throws(BlockError) -> [Range<UInt64>] {
        let tracker = try locked { (tables) throws(BlockError) in
            let bitmap = tables.bitmaps[try tables.usableBitmap(name)]
            if let tracker = bitmap.tracker { return tracker }
            return try tables.loadBits(bitmap)
        }
        var ranges: [Range<UInt64>] = []
        var position: UInt64 = 0
        while let next = tracker.next(from: position, limit: UInt64.max) {
            ranges.append(next)
            position = next.upperBound
        }
        return ranges
    }
    public func markDirty(_ name: String, _ ranges: [Range<UInt64>]) throws(BlockError) {
        let tracker = try locked { (tables) throws(BlockError) in try tables.loadedBitmap(name) }
        for range in ranges { tracker.mark(range.lowerBound, range.upperBound - range.lowerBound) }
    }
    public func clearBitmap(_ name: String) throws(BlockError) {
        let tracker = try locked { (tables) throws(BlockError) in try tables.loadedBitmap(name) }
        tracker.clear(0, UInt64.max)
    }
}

/// Enabled bitmaps record what is written through the image's node.
extension QCOW2: WriteObserver {
    public func willWrite(_ offset: UInt64, _ count: UInt64) {
        state.withLock { tables in
            guard tables.bitmaps.contains(where: { $0.isEnabled && $0.tracker == nil && !$0.isInconsistent }) else { return }
            // A bitmap that cannot be loaded or marked is not followed: it must not be taken for true later.
            do { try tables.beginTracking() } catch { tables.distrustBitmaps() }
        }
    }
    public func didWrite(_ offset: UInt64, _ count: UInt64) {
        state.withLock { tables in
            for bitmap in tables.bitmaps where bitmap.isEnabled { bitmap.tracker?.mark(offset, count) }
        }
    }
}

extension QCOW2Tables {
    func bitmapIndex(_ name: String) throws(BlockError) -> Int {
        guard let index = bitmaps.firstIndex(where: { $0.name == name }) else { throw .invalid("Dirty bitmap '\(name)' not found") }
        return index
    }

    /// A bitmap whose contents can be trusted.
    func usableBitmap(_ name: String) throws(BlockError) -> Int {
        let index = try bitmapIndex(name)
        guard !bitmaps[index].isInconsistent else {
            throw .invalid("Bitmap '\(name)' is inconsistent and cannot be used\nTry block-dirty-bitmap-remove to delete this bitmap from disk")
        }
        return index
    }

    mutating func loadedBitmap(_ name: String) throws(BlockError) -> DirtyTracker {
        let index = try usableBitmap(name)
        bitmapsChanged = true
        if let tracker = bitmaps[index].tracker { return tracker }
        let tracker = try loadBits(bitmaps[index])
        bitmaps[index].tracker = tracker
        return tracker
    }

    mutating func addBitmap(_ record: BitmapRecord) throws(BlockError) {
        try refuseIfCorrupt()
        guard header.version >= 3 else { throw .unsupported("Cannot store dirty bitmaps in qcow2 v2 files") }
        guard !record.name.isEmpty, record.name.utf8.count <= 1023 else { throw .invalid("Bitmap name too long") }
        guard !bitmaps.contains(where: { $0.name == record.name }) else { throw .invalid("Bitmap already exists: \(record.name)") }
        guard bitmaps.count < 65535 else { throw BlockError(.noSpace, "an image has at most 65535 bitmaps") }
        guard record.granularity & (record.granularity &- 1) == 0, (512...(1 << 31)).contains(record.granularity) else {
            throw .invalid("Granularity must be a power of two from 512 bytes to 2 GiB")
        }
        let tracker = try DirtyTracker(length: header.size, granularity: record.granularity)
        bitmaps.append(QCOW2Bitmap(name: record.name, granularityBits: UInt8(record.granularity.trailingZeroBitCount),
                                   flags: record.isEnabled ? QCOW2Bitmap.auto : 0, tracker: tracker))
        bitmapsChanged = true
    }

    /// Loads the enabled bitmaps and marks them in use, in the file, before anything else is written.
    mutating func beginTracking() throws(BlockError) {
        for index in bitmaps.indices where bitmaps[index].isEnabled && bitmaps[index].tracker == nil && !bitmaps[index].isInconsistent {
            bitmaps[index].tracker = try loadBits(bitmaps[index])
        }
        bitmapsChanged = true
        guard let area = header.bitmaps else { return }
        // In place: the entries keep their sizes. Bitmaps that are not in the file yet follow those that are.
        var bytes: [UInt8] = []
        for var bitmap in bitmaps.prefix(Int(area.count)) {
            if bitmap.isEnabled, bitmap.tracker != nil { bitmap.flags |= QCOW2Bitmap.inUse }
            bytes += try bitmap.encoded()
        }
        // The file's directory is another one already (a bitmap was removed): it is replaced as a whole.
        guard UInt64(bytes.count) == area.size else { return try storeBitmaps(inUse: true) }
        try file.write(area.offset, bytes: bytes)
        try file.flush()
    }

    mutating func distrustBitmaps() {
        for index in bitmaps.indices where bitmaps[index].isEnabled {
            bitmaps[index].flags |= QCOW2Bitmap.inUse
            bitmaps[index].tracker = nil
        }
        bitmapsChanged = true
    }

    /// Everything may have changed.
    mutating func markAllDirty() {
        guard bitmaps.contains(where: { $0.isEnabled && !$0.isInconsistent }) else { return }
        do { try beginTracking() } catch { return distrustBitmaps() }
        for bitmap in bitmaps where bitmap.isEnabled { bitmap.tracker?.mark(0, UInt64.max) }
    }

    /// Stores changed bitmaps and their directory; the old ones are freed when the header points to the new.
    mutating func storeBitmaps(inUse: Bool = false) throws(BlockError) {
        guard bitmapsChanged, !isCorrupt else { return }
        var old: [UInt64] = []
        if let area = header.bitmaps {
            old += (0..<area.size.divided(roundingUpBy: clusterSize)).map { area.offset / clusterSize + $0 }
            let now = bitmaps
            // What the file has now, from the file: the list in memory may have lost some.
            try readBitmaps()
            for bitmap in bitmaps {
                if let kept = now.first(where: { $0.name == bitmap.name && $0.tracker == nil }), kept.tableOffset == bitmap.tableOffset { continue }
                old += try bitmapClusters(bitmap)
            }
            bitmaps = now
        }
        var directory: [UInt8] = []
        for index in bitmaps.indices {
            if let tracker = bitmaps[index].tracker {
                var bitmap = bitmaps[index]
                try storeBits(&bitmap, tracker)
                bitmap.flags = bitmap.flags & ~QCOW2Bitmap.inUse | (inUse && bitmap.isEnabled ? QCOW2Bitmap.inUse : 0)
                bitmaps[index] = bitmap
            }
            directory += try bitmaps[index].encoded()
        }
        if bitmaps.isEmpty {
            header.bitmaps = nil
            header.autoclear &= ~QCOW2Feature.bitmaps
        } else {
            guard directory.count <= Node.largestMetadata else { throw BlockError(.noSpace, "the bitmap directory would be larger than \(Node.largestMetadata) bytes") }
            let clusters = UInt64(directory.count).divided(roundingUpBy: clusterSize)
            let offset = try allocate(clusters).offset
            zeroFrom = max(zeroFrom, offset + clusters * clusterSize)
            try file.write(offset, bytes: directory)
            header.bitmaps = QCOW2BitmapArea(count: UInt32(bitmaps.count), size: UInt64(directory.count), offset: offset)
            header.autoclear |= QCOW2Feature.bitmaps
        }
        try writeBack()
        try file.flush()
        try writeHeader()
        try file.flush()
        for cluster in old { try release(cluster) }
        try writeBack()
        if inUse { return }
        // The file has the bits again; they are loaded when somebody needs them.
        for index in bitmaps.indices { bitmaps[index].tracker = nil }
        bitmapsChanged = false
    }

    // MARK: Sizes

    func refuseUnlessBitmapsResize() throws(BlockError) {
        if let bad = bitmaps.first(where: \.isInconsistent) { throw .unsupported("Cannot resize an image with the inconsistent bitmap '\(bad.name)'") }
    }

    /// The disk has another size now: so have the bitmaps.
    mutating func resizeBitmaps(from old: UInt64) throws(BlockError) {
        guard header.size != old, !bitmaps.isEmpty else { return }
        let new = header.size
        for index in bitmaps.indices {
            let before: DirtyTracker
            if let tracker = bitmaps[index].tracker { before = tracker } else {
                header.size = old
                defer { header.size = new }
                before = try loadBits(bitmaps[index])
            }
            let after = try DirtyTracker(length: new, granularity: bitmaps[index].granularity)
            var position: UInt64 = 0
            while let range = before.next(from: position, limit: UInt64.max) {
                after.mark(range.lowerBound, range.upperBound - range.lowerBound)
                position = range.upperBound
            }
            bitmaps[index].tracker = after
        }
        bitmapsChanged = true
        // At once: a table for another size must not be met by a crash.
        try storeBitmaps()
    }
}
