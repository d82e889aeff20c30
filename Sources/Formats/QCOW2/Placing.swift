// qcow2: taking space for writes, pointing to it, and giving space back.
//
// A cluster may be written where it is if its entry says that nothing else refers to it (COPIED). Else new space is taken,
// as many clusters in a row as are free; Block fills it, and `link` points to it. The same for the L2 tables themselves:
// one that a snapshot shares is copied first.

import Block

extension QCOW2Tables {
    /// No placement is larger: how much one request may take at once.
    private static let largestPlacement: UInt64 = 32 << 20

    /// The L2 table of an L1 entry, made or copied if it may not be changed where it is.
    mutating func writableL2(_ index: Int) throws(BlockError) -> UInt64 {
        guard index < l1.count else { throw .corrupt("the L1 table has no entry \(index)") }
        let old = try l2Table(l1[index], index)
        if old != 0, l1[index] & QCOW2Entry.copied != 0 { return old }
        let slices = Int(clusterSize) / l2Cache.sliceBytes
        if !l2Cache.hasRoom(slices + 2) { try writeBack() }
        let new = try allocate(1).offset
        zeroFrom = max(zeroFrom, new + clusterSize)
        do {
            for slice in 0..<UInt64(slices) {
                let inside = slice * UInt64(l2Cache.sliceBytes)
                var bytes = [UInt8](repeating: 0, count: l2Cache.sliceBytes)
                if old != 0 {
                    // By itself: the search may read the slice in, and the cache is another then.
                    let slot = try l2Cache.slot(old + inside, file)
                    bytes = l2Cache.bytes(slot)
                }
                try l2Cache.put(new + inside, bytes)
            }
        } catch {
            try? release(new / clusterSize)
            throw error
        }
        metadataClusters.insert(new / clusterSize)
        if old != 0 { metadataClusters.remove(old / clusterSize) }
        setL1(index, new | QCOW2Entry.copied)
        if old != 0 { free(old, clusterSize) }
        return new
    }

    mutating func setL1(_ index: Int, _ word: UInt64) {
        l1[index] = word
        dirtyL1.insert(index / 64)
    }

    /// The slot with an L2 entry that may be changed.
    mutating func writableEntry(_ offset: UInt64) throws(BlockError) -> (slot: Int, byte: Int) {
        if !l2Cache.hasRoom(2) || pendingFrees.count >= 4096 { try writeBack() }
        let place = position(offset)
        return try l2Slot(try writableL2(place.l1), place.l2)
    }

