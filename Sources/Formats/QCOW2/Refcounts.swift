// qcow2: reference counts (section "Host cluster management"): reading, changing, and the search for free clusters.
// Refcount blocks that are missing are made in the first clusters of the run that needs them; a refcount table that is too
// small moves to the end of the file.

import Block

extension QCOW2Tables {
    /// The refcount block that describes a cluster; 0 if there is none yet.
    private mutating func refcountBlock(_ cluster: UInt64) throws(BlockError) -> UInt64 {
        let index = cluster / header.refcountEntries
        guard index < UInt64(refcountTable.count) else { return 0 }
        let offset = refcountTable[Int(index)] & ~511
        guard header.isCluster(offset) else {
            throw corruption("Refblock offset 0x\(String(offset, radix: 16)) unaligned (reftable index: 0x\(String(index, radix: 16)))", at: header.refcountTableOffset &+ index &* 8)
        }
        return offset
    }

    /// The slot with a cluster's count, and the entry's number there.
    private mutating func refcountSlot(_ block: UInt64, _ cluster: UInt64) throws(BlockError) -> (slot: Int, entry: Int) {
        let perSlice = (UInt64(refcountCache.sliceBytes) * 8) >> UInt64(header.refcountOrder)
        let number = cluster % header.refcountEntries
        if !refcountCache.hasRoom(2) { try refcountCache.write(to: file) }
        let slot = try refcountCache.slot(block + number / perSlice * UInt64(refcountCache.sliceBytes), file)
        return (slot, Int(number % perSlice))
    }

    /// How many references a cluster has.
    mutating func refcount(_ cluster: UInt64) throws(BlockError) -> UInt64 {
        let block = try refcountBlock(cluster)
        if block == 0 { return 0 }
        let place = try refcountSlot(block, cluster)
        return refcountCache.entry(place.slot, place.entry, order: header.refcountOrder)
    }

    /// Sets a count. `allocate` has seen to it that there is a block.
    mutating func setRefcount(_ cluster: UInt64, _ value: UInt64) throws(BlockError) {
        if header.hasLazyRefcounts { try setIncompatible(QCOW2Feature.dirty, true) }
        let block = try refcountBlock(cluster)
        guard block != 0 else {
            if value == 0 { return }
            throw corruption("the cluster has no refcount block", at: cluster &* clusterSize)
        }
        let place = try refcountSlot(block, cluster)
        refcountCache.setEntry(place.slot, place.entry, order: header.refcountOrder, value)
    }

    /// Adds a reference to each of a run of clusters.
    mutating func addReferences(_ offset: UInt64, _ bytes: UInt64) throws(BlockError) {
        guard bytes > 0 else { return }
        for cluster in offset / clusterSize ... (offset &+ (bytes - 1)) / clusterSize {
            let count = try refcount(cluster)
            guard count < header.refcountMaximum else { throw BlockError(.noSpace, "a cluster has as many references as \(1 << header.refcountOrder) bits can count", offset: cluster * clusterSize) }
            try setRefcount(cluster, count + 1)
        }
    }

    /// Takes a reference away at once. For what nothing in the file points to any more, or never did.
    mutating func release(_ cluster: UInt64) throws(BlockError) {
        let count = try refcount(cluster)
        // A count of 0 is an error that `check` finds; there is nothing to take away.
        guard count > 0 else { return }
        try setRefcount(cluster, count - 1)
        guard count == 1 else { return }
        l2Cache.drop(cluster * clusterSize, clusterSize)
        refcountCache.drop(cluster * clusterSize, clusterSize)
        metadataClusters.remove(cluster)
        freeHint = min(freeHint, cluster)
        if compressedCursor / clusterSize == cluster { compressedCursor = 0 }
    }

    /// Takes a reference away from the clusters of a range of the file, once it is safe (`writeBack`).
    mutating func free(_ offset: UInt64, _ bytes: UInt64) {
        guard bytes > 0 else { return }
        let first = offset / clusterSize
        pendingFrees.append((first, (offset &+ (bytes - 1)) / clusterSize - first + 1))
    }

