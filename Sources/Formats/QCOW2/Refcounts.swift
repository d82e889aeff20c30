// qcow2: reference counts (section "Host cluster management"): reading, changing, and the search for free clusters. A
// refcount block that is missing is made in the first cluster that it describes; a refcount table that is too small
// moves to the end of the file.

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
        var start = freeHint, run: UInt64 = 0
        var cluster = freeHint
        var firstFree: UInt64?
        while run < count {
            guard cluster < (1 << 56) / clusterSize else { throw BlockError(.noSpace, "the image's offsets are used up") }
            if try refcountBlock(cluster) == 0 {
                if orFewer, run > 0 { break }
                try makeRefcountBlock(in: cluster)
                run = 0
                continue
            }
            if try refcount(cluster) == 0 {
                if run == 0 { start = cluster }
                if firstFree == nil { firstFree = cluster }
                run += 1
            } else {
                if orFewer, run > 0 { break }
                run = 0
            }
            cluster += 1
        }
        for taken in start..<start + run {
            if let what = metadata(at: taken * clusterSize) {
                throw corruption("Preventing invalid allocation of \(what) at offset 0x\(String(taken * clusterSize, radix: 16))", at: taken * clusterSize)
            }
        }
        for taken in start..<start + run { try setRefcount(taken, 1) }
        // What lies between the hint and a longer run stays free for shorter ones.
        freeHint = firstFree.map { $0 < start ? $0 : start + run } ?? start + run
        return (start * clusterSize, run)
    }

    /// Whether space just taken reads as zeros; from now on it does not.
    mutating func takesZeros(_ offset: UInt64, _ bytes: UInt64) -> Bool {
        let isZero = offset >= zeroFrom
        zeroFrom = max(zeroFrom, offset &+ bytes)
        return isZero
    }

    // MARK: Making blocks

    /// Makes the refcount block that describes `target`, which is free, in `target` itself.
    private mutating func makeRefcountBlock(in target: UInt64) throws(BlockError) {
        let index = target / header.refcountEntries
        guard index < UInt64(refcountTable.count) else { return try growRefcountTable(for: target) }
        if let what = metadata(at: target * clusterSize) {
            throw corruption("Preventing invalid allocation of \(what) at offset 0x\(String(target * clusterSize, radix: 16))", at: target * clusterSize)
        }
        if header.hasLazyRefcounts { try setIncompatible(QCOW2Feature.dirty, true) }
        var bytes = [UInt8](repeating: 0, count: Int(clusterSize))
        bytes.withUnsafeMutableBytes { QCOW2TableCache.setEntry($0, Int(target % header.refcountEntries), order: header.refcountOrder, 1) }
        refcountCache.drop(target * clusterSize, clusterSize)
        try file.write(target * clusterSize, bytes: bytes)
        zeroFrom = max(zeroFrom, (target + 1) * clusterSize)
        try file.flush()
        try file.write(header.refcountTableOffset + index * 8, bytes: QCOW2Tables.encoded(target * clusterSize))
        refcountTable[Int(index)] = target * clusterSize
        metadataClusters.insert(target)
    }

    /// Moves the refcount table to where it ends, larger; the new area describes itself.
    private mutating func growRefcountTable(for cluster: UInt64) throws(BlockError) {
        let entries = header.refcountEntries
        let base = max(cluster, UInt64(refcountTable.count) * entries)
        let firstBlock = base / entries
        var tableClusters: UInt64 = 1, blocks: UInt64 = 1
        while true {
            let lastBlock = (base + tableClusters + blocks - 1) / entries
            let wanted = max(lastBlock + 1, UInt64(refcountTable.count) * 3 / 2)
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
