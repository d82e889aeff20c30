// vhdx: the log ([MS-VHDX] 2.3): metadata that was on its way to its place when the image was last open. Entries stand
// in a ring, aligned to 4 KiB; those from the tail that the newest one names up to itself count.
//
// Replay puts them in their places. Where the image is opened read-only the file stays as it is, and what is read of
// metadata has them applied in memory instead.

import Block

/// A file with updates that it does not have yet.
struct VHDXLoggedFile: Sendable {
    let file: Node
    var updates: [VHDXLog.Update] = []

    /// Metadata, with the log applied.
    func bytes(_ offset: UInt64, _ count: Int) throws(BlockError) -> [UInt8] {
        var bytes = try file.bytes(offset, count)
        let end = offset + UInt64(count)
        for update in updates where update.offset < end && update.offset + update.length > offset {
            let first = max(offset, update.offset), last = min(end, update.offset + update.length)
            for position in first..<last {
                let index = Int(position - update.offset)
                bytes[Int(position - offset)] = index < update.bytes.count ? update.bytes[index] : 0
            }
        }
        return bytes
    }
}

/// The log of an image.
struct VHDXLog {
    /// What an entry changes: bytes, or (with none) zeros.
    struct Update: Sendable {
        var offset: UInt64
        var length: UInt64
        var bytes: [UInt8]
    }
    private struct Entry {
        var offset: Int
        var length: Int
        var tail: Int
        var sequence: UInt64
        var descriptors: Int
        var flushedEnd: UInt64
        var lastEnd: UInt64
    }
    private static let sector = 4096
    /// Logs are read whole.
    static let largest: UInt32 = 64 << 20

    private let ring: Bytes
    private let identifier: [UInt8]
    private let origin: UInt64
    /// What has to be done, in order; and how long the file is then at least.
    private(set) var updates: [Update] = []
    private(set) var fileEnd: UInt64 = 0

    init(_ file: Node, _ header: VHDXHeader) throws(BlockError) {
        guard header.logLength > 0, header.logLength <= VHDXLog.largest else {
            throw .corrupt(at: header.logOffset, "a log of \(header.logLength) bytes to replay: expected at most \(VHDXLog.largest)")
        }
        ring = try file.metadata(header.logOffset, Int(header.logLength), order: .little)
        identifier = header.log
        origin = header.logOffset
        let length = try file.length()
        for entry in try active() {
            guard entry.flushedEnd <= length else { throw .corrupt(at: origin + UInt64(entry.offset), "the log was written for a file of \(entry.flushedEnd) bytes: this one has \(length)") }
            fileEnd = max(fileEnd, entry.lastEnd)
            updates += try self.updates(of: entry)
        }
        // Nobody logs what lies beyond the file: the end of the largest disk, with room, bounds it.
        let most = max(length, fileEnd)
        for update in updates where update.offset + update.length > most {
            throw .corrupt(at: origin, "the log changes \(update.length) bytes at \(update.offset), beyond the file's \(most)")
        }
        guard fileEnd <= 1 << 50 else { throw .corrupt(at: origin, "the log wants a file of \(fileEnd) bytes") }
    }

    /// Puts everything in its place.
    func replay(_ file: Node) throws(BlockError) {
        if try file.length() < fileEnd { try file.setLength(fileEnd) }
        for update in updates {
            if update.bytes.isEmpty { try file.writeZeroes(update.offset, update.length) } else { try file.write(update.offset, bytes: update.bytes) }
        }
        try file.flush()
    }

    // MARK: Entries

    private func circular(_ offset: Int, _ length: Int) -> [UInt8] {
        guard offset + length > ring.count else { return Array(ring.array[offset..<offset + length]) }
        return Array(ring.array[offset...]) + Array(ring.array[..<(offset + length - ring.count)])
    }

