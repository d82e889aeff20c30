// qcow2: new refcounts from counted references: after damage that cannot be mended in place, and for another width.

import Block

extension QCOW2Tables {
    /// Writes new refcounts beyond everything that is used.
    mutating func rebuildRefcounts(_ references: QCOW2References, order: UInt32) throws(BlockError) {
        let perBlock = (clusterSize * 8) >> UInt64(order)
        let maximum: UInt64 = order >= 6 ? UInt64.max : (1 << (1 << UInt64(order))) - 1
        let base = max(references.end, try file.length().divided(roundingUpBy: clusterSize))
        var needed: Set<UInt64> = []
        for range in references.usedRanges {
            for index in range.lowerBound / perBlock ... (range.upperBound - 1) / perBlock {
                if references.touches(max(range.lowerBound, index * perBlock) ..< min(range.upperBound, (index + 1) * perBlock)) { needed.insert(index) }
            }
        }
        var tableClusters: UInt64 = 1
        while true {
            let before = (needed.count, tableClusters)
            let total = UInt64(needed.count) + tableClusters
            for index in base / perBlock ... (base + total - 1) / perBlock { needed.insert(index) }
            tableClusters = max(tableClusters, (((needed.max() ?? 0) + 1) * 8).divided(roundingUpBy: clusterSize))
            if before == (needed.count, tableClusters) { break }
        }
        guard tableClusters * clusterSize <= QCOW2Header.largestRefcountTable else { throw BlockError(.noSpace, "the refcount table would be larger than \(QCOW2Header.largestRefcountTable) bytes") }
        let end = base + UInt64(needed.count) + tableClusters
        var table = [UInt64](repeating: 0, count: Int(tableClusters * clusterSize / 8))
        for (number, index) in needed.sorted().enumerated() {
            let offset = (base + UInt64(number)) * clusterSize
            var bytes = [UInt8](repeating: 0, count: Int(clusterSize))
            for cluster in index * perBlock ..< (index + 1) * perBlock {
                let found = cluster >= base && cluster < end ? 1 : references.count(cluster)
                guard found <= maximum else { throw BlockError(.noSpace, "cluster \(cluster) has \(found) references, more than its count can say") }
                if found > 0 { bytes.withUnsafeMutableBytes { QCOW2TableCache.setEntry($0, Int(cluster % perBlock), order: order, found) } }
            }
            try file.write(offset, bytes: bytes)
            table[Int(index)] = offset
        }
        let offset = (base + UInt64(needed.count)) * clusterSize
        try file.write(offset, bytes: QCOW2Tables.encoded(table))
        zeroFrom = max(zeroFrom, end * clusterSize)
        try file.flush()
        // One write within a sector: the table, its size and the width of its counts change together.
        var sector = try file.metadata(0, 512, order: .big)
        try sector.set(48, offset)
        try sector.set(56, UInt32(truncatingIfNeeded: tableClusters))
        if header.version >= 3 { try sector.set(96, order) }
        try file.write(0, bytes: sector.array)
        try file.flush()
        header.refcountTableOffset = offset
        header.refcountTableClusters = UInt32(truncatingIfNeeded: tableClusters)
        header.refcountOrder = order
        refcountTable = table
        refcountCache.forgetAll()
        noteMetadataClusters()
        freeHint = 0
    }
}
