// dmg: Apple's disk images (UDIF), read only. A trailer ("koly", the last 512 bytes) says where the block lists are: in a
// property list, or in a resource fork. Each list ("mish") has chunks: a run of sectors and how they are stored: zeros, as
// they are, or compressed with zlib, bzip2, LZMA (in an xz container), LZFSE or ADC. Big endian.
// Left out: encrypted images.

import Block
import Compression
import Host

/// A run of sectors.
struct DMGChunk: Sendable {
    /// As the file numbers them.
    enum Method: UInt32, Sendable {
        case zeros = 0, raw = 1, ignored = 2, adc = 0x8000_0004, zlib = 0x8000_0005, bzip2 = 0x8000_0006, lzfse = 0x8000_0007, lzma = 0x8000_0008
    }
    var method: Method
    /// Guest bytes.
    var start: UInt64
    var length: UInt64
    /// Bytes of the file.
    var offset: UInt64
    var stored: UInt64
    var end: UInt64 { start + length }
}

/// An open DMG image.
public final class DMG: CompressedImage {
    private let file: Node
    /// Ascending, without overlaps.
    private let chunks: [DMGChunk]
    public let virtualSize: UInt64
    /// Compressed chunks are at most this, on both sides.
    static let largestChunk: UInt64 = 64 << 20

    init(_ file: Node, _ chunks: [DMGChunk]) throws(BlockError) {
        self.file = file
        self.chunks = chunks.sorted { $0.start < $1.start }
        var end: UInt64 = 0
        for chunk in self.chunks {
            guard chunk.start >= end else { throw .corrupt(at: chunk.offset, "two chunks have the same sectors, from sector \(chunk.start / 512)") }
            end = chunk.end
        }
        virtualSize = end
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        // The first chunk that ends beyond the offset.
        var low = 0, high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        guard low < chunks.count else { return Extent(.zero(space: nil), length: count) }
        let chunk = chunks[low]
        guard chunk.start <= offset else { return Extent(.zero(space: nil), length: min(count, chunk.start - offset)) }
        let length = min(count, chunk.end - offset)
        switch chunk.method {
        case .zeros, .ignored: return Extent(.zero(space: nil), length: length)
        case .raw: return Extent(.data(file, chunk.offset + (offset - chunk.start)), length: length)
        default:
            let unit = CompressedUnit(node: file, offset: chunk.offset, count: chunk.stored, start: chunk.start, length: chunk.length, tag: UInt64(chunk.method.rawValue))
            return Extent(.compressed(unit), length: length)
        }
    }

    public var largestPayload: UInt64 { DMG.largestChunk }

    public func expand(_ unit: CompressedUnit, _ payload: BlockBuffer, into output: BlockBuffer) throws(BlockError) {
        let source = UnsafeRawBufferPointer(start: payload.base, count: payload.count)
        let target = UnsafeMutableRawBufferPointer(start: output.base, count: output.count)
        let produced: Int?
        switch DMGChunk.Method(rawValue: UInt32(truncatingIfNeeded: unit.tag)) {
        case .zlib: produced = Deflate.expand(source, into: target, .zlib)
        case .bzip2: produced = Bzip2.expand(source, into: target)
        case .lzma: produced = LZMA.expand(source, into: target)
        case .adc: produced = ADC.expand(source, into: target)
        case .lzfse: produced = LZFSE.expand(source, into: target)
        default: produced = nil
        }
        guard produced == output.count else { throw .corrupt(at: unit.offset, "a compressed chunk is damaged, or not of \(output.count) bytes") }
    }
}

/// Apple Data Compression: runs of literals, and copies of what came before, from at most 64 KiB back.
enum ADC {
    /// - Returns: bytes produced; nil if `input` is damaged or does not fit.
    static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        var read = 0, written = 0
        while read < input.count, written < output.count {
            let code = Int(input[read])
            if code & 0x80 != 0 {
                let count = code & 0x7f + 1
                guard read + 1 + count <= input.count, written + count <= output.count else { return nil }
                for index in 0..<count { output[written + index] = input[read + 1 + index] }
                read += 1 + count
                written += count
                continue
            }
            let isLong = code & 0x40 != 0
            guard read + (isLong ? 2 : 1) < input.count else { return nil }
            let count = isLong ? code & 0x3f + 4 : code >> 2 & 0xf + 3
            let back = isLong ? Int(input[read + 1]) << 8 | Int(input[read + 2]) : (code & 3) << 8 | Int(input[read + 1])
            guard back < written, written + count <= output.count else { return nil }
            // Byte by byte: a copy may reach into itself.
            for index in 0..<count { output[written + index] = output[written + index - back - 1] }
            read += isLong ? 3 : 2
            written += count
        }
        return written
    }
}
