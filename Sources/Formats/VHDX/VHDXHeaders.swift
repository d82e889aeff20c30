// vhdx: headers, region table and metadata ([MS-VHDX] 2.2, 2.6), all little endian, structures protected by CRC-32C.

import Block

/// CRC-32C (Castagnoli), reflected, as iSCSI's.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 != 0 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
    }

    /// Of `bytes`, with the four at `field` taken as zeros.
    static func checksum(_ bytes: [UInt8], field: Int) -> UInt32 {
        var crc = UInt32.max
        table.withUnsafeBufferPointer { table in
            for (index, byte) in bytes.enumerated() {
                let byte = index >= field && index < field + 4 ? 0 : byte
                crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)]
            }
        }
        return ~crc
    }
}

/// Identifiers in the file's order of bytes.
enum VHDXIdentifier {
    static let blockTable: [UInt8] = [0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08]
    static let metadata: [UInt8] = [0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e]
    static let fileParameters: [UInt8] = [0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b]
    static let diskSize: [UInt8] = [0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8]
    static let page83: [UInt8] = [0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46]
    static let logicalSector: [UInt8] = [0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f]
    static let physicalSector: [UInt8] = [0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56]
    static let parentLocator: [UInt8] = [0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c]
    static let parentLocatorType: [UInt8] = [0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13]

    /// The braced text that parent locators use: the first three groups are numbers.
    static func text(_ bytes: [UInt8]) -> String {
        guard bytes.count == 16 else { return "" }
        func hex(_ part: [UInt8]) -> String { part.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
        let groups = [Array(bytes[0..<4].reversed()), Array(bytes[4..<6].reversed()), Array(bytes[6..<8].reversed()), Array(bytes[8..<10]), Array(bytes[10..<16])]
        return "{" + groups.map(hex).joined(separator: "-") + "}"
    }
}

/// One of the two headers: the valid one with the higher sequence number counts.
struct VHDXHeader: Sendable {
    static let size = 4096
    static let offsets: [UInt64] = [64 << 10, 128 << 10]
    var sequence: UInt64
    var fileWrite: [UInt8]
    var dataWrite: [UInt8]
    /// All zeros: the log is empty.
    var log: [UInt8]
    let logLength: UInt32
    let logOffset: UInt64
    /// Which of the two.
    var index: Int

    var hasLog: Bool { log.contains { $0 != 0 } }

    init(sequence: UInt64, logLength: UInt32, logOffset: UInt64) {
        self.sequence = sequence
        (fileWrite, dataWrite) = (randomUUID(), randomUUID())
        log = [UInt8](repeating: 0, count: 16)
        self.logLength = logLength
        self.logOffset = logOffset
        index = 0
    }

    init?(_ bytes: Bytes, index: Int) throws(BlockError) {
        guard try bytes.slice(0, 4) == Array("head".utf8), try bytes.u32(4) == CRC32C.checksum(bytes.array, field: 4) else { return nil }
        guard try bytes.u16(66) == 1, try bytes.u16(64) == 0 else { throw .unsupported("vhdx version \(try bytes.u16(66)), log version \(try bytes.u16(64)): expected 1 and 0", at: bytes.origin + 64) }
        sequence = try bytes.u64(8)
        fileWrite = try bytes.slice(16, 16)
        dataWrite = try bytes.slice(32, 16)
        log = try bytes.slice(48, 16)
        logLength = try bytes.u32(68)
        logOffset = try bytes.u64(72)
        self.index = index
    }

    static func current(_ file: Node) throws(BlockError) -> VHDXHeader {
        var best: VHDXHeader?
        for (index, offset) in offsets.enumerated() {
            guard let header = try VHDXHeader(try file.metadata(offset, size, order: .little), index: index) else { continue }
            if header.sequence >= best?.sequence ?? 0 { best = header }
        }
        guard let best else { throw .corrupt(at: offsets[0], "neither header is valid (head, CRC-32C)") }
        guard best.logLength % (1 << 20) == 0, best.logOffset % (1 << 20) == 0, best.logOffset <= UInt64(Int64.max) / 2, best.logOffset >= 1 << 20 || best.logLength == 0 else {
            throw .corrupt(at: offsets[best.index] + 68, "a log of \(best.logLength) bytes at \(best.logOffset)")
        }
        return best
    }

