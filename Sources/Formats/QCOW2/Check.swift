// qcow2: consistency. All tables are walked and references counted; then the counts in the file are compared with these,
// and the COPIED flags with the counts. Messages and sums are QEMU's.

import Block

extension QCOW2: CheckableImage {
    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        try locked { (tables) throws(BlockError) in try tables.check(repair) }
    }
}

extension QCOW2Tables {
    mutating func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        if isWritable {
            try writeBack()
            try refcountCache.write(to: file)
        }
        var walk = QCOW2Walk(fileEnd: try file.length(), repair: isWritable ? repair : .nothing)
        try countMetadata(&walk)
        let withoutRefcounts = walk.references
        try countRefcounts(&walk)
        try compare(&walk)
        if walk.needsRebuild, walk.repair == .all {
            walk.result.note("Rebuilding refcount structure")
            try rebuildRefcounts(withoutRefcounts, order: header.refcountOrder)
            walk.isRebuilt = true
            walk.result.corruptions -= min(walk.result.corruptions, walk.rebuildable)
            walk.result.corruptionsFixed += walk.rebuildable
            walk.result.leaks = 0
        }
        try checkCopied(&walk)
        if isWritable, walk.repair != .nothing {
            try writeBack()
            try refcountCache.write(to: file)
            if walk.repair == .all, walk.result.corruptions == 0, walk.result.checkErrors == 0 {
                try file.flush()
                try setIncompatible(QCOW2Feature.corrupt | QCOW2Feature.dirty, false)
                noteMetadataClusters()
            }
            freeHint = 0
        }
        walk.result.imageEnd = walk.end * clusterSize
        walk.result.units = (header.size.divided(roundingUpBy: clusterSize), walk.allocated, walk.fragmented, walk.compressed)
        return walk.result
    }

    /// An image that was not closed has counts of an earlier time: they are found anew.
    mutating func repairAfterCrash() throws(BlockError) {
        let result = try check(.all)
        guard result.corruptions == 0, result.checkErrors == 0 else {
            throw .corrupt("Could not repair dirty image: \(result.messages.first ?? "errors remain")")
        }
        try setIncompatible(QCOW2Feature.dirty, false)
    }

    // MARK: Counting

    func count(_ walk: inout QCOW2Walk, _ offset: UInt64, _ bytes: UInt64) {
        guard bytes > 0 else { return }
        let (end, overflow) = offset.addingReportingOverflow(bytes)
        if overflow || offset >= 1 << 62 || end > walk.fileEnd && end - walk.fileEnd >= clusterSize {
            walk.error("ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset 0x\(hex(offset)) size 0x\(hex(bytes))")
            return
        }
        for cluster in offset / clusterSize ... (end - 1) / clusterSize { walk.references.add(cluster) }
    }

    mutating func countMetadata(_ walk: inout QCOW2Walk) throws(BlockError) {
        count(&walk, 0, clusterSize)
        try countL1(&walk, header.l1Offset, l1, isActive: true)
        var seen: Set<UInt64> = [header.l1Offset]
        for snapshot in snapshots {
            guard seen.insert(snapshot.l1Offset).inserted || snapshot.l1Count == 0 else {
                walk.error("ERROR snapshot \(snapshot.record.id) (\(snapshot.record.name)) l1_offset=0x\(hex(snapshot.l1Offset)): used by another L1 table")
                continue
            }
            try countL1(&walk, snapshot.l1Offset, try words(snapshot.l1Offset, Int(snapshot.l1Count)), isActive: false)
        }
        if header.snapshotCount > 0 { count(&walk, header.snapshotOffset, snapshotTableBytes) }
        if let encryption = header.encryption { count(&walk, encryption.offset, encryption.length) }
        if let area = header.bitmaps {
            count(&walk, area.offset, area.size)
            // Those that the file has; what was added or removed since then is not there yet.
            var stored = self
            try stored.readBitmaps()
            for bitmap in stored.bitmaps { for cluster in try bitmapClusters(bitmap) { count(&walk, cluster * clusterSize, clusterSize) } }
        }
    }

    private mutating func countL1(_ walk: inout QCOW2Walk, _ offset: UInt64, _ table: [UInt64], isActive: Bool) throws(BlockError) {
        count(&walk, offset, UInt64(table.count) * 8)
        var seen: Set<UInt64> = []
        for (index, word) in table.enumerated() {
            let l2 = word & QCOW2Entry.offsetMask
            if l2 == 0 { continue }
            guard header.isCluster(l2) else {
                walk.error("ERROR L2 offset=\(hex(l2)): Table is not cluster aligned; L1 entry corrupted")
                continue
            }
            guard seen.insert(l2).inserted else {
                walk.error("ERROR L2 offset=\(hex(l2)): used by two L1 entries of one table")
                continue
            }
            count(&walk, l2, clusterSize)
            // A table beyond the end of the file has been noted; it holds nothing.
            if l2 < walk.fileEnd { try countL2(&walk, l2, index, isActive: isActive) }
        }
    }

    private mutating func countL2(_ walk: inout QCOW2Walk, _ table: UInt64, _ index: Int, isActive: Bool) throws(BlockError) {
        var next: UInt64 = 0
        for number in 0..<header.l2Entries {
            let at = try l2Slot(table, number)
            let entry = entry(at.slot, at.byte)
            if entry.isCompressed {
                if entry.isCopied { walk.error("ERROR: coffset=0x\(hex(payload(entry).offset)): copied flag must never be set for compressed clusters") }
                if hasDataFile {
                    walk.error("ERROR compressed cluster \(index * Int(header.l2Entries) + Int(number)) with data file, entry=0x\(hex(entry.word))")
                    continue
                }
                let stored = payload(entry)
                count(&walk, stored.offset, stored.count)
                if isActive { walk.allocated += 1; walk.fragmented += 1; walk.compressed += 1 }
                continue
            }
            if header.hasExtendedL2, entry.bitmap & (entry.bitmap >> 32) != 0 {
                walk.error("ERROR offset=\(hex(entry.host)): Allocated cluster has corrupted subcluster allocation bitmap")
            }
            guard hasHost(entry) else { continue }
            guard header.isCluster(entry.host) else {
                walk.error("ERROR offset=\(hex(entry.host)): Data cluster is not properly aligned; L2 entry corrupted.")
                if !hasDataFile { count(&walk, entry.host, clusterSize) }
                continue
            }
            if isActive {
                walk.allocated += 1
                if next != 0, entry.host != next { walk.fragmented += 1 }
                next = entry.host + clusterSize
            }
            if hasDataFile {
                let guest = UInt64(index) * header.l2Coverage + number * clusterSize
                if entry.host != guest { walk.error("ERROR offset=\(hex(entry.host)): expected the guest's offset \(hex(guest)) in the data file") }
                continue
            }
            count(&walk, entry.host, clusterSize)
        }
    }

    private mutating func countRefcounts(_ walk: inout QCOW2Walk) throws(BlockError) {
        count(&walk, header.refcountTableOffset, UInt64(header.refcountTableClusters) * clusterSize)
        for (index, word) in refcountTable.enumerated() where word != 0 {
            let offset = word & ~511
            guard header.isCluster(offset) else {
                walk.error("ERROR refcount block \(index) is not cluster aligned; refcount table entry corrupted")
                walk.needsRebuild = true
                walk.rebuildable += 1
                continue
            }
            guard offset < walk.fileEnd else {
                walk.error("ERROR refcount block \(index) is outside image")
                walk.needsRebuild = true
                walk.rebuildable += 1
                continue
            }
            walk.references.add(offset / clusterSize)
            if walk.references.count(offset / clusterSize) != 1 {
                walk.error("ERROR refcount block \(index) refcount=\(walk.references.count(offset / clusterSize))")
                walk.needsRebuild = true
                walk.rebuildable += 1
            }
            walk.blocks[UInt64(index)] = offset
        }
    }

    // MARK: Comparing

    private mutating func compare(_ walk: inout QCOW2Walk) throws(BlockError) {
        let perBlock = header.refcountEntries
        var ranges = walk.blocks.keys.sorted().map { $0 * perBlock ..< ($0 + 1) * perBlock }
        for used in walk.references.usedRanges {
            // Where there are references, but no block.
            for index in used.lowerBound / perBlock ... (used.upperBound - 1) / perBlock where walk.blocks[index] == nil {
                let part = max(used.lowerBound, index * perBlock) ..< min(used.upperBound, (index + 1) * perBlock)
                if walk.references.touches(part) { ranges.append(part) }
            }
        }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        for range in ranges {
            let hasBlock = walk.blocks[range.lowerBound / perBlock] != nil
            // Counts beyond the end of the file cost nobody anything.
            for cluster in range where cluster < walk.fileEnd.divided(roundingUpBy: clusterSize) {
                let found = walk.references.count(cluster)
                let stored = hasBlock ? try refcount(cluster) : 0
                if found > 0 || stored > 0 { walk.end = max(walk.end, cluster + 1) }
                if found == stored { continue }
                try differ(&walk, cluster, stored: stored, found: found, hasBlock: hasBlock)
            }
        }
    }

    private mutating func differ(_ walk: inout QCOW2Walk, _ cluster: UInt64, stored: UInt64, found: UInt64, hasBlock: Bool) throws(BlockError) {
        let isLeak = stored > found
        let mayFix = walk.repair == .all || walk.repair == .leaks && isLeak
        let canFix = mayFix && hasBlock && found <= header.refcountMaximum && !walk.needsRebuild
        let word = canFix ? "Repairing" : isLeak ? "Leaked" : "ERROR"
        walk.result.note("\(word) cluster \(cluster) refcount=\(stored) reference=\(found)")
        if canFix {
            try setRefcount(cluster, found)
            if isLeak { walk.result.leaksFixed += 1 } else { walk.result.corruptionsFixed += 1 }
        } else if isLeak { walk.result.leaks += 1 } else {
            walk.result.corruptions += 1
            if walk.repair == .all { walk.needsRebuild = true; walk.rebuildable += 1 }
        }
    }

    /// A count, where its block is fit to be read.
    private mutating func storedCount(_ walk: QCOW2Walk, _ cluster: UInt64) throws(BlockError) -> UInt64 {
        walk.isRebuilt || walk.blocks[cluster / header.refcountEntries] != nil ? try refcount(cluster) : 0
    }

    private mutating func checkCopied(_ walk: inout QCOW2Walk) throws(BlockError) {
        for index in l1.indices {
            let l2 = l1[index] & QCOW2Entry.offsetMask
            guard l2 != 0, header.isCluster(l2), l2 < walk.fileEnd else { continue }
            let count = try storedCount(walk, l2 / clusterSize)
            if (count == 1) != (l1[index] & QCOW2Entry.copied != 0) {
                let fixes = walk.fixesFlag(count)
                walk.flag("OFLAG_COPIED L2 cluster: l1_index=\(index) l1_entry=\(hex(l1[index])) refcount=\(count)", fixes)
                if fixes { setL1(index, count == 1 ? l2 | QCOW2Entry.copied : l2) }
            }
            if hasDataFile { continue }
            for number in 0..<header.l2Entries {
                if walk.repair != .nothing, !l2Cache.hasRoom(2) { try writeBack() }
                let at = try l2Slot(l2, number)
                var entry = entry(at.slot, at.byte)
                if entry.isCompressed || entry.host == 0 || !header.isCluster(entry.host) { continue }
                let references = try storedCount(walk, entry.host / clusterSize)
                if (references == 1) == entry.isCopied { continue }
                let fixes = walk.fixesFlag(references)
                walk.flag("OFLAG_COPIED data cluster: l2_entry=\(hex(entry.word)) refcount=\(references)", fixes)
                guard fixes else { continue }
                entry.word ^= QCOW2Entry.copied
                setEntry(at.slot, at.byte, entry)
            }
        }
    }
}

