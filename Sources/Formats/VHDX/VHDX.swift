// vhdx: Hyper-V's disks ([MS-VHDX]), fixed, dynamic and differencing, read and written. The block table has an entry of 64
// bits a block: a state and the place in MiB. Blocks of differencing images are copied whole when first written; those that
// others left partly present have a bit a sector, which is set when the sector is written (VHDXSectors.swift).
//
// Order of writes: data, then sector bitmaps and the table in place, behind a flush. The log is replayed, but not written to: a sector of
// the table holds whole entries, so one that is torn leaves blocks as they were or as they are to be; and until then no
// entry names new blocks.

import Block
import Host

/// An open VHDX image.
public final class VHDX: WritableImage, ZeroingImage, DescribedImage, CheckableImage, BackedImage {
    /// States of a block.
    enum State {
        static let absent: UInt64 = 0, zero: UInt64 = 2, present: UInt64 = 6, partial: UInt64 = 7
        static let mask: UInt64 = 7
        static let place: UInt64 = ~0xf_ffff
    }
    struct Tables {
        var table: EntryTable<UInt64>
        var end: UInt64
        var header: VHDXHeader
        /// Headers tell of the changes to come.
        var isAnnounced = false
        var sectors = VHDXSectors()
    }
    let file: VHDXLoggedFile
    let metadata: VHDXMetadata
    private let tables: Locked<Tables>
    private let writing = Locked(false)
    public let backing: FileReference?

    init(_ file: VHDXLoggedFile, _ header: VHDXHeader, _ metadata: VHDXMetadata, _ table: EntryTable<UInt64>, backing: FileReference?) throws(BlockError) {
        self.file = file
        self.metadata = metadata
        self.backing = backing
        var end = try file.file.length()
        for entry in table.entries where entry & State.mask >= State.present { end = max(end, entry & State.place) }
        tables = Locked(Tables(table: table, end: min(end, UInt64(Int64.max) / 2), header: header))
    }

    public var virtualSize: UInt64 { metadata.diskSize }
    public var allocationUnit: UInt64 { metadata.blockSize }

    /// Each chunk of blocks is followed by the entry of its sector bitmaps.
    private func slot(_ block: UInt64) -> Int { Int(clamping: block + block / metadata.chunkRatio) }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let block = offset / metadata.blockSize, inside = offset % metadata.blockSize
        let length = min(count, metadata.blockSize - inside)
        return try tables.withLock { (tables) throws(BlockError) -> Extent in
            let entry = tables.table[slot(block)] ?? State.absent
            let position = entry & State.place
            switch entry & State.mask {
            case State.present:
                guard position >= 1 << 20, position <= UInt64(Int64.max) / 2 else { throw .corrupt("block \(block) stands at offset \(position)") }
                var run = length
                // Neighbours in the disk that are neighbours in the file are one extent.
                var next = block + 1
                while run < count, tables.table[slot(next)] == (position + (next - block) * metadata.blockSize) | State.present { run = min(count, run + metadata.blockSize); next += 1 }
                return Extent(.data(file.file, position + inside), length: run, isWritable: tables.isAnnounced)
            case State.partial where metadata.hasParent: return try sectors(&tables, block, position, inside, length)
            case State.absent where metadata.hasParent: return Extent(.unallocated, length: length)
            case State.partial, 4, 5: throw .corrupt("block \(block) has the state \(entry & State.mask)")
            default: return Extent(.zero(space: nil), length: length)
            }
        }
    }

    // MARK: Writing

    /// Tells, once after opening, that file and data are others now: parents and copies are recognised by this.
    private func announce() throws(BlockError) {
        try tables.withLock { (tables) throws(BlockError) in
            if tables.isAnnounced { return }
            tables.header.fileWrite = randomUUID()
            tables.header.dataWrite = randomUUID()
            try tables.header.replace(in: file.file)
            tables.isAnnounced = true
        }
    }

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        try announce()
        let extent = try map(offset, count)
        if case .data(let node, let at) = extent.place { return Placement(length: extent.length, node: node, offset: at) }
        let inside = offset % metadata.blockSize
        if let position = tables.withLock({ partlyPresent($0, offset / metadata.blockSize) }) { return placeSectors(offset, extent.length, at: position) }
        let position = try tables.withLock { (tables) throws(BlockError) -> UInt64 in
            guard let start = tables.end.roundedUp(to: 1 << 20), start <= UInt64(Int64.max) / 2 else { throw BlockError(.noSpace, "the file is too large") }
            tables.end = start + metadata.blockSize
            return start
        }
        try file.file.writeZeroes(position, metadata.blockSize)
        let fresh = FreshSpace(start: offset - inside, length: metadata.blockSize, isZero: true, token: position)
        return Placement(length: extent.length, node: file.file, offset: position + inside, fresh: fresh)
    }

    public func link(_ fresh: FreshSpace) throws(BlockError) {
        let block = fresh.start / metadata.blockSize
        try tables.withLock { (tables) throws(BlockError) in
            if partlyPresent(tables, block) != nil { return try linkSectors(&tables, fresh) }
            tables.table[slot(block)] = fresh.token | State.present
        }
    }

    /// The block stays at the end of the file, unused.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        let extent = try map(offset, count)
        if case .zero = extent.place { return extent.length }
        // A whole block that is the parent's: its entry says so. Others are written.
        guard case .unallocated = extent.place, offset % metadata.blockSize == 0, count >= metadata.blockSize || offset + count == virtualSize else { return 0 }
        try announce()
        return tables.withLock { tables in
            guard partlyPresent(tables, offset / metadata.blockSize) == nil else { return 0 }
            tables.table[slot(offset / metadata.blockSize)] = State.zero
            return min(count, metadata.blockSize)
        }
    }

    public func writeBack() throws(BlockError) {
        try writing.withLock { (_: inout Bool) throws(BlockError) in
            let (changes, sectors) = tables.withLock { ($0.table.takeChanges(), $0.sectors.takeChanges()) }
            if changes.isEmpty, sectors.isEmpty { return }
            do throws(BlockError) {
                try file.file.flush()
                for piece in sectors { try file.file.write(piece.offset, bytes: piece.bytes) }
                try file.file.write(changes)
            } catch {
                tables.withLock { $0.table.putBack(changes); $0.sectors.putBack(sectors) }
                throw error
            }
        }
    }

    public func information() -> ImageInformation { ImageInformation(clusterSize: metadata.blockSize) }

    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        var result = CheckResult()
        let entries = tables.withLock { $0.table.entries }
        let length = try file.file.length()
        var occupancy = Occupancy(end: length)
        for block in 0..<metadata.blocks {
            let index = slot(block)
            guard index < entries.count, entries[index] & State.mask >= State.present else { continue }
            // The last block of a fixed image may be cut.
            let used = min(metadata.blockSize, metadata.diskSize - block * metadata.blockSize)
            if !occupancy.add(entries[index] & State.place, used, owner: block) {
                result.corruptions += 1
                result.note("ERROR: block \(block) at offset \(entries[index] & State.place) lies beyond the end of the file")
            }
        }
        for (one, other) in occupancy.collisions() {
            result.corruptions += 1
            result.note("ERROR: blocks \(one) and \(other) overlap")
        }
        return result
    }
}
