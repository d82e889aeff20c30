// qcow2: the metadata of an open image: header, L1 table, refcount table, and caches of the tables below them. One lock
// guards all of it (QCOW2.swift); the extensions of this type, one file an aspect, run with it held.

import Block

/// What an L2 entry says of a cluster, or of one subcluster.
enum QCOW2Kind: Sendable {
    case unallocated, zero, data, compressed
}

/// An L2 entry, with its bitmap if it is an extended one.
struct QCOW2Entry: Sendable, Equatable {
    static let copied: UInt64 = 1 << 63
    static let compressed: UInt64 = 1 << 62
    static let zero: UInt64 = 1
    static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00

    var word: UInt64
    /// Low half: subcluster is allocated; high half: it reads as zeros.
    var bitmap: UInt64 = 0

    var isCompressed: Bool { word & QCOW2Entry.compressed != 0 }
    var isCopied: Bool { word & QCOW2Entry.copied != 0 }
    /// Where the cluster is; 0: nowhere (or, in an external data file, at its start).
    var host: UInt64 { word & QCOW2Entry.offsetMask }
}

struct QCOW2Tables: Sendable {
    let file: Node
    /// Where guest data is: the external data file, or `file`.
    let data: Node
    var header: QCOW2Header
    var l1: [UInt64] = []
    var refcountTable: [UInt64] = []
    var l2Cache: QCOW2TableCache
    var refcountCache: QCOW2TableCache
    /// Pieces of 64 entries of the L1 table that the file does not have yet.
    var dirtyL1: Set<Int> = []
    /// Clusters that lose a reference once what no longer points to them is safe: (first cluster, count).
    var pendingFrees: [(first: UInt64, count: UInt64)] = []
    /// No cluster below this is free.
    var freeHint: UInt64 = 0
    /// Bytes of the file from here on have never been written: they read as zeros.
    var zeroFrom: UInt64
    /// The same of the data file.
    var dataZeroFrom: UInt64
    /// Where the next compressed payload may follow the last; 0: nowhere.
    var compressedCursor: UInt64 = 0
    /// Clusters of L2 tables and refcount blocks, by number: nothing else may be written there. Kept for writable images.
    var metadataClusters: Set<UInt64> = []
    /// Whether the image was opened for writing.
    let isWritable: Bool
    /// The file's space is much smaller than its length: data clusters may be holes.
    var mayHaveHoles = false
    var snapshots: [QCOW2Snapshot] = []
    /// Bytes of the snapshot table in the file.
    var snapshotTableBytes: UInt64 = 0
    var bitmaps: [QCOW2Bitmap] = []
    /// The directory in the file is not what `bitmaps` says.
    var bitmapsChanged = false
    /// Of an encrypted image.
    var encryption: QCOW2Encryption?
    /// A snapshot's disk size, while `showSnapshot` is in force.
    var shownSize: UInt64?

    init(file: Node, data: Node?, header: QCOW2Header, writable: Bool) throws(BlockError) {
        self.file = file
        self.data = data ?? file
        self.header = header
        isWritable = writable
        zeroFrom = writable ? try file.length() : 0
        dataZeroFrom = try writable ? data?.length() ?? 0 : 0
        l2Cache = QCOW2TableCache(clusterSize: header.clusterSize, budget: 32 << 20)
        refcountCache = QCOW2TableCache(clusterSize: header.clusterSize, budget: 4 << 20)
        l1 = try words(header.l1Offset, Int(header.l1Count))
        refcountTable = try words(header.refcountTableOffset, Int(UInt64(header.refcountTableClusters) * header.clusterSize / 8))
        while let last = refcountTable.last, last == 0, refcountTable.count > 1 { refcountTable.removeLast() }
        refcountTable += [UInt64](repeating: 0, count: Int(UInt64(header.refcountTableClusters) * header.clusterSize / 8) - refcountTable.count)
        if writable { noteMetadataClusters() }
    }