    func encoded() throws(BlockError) -> [UInt8] {
        var bytes = Bytes([UInt8](repeating: 0, count: VHDXHeader.size), order: .little)
        try bytes.set(0, bytes: Array("head".utf8))
        try bytes.set(8, sequence)
        try bytes.set(16, bytes: fileWrite)
        try bytes.set(32, bytes: dataWrite)
        try bytes.set(48, bytes: log)
        try bytes.set(66, UInt16(1))
        try bytes.set(68, logLength)
        try bytes.set(72, logOffset)
        try bytes.set(4, CRC32C.checksum(bytes.array, field: 4))
        return bytes.array
    }

    /// Writes the header as a new one over the older of the two; both are valid at each moment but during this write,
    /// when the other is.
    mutating func replace(in file: Node) throws(BlockError) {
        sequence &+= 1
        index = 1 - index
        try file.write(VHDXHeader.offsets[index], bytes: try encoded())
        try file.flush()
    }
}

/// Where block table and metadata are.
struct VHDXRegions: Sendable {
    static let size = 64 << 10
    static let offsets: [UInt64] = [192 << 10, 256 << 10]
    var blockTable: (offset: UInt64, length: UInt64) = (0, 0)
    var metadata: (offset: UInt64, length: UInt64) = (0, 0)

    init() {}

    init(_ file: VHDXLoggedFile) throws(BlockError) {
        for offset in VHDXRegions.offsets {
            let bytes = Bytes(try file.bytes(offset, VHDXRegions.size), at: offset, order: .little)
            guard try bytes.slice(0, 4) == Array("regi".utf8), try bytes.u32(4) == CRC32C.checksum(bytes.array, field: 4) else { continue }
            try read(bytes)
            return
        }
        throw .corrupt(at: VHDXRegions.offsets[0], "neither region table is valid (regi, CRC-32C)")
    }

    private mutating func read(_ bytes: Bytes) throws(BlockError) {
        let count = try bytes.u32(8)
        guard count <= 2047 else { throw .corrupt(at: bytes.origin + 8, "\(count) regions: expected at most 2047") }
        for index in 0..<Int(count) {
            let entry = 16 + index * 32
            let identifier = try bytes.slice(entry, 16), offset = try bytes.u64(entry + 16), length = UInt64(try bytes.u32(entry + 24))
            guard offset % (1 << 20) == 0, length % (1 << 20) == 0, offset >= 1 << 20, offset <= UInt64(Int64.max) / 2 else {
                throw .corrupt(at: bytes.origin + UInt64(entry), "a region of \(length) bytes at \(offset)")
            }
            if identifier == VHDXIdentifier.blockTable { blockTable = (offset, length) }
            else if identifier == VHDXIdentifier.metadata { metadata = (offset, length) }
            else if try bytes.u32(entry + 28) & 1 != 0 { throw .unsupported("a required region \(VHDXIdentifier.text(identifier))", at: bytes.origin + UInt64(entry)) }
        }
        guard blockTable.length > 0, metadata.length > 0 else { throw .corrupt(at: bytes.origin, "no region of the block table, or none of metadata") }
    }

    func encoded() throws(BlockError) -> [UInt8] {
        var bytes = Bytes([UInt8](repeating: 0, count: VHDXRegions.size), order: .little)
        try bytes.set(0, bytes: Array("regi".utf8))
        try bytes.set(8, UInt32(2))
        for (index, region) in [(VHDXIdentifier.blockTable, blockTable), (VHDXIdentifier.metadata, metadata)].enumerated() {
            try bytes.set(16 + index * 32, bytes: region.0)
            try bytes.set(32 + index * 32, region.1.offset)
            try bytes.set(40 + index * 32, UInt32(truncatingIfNeeded: region.1.length))
            try bytes.set(44 + index * 32, UInt32(1))
        }
        try bytes.set(4, CRC32C.checksum(bytes.array, field: 4))
        return bytes.array
    }
}

/// The metadata items that this reads.
struct VHDXMetadata: Sendable {
    var blockSize: UInt64 = 0
    var hasParent = false
    var diskSize: UInt64 = 0
    var sectorSize: UInt64 = 512
    /// Of the parent: keys of its locator.
    var parent: [String: String] = [:]

    static let largestDisk: UInt64 = 64 << 40