    /// Answers `WritableImage.place`.
    mutating func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        try refuseIfCorrupt()
        let known = try map(offset, count)
        let isEncrypted = header.cryptMethod != 0
        switch known.place {
        case .data(let node, let at) where known.isWritable, .encrypted(let node, let at) where known.isWritable:
            return Placement(length: known.length, node: node, offset: at, isEncrypted: isEncrypted)
        default: break
        }
        let at = try writableEntry(offset)
        let first = entry(at.slot, at.byte)
        let start = offset - offset % clusterSize
        if hasHost(first), first.isCopied {
            if !hasDataFile, let what = metadata(at: first.host) {
                throw corruption("Preventing invalid write on \(what) at offset 0x\(String(first.host, radix: 16))", at: first.host)
            }
            return placeInside(first, offset, start, count)
        }
        return try placeAnew(at, first, offset, start, count)
    }

    /// The cluster has space of its own, but these bytes of it are not in use: preallocated zeros, or subclusters.
    private func placeInside(_ first: QCOW2Entry, _ offset: UInt64, _ start: UInt64, _ count: UInt64) -> Placement {
        let inside = offset - start
        var end = (inside / subclusterSize + 1) * subclusterSize
        while end < clusterSize, end < inside + count, kind(first, end / subclusterSize) != .data { end += subclusterSize }
        let from = inside / subclusterSize * subclusterSize
        let fresh = FreshSpace(start: start + from, length: end - from, isZero: false, token: first.host)
        return Placement(length: min(count, end - inside), node: data, offset: first.host + inside, fresh: fresh, isEncrypted: header.cryptMethod != 0)
    }

    private mutating func placeAnew(_ at: (slot: Int, byte: Int), _ first: QCOW2Entry, _ offset: UInt64, _ start: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        let inside = offset - start
        // What has contents in the old cluster is copied as a whole; such clusters are placed one by one if there are subclusters.
        let keepsOld = hasHost(first) || first.isCompressed
        var wanted: UInt64 = 1
        let most = min(inside + min(count, QCOW2Tables.largestPlacement), QCOW2Tables.largestPlacement + clusterSize).divided(roundingUpBy: clusterSize)
        while wanted < most {
            let byte = at.byte + Int(wanted * header.l2EntrySize)
            guard byte < l2Cache.sliceBytes else { break }
            let next = entry(at.slot, byte)
            if hasHost(next), next.isCopied { break }
            if header.hasExtendedL2, keepsOld || hasHost(next) || next.isCompressed { break }
            wanted += 1
        }
        let host: UInt64, isZero: Bool
        if hasDataFile {
            (host, isZero) = (start, start >= dataZeroFrom)
            dataZeroFrom = max(dataZeroFrom, start + wanted * clusterSize)
        } else {
            let space = try allocate(wanted, orFewer: true)
            (host, wanted) = (space.offset, space.count)
            isZero = takesZeros(host, wanted * clusterSize)
        }
        var from: UInt64 = 0, end = wanted * clusterSize
        if header.hasExtendedL2, !keepsOld {
            from = inside / subclusterSize * subclusterSize
            end = min(end, (inside + min(count, end)).divided(roundingUpBy: subclusterSize) * subclusterSize)
        }
        let fresh = FreshSpace(start: start + from, length: end - from, isZero: isZero, token: host)
        return Placement(length: min(count, end - inside), node: data, offset: host + inside, fresh: fresh, isEncrypted: header.cryptMethod != 0)
    }

    /// Points to fresh space, and lets go of what it replaces.
    mutating func link(_ fresh: FreshSpace) throws(BlockError) {
        let first = fresh.start - fresh.start % clusterSize
        var position = fresh.start
        let end = fresh.start + fresh.length
        while position < end {
            let start = position - position % clusterSize
            let stop = min(end, start + clusterSize)
            let at = try writableEntry(start)
            let old = entry(at.slot, at.byte)
            let host = fresh.token + (start - first)
            var new = QCOW2Entry(word: host | QCOW2Entry.copied)
            let isSame = hasHost(old) && old.host == host && old.isCopied
            if header.hasExtendedL2 {
                // Other subclusters keep what they are.
                new.bitmap = old.isCompressed ? 0 : isSame ? old.bitmap : old.bitmap & ~0xffff_ffff
                for sub in (position - start) / subclusterSize ..< (stop - start).divided(roundingUpBy: subclusterSize) {
                    new.bitmap = new.bitmap & ~(1 << (sub + 32)) | 1 << sub
                }
            }
            setEntry(at.slot, at.byte, new)
            if !isSame { freeCluster(old) }
            position = stop
        }
    }

    /// Lets go of what an entry points to.
    mutating func freeCluster(_ entry: QCOW2Entry) {
        if entry.isCompressed {
            let stored = payload(entry)
            free(stored.offset, stored.count)
        } else if !hasDataFile, entry.host != 0 { free(entry.host, clusterSize) }
    }

    /// Gives back fresh space that was not filled.
    mutating func abandon(_ fresh: FreshSpace) throws(BlockError) {
        if hasDataFile { return }
        let first = fresh.start - fresh.start % clusterSize
        let clusters = (fresh.start - first + fresh.length).divided(roundingUpBy: clusterSize)
        for number in 0..<clusters {
            let host = fresh.token + number * clusterSize
            // Space that the entry had already stays.
            if let entry = try entry(at: first + number * clusterSize), hasHost(entry), entry.host == host { continue }
            try release(host / clusterSize)
        }
    }

    // MARK: Zeros and discards

    /// Makes whole clusters (or subclusters) read as zeros; returns how many bytes from the start now do.
    mutating func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        try refuseIfCorrupt()
        if hasDataFile, header.isDataFileRaw { return 0 }
        // The last cluster counts as whole at the disk's end.
        let end = offset + count >= header.size ? (offset + count).divided(roundingUpBy: clusterSize) * clusterSize : offset + count
        var position = offset
        while position < end {
            let start = position - position % clusterSize
            let stop = min(end, start + clusterSize)
            if header.backingName == nil {
                // Without a backing file, what was never written is zeros already.
                let known = try map(position, end - position)
                switch known.place {
                case .unallocated, .zero(nil): position += known.length; continue
                default: break
                }
            }
            if position == start, stop == start + clusterSize {
                guard try zeroCluster(start, unmap: unmap) else { break }
            } else {
                guard header.hasExtendedL2, position % subclusterSize == 0, stop % subclusterSize == 0, try zeroSubclusters(start, position - start, stop - start) else { break }
            }
            position = stop
        }
        return position - offset
    }

    /// False if zeros have to be written.
    private mutating func zeroCluster(_ start: UInt64, unmap: Bool) throws(BlockError) -> Bool {
        guard header.version >= 3 || header.backingName == nil && unmap else { return false }
        let at = try writableEntry(start)
        let old = entry(at.slot, at.byte)
        var new = QCOW2Entry(word: 0)
        // Space that is this cluster's alone is kept, unless it may be given back.
        let keeps = hasHost(old) && old.isCopied && (!unmap || hasDataFile)
        if keeps { new.word = old.host | QCOW2Entry.copied }
        if header.hasExtendedL2 { new.bitmap = 0xffff_ffff << 32 } else if header.version >= 3 { new.word |= QCOW2Entry.zero }
        guard new != old else { return true }
        setEntry(at.slot, at.byte, new)
        if !keeps { freeCluster(old) }
        return true
    }

    private mutating func zeroSubclusters(_ start: UInt64, _ from: UInt64, _ to: UInt64) throws(BlockError) -> Bool {
        let at = try writableEntry(start)
        var new = entry(at.slot, at.byte)
        guard !new.isCompressed, new.isCopied || !hasHost(new) else { return false }
        for sub in from / subclusterSize ..< to / subclusterSize { new.bitmap = new.bitmap & ~(1 << sub) | 1 << (sub + 32) }
        setEntry(at.slot, at.byte, new)
        return true
    }

    /// Gives back whole clusters.
    mutating func discard(_ offset: UInt64, _ count: UInt64, full: Bool = false) throws(BlockError) {
        try refuseIfCorrupt()
        // Version 2 cannot hide the backing file behind zeros; a raw data file must keep showing what it shows.
        if !full, header.version < 3 && header.backingName != nil || hasDataFile && header.isDataFileRaw { return }
        let end = offset + count >= header.size ? (offset + count).divided(roundingUpBy: clusterSize) * clusterSize : (offset + count) / clusterSize * clusterSize
        var position = offset.divided(roundingUpBy: clusterSize) * clusterSize
        while position < end {
            let known = try map(position, end - position)
            switch known.place {
            case .unallocated where !header.hasExtendedL2, .zero(nil) where !full && !header.hasExtendedL2:
                position += max(clusterSize, known.length / clusterSize * clusterSize)
                continue
            default: break
            }
            guard let old = try entry(at: position), full || old != QCOW2Entry(word: 0) else { position += clusterSize; continue }
            let at = try writableEntry(position)
            var new = QCOW2Entry(word: 0)
            if !full, header.backingName != nil {
                if header.hasExtendedL2 { new.bitmap = 0xffff_ffff << 32 } else { new.word = QCOW2Entry.zero }
            }
            if new != old {
                setEntry(at.slot, at.byte, new)
                freeCluster(old)
                if hasDataFile, hasHost(old) { try data.discard(old.host, clusterSize) }
            }
            position += clusterSize
        }
    }
}
