// qcow2: the header, versions 2 and 3 (QEMU's docs/interop/qcow2, sections "Header" and "Additional fields"). All numbers
// are big endian. Every number is checked here, so that the rest can rely on them. Extensions: HeaderExtensions.swift.

import Block

/// Bits of the three feature words.
enum QCOW2Feature {
    static let dirty: UInt64 = 1
    static let corrupt: UInt64 = 2
    static let externalData: UInt64 = 4
    static let compressionType: UInt64 = 8
    static let extendedL2: UInt64 = 16
    static let knownIncompatible: UInt64 = 31
    /// Compatible.
    static let lazyRefcounts: UInt64 = 1
    /// Autoclear.
    static let bitmaps: UInt64 = 1
    static let rawExternalData: UInt64 = 2
    static let knownAutoclear: UInt64 = 3

    /// The feature name table: word (0 incompatible, 1 compatible, 2 autoclear), bit, name.
    static let names: [(UInt8, UInt8, String)] = [
        (0, 0, "dirty bit"), (0, 1, "corrupt bit"), (0, 2, "external data file"), (0, 3, "compression type"),
        (0, 4, "extended L2 entries"), (1, 0, "lazy refcounts"), (2, 0, "bitmaps"), (2, 1, "raw external data"),
    ]
}

/// Where the bitmap directory is.
struct QCOW2BitmapArea: Sendable, Equatable {
    var count: UInt32
    var size: UInt64
    var offset: UInt64
}

/// The header with its extensions.
struct QCOW2Header: Sendable {
    static let magic: UInt32 = 0x5146_49fb
    /// Bytes of version 3's header as written here: through `compression_type` and its padding.
    static let length3 = 112
    /// QEMU's bounds, so that each opens what the other makes.
    static let largestL1: UInt64 = 32 << 20
    static let largestRefcountTable: UInt64 = 8 << 20
    static let mostSnapshots: UInt32 = 65536

    var version: UInt32 = 3
    var backingName: String?
    var backingFormat: String?
    var clusterBits: UInt32 = 16
    var size: UInt64 = 0
    var cryptMethod: UInt32 = 0
    var l1Count: UInt32 = 0
    var l1Offset: UInt64 = 0
    var refcountTableOffset: UInt64 = 0
    var refcountTableClusters: UInt32 = 0
    var snapshotCount: UInt32 = 0
    var snapshotOffset: UInt64 = 0
    var incompatible: UInt64 = 0
    var compatible: UInt64 = 0
    var autoclear: UInt64 = 0
    var refcountOrder: UInt32 = 4
    var compression: UInt8 = 0
    /// Fields beyond those known here, kept as they are.
    var furtherFields: [UInt8] = []
    var dataFileName: String?
    var bitmaps: QCOW2BitmapArea?
    var encryption: (offset: UInt64, length: UInt64)?
    var unknownExtensions: [(type: UInt32, data: [UInt8])] = []

    var clusterSize: UInt64 { 1 << UInt64(clusterBits) }
    var hasExtendedL2: Bool { incompatible & QCOW2Feature.extendedL2 != 0 }
    var hasDataFile: Bool { incompatible & QCOW2Feature.externalData != 0 }
    var isDataFileRaw: Bool { autoclear & QCOW2Feature.rawExternalData != 0 }
    var hasLazyRefcounts: Bool { version >= 3 && compatible & QCOW2Feature.lazyRefcounts != 0 }
    var l2EntrySize: UInt64 { hasExtendedL2 ? 16 : 8 }
    var l2Entries: UInt64 { clusterSize / l2EntrySize }
    /// Guest bytes that one L1 entry covers.
    var l2Coverage: UInt64 { clusterSize * l2Entries }
    var refcountEntries: UInt64 { (clusterSize * 8) >> UInt64(refcountOrder) }
    var refcountMaximum: UInt64 { refcountOrder >= 6 ? UInt64.max : (1 << (1 << UInt64(refcountOrder))) - 1 }
    /// L1 entries that the disk needs.
    var neededL1: UInt64 { size.divided(roundingUpBy: l2Coverage) }

    init() {}

    /// Reads header and extensions; checks everything that later code relies on.
    init(_ file: Node) throws(BlockError) {
        let start = try file.metadata(0, QCOW2Header.length3, order: .big)
        guard try start.u32(0) == QCOW2Header.magic else { throw .corrupt(at: 0, "Image is not in qcow2 format") }
        version = try start.u32(4)
        guard version == 2 || version == 3 else { throw .unsupported("Unsupported qcow2 version \(version)", at: 4) }
        let backingOffset = try start.u64(8)
        let backingLength = try start.u32(16)
        clusterBits = try start.u32(20)
        guard (9...21).contains(clusterBits) else { throw .corrupt(at: 20, "Unsupported cluster size: 2^\(clusterBits)") }
        size = try start.u64(24)
        cryptMethod = try start.u32(32)
        l1Count = try start.u32(36)
        l1Offset = try start.u64(40)
        refcountTableOffset = try start.u64(48)
        refcountTableClusters = try start.u32(56)
        snapshotCount = try start.u32(60)
        snapshotOffset = try start.u64(64)
        var headerLength: UInt32 = 72
        if version >= 3 {
            incompatible = try start.u64(72)
            compatible = try start.u64(80)
            autoclear = try start.u64(88)
            refcountOrder = try start.u32(96)
            headerLength = try start.u32(100)
            guard headerLength >= 104 else { throw .corrupt(at: 100, "qcow2 header too short") }
            guard UInt64(headerLength) <= clusterSize else { throw .corrupt(at: 100, "qcow2 header exceeds cluster size") }
            if headerLength > 104 { compression = try start.u8(104) }
        }
        let area = try file.metadata(0, Int(clusterSize), order: .big)
        if headerLength > 112 { furtherFields = try area.slice(112, Int(headerLength) - 112) }
        if backingOffset != 0 {
            guard backingOffset <= clusterSize else { throw .corrupt(at: 8, "Invalid backing file offset") }
            guard backingLength <= min(1023, clusterSize - backingOffset), backingOffset >= UInt64(headerLength) else {
                throw .corrupt(at: 16, "Backing file name too long")
            }
            let name = try area.slice(Int(backingOffset), Int(backingLength))
            backingName = String(decoding: name, as: UTF8.self)
        }
        let names = try readExtensions(area, from: Int(headerLength), to: backingOffset == 0 ? Int(clusterSize) : Int(backingOffset))
        try check(names)
    }

