// qcow: QEMU's first copy-on-write format, version 1: header, a first-level table, second-level tables, clusters of 512
// bytes to 64 KiB, any of them compressed (bare DEFLATE, a window of 4 KiB). Entries are byte offsets of 64 bits; the
// highest bit marks a compressed cluster, whose size stands below it. Big endian.
// Encrypted images: AES-128-CBC with the password as the key (LegacyAES), which keeps nobody out.
//
// Order of writes: data, a flush, second-level tables, a flush, the first-level table.

import Block
import Compression
import Cryptography
import Host

/// The header, checked.
struct QCOWHeader: Sendable {
    static let size = 48
    static let magic: UInt32 = 0x5146_49fb
    var imageSize: UInt64
    var clusterBits: UInt64
    var tableBits: UInt64
    var firstTable: UInt64
    var backing: FileReference?
    /// 0 or `QCOW2Encryption.aesMethod`.
    var cryptMethod: UInt32

    var clusterSize: UInt64 { 1 << clusterBits }
    var tableEntries: UInt64 { 1 << tableBits }
    var firstEntries: UInt64 { imageSize.divided(roundingUpBy: 1 << (clusterBits + tableBits)) }

    init(_ bytes: Bytes, _ file: Node) throws(BlockError) {
        guard try bytes.u32(0) == QCOWHeader.magic else { throw .corrupt(at: 0, "Image not in qcow format") }
        guard try bytes.u32(4) == 1 else { throw .unsupported("qcow (v\(try bytes.u32(4))) does not support qcow version \(try bytes.u32(4)): expected 1", at: 4) }
        imageSize = try bytes.u64(24)
        clusterBits = UInt64(try bytes.u8(32))
        tableBits = UInt64(try bytes.u8(33))
        firstTable = try bytes.u64(40)
        guard imageSize > 1, imageSize <= UInt64(Int64.max) / 2 else { throw .corrupt(at: 24, "Image size is too small (must be at least 2 bytes), or too large: \(imageSize)") }
        guard clusterBits >= 9, clusterBits <= 16 else { throw .corrupt(at: 32, "Cluster size must be between 512 and 64k") }
        guard tableBits >= 6, tableBits <= 13 else { throw .corrupt(at: 33, "L2 table size must be between 512 and 64k") }
        cryptMethod = try bytes.u32(36)
        guard cryptMethod <= QCOW2Encryption.aesMethod else { throw .unsupported("invalid encryption method in qcow header: \(cryptMethod)", at: 36) }
        guard firstTable <= UInt64(Int64.max) / 2 else { throw .corrupt(at: 40, "a first-level table at \(firstTable)") }
        let offset = try bytes.u64(8), length = try bytes.u32(16)
        if offset != 0, length > 0 {
            guard length <= 1023, offset <= 1 << 20 else { throw .corrupt(at: 8, "Backing file name too long") }
            backing = FileReference(name: String(decoding: try file.bytes(offset, Int(length)), as: UTF8.self), format: nil)
        }
    }
}

