// qcow2: clusters stored compressed, with zlib (bare deflate, window 4 KiB as QEMU writes it, up to 32 KiB read) or zstd.
// Payloads follow one another without gaps, also across neighbouring clusters; each cluster counts the payloads that touch it.

import Block
import Compression

extension QCOW2: CompressingImage {
    public var largestPayload: UInt64 { 2 * clusterSize + 512 }
    public var compressionUnit: UInt64 { clusterSize }

    public func expand(_ unit: CompressedUnit, _ payload: BlockBuffer, into output: BlockBuffer) throws(BlockError) {
        let input = UnsafeRawBufferPointer(start: payload.base, count: payload.count)
        let target = UnsafeMutableRawBufferPointer(start: output.base, count: output.count)
        let produced = compression == 1 ? Zstandard.expand(input, into: target) : Deflate.expand(input, into: target, .bare(bits: 15))
        guard produced == output.count else {
            throw .corrupt(at: unit.offset, "the compressed cluster at guest offset 0x\(String(unit.start, radix: 16)) is damaged: expected \(output.count) bytes of \(compression == 1 ? "zstd" : "deflate")")
        }
    }

    public func compress(_ unit: BlockBuffer) throws(BlockError) -> [UInt8]? {
        let input = UnsafeRawBufferPointer(start: unit.base, count: unit.count)
        // Smaller by at least a byte, or not at all.
        var out = [UInt8](repeating: 0, count: max(0, unit.count - 1))
        let count = out.withUnsafeMutableBytes { compression == 1 ? Zstandard.compress(input, into: $0) : Deflate.compress(input, into: $0, .bare(bits: 12)) }
        guard let count else { return nil }
        out.removeLast(out.count - count)
        return out
    }

    public func store(compressed payload: [UInt8], at start: UInt64) throws(BlockError) {
        if encryption != nil { throw .unsupported("Compression and encryption not supported at the same time") }
        let place = try locked { (tables) throws(BlockError) in try tables.placeCompressed(UInt64(payload.count)) }
        do {
            try file.write(place, bytes: payload)
            try locked { (tables) throws(BlockError) in try tables.linkCompressed(place, UInt64(payload.count), at: start) }
        } catch {
            try? locked { (tables) throws(BlockError) in
                for cluster in place / clusterSize ... (place + UInt64(payload.count) - 1) / clusterSize { try tables.release(cluster) }
            }
            throw error
        }
    }
}

extension QCOW2Tables {
    /// Space for a payload: after the last one, if it fits there.
    mutating func placeCompressed(_ count: UInt64) throws(BlockError) -> UInt64 {
        if hasDataFile { throw .unsupported("Compression is not supported with an external data file") }
        guard count > 0, count < clusterSize else { throw .invalid("a compressed payload of \(count) bytes: expected fewer than \(clusterSize)") }
        try refuseIfCorrupt()
        var place = compressedCursor
        compressedCursor = 0
        let rest = place == 0 ? 0 : clusterSize - place % clusterSize
        // The last cluster takes another payload only if its count does.
        let canShare = place != 0 ? try refcount(place / clusterSize) < header.refcountMaximum : false
        if canShare, count <= rest {
            try addReferences(place, count)
        } else {
            let new = try allocate(1).offset
            zeroFrom = max(zeroFrom, new + clusterSize)
            if canShare, new == place + rest { try addReferences(place, 1) } else { place = new }
        }
        let end = place + count
        // Compressed offsets have fewer bits than others.
        guard end < 1 << UInt64(min(56, 62 - (header.clusterBits - 8))) else { throw BlockError(.noSpace, "the file is too long for compressed clusters") }
        compressedCursor = end % clusterSize == 0 ? 0 : end
        return place
    }

    mutating func linkCompressed(_ place: UInt64, _ count: UInt64, at start: UInt64) throws(BlockError) {
        let at = try writableEntry(start)
        let old = entry(at.slot, at.byte)
        let sectors = (place + count - 1) / 512 - place / 512
        setEntry(at.slot, at.byte, QCOW2Entry(word: QCOW2Entry.compressed | sectors << UInt64(62 - (header.clusterBits - 8)) | place))
        freeCluster(old)
    }
}