    init(_ file: VHDXLoggedFile, _ region: (offset: UInt64, length: UInt64)) throws(BlockError) {
        let table = Bytes(try file.bytes(region.offset, 64 << 10), at: region.offset, order: .little)
        guard try table.slice(0, 8) == Array("metadata".utf8) else { throw .corrupt(at: region.offset, "no metadata table") }
        let count = try table.u16(10)
        guard count <= 2047 else { throw .corrupt(at: region.offset + 10, "\(count) metadata items: expected at most 2047") }
        var found = Set<[UInt8]>()
        for index in 0..<Int(count) {
            let entry = 32 + index * 32
            let identifier = try table.slice(entry, 16), offset = UInt64(try table.u32(entry + 16)), length = UInt64(try table.u32(entry + 20))
            let isRequired = try table.u32(entry + 24) & 4 != 0
            guard offset + length <= region.length, length <= 1 << 20 else { throw .corrupt(at: table.origin + UInt64(entry), "a metadata item of \(length) bytes at \(offset)") }
            let known = [VHDXIdentifier.fileParameters, VHDXIdentifier.diskSize, VHDXIdentifier.logicalSector, VHDXIdentifier.parentLocator]
            guard known.contains(identifier) else {
                let ignored = [VHDXIdentifier.page83, VHDXIdentifier.physicalSector]
                if isRequired, !ignored.contains(identifier) { throw .unsupported("a required metadata item \(VHDXIdentifier.text(identifier))", at: table.origin + UInt64(entry)) }
                continue
            }
            found.insert(identifier)
            let item = Bytes(try file.bytes(region.offset + offset, Int(length)), at: region.offset + offset, order: .little)
            switch identifier {
            case VHDXIdentifier.fileParameters:
                blockSize = UInt64(try item.u32(0))
                hasParent = try item.u32(4) & 2 != 0
            case VHDXIdentifier.diskSize: diskSize = try item.u64(0)
            case VHDXIdentifier.logicalSector: sectorSize = UInt64(try item.u32(0))
            default: parent = try VHDXMetadata.locator(item)
            }
        }
        for needed in [VHDXIdentifier.fileParameters, VHDXIdentifier.diskSize, VHDXIdentifier.logicalSector] where !found.contains(needed) {
            throw .corrupt(at: region.offset, "no metadata item \(VHDXIdentifier.text(needed))")
        }
        try check(region.offset)
    }

    private func check(_ offset: UInt64) throws(BlockError) {
        guard blockSize >= 1 << 20, blockSize <= 256 << 20, blockSize & (blockSize - 1) == 0 else { throw .corrupt(at: offset, "blocks of \(blockSize) bytes: expected a power of two from 1 MiB to 256 MiB") }
        guard sectorSize == 512 || sectorSize == 4096 else { throw .corrupt(at: offset, "sectors of \(sectorSize) bytes: expected 512 or 4096") }
        guard diskSize <= VHDXMetadata.largestDisk, diskSize % sectorSize == 0 else { throw .corrupt(at: offset, "a disk of \(diskSize) bytes: expected whole sectors, at most 64 TiB") }
        guard !hasParent || !parent.isEmpty else { throw .corrupt(at: offset, "a differencing image without a parent locator") }
    }

    private static func locator(_ item: Bytes) throws(BlockError) -> [String: String] {
        guard try item.slice(0, 16) == VHDXIdentifier.parentLocatorType else { throw .unsupported("a parent locator of another type", at: item.origin) }
        var values: [String: String] = [:]
        for index in 0..<Int(try item.u16(18)) {
            let entry = 20 + index * 12
            let key = try item.slice(Int(try item.u32(entry)), Int(try item.u16(entry + 8)))
            let value = try item.slice(Int(try item.u32(entry + 4)), Int(try item.u16(entry + 10)))
            values[decodeUTF16(key, bigEndian: false)] = decodeUTF16(value, bigEndian: false)
        }
        return values
    }

    /// Blocks that one block of sector bitmaps (1 MiB) covers.
    var chunkRatio: UInt64 { (sectorSize << 23) / blockSize }
    var blocks: UInt64 { diskSize.divided(roundingUpBy: blockSize) }
    /// Entries of the block table: a bitmap's follows each chunk; the last one's only in differencing images.
    var entries: UInt64 {
        if hasParent { return blocks.divided(roundingUpBy: chunkRatio) * (chunkRatio + 1) }
        return blocks == 0 ? 0 : blocks + (blocks - 1) / chunkRatio
    }
}
