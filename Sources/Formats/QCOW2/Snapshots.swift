// qcow2: making, applying and deleting snapshots. A snapshot is a copy of the L1 table; everything reachable from it has
// one more reference, and loses its COPIED flag in the active tables.

import Block

extension QCOW2: SnapshottingImage {
    public var snapshots: [SnapshotRecord] { state.withLock { $0.snapshots.map(\.record) } }
    public func createSnapshot(_ record: SnapshotRecord) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.createSnapshot(record) }
    }
    public func applySnapshot(_ which: String) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.applySnapshot(which) }
    }
    public func deleteSnapshot(_ which: String) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.deleteSnapshot(which) }
    }
    public func showSnapshot(_ which: String) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.showSnapshot(which) }
    }
}

extension QCOW2: VMStateImage {
    public func readState(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try locked { (tables) throws(BlockError) in
            let (start, overflow) = tables.stateStart.addingReportingOverflow(offset)
            guard !overflow, start < 1 << 62 else { throw BlockError.invalid("a machine's state of 2^62 bytes") }
            try tables.readInside(start, buffer)
        }
    }
    public func writeState(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try locked { (tables) throws(BlockError) in
            let (start, overflow) = tables.stateStart.addingReportingOverflow(offset)
            guard !overflow, start < 1 << 62 else { throw BlockError.invalid("a machine's state of 2^62 bytes") }
            try tables.growL1(to: (start + UInt64(buffer.count)).divided(roundingUpBy: tables.header.l2Coverage))
            try tables.writeInside(start, buffer.bytes)
        }
    }
}

extension QCOW2Tables {
    private func find(_ which: String) throws(BlockError) -> Int {
        guard let index = snapshots.firstIndex(where: { $0.record.id == which }) ?? snapshots.firstIndex(where: { $0.record.name == which }) else {
            throw .invalid("Can't find snapshot '\(which)'")
        }
        return index
    }

    /// Calls `body` with the clusters that each entry of each L2 table refers to: first cluster, count; last for each table
    /// the table itself. Stops when `body` answers false.
    private mutating func forEachReference(_ table: [UInt64], _ body: (inout QCOW2Tables, UInt64, UInt64) throws(BlockError) -> Bool) throws(BlockError) {
        for (index, word) in table.enumerated() {
            let l2 = try l2Table(word, index)
            if l2 == 0 { continue }
            for number in 0..<header.l2Entries {
                let at = try l2Slot(l2, number)
                let entry = entry(at.slot, at.byte)
                if entry.isCompressed {
                    let stored = payload(entry)
                    guard stored.count > 0 else { continue }
                    let first = stored.offset / clusterSize
                    if try !body(&self, first, (stored.offset + stored.count - 1) / clusterSize - first + 1) { return }
                } else if !hasDataFile, entry.host != 0 {
                    guard header.isCluster(entry.host) else { throw corruption("Cluster allocation offset 0x\(String(entry.host, radix: 16)) unaligned", at: entry.host) }
                    if try !body(&self, entry.host / clusterSize, 1) { return }
                }
            }
            if try !body(&self, l2 / clusterSize, 1) { return }
        }
    }

    /// One more reference to everything reachable; all or nothing.
    private mutating func addReferences(of table: [UInt64]) throws(BlockError) {
        var done = 0
        do throws(BlockError) {
            try forEachReference(table) { (tables, first, count) throws(BlockError) in
                for cluster in first..<first + count {
                    try tables.addReferences(cluster * tables.clusterSize, 1)
                    done += 1
                }
                return true
            }
        } catch {
            var left = done
            try? forEachReference(table) { (tables, first, count) throws(BlockError) in
                for cluster in first..<first + count {
                    if left == 0 { return false }
                    let have = try tables.refcount(cluster)
                    if have > 0 { try tables.setRefcount(cluster, have - 1) }
                    left -= 1
                }
                return true
            }
            throw error
        }
    }

    /// One reference fewer to everything reachable from a table that nothing in the file points to any more.
    private mutating func removeReferences(of table: [UInt64]) throws(BlockError) {
        try forEachReference(table) { (tables, first, count) throws(BlockError) in
            for cluster in first..<first + count { try tables.release(cluster) }
            return true
        }
    }

    /// Sets the COPIED flags of the active tables by the refcounts.
    mutating func renewCopiedFlags() throws(BlockError) {
        for index in l1.indices {
            let table = try l2Table(l1[index], index)
            if table == 0 { continue }
            let word = table | (try refcount(table / clusterSize) == 1 ? QCOW2Entry.copied : 0)
            if word != l1[index] { setL1(index, word) }
            if hasDataFile { continue }
            for number in 0..<header.l2Entries {
                if !l2Cache.hasRoom(2) { try writeBack() }
                let at = try l2Slot(table, number)
                var entry = entry(at.slot, at.byte)
                if entry.isCompressed || entry.host == 0 { continue }
                let isAlone = try refcount(entry.host / clusterSize) == 1
                if isAlone == entry.isCopied { continue }
                entry.word ^= QCOW2Entry.copied
                setEntry(at.slot, at.byte, entry)
            }
        }
    }

