// qcow2: the directory of persistent dirty bitmaps (section "Bitmaps"), and the bits in the file.

import Block
import Core

/// One bitmap: what the directory says, and its bits once they are in memory.
struct QCOW2Bitmap: Sendable {
    static let inUse: UInt32 = 1
    static let auto: UInt32 = 2
    static let extraCompatible: UInt32 = 4

    var name: String
    var granularityBits: UInt8
    var flags: UInt32
    var type: UInt8 = 1
    var extra: [UInt8] = []
    /// The table in the file; 0 entries: there is none.
    var tableOffset: UInt64 = 0
    var tableCount: UInt32 = 0
    /// The bits, if they were loaded: then they are what counts, and closing stores them.
    var tracker: DirtyTracker?

    var isEnabled: Bool { flags & QCOW2Bitmap.auto != 0 }
    /// Not stored properly, or with data that nobody here understands.
    var isInconsistent: Bool { flags & QCOW2Bitmap.inUse != 0 && tracker == nil || type != 1 || !extra.isEmpty && flags & QCOW2Bitmap.extraCompatible == 0 }
    var granularity: UInt64 { 1 << UInt64(granularityBits & 63) }
    var record: BitmapRecord { BitmapRecord(name: name, granularity: granularity, isEnabled: isEnabled, isInconsistent: isInconsistent) }

    /// As `info` prints it.
    var described: JSONValue {
        var words: [JSONValue] = []
        if flags & QCOW2Bitmap.inUse != 0 { words.append(.text("in-use")) }
        if isEnabled { words.append(.text("auto")) }
        return .object([.init("flags", .array(words)), .init("name", .text(name)), .init("granularity", .number(granularity))])
    }

    func encoded() throws(BlockError) -> [UInt8] {
        let text = Array(name.utf8)
        var bytes = Bytes([UInt8](repeating: 0, count: 24), order: .big)
        try bytes.set(0, tableOffset)
        try bytes.set(8, tableCount)
        try bytes.set(12, flags)
        try bytes.set(16, type)
        try bytes.set(17, granularityBits)
        try bytes.set(18, UInt16(truncatingIfNeeded: text.count))
        try bytes.set(20, UInt32(truncatingIfNeeded: extra.count))
        var all = bytes.array + extra + text
        while all.count % 8 != 0 { all.append(0) }
        return all
    }
}

extension QCOW2Tables {
    mutating func readBitmaps() throws(BlockError) {
        bitmaps.removeAll()
        guard let area = header.bitmaps else { return }
        let directory = try file.metadata(area.offset, Int(area.size), order: .big)
        var position = 0
        for number in 0..<area.count {
            let nameSize = Int(try directory.u16(position + 18)), extraSize = try directory.u32(position + 20)
            guard nameSize > 0, nameSize <= 1023, extraSize <= 1 << 20 else { throw .corrupt(at: area.offset + UInt64(position), "bitmap directory entry \(number) is invalid") }
            let extra = Int(extraSize)
            let bitmap = QCOW2Bitmap(name: String(decoding: try directory.slice(position + 24 + extra, nameSize), as: UTF8.self),
                                     granularityBits: try directory.u8(position + 17), flags: try directory.u32(position + 12),
                                     type: try directory.u8(position + 16), extra: try directory.slice(position + 24, extra),
                                     tableOffset: try directory.u64(position), tableCount: try directory.u32(position + 8))
            guard (9...31).contains(bitmap.granularityBits), header.isCluster(bitmap.tableOffset), UInt64(bitmap.tableCount) * 8 <= UInt64(Node.largestMetadata) else {
                throw .corrupt(at: area.offset + UInt64(position), "the bitmap '\(bitmap.name)' has an invalid granularity or table")
            }
            if bitmaps.contains(where: { $0.name == bitmap.name }) { throw .corrupt(at: area.offset + UInt64(position), "two bitmaps are called '\(bitmap.name)'") }
            bitmaps.append(bitmap)
            position += (24 + extra + nameSize + 7) / 8 * 8
        }
    }