    /// Every valid entry, by where it starts.
    private func all() throws(BlockError) -> [Int: Entry] {
        var found: [Int: Entry] = [:]
        // Entries do not overlap in a log that somebody wrote: the bytes to sum up are bounded.
        var budget = ring.count * 8
        for offset in stride(from: 0, to: ring.count, by: VHDXLog.sector) {
            guard try ring.slice(offset, 4) == Array("loge".utf8), try ring.slice(offset + 32, 16) == identifier else { continue }
            let length = Int(try ring.u32(offset + 8)), tail = Int(try ring.u32(offset + 12)), descriptors = Int(try ring.u32(offset + 24))
            guard length >= VHDXLog.sector, length % VHDXLog.sector == 0, length <= ring.count, tail % VHDXLog.sector == 0, tail < ring.count,
                  descriptors <= length / 32 else { continue }
            budget -= length
            guard budget >= 0 else { throw .corrupt(at: origin, "entries of the log overlap") }
            guard CRC32C.checksum(circular(offset, length), field: 4) == (try ring.u32(offset + 4)) else { continue }
            found[offset] = Entry(offset: offset, length: length, tail: tail, sequence: try ring.u64(offset + 16), descriptors: descriptors,
                                  flushedEnd: try ring.u64(offset + 48), lastEnd: try ring.u64(offset + 56))
        }
        return found
    }

    /// The entries from the tail to the newest.
    private func active() throws(BlockError) -> [Entry] {
        let entries = try all()
        for head in entries.values.sorted(by: { $0.sequence > $1.sequence }).prefix(64) {
            var chain: [Entry] = []
            var next = entries[head.tail]
            while let entry = next, chain.count <= entries.count {
                if let last = chain.last, entry.sequence != last.sequence &+ 1 { break }
                chain.append(entry)
                if entry.offset == head.offset { return chain }
                next = entries[(entry.offset + entry.length) % ring.count]
            }
        }
        throw .corrupt(at: origin, "the log has no complete sequence of entries")
    }

    private func updates(of entry: Entry) throws(BlockError) -> [Update] {
        let bytes = Bytes(circular(entry.offset, entry.length), at: origin + UInt64(entry.offset), order: .little)
        var data = (64 + entry.descriptors * 32 + VHDXLog.sector - 1) / VHDXLog.sector * VHDXLog.sector
        var updates: [Update] = []
        for index in 0..<entry.descriptors {
            let at = 64 + index * 32
            let offset = try bytes.u64(at + 16)
            guard try bytes.u64(at + 24) == entry.sequence, offset % UInt64(VHDXLog.sector) == 0, offset <= UInt64(Int64.max) / 2 else {
                throw .corrupt(at: bytes.origin + UInt64(at), "a log descriptor for offset \(offset) does not belong to its entry")
            }
            switch try bytes.slice(at, 4) {
            case Array("zero".utf8):
                let length = try bytes.u64(at + 8)
                guard length % UInt64(VHDXLog.sector) == 0, length <= UInt64(Int64.max) / 2 else { throw .corrupt(at: bytes.origin + UInt64(at), "a log descriptor zeroes \(length) bytes") }
                updates.append(Update(offset: offset, length: length, bytes: []))
            case Array("desc".utf8):
                // The sector's ends give way to signature and sequence number; they stand in the descriptor.
                guard try bytes.slice(data, 4) == Array("data".utf8),
                      UInt64(try bytes.u32(data + 4)) << 32 | UInt64(try bytes.u32(data + 4092)) == entry.sequence else {
                    throw .corrupt(at: bytes.origin + UInt64(data), "a data sector does not belong to its log entry")
                }
                let sector = try bytes.slice(at + 8, 8) + (try bytes.slice(data + 8, 4084)) + (try bytes.slice(at + 4, 4))
                updates.append(Update(offset: offset, length: UInt64(VHDXLog.sector), bytes: sector))
                data += VHDXLog.sector
            default: throw .corrupt(at: bytes.origin + UInt64(at), "neither a data nor a zero descriptor")
            }
        }
        return updates
    }
}
