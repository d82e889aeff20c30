// qcow2: from guest offsets to places in the file (sections "Cluster mapping" and "Extended L2 Entries").

import Block

extension QCOW2Tables {
    /// Which L1 entry, and which L2 entry there.
    func position(_ offset: UInt64) -> (l1: Int, l2: UInt64) {
        (Int(clamping: offset / header.l2Coverage), offset / clusterSize % header.l2Entries)
    }

    /// The L2 table of an L1 entry's word; 0: none.
    mutating func l2Table(_ word: UInt64, _ index: Int) throws(BlockError) -> UInt64 {
        let table = word & QCOW2Entry.offsetMask
        guard header.isCluster(table) else {
            throw corruption("L2 table offset 0x\(String(table, radix: 16)) unaligned (L1 index: 0x\(String(index, radix: 16)))", at: header.l1Offset &+ UInt64(index) &* 8)
        }
        return table
    }

    /// Entries in a slice of the cache.
    var l2PerSlice: UInt64 { UInt64(l2Cache.sliceBytes) / header.l2EntrySize }

    /// The slot with L2 entry `number` of a table, and the entry's first byte there.
    mutating func l2Slot(_ table: UInt64, _ number: UInt64) throws(BlockError) -> (slot: Int, byte: Int) {
        let slice = number / l2PerSlice
        let slot = try l2Cache.slot(table + slice * UInt64(l2Cache.sliceBytes), file)
        return (slot, Int(number % l2PerSlice * header.l2EntrySize))
    }

    func entry(_ slot: Int, _ byte: Int) -> QCOW2Entry {
        QCOW2Entry(word: l2Cache.word(slot, byte), bitmap: header.hasExtendedL2 ? l2Cache.word(slot, byte + 8) : 0)
    }

    mutating func setEntry(_ slot: Int, _ byte: Int, _ entry: QCOW2Entry) {
        l2Cache.setWord(slot, byte, entry.word)
        if header.hasExtendedL2 { l2Cache.setWord(slot, byte + 8, entry.bitmap) }
    }

    /// What the entry says of its subcluster `sub` (0 without extended entries); nil: it contradicts itself.
    func kind(_ entry: QCOW2Entry, _ sub: UInt64) -> QCOW2Kind? {
        if entry.isCompressed { return hasDataFile ? nil : .compressed }
        if header.hasExtendedL2 {
            let allocated = entry.bitmap >> sub & 1 != 0, zero = entry.bitmap >> (sub + 32) & 1 != 0
            if allocated, zero { return nil }
            if zero { return .zero }
            if !allocated { return .unallocated }
            return hasHost(entry) ? .data : nil
        }
        if header.version >= 3, entry.word & QCOW2Entry.zero != 0 { return .zero }
        return hasHost(entry) ? .data : .unallocated
    }

    /// Whether the entry has a cluster of its own. Offset 0 is one only in an external data file.
    func hasHost(_ entry: QCOW2Entry) -> Bool { !entry.isCompressed && (entry.host != 0 || hasDataFile && entry.isCopied) }

    /// Where a compressed cluster's payload is.
    func payload(_ entry: QCOW2Entry) -> (offset: UInt64, count: UInt64) {
        let shift = UInt64(62 - (header.clusterBits - 8))
        let offset = entry.word & ((1 << shift) - 1) & ((1 << 56) - 1)
        let sectors = (entry.word & ~(3 << 62)) >> shift
        return (offset, (sectors + 1) * 512 - offset % 512)
    }

    /// The entry for a guest offset; nil where there is no L2 table.
    mutating func entry(at offset: UInt64) throws(BlockError) -> QCOW2Entry? {
        let place = position(offset)
        guard place.l1 < l1.count else { return nil }
        let table = try l2Table(l1[place.l1], place.l1)
        if table == 0 { return nil }
        let at = try l2Slot(table, place.l2)
        return entry(at.slot, at.byte)
    }