private func hex(_ value: UInt64) -> String { String(value, radix: 16) }

/// What a check has found so far.
struct QCOW2Walk: Sendable {
    var references = QCOW2References()
    var result = CheckResult()
    let fileEnd: UInt64
    let repair: Repair
    /// Refcount blocks that are where they should be, by their number.
    var blocks: [UInt64: UInt64] = [:]
    var needsRebuild = false
    var isRebuilt = false
    /// Corruptions that new refcounts cure.
    var rebuildable: UInt64 = 0
    /// One past the last cluster in use.
    var end: UInt64 = 0
    var allocated: UInt64 = 0
    var fragmented: UInt64 = 0
    var compressed: UInt64 = 0

    init(fileEnd: UInt64, repair: Repair) {
        self.fileEnd = fileEnd
        self.repair = repair
    }

    mutating func error(_ text: String) {
        result.note(text)
        result.corruptions += 1
    }

    /// A missing flag costs space, one too many contents.
    func fixesFlag(_ references: UInt64) -> Bool { repair == .all || repair == .leaks && references == 1 }

    mutating func flag(_ text: String, _ fixes: Bool) {
        result.note((fixes ? "Repairing " : "ERROR ") + text)
        if fixes { result.corruptionsFixed += 1 } else { result.corruptions += 1 }
    }
}
