// cloop: the compressed loop device's images, version 2, read only: 128 bytes of shell script, block size, number of
// blocks, the offsets of all blocks and of the end, then the blocks, each compressed in zlib's frame. Big endian.

import Block
import Compression
import Host

/// An open cloop image.
public final class Cloop: CompressedImage {
    private let file: Node
    private let offsets: EntryTable<UInt64>
    private let blockSize: UInt64
    public let virtualSize: UInt64
    /// Blocks, and what is read of them, are at most this.
    static let largestBlock: UInt64 = 64 << 20

    init(_ file: Node, _ header: Bytes) throws(BlockError) {
        self.file = file
        blockSize = UInt64(try header.u32(128))
        let blocks = UInt64(try header.u32(132))
        guard blockSize > 0, blockSize % 512 == 0, blockSize <= Cloop.largestBlock else { throw .corrupt(at: 128, "block size \(blockSize) must be a multiple of 512, at most 64 MiB") }
        guard blocks < 16 << 20 else { throw .corrupt(at: 132, "image requires too many offsets: \(blocks)") }
        offsets = try EntryTable(reading: file, at: 136, count: blocks + 1, order: .big)
        virtualSize = blocks * blockSize
        let end = try file.length()
        for index in 0..<Int(blocks) {
            let start = offsets.entries[index], next = offsets.entries[index + 1]
            guard start <= next, next <= end, next - start <= Cloop.largestBlock else {
                throw .corrupt(at: 136 + UInt64(index) * 8, "block \(index) reaches from \(start) to \(next): expected ascending offsets in the file, and at most 64 MiB a block")
            }
        }
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let index = Int(clamping: offset / blockSize), inside = offset % blockSize
        guard let start = offsets[index], let next = offsets[index + 1] else { throw .corrupt("guest offset \(offset) has no block") }
        let unit = CompressedUnit(node: file, offset: start, count: next - start, start: offset - inside, length: blockSize)
        return Extent(.compressed(unit), length: min(count, blockSize - inside))
    }

    public var largestPayload: UInt64 { Cloop.largestBlock }
    public func expand(_ unit: CompressedUnit, _ payload: BlockBuffer, into output: BlockBuffer) throws(BlockError) {
        let source = UnsafeRawBufferPointer(start: payload.base, count: payload.count)
        let target = UnsafeMutableRawBufferPointer(start: output.base, count: output.count)
        guard Deflate.expand(source, into: target, .zlib) == output.count else { throw .corrupt(at: unit.offset, "a compressed block is damaged, or not of \(blockSize) bytes") }
    }
}

/// The format `cloop`.
public enum CloopFormat: ImageFormat {
    public static let name = "cloop"
    public static let openOptions: [OptionDeclaration] = []
    public static let holdsMetadata = true

    /// Scripts have no magic: any other format is surer.
    public static func probe(_ start: [UInt8], name: String) -> Int { start.starts(with: Array("#!/bin/sh\n#V2.0 Format\n".utf8)) ? 2 : 0 }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        try Cloop(context.file, try context.header(136, order: .big))
    }
}