    /// Frees what stands beyond the disk's end in the active tables: a machine's state.
    mutating func dropState() throws(BlockError) {
        let start = stateStart, end = UInt64(l1.count) * header.l2Coverage
        if end > start, l1[Int(header.neededL1)...].contains(where: { $0 & QCOW2Entry.offsetMask != 0 }) { try discard(start, end - start, full: true) }
    }

    mutating func createSnapshot(_ given: SnapshotRecord) throws(BlockError) {
        try refuseIfCorrupt()
        if hasDataFile { throw .unsupported("Internal snapshots are not supported with an external data file") }
        var record = given
        record.id = String((snapshots.compactMap { UInt64($0.record.id) }.max() ?? 0) &+ 1)
        if record.diskSize == nil { record.diskSize = header.size }
        try writeBack()
        let bytes = max(8, UInt64(l1.count) * 8)
        let place = try allocate(bytes.divided(roundingUpBy: clusterSize)).offset
        zeroFrom = max(zeroFrom, place + (bytes.roundedUp(to: clusterSize) ?? bytes))
        do throws(BlockError) {
            try addReferences(of: l1)
        } catch {
            for number in 0..<bytes.divided(roundingUpBy: clusterSize) { try? release(place / clusterSize + number) }
            throw error
        }
        try renewCopiedFlags()
        try file.write(place, bytes: QCOW2Tables.encoded(l1.map { $0 & ~QCOW2Entry.copied }))
        try writeBack()
        try replaceSnapshots(snapshots + [QCOW2Snapshot(record: record, l1Offset: place, l1Count: UInt32(l1.count))])
        // The state belongs to the snapshot now; kept here, it would be copied for nothing.
        try dropState()
        try writeBack()
    }

    mutating func deleteSnapshot(_ which: String) throws(BlockError) {
        try refuseIfCorrupt()
        let index = try find(which)
        let gone = snapshots[index]
        let table = try words(gone.l1Offset, Int(gone.l1Count))
        var rest = snapshots
        rest.remove(at: index)
        try replaceSnapshots(rest)
        try removeReferences(of: table)
        for number in 0..<(UInt64(gone.l1Count) * 8).divided(roundingUpBy: clusterSize) { try release(gone.l1Offset / clusterSize + number) }
        try renewCopiedFlags()
        try writeBack()
    }

    mutating func applySnapshot(_ which: String) throws(BlockError) {
        try refuseIfCorrupt()
        if hasDataFile { throw .unsupported("Internal snapshots are not supported with an external data file") }
        let snapshot = snapshots[try find(which)]
        let table = try words(snapshot.l1Offset, Int(snapshot.l1Count))
        let size = snapshot.record.diskSize ?? header.size
        guard size <= UInt64(Int64.max), size.divided(roundingUpBy: header.l2Coverage) <= UInt64(max(table.count, l1.count)) else {
            throw .corrupt("the snapshot '\(snapshot.record.name)' has an L1 table too small for its \(size) bytes")
        }
        if size != header.size { try refuseUnlessBitmapsResize() }
        let oldSize = header.size
        try growL1(to: UInt64(table.count))
        try addReferences(of: table)
        try writeBack()
        try file.flush()
        let old = l1
        // Without flags until the counts are right: a crash costs copies, not contents.
        l1 = table.map { $0 & ~QCOW2Entry.copied } + [UInt64](repeating: 0, count: l1.count - table.count)
        try file.write(header.l1Offset, bytes: QCOW2Tables.encoded(l1))
        if size != header.size {
            try file.write(24, bytes: QCOW2Tables.encoded(size))
            header.size = size
        }
        try file.flush()
        try removeReferences(of: old)
        try renewCopiedFlags()
        noteMetadataClusters()
        try writeBack()
        try resizeBitmaps(from: oldSize)
        markAllDirty()
    }

    mutating func showSnapshot(_ which: String) throws(BlockError) {
        let snapshot = snapshots[try find(which)]
        let size = snapshot.record.diskSize ?? header.size
        let table = try words(snapshot.l1Offset, Int(snapshot.l1Count))
        guard size <= UInt64(Int64.max), size.divided(roundingUpBy: header.l2Coverage) <= UInt64(table.count) else {
            throw .corrupt("the snapshot '\(snapshot.record.name)' has an L1 table too small for its \(size) bytes")
        }
        l1 = table
        header.size = size
        shownSize = size / 512 * 512
    }
}