/// An open qcow image.
public final class QCOW: WritableImage, ZeroingImage, DescribedImage, BackedImage, CompressingImage, EmptyableImage, CheckableImage,
    EncryptedImage {
    private struct State: TwoLevels {
        var first: EntryTable<UInt64>
        var tables: TableCache<UInt64>
        var end: UInt64
    }
    private let file: Node
    private let header: QCOWHeader
    /// Of an encrypted image, unless only its header is looked at.
    private let cipher: SectorCipher?
    private let state: Locked<State>
    private let writing = Locked(false)
    private static let compressedMark: UInt64 = 1 << 63

    init(_ file: Node, _ header: QCOWHeader, _ cipher: SectorCipher?) throws(BlockError) {
        self.file = file
        self.cipher = cipher
        self.header = header
        let length = try file.length()
        state = Locked(State(first: try EntryTable(reading: file, at: header.firstTable, count: header.firstEntries, order: .big),
                             tables: TableCache(file: file, entries: Int(header.tableEntries), order: .big), end: length))
    }

    public var virtualSize: UInt64 { header.imageSize.roundedUp(to: 512) ?? header.imageSize }
    public var allocationUnit: UInt64 { header.clusterSize }
    public var backing: FileReference? { header.backing }
    private var clusterSize: UInt64 { header.clusterSize }
    private func index(_ offset: UInt64) -> (first: Int, second: Int) {
        (Int(clamping: offset >> (header.clusterBits + header.tableBits)), Int(offset >> header.clusterBits & (header.tableEntries - 1)))
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let (first, second) = index(offset)
        let inside = offset % clusterSize
        return try state.withLock { (state) throws(BlockError) -> Extent in
            let wanted = min((inside + count).divided(roundingUpBy: clusterSize), header.tableEntries - UInt64(second))
            guard let table = state.first[first], table != 0 else { return Extent(.unallocated, length: min(count, wanted * clusterSize - inside)) }
            guard table <= UInt64(Int64.max) / 2 else { throw .corrupt(at: state.first.offset + UInt64(first) * 8, "a second-level table at \(table)") }
            let found = try state.tables.table(table)
            let entry = found[second]
            if entry & QCOW.compressedMark != 0 {
                let size = entry >> (63 - header.clusterBits) & (clusterSize - 1)
                let unit = CompressedUnit(node: file, offset: entry & (1 << (63 - header.clusterBits) - 1), count: size, start: offset - inside, length: clusterSize)
                return Extent(.compressed(unit), length: min(count, clusterSize - inside))
            }
            var run: UInt64 = 1
            while run < wanted, found[second + Int(run)] == (entry > 0 ? entry &+ run &* clusterSize : 0) { run += 1 }
            let length = min(count, run * clusterSize - inside)
            if entry == 0 { return Extent(.unallocated, length: length) }
            let position = entry & ~QCOW.compressedMark &+ inside
            return Extent(isEncrypted ? .encrypted(file, position) : .data(file, position), length: length, isWritable: true)
        }
    }

    // MARK: Compressed clusters

    public var largestPayload: UInt64 { clusterSize }
    public var compressionUnit: UInt64 { clusterSize }
    /// The window: 2^12 bytes.
    private static let frame = Deflate.Frame.bare(bits: 12)

    public func expand(_ unit: CompressedUnit, _ payload: BlockBuffer, into output: BlockBuffer) throws(BlockError) {
        let source = UnsafeRawBufferPointer(start: payload.base, count: payload.count)
        let target = UnsafeMutableRawBufferPointer(start: output.base, count: output.count)
        guard Deflate.expand(source, into: target, QCOW.frame) == output.count else { throw .corrupt(at: unit.offset, "a compressed cluster is damaged") }
    }

    public func compress(_ unit: BlockBuffer) throws(BlockError) -> [UInt8]? {
        var payload = [UInt8](repeating: 0, count: max(1, unit.count - 1))
        let source = UnsafeRawBufferPointer(start: unit.base, count: unit.count)
        guard let count = payload.withUnsafeMutableBytes({ Deflate.compress(source, into: $0, QCOW.frame) }) else { return nil }
        payload.removeLast(payload.count - count)
        return payload
    }

    public func store(compressed payload: [UInt8], at start: UInt64) throws(BlockError) {
        if isEncrypted { throw .unsupported("Compression and encryption not supported at the same time") }
        let position = try take(UInt64(payload.count), alignment: 1)
        guard position < 1 << (63 - header.clusterBits), UInt64(payload.count) < clusterSize else { throw BlockError(.noSpace, "the file is too large for compressed clusters") }
        try file.write(position, bytes: payload)
        try set(start, position | QCOW.compressedMark | UInt64(payload.count) << (63 - header.clusterBits))
    }

    // MARK: Encryption

    private var isEncrypted: Bool { header.cryptMethod != 0 }
    private func opened() throws(BlockError) -> SectorCipher {
        guard let cipher else { throw .invalid("Parameter 'encrypt.key-secret' is required for cipher") }
        return cipher
    }
    public func decrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError) {
        try opened().decrypt(UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.count), sector: offset / 512)
    }
    public func encrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError) {
        try opened().encrypt(UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.count), sector: offset / 512)
    }

    // MARK: Writing

    private func take(_ bytes: UInt64, alignment: UInt64) throws(BlockError) -> UInt64 {
        try state.withLock { (state) throws(BlockError) -> UInt64 in try take(&state, bytes, alignment) }
    }

    private func take(_ state: inout State, _ bytes: UInt64, _ alignment: UInt64) throws(BlockError) -> UInt64 {
        guard let start = state.end.roundedUp(to: alignment), start <= UInt64(Int64.max) / 4 else { throw BlockError(.noSpace, "the file is too large") }
        state.end = start + bytes
        return start
    }

    private func set(_ offset: UInt64, _ value: UInt64) throws(BlockError) {
        let (first, second) = index(offset)
        let isFull = try state.withLock { (state) throws(BlockError) -> Bool in
            if state.first[first] == 0 {
                let table = try take(&state, header.tableEntries * 8, clusterSize)
                try file.writeZeroes(table, header.tableEntries * 8)
                state.tables.add(table)
                state.first[first] = table
            }
            guard let table = state.first[first], table != 0, table <= UInt64(Int64.max) / 2 else { throw .corrupt("guest offset \(offset) lies beyond the tables") }
            try state.tables.set(table, second, value)
            return state.tables.isFull
        }
        if isFull { try writeBack() }
    }

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        let extent = try map(offset, count)
        switch extent.place {
        case .data(let node, let at), .encrypted(let node, let at): return Placement(length: extent.length, node: node, offset: at, isEncrypted: isEncrypted)
        default: break
        }
        let inside = offset % clusterSize
        let position = try take(clusterSize, alignment: clusterSize)
        try file.writeZeroes(position, clusterSize)
        let fresh = FreshSpace(start: offset - inside, length: clusterSize, isZero: true, token: position)
        return Placement(length: min(count, clusterSize - inside), node: file, offset: position + inside, fresh: fresh, isEncrypted: isEncrypted)
    }

    public func link(_ fresh: FreshSpace) throws(BlockError) { try set(fresh.start, fresh.token) }

    /// The cluster stays at the end of the file, unused.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        // The format has no zeros but those of clusters that nobody has.
        let extent = try map(offset, count)
        if case .unallocated = extent.place, backing == nil { return extent.length }
        return 0
    }

    public func makeEmpty() throws(BlockError) {
        try state.withLock { (state) throws(BlockError) in
            for index in 0..<state.first.count { state.first[index] = 0 }
            state.tables = TableCache(file: file, entries: Int(header.tableEntries), order: .big)
            try file.write(state.first.takeChanges())
            state.end = header.firstTable + UInt64(state.first.count) * 8
            try file.flush()
            try file.setLength(state.end)
        }
    }

    public func writeBack() throws(BlockError) {
        try writing.withLock { (_: inout Bool) throws(BlockError) in try state.writeBack(to: file) }
    }

    public func information() -> ImageInformation {
        var information = ImageInformation(clusterSize: clusterSize)
        information.isEncrypted = isEncrypted
        return information
    }

    /// A check that QEMU does not have: places beyond the file, and two users of one.
    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        guard repair == .nothing else { throw .unsupported("qcow images cannot be repaired") }
        var result = CheckResult()
        let length = (try file.length()).roundedUp(to: clusterSize) ?? 0
        var occupancy = Occupancy(end: length)
        let first = state.withLock { $0.first.entries }
        var seen = Set<UInt64>()
        for (index, table) in first.enumerated() where table != 0 {
            // A table named twice is read once.
            guard seen.insert(table).inserted, occupancy.add(table, header.tableEntries * 8, owner: UInt64.max - UInt64(index)) else {
                result.corruptions += 1
                result.note("ERROR: second-level table \(index) at offset \(table) lies beyond the end of the file, or is another's too")
                continue
            }
            let entries = try state.withLock { (state) throws(BlockError) in try state.tables.table(table) }
            for (slot, entry) in entries.enumerated() where entry != 0 {
                let isCompressed = entry & QCOW.compressedMark != 0
                let position = isCompressed ? entry & (1 << (63 - header.clusterBits) - 1) : entry
                let size = isCompressed ? entry >> (63 - header.clusterBits) & (clusterSize - 1) : clusterSize
                if occupancy.add(position, size, owner: UInt64(index) << header.tableBits + UInt64(slot)) { continue }
                result.corruptions += 1
                result.note("ERROR: cluster \(UInt64(index) << header.tableBits + UInt64(slot)) at offset \(position) lies beyond the end of the file")
            }
        }
        for (one, other) in occupancy.collisions() {
            result.corruptions += 1
            result.note("ERROR: clusters \(one) and \(other) overlap")
        }
        return result
    }
}

