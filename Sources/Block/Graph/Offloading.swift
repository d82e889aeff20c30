// Copies that the host does from file to file (`convert -C`): where all bytes stand as they are in a file of the host on
// either side, they need not pass through this process, and file systems that share space share it. What cannot be copied
// so is left to the caller, who reads and writes.

extension Node {
    /// Where bytes from `offset` stand, as they are, in a file of the host, and how many of them; nil: nowhere.
    func hostPlace(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> (file: FileStorage, offset: UInt64, length: UInt64)? {
        if let file = storage as? FileStorage {
            let length = try file.length()
            return offset < length ? (file, offset, min(count, length - offset)) : nil
        }
        guard let storage = storage as? ImageStorage, offset < storage.image.virtualSize else { return nil }
        let extent = try storage.image.map(offset, min(count, storage.image.virtualSize - offset))
        switch extent.place {
        case .data(let node, let at): return try node.hostPlace(at, min(extent.length, count))
        case .unallocated:
            guard let below = storage.backing, offset < (try below.length()) else { return nil }
            return try below.hostPlace(offset, min(extent.length, count))
        default: return nil
        }
    }

    /// Copies bytes of a file here, by the host. - Returns: how many from the start are done; the rest is as it was.
    func copy(from file: FileStorage, at start: UInt64, to offset: UInt64, _ count: UInt64) throws(BlockError) -> UInt64 {
        let image = storage as? ImageStorage, own = storage as? FileStorage
        if image == nil, own == nil || !access.writable { return 0 }
        var done: UInt64 = 0
        try observingWrite(offset, count) { () throws(BlockError) in
            if let own { done = try own.copy(from: file, at: start, to: offset, count) }
            if let image { done = try image.copy(from: file, at: start, to: offset, count) }
        }
        return done
    }
}

extension ImageStorage {
    /// As `Node.copy`.
    func copy(from file: FileStorage, at start: UInt64, to offset: UInt64, _ count: UInt64) throws(BlockError) -> UInt64 {
        if offset < UInt64(probeLength), isStartGuarded { return 0 }
        return try placing(offset, count) { (image) throws(BlockError) -> UInt64 in
            var done: UInt64 = 0
            while done < count {
                let position = offset + done
                let extent = try image.map(position, count - done)
                switch extent.place {
                case .data(let node, let at) where extent.isWritable:
                    let copied = try node.copy(from: file, at: start + done, to: at, min(extent.length, count - done))
                    done += copied
                    if copied == 0 { return done }
                case .data, .zero, .unallocated:
                    let copied = try copyFresh(image, file, start + done, position, count - done)
                    done += copied
                    if copied == 0 { return done }
                default: return done
                }
            }
            return done
        }
    }

    private func copyFresh(_ image: any WritableImage, _ file: FileStorage, _ start: UInt64, _ position: UInt64, _ count: UInt64) throws(BlockError) -> UInt64 {
        let placement = try image.place(position, count)
        let length = min(placement.length, count)
        guard let fresh = placement.fresh else {
            return placement.isEncrypted ? 0 : try placement.node.copy(from: file, at: start, to: placement.offset, length)
        }
        do throws(BlockError) {
            // Whole units only: nothing is around them that would have to be kept.
            if !placement.isEncrypted, fresh.start == position, fresh.length == length,
               try placement.node.copy(from: file, at: start, to: placement.offset, length) == length {
                try image.link(fresh)
                return length
            }
        } catch {
            image.abandon(fresh)
            throw error
        }
        image.abandon(fresh)
        return 0
    }
}