    /// The bits of a bitmap in the file.
    func loadBits(_ bitmap: QCOW2Bitmap) throws(BlockError) -> DirtyTracker {
        let tracker = try DirtyTracker(length: header.size, granularity: bitmap.granularity)
        let table = try words(bitmap.tableOffset, Int(bitmap.tableCount))
        let bits = header.size.divided(roundingUpBy: bitmap.granularity)
        guard bits.divided(roundingUpBy: 8 * clusterSize) <= UInt64(table.count) else {
            throw .corrupt(at: bitmap.tableOffset, "the table of bitmap '\(bitmap.name)' is too short for \(header.size) bytes")
        }
        for (index, word) in table.enumerated() {
            let firstBit = UInt64(index) * clusterSize * 8
            guard firstBit < bits else { break }
            let count = min(bits - firstBit, clusterSize * 8)
            let offset = word & QCOW2Entry.offsetMask
            if offset == 0 {
                if word & 1 != 0 { tracker.mark(firstBit * bitmap.granularity, count * bitmap.granularity) }
                continue
            }
            guard header.isCluster(offset), word & ~QCOW2Entry.offsetMask == 0 else { throw .corrupt(at: bitmap.tableOffset + UInt64(index) * 8, "an invalid entry in the table of bitmap '\(bitmap.name)'") }
            let bytes = try file.bytes(offset, Int(count.divided(roundingUpBy: 8)))
            var run: UInt64?
            for bit in 0...count {
                let isSet = bit < count && bytes[Int(bit / 8)] >> UInt8(bit % 8) & 1 != 0
                if isSet, run == nil { run = bit }
                if !isSet, let first = run {
                    tracker.mark((firstBit + first) * bitmap.granularity, (bit - first) * bitmap.granularity)
                    run = nil
                }
            }
        }
        return tracker
    }

    /// Clusters that a bitmap's table and bits take in the file.
    func bitmapClusters(_ bitmap: QCOW2Bitmap) throws(BlockError) -> [UInt64] {
        guard bitmap.tableCount > 0 else { return [] }
        var clusters = (0..<(UInt64(bitmap.tableCount) * 8).divided(roundingUpBy: clusterSize)).map { bitmap.tableOffset / clusterSize + $0 }
        for word in try words(bitmap.tableOffset, Int(bitmap.tableCount)) where word & QCOW2Entry.offsetMask != 0 {
            clusters.append((word & QCOW2Entry.offsetMask) / clusterSize)
        }
        return clusters
    }

    /// Stores the bits in new clusters, and sets the bitmap's table.
    mutating func storeBits(_ bitmap: inout QCOW2Bitmap, _ tracker: DirtyTracker) throws(BlockError) {
        let bits = header.size.divided(roundingUpBy: bitmap.granularity)
        var table = [UInt64](repeating: 0, count: Int(bits.divided(roundingUpBy: 8 * clusterSize)))
        let perCluster = clusterSize * 8 * bitmap.granularity
        for index in table.indices {
            let start = UInt64(index) * perCluster
            let end = min(start &+ perCluster, header.size)
            var range = tracker.next(from: start, limit: perCluster)
            guard let first = range, first.lowerBound < end else { continue }
            if first.lowerBound <= start, first.upperBound >= end {
                table[index] = 1
                continue
            }
            var bytes = [UInt8](repeating: 0, count: Int(clusterSize))
            while let one = range, one.lowerBound < end {
                for bit in (one.lowerBound - start) / bitmap.granularity ..< (min(one.upperBound, end) - start).divided(roundingUpBy: bitmap.granularity) {
                    bytes[Int(bit / 8)] |= 1 << UInt8(bit % 8)
                }
                range = one.upperBound < end ? tracker.next(from: one.upperBound, limit: perCluster) : nil
            }
            let place = try allocate(1).offset
            zeroFrom = max(zeroFrom, place + clusterSize)
            try file.write(place, bytes: bytes)
            table[index] = place
        }
        bitmap.tableOffset = 0
        bitmap.tableCount = UInt32(table.count)
        if table.isEmpty { return }
        let bytes = QCOW2Tables.encoded(table)
        let clusters = UInt64(bytes.count).divided(roundingUpBy: clusterSize)
        bitmap.tableOffset = try allocate(clusters).offset
        zeroFrom = max(zeroFrom, bitmap.tableOffset + clusters * clusterSize)
        try file.write(bitmap.tableOffset, bytes: bytes)
    }
}
