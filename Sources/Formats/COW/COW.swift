// cow: user-mode Linux's copy-on-write files, version 2, read only: a header that names the file below, a bitmap with a
// bit a sector, then the sectors of the disk, each at its place. Big endian; the bitmap counts from the lowest bit.

import Block
import Host

/// An open COW image.
public final class COW: BackedImage {
    private let file: Node
    public let virtualSize: UInt64
    public let backing: FileReference?
    private let dataStart: UInt64
    /// Pieces of 4 KiB of the bitmap, by number.
    private let bitmap = Locked<[UInt64: [UInt8]]>([:])
    private static let headerSize: UInt64 = 1056

    init(_ file: Node, _ header: Bytes) throws(BlockError) {
        self.file = file
        guard try header.u32(0) == 0x4f4f_4f4d else { throw .corrupt(at: 0, "Image not in COW format") }
        guard try header.u32(4) == 2 else { throw .unsupported("COW version \(try header.u32(4)): expected 2", at: 4) }
        let name = try header.text(8, 1024)
        let size = try header.u64(1040)
        guard size <= UInt64(Int64.max) / 2 else { throw .corrupt(at: 1040, "a disk of \(size) bytes") }
        virtualSize = size / 512 * 512
        backing = name.isEmpty ? nil : FileReference(name: name, format: nil)
        let bitmapSize = (size / 512 + 7) / 8
        dataStart = (COW.headerSize + bitmapSize + 511) / 512 * 512
    }

    private func isHere(_ sector: UInt64) throws(BlockError) -> Bool {
        let piece = sector / 8 / 4096
        return try bitmap.withLock { (bitmap) throws(BlockError) -> Bool in
            if bitmap[piece] == nil {
                if bitmap.count >= 1024 { bitmap.removeAll() }
                bitmap[piece] = try file.bytes(COW.headerSize + piece * 4096, 4096)
            }
            return (bitmap[piece]?[Int(sector / 8 % 4096)] ?? 0) & (1 << UInt8(sector % 8)) != 0
        }
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let first = offset / 512, last = (offset + count - 1) / 512
        let here = try isHere(first)
        var end = first + 1
        // Enough for one answer.
        while end <= last, end - first < 65536, try isHere(end) == here { end += 1 }
        let run = min(count, end * 512 - offset)
        return here ? Extent(.data(file, dataStart + offset), length: run) : Extent(.unallocated, length: run)
    }
}

/// The format `cow`.
public enum COWFormat: ImageFormat {
    public static let name = "cow"
    public static let openOptions: [OptionDeclaration] = []
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        let bytes = Bytes(start, order: .big)
        return (try? bytes.u32(0)) == 0x4f4f_4f4d && (try? bytes.u32(4)) == 2 ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        try COW(context.file, try context.header(1056, order: .big))
    }
}
