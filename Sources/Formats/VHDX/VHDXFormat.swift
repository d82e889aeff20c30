// vhdx: probing, opening, creating.

import Block

/// The format `vhdx`.
public enum VHDXFormat: CreatableFormat {
    public static let name = "vhdx"
    public static let openOptions: [OptionDeclaration] = []
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size; max of 64TB."),
        OptionDeclaration("log_size", .size, default: "1048576", "Log size; min 1MB."),
        OptionDeclaration("block_size", .size, default: "0", "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size."),
        OptionDeclaration("subformat", .choice(["dynamic", "fixed"]), "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'."),
        OptionDeclaration("backing_file", .text, "The image that a differencing image stands on: a vhdx image"),
        OptionDeclaration("backing_fmt", .choice(["vhdx"]), "Its format: vhdx"),
        OptionDeclaration("block_state_zero", .flag, "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using 'qemu-img convert' with subformat=dynamic."),
    ]
    public static let holdsMetadata = true
    private static let signature = Array("vhdxfile".utf8)
    /// Entries of a block table: 128 MiB of them.
    private static let mostEntries: UInt64 = 16 << 20

    public static func probe(_ start: [UInt8], name: String) -> Int { start.starts(with: signature) ? 100 : 0 }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        guard try context.file.bytes(0, 8) == signature else { throw .corrupt(at: 0, "no signature 'vhdxfile'") }
        var header = try VHDXHeader.current(context.file)
        var file = VHDXLoggedFile(file: context.file)
        if header.hasLog {
            let log = try VHDXLog(context.file, header)
            if context.file.isWritable {
                try log.replay(context.file)
                header.log = [UInt8](repeating: 0, count: 16)
                try header.replace(in: context.file)
            } else { file.updates = log.updates }
        }
        let regions = try VHDXRegions(file)
        let metadata = try VHDXMetadata(file, regions.metadata)
        let entries = metadata.entries
        guard entries <= mostEntries, entries * 8 <= regions.blockTable.length else {
            throw .corrupt(at: regions.blockTable.offset, "a block table of \(entries) entries in a region of \(regions.blockTable.length) bytes: expected room, and at most \(mostEntries)")
        }
        var table = try EntryTable<UInt64>(reading: context.file, at: regions.blockTable.offset, count: entries, order: .little)
        try apply(file.updates, to: &table)
        guard metadata.hasParent else { return try VHDX(file, header, metadata, table, backing: nil) }
        return try VHDX(file, header, metadata, table, backing: try parent(metadata, context))
    }

    /// Entries that the log changes. Updates are aligned, so none cuts an entry.
    private static func apply(_ updates: [VHDXLog.Update], to table: inout EntryTable<UInt64>) throws(BlockError) {
        let end = table.offset + UInt64(table.count) * 8
        for update in updates where update.offset < end && update.offset + update.length > table.offset {
            let first = max(update.offset, table.offset), last = min(end, update.offset + update.length)
            for position in stride(from: first, to: last, by: 8) {
                let inside = Int(position - update.offset)
                let value = update.bytes.isEmpty ? 0 : try Bytes(update.bytes, at: update.offset, order: .little).u64(inside)
                table[Int((position - table.offset) / 8)] = value
            }
        }
    }

    /// The parent's name, once it is known to be the one the image was made for.
    private static func parent(_ metadata: VHDXMetadata, _ context: OpenContext) throws(BlockError) -> FileReference {
        let names = ["relative_path", "absolute_win32_path"].compactMap { metadata.parent[$0].flatMap(hostPath(windows:)) }
        guard let name = names.first else { throw .corrupt("a differencing image names no parent that this host can open") }
        guard context.access.opensBacking else { return FileReference(name: name, format: "vhdx") }
        let node = try context.files.open(name, .readOnly)
        defer { try? node.close() }
        let identifier = VHDXIdentifier.text(try VHDXHeader.current(node).dataWrite)
        let expected = [metadata.parent["parent_linkage"], metadata.parent["parent_linkage2"]].compactMap { $0?.lowercased() }
        guard expected.contains(identifier) else {
            throw .corrupt("the parent '\(name)' has changed: it is \(identifier), expected \(expected.first ?? "nothing")")
        }
        return FileReference(name: name, format: "vhdx")
    }

    // MARK: Creating

    public static func create(_ context: CreateContext) throws(BlockError) {
        let megabyte: UInt64 = 1 << 20
        let size = context.size.roundedUp(to: 512) ?? context.size
        guard size <= VHDXMetadata.largestDisk else { throw .invalid("Image size too large; max of 64TB") }
        let isFixed = context.options.text("subformat") == "fixed"
        let zeroState = !context.options.has("block_state_zero") || context.options.flag("block_state_zero")
        guard let log = max(context.options.number("log_size") ?? 0, megabyte).roundedUp(to: megabyte), log < 1 << 32 else { throw .invalid("Log size must be 4 GB or less") }
        var block = context.options.number("block_size") ?? 0
        if block == 0 { block = size > 32 << 40 ? 64 : size > 100 << 30 ? 32 : size > 1 << 30 ? 16 : 8; block <<= 20 }
        block = max(block, megabyte)
        guard block <= 256 * megabyte else { throw .invalid("Block size must not exceed \(256 * megabyte)") }
        guard block & (block - 1) == 0 else { throw .invalid("Block size must be a power of two") }

        var parent: [(String, String)] = []
        if let name = context.options.text("backing_file"), !name.isEmpty {
            guard !isFixed else { throw .invalid("A fixed image stands on no other") }
            parent = try locator(name, context)
        }
        let ratio = (UInt64(512) << 23) / block
        let blocks = size.divided(roundingUpBy: block)
        let entries = blocks.divided(roundingUpBy: ratio) * (ratio + 1)
        guard entries <= mostEntries else { throw .invalid("Block size \(block) is too small for a disk of \(size) bytes") }
        var regions = VHDXRegions()
        regions.blockTable = (megabyte + log, (entries * 8).roundedUp(to: megabyte) ?? megabyte)
        if regions.blockTable.length == 0 { regions.blockTable.length = megabyte }
        regions.metadata = (regions.blockTable.offset + regions.blockTable.length, megabyte)
        let first = max(8 * megabyte, regions.metadata.offset + regions.metadata.length)
        let file = context.file
        try file.setLength(first)
        if isFixed { try file.setLength(first + blocks * block) }

        try file.write(0, bytes: signature + encodeUTF16("Apus", bigEndian: false))
        var header = VHDXHeader(sequence: UInt64(UInt32.random(in: 1...UInt32.max)), logLength: UInt32(truncatingIfNeeded: log), logOffset: megabyte)
        try header.replace(in: file)
        try header.replace(in: file)
        for offset in VHDXRegions.offsets { try file.write(offset, bytes: try regions.encoded()) }
        try file.write(regions.metadata.offset, bytes: try metadata(size, block, isFixed: isFixed, parent: parent))
        // A block that nothing is said of is the parent's.
        if isFixed || zeroState && parent.isEmpty {
            var table = EntryTable<UInt64>(new: 0, filledWith: 0, at: regions.blockTable.offset, order: .little)
            if blocks > 0 { table = EntryTable(new: Int(blocks + (blocks - 1) / ratio), filledWith: 0, at: regions.blockTable.offset, order: .little) }
            for number in 0..<blocks {
                table[Int(number + number / ratio)] = isFixed ? (first + number * block) | VHDX.State.present : VHDX.State.zero
            }
            try file.write(table.takeChanges())
        }
    }

    /// How the image that a new one stands on is named and recognised.
    private static func locator(_ name: String, _ context: CreateContext) throws(BlockError) -> [(String, String)] {
        let node = try context.files.open(name, .readOnly)
        defer { try? node.close() }
        guard try node.bytes(0, 8) == signature else { throw .invalid("'\(name)' is no vhdx image: only those carry a differencing image") }
        let metadata = try VHDXMetadata(VHDXLoggedFile(file: node), try VHDXRegions(VHDXLoggedFile(file: node)).metadata)
        guard metadata.sectorSize == 512 else { throw .unsupported("differencing images on images with sectors of \(metadata.sectorSize) bytes cannot be created") }
        let windows = String(name.map { $0 == "/" ? "\\" : $0 })
        guard windows.utf16.count <= 1000 else { throw .invalid("Backing file name too long") }
        return [("parent_linkage", VHDXIdentifier.text(try VHDXHeader.current(node).dataWrite)), ("relative_path", name.hasPrefix("/") ? windows : ".\\" + windows)]
    }

    /// A parent locator item: keys and values in UTF-16 behind a table of where they are.
    private static func item(_ parent: [(String, String)]) throws(BlockError) -> [UInt8] {
        var bytes = Bytes([UInt8](repeating: 0, count: 20 + parent.count * 12), order: .little)
        try bytes.set(0, bytes: VHDXIdentifier.parentLocatorType)
        try bytes.set(18, UInt16(parent.count))
        for (index, pair) in parent.enumerated() {
            let key = encodeUTF16(pair.0, bigEndian: false), value = encodeUTF16(pair.1, bigEndian: false)
            try bytes.set(20 + index * 12, UInt32(bytes.count))
            try bytes.set(24 + index * 12, UInt32(bytes.count + key.count))
            try bytes.set(28 + index * 12, UInt16(truncatingIfNeeded: key.count))
            try bytes.set(30 + index * 12, UInt16(truncatingIfNeeded: value.count))
            bytes.array += key + value
        }
        return bytes.array
    }

    private static func metadata(_ size: UInt64, _ block: UInt64, isFixed: Bool, parent: [(String, String)]) throws(BlockError) -> [UInt8] {
        let locator = parent.isEmpty ? [] : try item(parent)
        var bytes = Bytes([UInt8](repeating: 0, count: (64 << 10) + 64 + locator.count), order: .little)
        let base = 64 << 10
        try bytes.set(0, bytes: Array("metadata".utf8))
        // Identifier, length, flags: 2 about the disk, 4 required.
        var items: [([UInt8], Int, UInt32)] = [
            (VHDXIdentifier.fileParameters, 8, 4), (VHDXIdentifier.diskSize, 8, 6), (VHDXIdentifier.page83, 16, 6),
            (VHDXIdentifier.logicalSector, 4, 6), (VHDXIdentifier.physicalSector, 4, 6),
        ]
        if !locator.isEmpty { items.append((VHDXIdentifier.parentLocator, locator.count, 4)) }
        try bytes.set(10, UInt16(items.count))
        var offset = base
        for (index, item) in items.enumerated() {
            try bytes.set(32 + index * 32, bytes: item.0)
            try bytes.set(48 + index * 32, UInt32(offset))
            try bytes.set(52 + index * 32, UInt32(item.1))
            try bytes.set(56 + index * 32, item.2)
            offset += item.1
        }
        try bytes.set(base, UInt32(truncatingIfNeeded: block))
        try bytes.set(base + 4, UInt32((isFixed ? 1 : 0) | (locator.isEmpty ? 0 : 2)))
        try bytes.set(base + 8, size)
        try bytes.set(base + 16, bytes: randomUUID())
        try bytes.set(base + 32, UInt32(512))
        try bytes.set(base + 36, UInt32(512))
        try bytes.set(base + 40, bytes: locator)
        return bytes.array
    }
}
