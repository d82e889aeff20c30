// qcow2: the format's declaration: options, probing, opening.

import Block

/// The format `qcow2`.
public enum QCOW2Format: CreatableFormat, CompressingFormat {
    public static let name = "qcow2"
    public static let openOptions = [
        OptionDeclaration("lazy-refcounts", .flag, "Postpone refcount updates"),
    ] + LegacyAES.openOptions
    // In the order in which QEMU's `create` prints them.
    public static let createOptions = [OptionDeclaration("encrypt.format", .choice(["aes", "luks"]), "Encrypt the image, format choices: 'aes', 'luks'")]
        + LUKSVolume.createOptions(prefix: QCOW2Encryption.prefix, secret: "ID of secret providing qcow AES key or LUKS passphrase") + [
        OptionDeclaration("cluster_size", .size, default: "65536", "qcow2 cluster size"),
        OptionDeclaration("extended_l2", .flag, default: "off", "Extended L2 tables"),
        OptionDeclaration("preallocation", .choice(["off", "metadata", "falloc", "full"]), "Preallocation mode (allowed values: off, metadata, falloc, full)"),
        OptionDeclaration("compression_type", .choice(["zlib", "zstd"]), default: "zlib", "Compression method used for image cluster compression"),
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("compat", .choice(["0.10", "1.1", "v2", "v3"]), "Compatibility level (v2 [0.10] or v3 [1.1])"),
        OptionDeclaration("backing_file", .text, "File name of a base image"),
        OptionDeclaration("backing_fmt", .text, "Image format of the base image"),
        OptionDeclaration("data_file", .text, "File name of an external data file"),
        OptionDeclaration("data_file_raw", .flag, "The external data file must stay valid as a raw image"),
        OptionDeclaration("lazy_refcounts", .flag, default: "off", "Postpone refcount updates"),
        OptionDeclaration("refcount_bits", .number, default: "16", "Width of a reference count entry in bits"),
    ]
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        start.count >= 8 && start[0...3] == [0x51, 0x46, 0x49, 0xfb] && start[4...6] == [0, 0, 0] && (2...3).contains(start[7]) ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        var header = try QCOW2Header(context.file)
        let encryption = try QCOW2Encryption.open(header, context)
        let writable = context.access.writable
        var dataFile: Node?
        if header.hasDataFile, !context.access.metadataOnly {
            guard let name = header.dataFileName else { throw .invalid("'data-file' is required for this image") }
            dataFile = try context.files.open(name, context.access)
        }
        do {
            if writable, context.options.has("lazy-refcounts"), header.version >= 3 {
                header.compatible = context.options.flag("lazy-refcounts") ? header.compatible | QCOW2Feature.lazyRefcounts : header.compatible & ~QCOW2Feature.lazyRefcounts
            }
            var tables = try QCOW2Tables(file: context.file, data: dataFile, header: header, writable: writable)
            tables.encryption = encryption
            if dataFile == nil, !context.access.metadataOnly { try tables.lookForHoles() }
            try tables.readSnapshots()
            try tables.readBitmaps()
            if writable { try tables.prepareForWriting() }
            return QCOW2(tables, dataFile: dataFile, files: context.files)
        } catch {
            try? dataFile?.close()
            throw error
        }
    }
}

extension QCOW2Tables {
    /// Finds out whether data clusters may be holes of the file (preallocated metadata): by QEMU's rule, if clearly more
    /// clusters are counted as used than the host has space for.
    mutating func lookForHoles() throws(BlockError) {
        guard let described = file.storage as? any DescribedStorage, let allocated = try described.allocatedSize() else { return }
        let real = allocated.divided(roundingUpBy: clusterSize)
        let threshold = max(real.multipliedReportingOverflow(by: 10).partialValue / 9, real + 2)
        let clusters = try file.length().divided(roundingUpBy: clusterSize)
        guard clusters > threshold else { return }
        var used: UInt64 = 0
        for (index, word) in refcountTable.enumerated() where word != 0 && header.isCluster(word & ~511) {
            let first = UInt64(index) * header.refcountEntries
            guard first < clusters else { break }
            for cluster in first..<min(clusters, first + header.refcountEntries) where try refcount(cluster) > 0 {
                used += 1
                if used > threshold {
                    mayHaveHoles = true
                    return
                }
            }
        }
    }

    /// What is to be done before the first write.
    mutating func prepareForWriting() throws(BlockError) {
        // What others have stored beside the contents, and would have to follow them, is not true any more from now on.
        let unknown = header.autoclear & ~QCOW2Feature.knownAutoclear
        if header.version >= 3, unknown != 0 {
            header.autoclear &= QCOW2Feature.knownAutoclear
            try file.write(88, bytes: Self.encoded(header.autoclear))
        }
        if header.incompatible & QCOW2Feature.dirty != 0, !isCorrupt { try repairAfterCrash() }
    }
}
