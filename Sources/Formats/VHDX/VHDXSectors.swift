// vhdx: blocks of differencing images that are partly here ([MS-VHDX] 2.5.1): a bitmap with a bit a sector, of 1 MiB for each
// chunk of blocks, tells which sectors are this file's and which the parent's.

import Block

/// Sector bitmaps, in pieces of 4 KiB by their offset in the file.
struct VHDXSectors: Sendable {
    static let pieceSize = 4096
    /// Pieces kept that are as in the file: 4 MiB of them.
    private static let most = 1024
    private var pieces: [UInt64: [UInt8]] = [:]
    private var changed: Set<UInt64> = []

    private mutating func load(_ offset: UInt64, _ file: VHDXLoggedFile) throws(BlockError) {
        if pieces[offset] != nil { return }
        if pieces.count >= VHDXSectors.most + changed.count {
            let changed = changed
            pieces = pieces.filter { changed.contains($0.key) }
        }
        pieces[offset] = try file.bytes(offset, VHDXSectors.pieceSize)
    }

    private static func place(_ bitmap: UInt64, _ sector: UInt64) -> (piece: UInt64, byte: Int, bit: UInt8) {
        let size = UInt64(pieceSize)
        return (bitmap + sector / 8 / size * size, Int(sector / 8 % size), 1 << UInt8(sector % 8))
    }

    /// Whether a sector is here. - Parameter bitmap: the bitmap's offset in the file.
    mutating func isHere(_ bitmap: UInt64, _ sector: UInt64, _ file: VHDXLoggedFile) throws(BlockError) -> Bool {
        let place = VHDXSectors.place(bitmap, sector)
        try load(place.piece, file)
        return (pieces[place.piece]?[place.byte] ?? 0) & place.bit != 0
    }

    /// From now on, the sector is here.
    mutating func set(_ bitmap: UInt64, _ sector: UInt64, _ file: VHDXLoggedFile) throws(BlockError) {
        let place = VHDXSectors.place(bitmap, sector)
        try load(place.piece, file)
        pieces[place.piece]?[place.byte] |= place.bit
        changed.insert(place.piece)
    }

    /// The pieces that changed, which from now on count as written.
    mutating func takeChanges() -> [(offset: UInt64, bytes: [UInt8])] {
        defer { changed.removeAll() }
        return changed.sorted().map { ($0, pieces[$0] ?? []) }
    }

    /// Pieces that could not be written.
    mutating func putBack(_ list: [(offset: UInt64, bytes: [UInt8])]) { changed.formUnion(list.map(\.offset)) }
}

extension VHDX {
    /// Where a block that is partly here stands; nil: it is not one of those.
    func partlyPresent(_ tables: Tables, _ block: UInt64) -> UInt64? {
        guard metadata.hasParent, let entry = tables.table[Int(clamping: block + block / metadata.chunkRatio)], entry & State.mask == State.partial else { return nil }
        return entry & State.place
    }

    /// The offset of the bitmap of the chunk that has `block`, and the block's first sector there.
    private func bitmap(_ tables: Tables, _ block: UInt64) throws(BlockError) -> (offset: UInt64, first: UInt64) {
        let chunk = block / metadata.chunkRatio
        guard let entry = tables.table[Int(clamping: chunk * (metadata.chunkRatio + 1) + metadata.chunkRatio)], entry & State.mask == State.present,
              entry & State.place >= 1 << 20, entry & State.place <= UInt64(Int64.max) / 2 else {
            throw .corrupt("block \(block) is partly present, but its chunk has no sector bitmap")
        }
        return (entry & State.place, (block % metadata.chunkRatio * metadata.blockSize) / metadata.sectorSize)
    }

    /// What is here of a block that is partly, from `inside` on.
    func sectors(_ tables: inout Tables, _ block: UInt64, _ position: UInt64, _ inside: UInt64, _ length: UInt64) throws(BlockError) -> Extent {
        guard position >= 1 << 20, position <= UInt64(Int64.max) / 2 else { throw .corrupt("block \(block) stands at offset \(position)") }
        let bitmap = try bitmap(tables, block)
        let first = bitmap.first + inside / metadata.sectorSize, last = bitmap.first + (inside + length - 1) / metadata.sectorSize
        let isHere = try tables.sectors.isHere(bitmap.offset, first, file)
        var end = first + 1
        while end <= last, try tables.sectors.isHere(bitmap.offset, end, file) == isHere { end += 1 }
        let run = min(length, (end - bitmap.first) * metadata.sectorSize - inside)
        return isHere ? Extent(.data(file.file, position + inside), length: run, isWritable: tables.isAnnounced) : Extent(.unallocated, length: run)
    }

    /// Sectors of a block that is partly here have their space already. - Parameter length: they are all the parent's.
    func placeSectors(_ offset: UInt64, _ length: UInt64, at position: UInt64) -> Placement {
        let inside = offset % metadata.blockSize, sector = metadata.sectorSize
        let start = inside / sector * sector
        let end = (inside + length).divided(roundingUpBy: sector) * sector
        let fresh = FreshSpace(start: offset - inside + start, length: end - start, isZero: false, token: position)
        return Placement(length: length, node: file.file, offset: position + inside, fresh: fresh)
    }

    func linkSectors(_ tables: inout Tables, _ fresh: FreshSpace) throws(BlockError) {
        let bitmap = try bitmap(tables, fresh.start / metadata.blockSize)
        let first = bitmap.first + fresh.start % metadata.blockSize / metadata.sectorSize
        for sector in first..<first + fresh.length / metadata.sectorSize { try tables.sectors.set(bitmap.offset, sector, file) }
    }
}