    private func check(_ names: [QCOW2FeatureName]) throws(BlockError) {
        let unknown = incompatible & ~QCOW2Feature.knownIncompatible
        guard unknown == 0 else {
            let words = (0..<64).filter { unknown >> $0 & 1 != 0 }.map { bit in
                names.first { $0.word == 0 && Int($0.bit) == bit }?.name ?? "Unknown incompatible feature: \(String(UInt64(1) << bit, radix: 16))"
            }
            throw .unsupported("Unsupported qcow2 feature(s): \(words.joined(separator: ", "))", at: 72)
        }
        guard refcountOrder <= 6 else { throw .corrupt(at: 96, "Reference count entry width too large; may not exceed 64 bits") }
        guard cryptMethod <= 2 else { throw .corrupt(at: 32, "Unsupported encryption method \(cryptMethod)") }
        guard compression <= 1 else { throw .unsupported("Unknown compression type: \(compression)", at: 104) }
        guard (incompatible & QCOW2Feature.compressionType != 0) == (compression != 0) else {
            throw .corrupt(at: 104, "Compression type incompatible feature bit must \(compression == 0 ? "not be set" : "be set")")
        }
        if hasExtendedL2, clusterBits < 14 { throw .corrupt(at: 20, "the clusters of \(clusterSize) bytes have no subclusters: expected at least 16384") }
        if isDataFileRaw, !hasDataFile { throw .corrupt(at: 88, "data-file-raw requires data-file") }
        let bytes = UInt64(l1Count) * 8
        guard bytes <= QCOW2Header.largestL1 else { throw .corrupt(at: 36, "Active L1 table too large") }
        guard isCluster(l1Offset) || l1Count == 0 else { throw .corrupt(at: 40, "Active L1 table offset invalid") }
        guard size <= UInt64(Int64.max), neededL1 <= UInt64(l1Count) else { throw .corrupt(at: 36, "L1 table is too small") }
        guard UInt64(refcountTableClusters) * clusterSize <= QCOW2Header.largestRefcountTable else { throw .corrupt(at: 56, "Reference count table too large") }
        guard isCluster(refcountTableOffset) else { throw .corrupt(at: 48, "Reference count table offset invalid") }
        guard snapshotCount <= QCOW2Header.mostSnapshots else { throw .corrupt(at: 60, "Snapshot table too large") }
        if snapshotCount > 0, !isCluster(snapshotOffset) { throw .corrupt(at: 64, "Snapshot table offset invalid") }
    }

    /// Whether `offset` can be that of a cluster.
    func isCluster(_ offset: UInt64) -> Bool { offset & (clusterSize - 1) == 0 && offset < 1 << 56 }

    /// The bytes from the start of the file: header, extensions, name of the backing file.
    func encoded() throws(BlockError) -> [UInt8] {
        let length = version >= 3 ? QCOW2Header.length3 + furtherFields.count : 72
        var extensions = encodedExtensions(withNames: version >= 3)
        let backing = Array((backingName ?? "").utf8)
        guard backing.count <= 1023 else { throw .invalid("Backing file name too long") }
        // Small clusters have no room for the names of features, which are only for messages.
        if length + extensions.count + backing.count > Int(clusterSize) { extensions = encodedExtensions(withNames: false) }
        let total = length + extensions.count + backing.count
        guard total <= Int(clusterSize) else { throw BlockError(.noSpace, "the header's \(total) bytes do not fit into a cluster of \(clusterSize)") }
        let room = max(total, min(Int(clusterSize), 4096))
        var bytes = Bytes([UInt8](repeating: 0, count: room), order: .big)
        try bytes.set(0, QCOW2Header.magic)
        try bytes.set(4, version)
        if backingName != nil {
            try bytes.set(8, UInt64(length + extensions.count))
            try bytes.set(16, UInt32(backing.count))
        }
        try bytes.set(20, clusterBits)
        try bytes.set(24, size)
        try bytes.set(32, cryptMethod)
        try bytes.set(36, l1Count)
        try bytes.set(40, l1Offset)
        try bytes.set(48, refcountTableOffset)
        try bytes.set(56, refcountTableClusters)
        try bytes.set(60, snapshotCount)
        try bytes.set(64, snapshotOffset)
        if version >= 3 {
            try bytes.set(72, incompatible)
            try bytes.set(80, compatible)
            try bytes.set(88, autoclear)
            try bytes.set(96, refcountOrder)
            try bytes.set(100, UInt32(length))
            try bytes.set(104, compression)
            try bytes.set(112, bytes: furtherFields)
        }
        try bytes.set(length, bytes: extensions)
        try bytes.set(length + extensions.count, bytes: backing)
        return bytes.array
    }
}