    var clusterSize: UInt64 { header.clusterSize }
    var hasDataFile: Bool { header.hasDataFile }
    var isCorrupt: Bool { header.incompatible & QCOW2Feature.corrupt != 0 }
    var subclusters: UInt64 { header.hasExtendedL2 ? 32 : 1 }
    var subclusterSize: UInt64 { clusterSize / subclusters }
    /// The guest offset at which a machine's state begins.
    var stateStart: UInt64 { header.neededL1 * header.l2Coverage }

    /// A table of big-endian words in the file.
    func words(_ offset: UInt64, _ count: Int) throws(BlockError) -> [UInt64] {
        let bytes = try file.bytes(offset, count * 8)
        return bytes.withUnsafeBytes { raw in (0..<count).map { UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) } }
    }

    /// Words as the file holds them.
    static func encoded(_ words: some Sequence<UInt64>) -> [UInt8] {
        var bytes: [UInt8] = []
        for word in words { withUnsafeBytes(of: word.bigEndian) { bytes += $0 } }
        return bytes
    }

    static func encoded(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    // MARK: What must not be overwritten

    mutating func noteMetadataClusters() {
        metadataClusters.removeAll()
        for entry in l1 where entry & QCOW2Entry.offsetMask != 0 { metadataClusters.insert((entry & QCOW2Entry.offsetMask) / clusterSize) }
        for entry in refcountTable where entry & ~511 != 0 { metadataClusters.insert((entry & ~511) / clusterSize) }
    }

    /// What of the metadata the cluster at `offset` holds; nil: none.
    func metadata(at offset: UInt64) -> String? {
        if offset < clusterSize { return "qcow2_header" }
        func holds(_ start: UInt64, _ bytes: UInt64) -> Bool { offset >= start && offset < start &+ (bytes.roundedUp(to: clusterSize) ?? bytes) }
        if l1.count > 0, holds(header.l1Offset, UInt64(l1.count) * 8) { return "active L1 table" }
        if holds(header.refcountTableOffset, UInt64(header.refcountTableClusters) * clusterSize) { return "refcount table" }
        if header.snapshotCount > 0, holds(header.snapshotOffset, max(1, snapshotTableBytes)) { return "snapshot table" }
        if let place = header.encryption, holds(place.offset, place.length) { return "LUKS header" }
        if metadataClusters.contains(offset / clusterSize) { return "active L2 table or refcount block" }
        return nil
    }

    /// Marks the image corrupt (version 3 only: version 2 has no place for it), for everybody who opens it later.
    mutating func markCorrupt() {
        guard isWritable, !isCorrupt else { return }
        header.incompatible |= QCOW2Feature.corrupt
        guard header.version >= 3 else { return }
        try? file.write(72, bytes: QCOW2Tables.encoded(header.incompatible))
        try? file.flush()
    }

    /// Marks the image corrupt and says why.
    mutating func corruption(_ text: String, at offset: UInt64? = nil) -> BlockError {
        markCorrupt()
        return .corrupt(at: offset, "qcow2: Marking image as corrupt: \(text); further corruption events will be suppressed")
    }

    func refuseIfCorrupt() throws(BlockError) {
        if isCorrupt { throw .corrupt("qcow2: Image is corrupt; cannot be opened read/write") }
    }

    // MARK: The header

    /// Writes header, extensions and the name of the backing file.
    mutating func writeHeader() throws(BlockError) {
        try file.write(0, bytes: try header.encoded())
        zeroFrom = max(zeroFrom, clusterSize)
    }

    /// Sets or clears bits of the incompatible features, safely in the file.
    mutating func setIncompatible(_ bits: UInt64, _ on: Bool) throws(BlockError) {
        let value = on ? header.incompatible | bits : header.incompatible & ~bits
        guard value != header.incompatible, header.version >= 3 else { return }
        try file.write(72, bytes: QCOW2Tables.encoded(value))
        try file.flush()
        header.incompatible = value
    }
}
