// qcow2: the table of snapshots (section "Snapshots"): reading and replacing it.

import Block

/// One snapshot, as the table holds it.
struct QCOW2Snapshot: Sendable {
    var record: SnapshotRecord
    var l1Offset: UInt64
    var l1Count: UInt32
    /// Extra data beyond what is known here.
    var furtherData: [UInt8] = []

    func encoded() throws(BlockError) -> [UInt8] {
        let id = Array(record.id.utf8), name = Array(record.name.utf8)
        guard id.count <= 65535, name.count <= 65535 else { throw .invalid("a snapshot's name has at most 65535 bytes") }
        var bytes = Bytes([UInt8](repeating: 0, count: 64), order: .big)
        try bytes.set(0, l1Offset)
        try bytes.set(8, l1Count)
        try bytes.set(12, UInt16(id.count))
        try bytes.set(14, UInt16(name.count))
        try bytes.set(16, UInt32(truncatingIfNeeded: record.seconds))
        try bytes.set(20, record.nanoseconds)
        try bytes.set(24, record.vmClock)
        try bytes.set(32, UInt32(exactly: record.vmStateSize) ?? 0)
        try bytes.set(36, UInt32(24 + furtherData.count))
        try bytes.set(40, record.vmStateSize)
        try bytes.set(48, record.diskSize ?? 0)
        try bytes.set(56, record.instructions ?? UInt64.max)
        var all = bytes.array + furtherData + id + name
        while all.count % 8 != 0 { all.append(0) }
        return all
    }
}

extension QCOW2Tables {
    private static let largestExtraData: UInt32 = 1024

    mutating func readSnapshots() throws(BlockError) {
        var position = header.snapshotOffset
        snapshots.removeAll()
        for number in 0..<header.snapshotCount {
            guard position - header.snapshotOffset < UInt64(Node.largestMetadata) else { throw .corrupt(at: position, "Snapshot table too large") }
            let fixed = try file.metadata(position, 40, order: .big)
            let extraSize = try fixed.u32(36)
            guard extraSize <= QCOW2Tables.largestExtraData else { throw .corrupt(at: position, "Too much extra metadata in snapshot table entry \(number)") }
            let extra = Int(extraSize), idSize = Int(try fixed.u16(12)), nameSize = Int(try fixed.u16(14))
            let rest = try file.metadata(position + 40, extra + idSize + nameSize, order: .big)
            var record = SnapshotRecord(id: String(decoding: try rest.slice(extra, idSize), as: UTF8.self),
                                        name: String(decoding: try rest.slice(extra + idSize, nameSize), as: UTF8.self),
                                        vmStateSize: UInt64(try fixed.u32(32)), seconds: UInt64(try fixed.u32(16)),
                                        nanoseconds: try fixed.u32(20), vmClock: try fixed.u64(24), instructions: nil, diskSize: header.size)
            if extra >= 8 { record.vmStateSize = try rest.u64(0) }
            if extra >= 16 { record.diskSize = try rest.u64(8) }
            if extra >= 24 {
                let count = try rest.u64(16)
                record.instructions = count == UInt64.max ? nil : count
            }
            let snapshot = QCOW2Snapshot(record: record, l1Offset: try fixed.u64(0), l1Count: try fixed.u32(8),
                                         furtherData: extra > 24 ? try rest.slice(24, extra - 24) : [])
            guard header.isCluster(snapshot.l1Offset), UInt64(snapshot.l1Count) * 8 <= QCOW2Header.largestL1 else {
                throw .corrupt(at: position, "Snapshot \(number) ('\(record.name)') has an invalid L1 table")
            }
            snapshots.append(snapshot)
            position += UInt64(40 + extra + idSize + nameSize + 7) / 8 * 8
        }
        snapshotTableBytes = position - header.snapshotOffset
    }

    /// Replaces the table: the new one is safe before the header points to it.
    mutating func replaceSnapshots(_ new: [QCOW2Snapshot]) throws(BlockError) {
        guard new.count <= Int(QCOW2Header.mostSnapshots) else { throw BlockError(.noSpace, "an image has at most \(QCOW2Header.mostSnapshots) snapshots") }
        var bytes: [UInt8] = []
        for snapshot in new { bytes += try snapshot.encoded() }
        guard bytes.count <= Node.largestMetadata else { throw BlockError(.noSpace, "the snapshot table would be larger than \(Node.largestMetadata) bytes") }
        let clusters = UInt64(bytes.count).divided(roundingUpBy: clusterSize)
        let offset = clusters == 0 ? 0 : try allocate(clusters).offset
        zeroFrom = max(zeroFrom, offset + clusters * clusterSize)
        if clusters > 0 { try file.write(offset, bytes: bytes) }
        try writeBack()
        try file.flush()
        try file.write(60, bytes: QCOW2Tables.encoded(UInt32(new.count)) + QCOW2Tables.encoded(offset))
        try file.flush()
        let old = (offset: header.snapshotOffset, clusters: header.snapshotCount == 0 ? 0 : snapshotTableBytes.divided(roundingUpBy: clusterSize))
        snapshots = new
        header.snapshotCount = UInt32(new.count)
        header.snapshotOffset = offset
        snapshotTableBytes = UInt64(bytes.count)
        for number in 0..<old.clusters { try release(old.offset / clusterSize + number) }
    }
}