    /// Answers `Image.map`, also beyond the disk's end (where a machine's state is).
    mutating func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let place = position(offset)
        guard place.l1 < l1.count else { return Extent(.unallocated, length: count) }
        let table = try l2Table(l1[place.l1], place.l1)
        if table == 0 {
            // Neighbours without a table are one extent.
            var next = place.l1 + 1
            while next < l1.count, l1[next] & QCOW2Entry.offsetMask == 0, UInt64(next) * header.l2Coverage - offset < count { next += 1 }
            return Extent(.unallocated, length: min(count, UInt64(next) * header.l2Coverage - offset))
        }
        let at = try l2Slot(table, place.l2)
        let inside = offset % clusterSize
        let first = entry(at.slot, at.byte)
        guard let kind = kind(first, inside / subclusterSize) else { throw invalid(first, offset) }
        if kind == .compressed {
            let stored = payload(first)
            guard stored.count <= 2 * clusterSize + 512 else { throw .corrupt(at: stored.offset, "a compressed cluster of \(stored.count) bytes") }
            let unit = CompressedUnit(node: file, offset: stored.offset, count: stored.count, start: offset - inside, length: clusterSize)
            return Extent(.compressed(unit), length: min(count, clusterSize - inside))
        }
        if hasHost(first), !header.isCluster(first.host) { throw invalid(first, offset) }
        let space = kind == .unallocated || !hasHost(first) ? nil : UInt64?(first.host)
        let length = min(count, run(at, first, kind, inside, count))
        switch kind {
        case .data:
            let isFree = first.isCopied && !isCorrupt && (!isWritable || hasDataFile || isOutsideMetadata(first.host, inside &+ length))
            let place: Extent.Place = header.cryptMethod != 0 ? .encrypted(data, first.host + inside) : .data(data, first.host + inside)
            return Extent(place, length: length, isWritable: isFree, mayHaveHoles: mayHaveHoles)
        case .zero: return Extent(.zero(space: space.map { $0 + inside }), length: length)
        default: return Extent(.unallocated, length: length)
        }
    }

    private mutating func invalid(_ entry: QCOW2Entry, _ offset: UInt64) -> BlockError {
        if entry.isCompressed { return corruption("Compressed cluster entry found in image with external data file (guest offset 0x\(String(offset, radix: 16)))") }
        if !header.isCluster(entry.host) {
            return corruption("Cluster allocation offset 0x\(String(entry.host, radix: 16)) unaligned (guest offset 0x\(String(offset, radix: 16)))", at: entry.host)
        }
        return corruption("Invalid cluster entry found (guest offset 0x\(String(offset, radix: 16)), entry 0x\(String(entry.word, radix: 16)), bitmap 0x\(String(entry.bitmap, radix: 16)))")
    }

    private func isOutsideMetadata(_ host: UInt64, _ bytes: UInt64) -> Bool {
        var cluster = host
        while cluster < host &+ bytes {
            if metadata(at: cluster) != nil { return false }
            cluster += clusterSize
        }
        return true
    }

    /// How many bytes from `inside` the first cluster are of one kind, and in a row in the file.
    private func run(_ at: (slot: Int, byte: Int), _ first: QCOW2Entry, _ kind: QCOW2Kind, _ inside: UInt64, _ count: UInt64) -> UInt64 {
        let wanted = inside &+ count
        var covered = (inside / subclusterSize + 1) * subclusterSize
        let hasHost = hasHost(first)
        // Within the first cluster, then from one to the next.
        while covered < wanted {
            let cluster = covered / clusterSize
            let byte = at.byte + Int(cluster * header.l2EntrySize)
            guard byte < l2Cache.sliceBytes else { break }
            let next = entry(at.slot, byte)
            guard self.kind(next, covered % clusterSize / subclusterSize) == kind else { break }
            if kind != .unallocated {
                guard self.hasHost(next) == hasHost, next.isCopied == first.isCopied || !hasHost, !hasHost || next.host == first.host &+ cluster * clusterSize else { break }
            }
            covered += subclusterSize
        }
        return covered - inside
    }
}