    /// Takes space for `count` clusters in a row; fewer if `orFewer` and no such run is at hand. Returns offset and number.
    mutating func allocate(_ count: UInt64, orFewer: Bool = false) throws(BlockError) -> (offset: UInt64, count: UInt64) {
        guard count > 0 else { return (0, 0) }
        try refuseIfCorrupt()
        var found = FreeRun(hint: freeHint)
        while found.length < count + found.missing {
            let cluster = found.start + found.length
            guard cluster < (1 << 56) / clusterSize, count < (1 << 56) / clusterSize else { throw BlockError(.noSpace, "the image's offsets are used up") }
            if try refcountBlock(cluster) == 0 {
                if orFewer, found.length > found.missing { break }
                if cluster / header.refcountEntries >= UInt64(refcountTable.count) {
                    try growRefcountTable(for: cluster, andMore: count)
                    // The old table is free now, and the new one stands where the run would have gone on.
                    found = FreeRun(hint: freeHint)
                    continue
                }
                // Nothing there is in use. The block is made once the run is long enough; at once if the run may be short.
                found.missing += 1
                let rest = header.refcountEntries - cluster % header.refcountEntries
                found.extend(by: orFewer ? 1 : min(rest, count + found.missing - found.length))
                if orFewer { try makeRefcountBlocks(&found) }
                continue
            }
            if try refcount(cluster) == 0 { found.extend(by: 1) } else {
                if orFewer, found.length > 0 { break }
                found.restart(at: cluster + 1)
            }
        }
        try refuseMetadata(found.start, found.length)
        // What lies between the hint and a longer run stays free for shorter ones.
        let gap = found.first.flatMap { $0 < found.start ? $0 : nil }
        try makeRefcountBlocks(&found)
        for taken in found.start..<found.start + found.length { try setRefcount(taken, 1) }
        freeHint = gap ?? found.start + found.length
        return (found.start * clusterSize, found.length)
    }

    /// A run of free clusters that the search has found so far.
    private struct FreeRun {
        var start: UInt64, length: UInt64 = 0
        /// Refcount blocks that describe the run and are not there yet: they will take its first clusters.
        var missing: UInt64 = 0
        /// The first free cluster seen.
        var first: UInt64?

        init(hint: UInt64) { start = hint }

        mutating func extend(by count: UInt64) {
            if first == nil { first = start }
            length += count
        }
        mutating func restart(at cluster: UInt64) {
            start = cluster
            length = 0
            missing = 0
        }
    }

    private mutating func refuseMetadata(_ first: UInt64, _ count: UInt64) throws(BlockError) {
        for taken in first..<first + count {
            if let what = metadata(at: taken * clusterSize) {
                throw corruption("Preventing invalid allocation of \(what) at offset 0x\(String(taken * clusterSize, radix: 16))", at: taken * clusterSize)
            }
        }
    }

    /// Whether space just taken reads as zeros; from now on it does not.
    mutating func takesZeros(_ offset: UInt64, _ bytes: UInt64) -> Bool {
        let isZero = offset >= zeroFrom
        zeroFrom = max(zeroFrom, offset &+ bytes)
        return isZero
    }

    // MARK: Making blocks

