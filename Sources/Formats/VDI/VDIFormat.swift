// vdi: the header, probing, opening and creating.

import Block
import Glibc

/// The header of version 1.1, which stands at 0x40 of the file.
struct VDIHeader: Sendable {
    static let size = 512
    static let signature: UInt32 = 0xbeda_107f
    static let allocatedOffset: UInt64 = 0x184

    var isStatic: Bool
    var mapOffset: UInt32
    var dataOffset: UInt32
    var diskSize: UInt64
    var blocks: UInt32
    var allocatedBlocks: UInt32

    /// The largest map read: 0.5 GiB of entries would be 128 PiB of disk; QEMU stops at the same number of blocks.
    static let mostBlocks: UInt32 = 0x1fff_ffff
    static let largestDisk = UInt64(mostBlocks) * VDI.blockSize

    /// Checks everything that later code relies on.
    init(_ bytes: Bytes) throws(BlockError) {
        guard try bytes.u32(0x40) == VDIHeader.signature else { throw .corrupt(at: 0x40, "Image not in VDI format (no signature 0xbeda107f)") }
        let version = try bytes.u32(0x44)
        guard version == 0x0001_0001 else { throw .unsupported("unsupported VDI image (version \(version >> 16).\(version & 0xffff)): expected 1.1", at: 0x44) }
        let type = try bytes.u32(0x4c)
        guard type == 1 || type == 2 else { throw .unsupported("unsupported VDI image (type \(type)): expected 1 (dynamic) or 2 (static)", at: 0x4c) }
        isStatic = type == 2
        mapOffset = try bytes.u32(0x154)
        dataOffset = try bytes.u32(0x158)
        let size = try bytes.u64(0x170)
        let blockSize = try bytes.u32(0x178)
        let extra = try bytes.u32(0x17c)
        blocks = try bytes.u32(0x180)
        allocatedBlocks = try bytes.u32(0x184)
        guard mapOffset % 512 == 0 else { throw .unsupported("unsupported VDI image (unaligned block map offset 0x\(String(mapOffset, radix: 16)))", at: 0x154) }
        guard dataOffset % 512 == 0 else { throw .unsupported("unsupported VDI image (unaligned data offset 0x\(String(dataOffset, radix: 16)))", at: 0x158) }
        guard try bytes.u32(0x168) == 512 else { throw .unsupported("unsupported VDI image (sector size is not 512)", at: 0x168) }
        guard UInt64(blockSize) == VDI.blockSize else { throw .unsupported("unsupported VDI image (block size \(blockSize) is not 1048576)", at: 0x178) }
        guard extra == 0 else { throw .unsupported("unsupported VDI image (\(extra) extra bytes a block)", at: 0x17c) }
        guard size <= VDIHeader.largestDisk else { throw .unsupported("unsupported VDI image (size \(size), at most \(VDIHeader.largestDisk))", at: 0x170) }
        guard let whole = size.roundedUp(to: 512) else { throw .corrupt(at: 0x170, "a disk of \(size) bytes") }
        diskSize = whole
        guard UInt64(blocks) >= diskSize.divided(roundingUpBy: VDI.blockSize) else {
            throw .unsupported("unsupported VDI image (\(blocks) blocks cannot hold \(diskSize) bytes)", at: 0x180)
        }
        guard try bytes.slice(0x1a8, 16).allSatisfy({ $0 == 0 }) else { throw .unsupported("unsupported VDI image (non-NULL link UUID)", at: 0x1a8) }
        guard try bytes.slice(0x1b8, 16).allSatisfy({ $0 == 0 }) else { throw .unsupported("unsupported VDI image (non-NULL parent UUID)", at: 0x1b8) }
    }
}

/// The format `vdi`.
public enum VDIFormat: CreatableFormat {
    public static let name = "vdi"
    public static let openOptions: [OptionDeclaration] = []
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("static", .flag, default: "off", "VDI static (pre-allocated) image"),
    ]
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        (try? Bytes(start, order: .little).u32(0x40)) == VDIHeader.signature ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let header = try VDIHeader(try context.header(VDIHeader.size, order: .little))
        // Only the entries of the disk's own blocks count, and a map cannot be longer than its file.
        let entries = header.diskSize.divided(roundingUpBy: VDI.blockSize)
        let length = try context.file.length()
        guard UInt64(header.mapOffset) + entries * 4 <= (length.roundedUp(to: 512) ?? length) else {
            throw .corrupt(at: UInt64(header.mapOffset), "the block map of \(entries) entries ends beyond the file's \(length) bytes")
        }
        var map: [UInt32] = []
        map.reserveCapacity(Int(entries))
        var read: UInt64 = 0
        while read < entries {
            let piece = Int(min(entries - read, 1 << 20))
            let bytes = try context.file.metadata(UInt64(header.mapOffset) + read * 4, piece * 4, order: .little)
            for index in 0..<piece { map.append(try bytes.u32(index * 4)) }
            read += UInt64(piece)
        }
        return VDI(file: context.file, header: header, map: map)
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        guard context.size <= VDIHeader.largestDisk else {
            throw .unsupported("Unsupported VDI image size (size is 0x\(String(context.size, radix: 16)), max supported is 0x\(String(VDIHeader.largestDisk, radix: 16)))")
        }
        let isStatic = context.options.flag("static")
        let blocks = context.size.divided(roundingUpBy: VDI.blockSize)
        guard let mapBytes = (blocks * 4).roundedUp(to: 512) else { return }
        var header = Bytes([UInt8](repeating: 0, count: VDIHeader.size), order: .little)
        try header.set(0, bytes: Array("<<< QEMU VM Virtual Disk Image >>>\n".utf8))
        try header.set(0x40, VDIHeader.signature)
        try header.set(0x44, UInt32(0x0001_0001))
        try header.set(0x48, UInt32(0x180))
        try header.set(0x4c, UInt32(isStatic ? 2 : 1))
        try header.set(0x154, UInt32(0x200))
        try header.set(0x158, UInt32(0x200) + UInt32(truncatingIfNeeded: mapBytes))
        try header.set(0x168, UInt32(512))
        try header.set(0x170, context.size)
        try header.set(0x178, UInt32(VDI.blockSize))
        try header.set(0x180, UInt32(truncatingIfNeeded: blocks))
        try header.set(0x184, isStatic ? UInt32(truncatingIfNeeded: blocks) : 0)
        for offset in [0x188, 0x198] { try header.set(offset, bytes: randomUUID()) }
        try context.file.write(0, bytes: header.array)
        var written: UInt64 = 0
        while written < mapBytes {
            // In pieces: the map of the largest disk has 2 GiB.
            let piece = min(mapBytes - written, 1 << 20)
            let first = written / 4
            var bytes = Bytes([UInt8](repeating: 0, count: Int(piece)), order: .little)
            for slot in 0..<piece / 4 where first + slot < blocks {
                try bytes.set(Int(slot * 4), isStatic ? UInt32(truncatingIfNeeded: first + slot) : VDI.noBlock)
            }
            try context.file.write(0x200 + written, bytes: bytes.array)
            written += piece
        }
        if isStatic { try context.file.setLength(0x200 + mapBytes + blocks * VDI.blockSize) }
    }
}
