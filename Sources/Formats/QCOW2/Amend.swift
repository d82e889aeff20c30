// qcow2: changing creation options of an image: version, refcount width, lazy refcounts, backing and data file, size.

import Block

extension QCOW2: AmendableImage, EmptyableImage {
    public static let amendOptions = ["backing_file", "backing_fmt", "compat", "data_file", "data_file_raw", "lazy_refcounts", "refcount_bits", "size"].compactMap { name in
        QCOW2Format.createOptions.first { $0.name == name }.map { OptionDeclaration($0.name, $0.kind, $0.help) }
    } + LUKSVolume.amendOptions(prefix: QCOW2Encryption.prefix)

    public func amend(_ options: OptionValues, force: Bool, progress: (Double) -> Void) throws(BlockError) {
        if LUKSVolume.isAsked(options, prefix: QCOW2Encryption.prefix) { try amendSlots(options, force: force) }
        try locked { (tables) throws(BlockError) in try tables.amend(options) }
        progress(1)
    }

    public func makeEmpty() throws(BlockError) {
        try locked { (tables) throws(BlockError) in
            try tables.discard(0, tables.header.size, full: true)
            try tables.writeBack()
        }
    }
}

extension QCOW2Tables {
    mutating func amend(_ options: OptionValues) throws(BlockError) {
        try refuseIfCorrupt()
        try writeBack()
        var version = header.version
        if let compat = options.text("compat") { version = ["0.10", "v2"].contains(compat) ? 2 : 3 }
        var order = header.refcountOrder
        if let bits = options.number("refcount_bits") {
            guard bits >= 1, bits <= 64, bits & (bits - 1) == 0 else { throw .invalid("Refcount width must be a power of two and may not exceed 64 bits") }
            order = UInt32(bits.trailingZeroBitCount)
        }
        if version < 3, order != 4 {
            throw .invalid(options.has("refcount_bits") ? "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)" : "compat=0.10 requires refcount_bits=16")
        }
        let isLazy = options.has("lazy_refcounts") ? options.flag("lazy_refcounts") : header.hasLazyRefcounts && version >= 3
        if isLazy, version < 3 { throw .invalid("Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)") }
        if options.has("data_file_raw"), options.flag("data_file_raw") != header.isDataFileRaw { throw .invalid("data-file-raw cannot be changed for existing images") }
        if let name = options.text("data_file") {
            guard header.hasDataFile else { throw .invalid("data-file can only be set for images that use an external data file") }
            guard name.utf8.count <= 1023 else { throw .invalid("data_file: a name of at most 1023 bytes is expected") }
            header.dataFileName = name.isEmpty ? nil : name
            try writeHeader()
        }
        if version > header.version { try upgrade() }
        if order != header.refcountOrder { try changeWidth(order) }
        if version >= 3, isLazy != header.hasLazyRefcounts {
            // What lazy counts have postponed is written first.
            try finish()
            header.compatible ^= QCOW2Feature.lazyRefcounts
            try writeHeader()
        }
        if options.has("backing_file") || options.has("backing_fmt") {
            let name = options.text("backing_file") ?? header.backingName
            if header.isDataFileRaw, name?.isEmpty == false { throw .invalid("Cannot set a backing file for an image with data-file-raw") }
            header.backingName = name?.isEmpty == true ? nil : name
            header.backingFormat = options.text("backing_fmt") ?? header.backingFormat
            try writeHeader()
        }
        if let size = options.number("size") { try resize(to: size, .off) }
        if version < header.version { try downgrade() }
        try writeBack()
    }

    private mutating func upgrade() throws(BlockError) {
        header.version = 3
        // Version 3 demands more of a snapshot's entry than version 2 has.
        if !snapshots.isEmpty { try replaceSnapshots(snapshots) }
        try writeHeader()
    }

    private mutating func changeWidth(_ order: UInt32) throws(BlockError) {
        let found = try check(.nothing)
        guard found.corruptions == 0, found.checkErrors == 0 else { throw .corrupt("the refcounts are damaged: check the image first") }
        var walk = QCOW2Walk(fileEnd: try file.length(), repair: .nothing)
        try countMetadata(&walk)
        try rebuildRefcounts(walk.references, order: order)
    }

    private mutating func downgrade() throws(BlockError) {
        if header.hasDataFile { throw .unsupported("Cannot downgrade an image with a data file") }
        if header.hasExtendedL2 { throw .unsupported("Cannot downgrade an image with incompatible features set: extended L2 entries") }
        if header.compression != 0 { throw .unsupported("Cannot downgrade an image with zstd compression type") }
        // What has to become zeros would have to be encrypted.
        if header.cryptMethod != 0, header.backingName != nil { throw .unsupported("Cannot downgrade an encrypted image with a backing file") }
        if !bitmaps.isEmpty { throw .unsupported("Cannot downgrade an image with dirty bitmaps") }
        if header.refcountOrder != 4 { throw .invalid("compat=0.10 requires refcount_bits=16") }
        if snapshots.contains(where: { $0.record.diskSize != header.size }) {
            throw .unsupported("Internal snapshots prevent downgrade of image: one has another disk size")
        }
        try finish()
        var seen: Set<UInt64> = []
        try expandZeros(l1, &seen)
        for snapshot in snapshots { try expandZeros(try words(snapshot.l1Offset, Int(snapshot.l1Count)), &seen) }
        try finish()
        try file.flush()
        header.version = 2
        header.incompatible = 0
        header.compatible = 0
        header.autoclear = 0
        try writeHeader()
    }

    /// Version 2 has no flag for zeros: where there is a backing file, they become clusters of zeros.
    private mutating func expandZeros(_ table: [UInt64], _ seen: inout Set<UInt64>) throws(BlockError) {
        for (index, word) in table.enumerated() {
            let l2 = try l2Table(word, index)
            guard l2 != 0, seen.insert(l2).inserted else { continue }
            let users = try refcount(l2 / clusterSize)
            for number in 0..<header.l2Entries {
                if !l2Cache.hasRoom(2) || pendingFrees.count >= 4096 { try writeBack() }
                let at = try l2Slot(l2, number)
                let old = entry(at.slot, at.byte)
                guard !old.isCompressed, old.word & QCOW2Entry.zero != 0 else { continue }
                var new = QCOW2Entry(word: 0)
                if header.backingName != nil {
                    let place = try allocate(1).offset
                    if !takesZeros(place, clusterSize) { try file.writeZeroes(place, clusterSize, unmap: false) }
                    // A table that several share counts once for each.
                    if users > 1 { try setRefcount(place / clusterSize, users) }
                    new.word = place | (users == 1 ? QCOW2Entry.copied : 0)
                }
                setEntry(at.slot, at.byte, new)
                if old.host != 0 { for _ in 0..<users { free(old.host, clusterSize) } }
            }
        }
        try writeBack()
        if try file.length() < zeroFrom { try file.setLength(zeroFrom) }
    }
}
