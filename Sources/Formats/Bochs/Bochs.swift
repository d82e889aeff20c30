// bochs: growing disks of the Bochs emulator, read only (Bochs' documentation, "Harddisk images", layout version 1 and 2):
// a header of 512 bytes, a catalog with the number of each extent (all ones: none), extents: a bitmap of the sectors
// that were written, then the sectors. Little endian.

import Block
import Host

/// An open Bochs image.
public final class Bochs: Image {
    private let file: Node
    private let catalog: EntryTable<UInt32>
    public let virtualSize: UInt64
    private let extentSize: UInt64
    /// Bytes of an extent's bitmap, whole sectors.
    private let bitmapSize: UInt64
    private let dataStart: UInt64
    /// The bitmaps read last, by extent.
    private let bitmaps = Locked<[Int: [UInt8]]>([:])
    private static let noExtent: UInt32 = 0xffff_ffff

    init(_ file: Node, _ header: Bytes) throws(BlockError) {
        self.file = file
        guard try header.text(0, 32) == "Bochs Virtual HD Image" else { throw .corrupt(at: 0, "Image not in Bochs format") }
        guard try header.text(32, 16) == "Redolog", try header.text(48, 16) == "Growing" else {
            throw .unsupported("a Bochs image of type '\(try header.text(32, 16))', '\(try header.text(48, 16))': expected 'Redolog', 'Growing'", at: 32)
        }
        let version = try header.u32(64)
        guard version == 0x1_0000 || version == 0x2_0000 else { throw .unsupported("Bochs version 0x\(String(version, radix: 16))", at: 64) }
        let headerSize = UInt64(try header.u32(68)), entries = UInt64(try header.u32(72)), bitmap = UInt64(try header.u32(76)), extent = UInt64(try header.u32(80))
        // Version 2 has a time between.
        let size = try header.u64(version == 0x1_0000 ? 84 : 88)
        guard extent >= 512, extent <= 8 << 20, extent & (extent - 1) == 0 else { throw .corrupt(at: 80, "extents of \(extent) bytes: expected a power of two from 512 to 8 MiB") }
        guard bitmap >= 1, bitmap <= 1 << 20, bitmap * 8 >= extent / 512 else { throw .corrupt(at: 76, "a bitmap of \(bitmap) bytes for extents of \(extent)") }
        guard headerSize >= 512, headerSize <= 1 << 20, entries <= 1 << 20 else { throw .corrupt(at: 72, "Catalog size is too large: \(entries) entries behind a header of \(headerSize) bytes") }
        guard size <= entries * extent else { throw .corrupt(at: 72, "Catalog size is too small for this disk size") }
        catalog = try EntryTable(reading: file, at: headerSize, count: entries, order: .little)
        extentSize = extent
        bitmapSize = bitmap.divided(roundingUpBy: 512) * 512
        virtualSize = size / 512 * 512
        dataStart = headerSize + entries * 4
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let index = Int(clamping: offset / extentSize), inside = offset % extentSize
        let length = min(count, extentSize - inside)
        guard let number = catalog[index], number != Bochs.noExtent else { return Extent(.zero(space: nil), length: length) }
        let position = dataStart + UInt64(number) * (bitmapSize + extentSize)
        let bitmap = try bitmaps.withLock { (bitmaps) throws(BlockError) -> [UInt8] in
            if let known = bitmaps[index] { return known }
            if bitmaps.count >= 64 { bitmaps.removeAll() }
            let bytes = try file.bytes(position, Int(bitmapSize))
            bitmaps[index] = bytes
            return bytes
        }
        func isHere(_ sector: UInt64) -> Bool { bitmap[Int(sector / 8)] & (1 << UInt8(sector % 8)) != 0 }
        let first = inside / 512, last = (inside + length - 1) / 512
        let here = isHere(first)
        var end = first + 1
        while end <= last, isHere(end) == here { end += 1 }
        let run = min(length, end * 512 - inside)
        return here ? Extent(.data(file, position + bitmapSize + inside), length: run) : Extent(.zero(space: nil), length: run)
    }
}

/// The format `bochs`.
public enum BochsFormat: ImageFormat {
    public static let name = "bochs"
    public static let openOptions: [OptionDeclaration] = []
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        let bytes = Bytes(start, order: .little)
        guard (try? bytes.text(0, 32)) == "Bochs Virtual HD Image", (try? bytes.text(32, 16)) == "Redolog", (try? bytes.text(48, 16)) == "Growing" else { return 0 }
        return 100
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        try Bochs(context.file, try context.header(512, order: .little))
    }
}