/// The format `qcow`.
public enum QCOWFormat: CreatableFormat, CompressingFormat {
    public static let name = "qcow"
    public static let openOptions = LegacyAES.openOptions
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("backing_file", .text, "File name of a base image"),
        OptionDeclaration("backing_fmt", .text, "Format of the backing image"),
        OptionDeclaration("encrypt.format", .choice(["aes"]), "Encrypt the image, format choices: 'aes'"),
        OptionDeclaration("encrypt.key-secret", .text, "ID of the secret that provides the AES encryption key"),
    ]
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        let bytes = Bytes(start, order: .big)
        return (try? bytes.u32(0)) == QCOWHeader.magic && (try? bytes.u32(4)) == 1 ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let header = try QCOWHeader(try context.header(QCOWHeader.size, order: .big), context.file)
        if header.cryptMethod == 0, let given = context.options.text("encrypt.format") {
            throw .invalid("No encryption in image header, but options specified format '\(given)'")
        }
        return try QCOW(context.file, header, header.cryptMethod == 0 ? nil : try LegacyAES.cipher(context))
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        let size = context.size.roundedUp(to: 512) ?? context.size
        guard size > 1 else { throw .invalid("Image size is too small, cannot be zero length") }
        let name = Array((context.options.text("backing_file") ?? "").utf8)
        guard name.count <= 1023 else { throw .invalid("Backing file name too long") }
        let isEncrypted = context.options.has("encrypt.format")
        if isEncrypted { try LegacyAES.check(context.options, context.files) } else if context.options.has("encrypt.key-secret") {
            throw .invalid("'encrypt.key-secret' needs 'encrypt.format'")
        }
        // On another image, small clusters: less is copied when one is written. Tables are 4 KiB then, else a cluster.
        let clusterBits: UInt64 = name.isEmpty ? 12 : 9
        let tableBits: UInt64 = name.isEmpty ? 9 : 12
        let firstTable = (UInt64(QCOWHeader.size + name.count) + 7) / 8 * 8
        let entries = size.divided(roundingUpBy: 1 << (clusterBits + tableBits))
        guard entries * 8 <= UInt64(Node.largestMetadata) else { throw .invalid("Image too large") }
        var header = Bytes([UInt8](repeating: 0, count: QCOWHeader.size), order: .big)
        try header.set(0, QCOWHeader.magic)
        try header.set(4, UInt32(1))
        if !name.isEmpty {
            try header.set(8, UInt64(QCOWHeader.size))
            try header.set(16, UInt32(name.count))
        }
        try header.set(24, size)
        try header.set(32, UInt8(clusterBits))
        try header.set(33, UInt8(tableBits))
        if isEncrypted { try header.set(36, QCOW2Encryption.aesMethod) }
        try header.set(40, firstTable)
        try context.file.write(0, bytes: header.array + name)
        try context.file.write(firstTable, bytes: [UInt8](repeating: 0, count: Int(entries * 8)))
    }
}
