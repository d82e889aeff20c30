// qcow2: making images: header, refcount table and first block; the rest is growth from 0 bytes (Resize.swift).

import Block

extension QCOW2Format {
    /// The header that creation options ask for, its size still 0.
    static func header(_ options: OptionValues) throws(BlockError) -> QCOW2Header {
        var header = QCOW2Header()
        let cluster = options.number("cluster_size") ?? 65536
        let isExtended = options.flag("extended_l2")
        guard cluster >= 512, cluster <= 2 << 20, cluster & (cluster - 1) == 0 else { throw .invalid("Cluster size must be a power of two between 512 and 2048k") }
        if isExtended, cluster < 16384 { throw .invalid("Extended L2 entries are only supported with cluster sizes of at least 16384 bytes") }
        header.clusterBits = UInt32(cluster.trailingZeroBitCount)
        header.version = ["0.10", "v2"].contains(options.text("compat") ?? "") ? 2 : 3
        func needs3(_ used: Bool, _ what: String) throws(BlockError) {
            if used, header.version < 3 { throw .invalid("\(what) only supported with compatibility level 1.1 and above (use version=v3 or greater)") }
        }
        let bits = options.number("refcount_bits") ?? 16
        guard bits >= 1, bits <= 64, bits & (bits - 1) == 0 else { throw .invalid("Refcount width must be a power of two and may not exceed 64 bits") }
        try needs3(bits != 16, "Different refcount widths than 16 bits are")
        try needs3(isExtended, "Extended L2 entries are")
        header.refcountOrder = UInt32(bits.trailingZeroBitCount)
        let isLazy = options.flag("lazy_refcounts")
        try needs3(isLazy, "Lazy refcounts are")
        if isLazy { header.compatible |= QCOW2Feature.lazyRefcounts }
        if isExtended { header.incompatible |= QCOW2Feature.extendedL2 }
        if options.text("compression_type") == "zstd" {
            try needs3(true, "Non-zlib compression type is")
            header.compression = 1
            header.incompatible |= QCOW2Feature.compressionType
        }
        if let name = options.text("data_file") {
            try needs3(true, "External data files are")
            guard !name.isEmpty, name.utf8.count <= 1023 else { throw .invalid("data_file: a name of 1 to 1023 bytes is expected") }
            header.dataFileName = name
            header.incompatible |= QCOW2Feature.externalData
        }
        if options.flag("data_file_raw") {
            guard header.hasDataFile else { throw .invalid("data-file-raw requires data-file") }
            guard options.text("backing_file") == nil else { throw .invalid("Backing file and data-file-raw cannot be used at the same time") }
            header.autoclear |= QCOW2Feature.rawExternalData
        }
        if let name = options.text("backing_file"), !name.isEmpty {
            header.backingName = name
            header.backingFormat = options.text("backing_fmt")
        }
        switch options.text("encrypt.format") {
        case "aes"?: header.cryptMethod = QCOW2Encryption.aesMethod
        case "luks"?: header.cryptMethod = QCOW2Encryption.luksMethod
        default:
            if let option = createOptions.first(where: { $0.name.hasPrefix(QCOW2Encryption.prefix) && options.has($0.name) }) {
                throw .invalid("'\(option.name)' needs 'encrypt.format'")
            }
        }
        return header
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        var header = try header(context.options)
        guard let size = context.size.roundedUp(to: 512), size <= UInt64(Int64.max) else { throw .invalid("The image size must not exceed 2^63 bytes") }
        var mode = context.options.text("preallocation").flatMap { Preallocation(rawValue: $0) } ?? .off
        // A raw data file shows the disk by itself only if every cluster is there.
        if header.isDataFileRaw, mode == .off { mode = .metadata }
        if mode != .off, header.backingName != nil, !header.hasExtendedL2 {
            throw .invalid("Backing file and preallocation can only be used at the same time if extended_l2 is enabled")
        }
        guard size.divided(roundingUpBy: header.l2Coverage) * 8 <= QCOW2Header.largestL1 else {
            throw .invalid("Image size too large: the L1 table would be larger than \(QCOW2Header.largestL1) bytes; try a larger cluster size")
        }
        // Before the file is written: whether the password is there.
        var luks: LUKSVolume.New?
        if header.cryptMethod == QCOW2Encryption.luksMethod { luks = try LUKSVolume.new(context.options, prefix: QCOW2Encryption.prefix, context.files) }
        if header.cryptMethod == QCOW2Encryption.aesMethod { try LegacyAES.check(context.options, context.files) }
        let cluster = header.clusterSize
        header.refcountTableOffset = cluster
        header.refcountTableClusters = 1
        let dataFile = try header.dataFileName.map { (name) throws(BlockError) in try context.files.create(name) }
        do {
            var block = [UInt8](repeating: 0, count: Int(cluster))
            block.withUnsafeMutableBytes { for used in 0..<3 { QCOW2TableCache.setEntry($0, used, order: header.refcountOrder, 1) } }
            try context.file.write(0, bytes: try header.encoded())
            try context.file.write(cluster, bytes: QCOW2Tables.encoded([2 * cluster]))
            try context.file.write(2 * cluster, bytes: block)
            var tables = try QCOW2Tables(file: context.file, data: dataFile, header: header, writable: true)
            tables.zeroFrom = 3 * cluster
            if let luks { try tables.addLUKS(luks) }
            try tables.resize(to: size, mode)
            try tables.finish()
            try dataFile?.flush()
        } catch {
            try? dataFile?.close()
            throw error
        }
        try dataFile?.close()
    }
}