    /// Makes the refcount blocks that a run lacks, in its first clusters, and takes those off the run.
    private mutating func makeRefcountBlocks(_ run: inout FreeRun) throws(BlockError) {
        guard run.missing > 0 else { return }
        try refuseMetadata(run.start, run.missing)
        if header.hasLazyRefcounts { try setIncompatible(QCOW2Feature.dirty, true) }
        let entries = header.refcountEntries, taken = run.start..<run.start + run.missing
        var made: [(index: UInt64, cluster: UInt64)] = []
        for index in run.start / entries ... (run.start + run.length - 1) / entries where refcountTable[Int(index)] & ~511 == 0 {
            made.append((index, run.start + UInt64(made.count)))
        }
        for (index, cluster) in made {
            var bytes = [UInt8](repeating: 0, count: Int(clusterSize))
            bytes.withUnsafeMutableBytes { raw in
                for used in taken where used / entries == index { QCOW2TableCache.setEntry(raw, Int(used % entries), order: header.refcountOrder, 1) }
            }
            refcountCache.drop(cluster * clusterSize, clusterSize)
            try file.write(cluster * clusterSize, bytes: bytes)
        }
        zeroFrom = max(zeroFrom, taken.upperBound * clusterSize)
        // Those that older blocks describe are counted before the table points to them.
        let counted = taken.filter { refcountTable[Int($0 / entries)] & ~511 != 0 }
        for cluster in counted { try setRefcount(cluster, 1) }
        if !counted.isEmpty { try refcountCache.write(to: file) }
        try file.flush()
        for (index, cluster) in made {
            try file.write(header.refcountTableOffset + index * 8, bytes: QCOW2Tables.encoded(cluster * clusterSize))
            // The blocks that count the others come first.
            if made.count > 1, index <= (taken.upperBound - 1) / entries { try file.flush() }
            refcountTable[Int(index)] = cluster * clusterSize
            metadataClusters.insert(cluster)
        }
        if run.first == run.start { run.first = nil }
        run.start += run.missing
        run.length -= run.missing
        run.missing = 0
    }

    /// Moves the refcount table to where it ends, larger; the new area describes itself. - Parameter more: clusters behind
    /// it that the new table has room for.
    private mutating func growRefcountTable(for cluster: UInt64, andMore more: UInt64) throws(BlockError) {
        let entries = header.refcountEntries
        let base = max(cluster, UInt64(refcountTable.count) * entries)
        let firstBlock = base / entries
        var tableClusters: UInt64 = 1, blocks: UInt64 = 1
        while true {
            let lastBlock = (base + tableClusters + blocks - 1) / entries
            let wanted = max(lastBlock + 2 + (more + more / entries + 1) / entries, UInt64(refcountTable.count) * 3 / 2)
            let needClusters = (wanted * 8).divided(roundingUpBy: clusterSize), needBlocks = lastBlock - firstBlock + 1
            if needClusters <= tableClusters, needBlocks <= blocks { break }
            tableClusters = max(needClusters, tableClusters)
            blocks = max(needBlocks, blocks)
        }
        guard tableClusters * clusterSize <= QCOW2Header.largestRefcountTable else { throw BlockError(.noSpace, "the refcount table would grow beyond \(QCOW2Header.largestRefcountTable) bytes") }
        var table = refcountTable + [UInt64](repeating: 0, count: Int(tableClusters * clusterSize / 8) - refcountTable.count)
        for number in 0..<blocks {
            let at = (base + number) * clusterSize
            var bytes = [UInt8](repeating: 0, count: Int(clusterSize))
            bytes.withUnsafeMutableBytes { raw in
                for used in base..<base + blocks + tableClusters where used / entries == firstBlock + number {
                    QCOW2TableCache.setEntry(raw, Int(used % entries), order: header.refcountOrder, 1)
                }
            }
            refcountCache.drop(at, clusterSize)
            try file.write(at, bytes: bytes)
            table[Int(firstBlock + number)] = at
        }
        let newOffset = (base + blocks) * clusterSize
        try file.write(newOffset, bytes: QCOW2Tables.encoded(table))
        zeroFrom = max(zeroFrom, newOffset + tableClusters * clusterSize)
        try file.flush()
        try file.write(48, bytes: QCOW2Tables.encoded(newOffset) + QCOW2Tables.encoded(UInt32(truncatingIfNeeded: tableClusters)))
        try file.flush()
        let old = (offset: header.refcountTableOffset, clusters: UInt64(header.refcountTableClusters))
        header.refcountTableOffset = newOffset
        header.refcountTableClusters = UInt32(truncatingIfNeeded: tableClusters)
        refcountTable = table
        for number in 0..<blocks { metadataClusters.insert(base + number) }
        for number in 0..<old.clusters { try release(old.offset / clusterSize + number) }
    }
}
