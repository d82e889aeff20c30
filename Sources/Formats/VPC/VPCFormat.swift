// vpc: probing, opening, creating. `backing_file` (with `backing_fmt=vpc`) makes a differencing image: an option that
// QEMU does not have.

import Block

/// The format `vpc`.
public enum VPCFormat: CreatableFormat {
    public static let name = "vpc"
    public static let openOptions = [
        OptionDeclaration("force_size_calc", .choice(["chs", "current_size"]), "Force disk size calculation to use either CHS geometry, or use the disk current_size specified in the VHD footer"),
    ]
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("backing_file", .text, "File name of a base image (makes a differencing image)"),
        OptionDeclaration("backing_fmt", .choice(["vpc"]), "Must be 'vpc' if present"),
        OptionDeclaration("subformat", .choice(["dynamic", "fixed"]), "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} "),
        OptionDeclaration("force_size", .flag, "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation"),
    ]
    public static let holdsMetadata = true

    /// 2040 GiB: what sector numbers of 32 bits leave after bitmaps.
    static let mostSectors: UInt64 = 0xff00_0000

    public static func probe(_ start: [UInt8], name: String) -> Int { start.starts(with: VPCFooter.cookie) ? 100 : 0 }

    /// The footer: its copy at the start of images that grow, else the one at the end.
    private static func footer(_ file: Node) throws(BlockError) -> VPCFooter {
        let first = try file.metadata(0, VPCFooter.size, order: .big)
        if VPCFooter.isFooter(first), let footer = try? VPCFooter(first), footer.kind != .fixed { return footer }
        let length = try file.length()
        guard length >= UInt64(VPCFooter.size) else { throw .corrupt(at: 0, "a file of \(length) bytes has no vpc footer") }
        let last = try file.metadata(length - UInt64(VPCFooter.size), VPCFooter.size, order: .big)
        guard VPCFooter.isFooter(last) else { throw .corrupt(at: last.origin, "no valid vpc footer (conectix), at the start or at the end") }
        return try VPCFooter(last)
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let file = context.file
        let footer = try footer(file)
        let size = footer.diskSize(context.options.text("force_size_calc"))
        guard size / 512 <= mostSectors else { throw .corrupt(at: footer.bytes.origin + 48, "a disk of \(size) bytes: expected at most \(mostSectors * 512)") }
        let length = try file.length()
        if footer.kind == .fixed {
            guard size <= length - UInt64(VPCFooter.size) else { throw .corrupt(at: footer.bytes.origin, "a fixed disk of \(size) bytes in a file of \(length)") }
            return FixedVPC(file: file, size: size)
        }
        guard footer.headerOffset <= length else { throw .corrupt(at: footer.bytes.origin + 16, "a dynamic header at \(footer.headerOffset), beyond the end of the file") }
        let bytes = try file.metadata(footer.headerOffset, VPCDynamicHeader.size, order: .big)
        let header = try VPCDynamicHeader(bytes, file: file, differencing: footer.kind == .differencing)
        let blocks = size.divided(roundingUpBy: UInt64(header.blockSize))
        guard blocks <= UInt64(header.entries) else { throw .corrupt(at: bytes.origin + 28, "\(header.entries) blocks of \(header.blockSize) bytes are too few for a disk of \(size)") }
        let table = try EntryTable<UInt32>(reading: file, at: header.tableOffset, count: blocks, order: .big)
        if let parent = header.parent, context.access.opensBacking { try check(parent, header, context) }
        return VPC(file: file, footer: footer, header: header, table: table, size: size)
    }

    /// The image below must be the one that this was made for.
    private static func check(_ parent: String, _ header: VPCDynamicHeader, _ context: OpenContext) throws(BlockError) {
        let node = try context.files.open(parent, .readOnly)
        defer { try? node.close() }
        let found = try footer(node).bytes.slice(68, 16)
        guard found == header.parentIdentifier else { throw .corrupt("the parent '\(parent)' is another image than the one this stands on: its identifier differs") }
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        let isFixed = context.options.text("subformat") == "fixed"
        let parent = try context.options.text("backing_file").map { (name) throws(BlockError) in try Parent(name, context) }
        guard !isFixed || parent == nil else { throw .invalid("A fixed image stands on no other") }
        let wanted = context.size.divided(roundingUpBy: 512)
        guard wanted <= mostSectors else { throw .invalid("The image size is too large for file format 'vpc'") }
        var geometry = VPCGeometry.largest
        var sectors = wanted
        // Without `force_size`, disks are as large as their geometry: guests on Virtual PC see that alone.
        if parent == nil, !context.options.flag("force_size"), let found = VPCGeometry.holding(wanted) { (geometry, sectors) = (found, found.sectors) }
        let isExact = context.options.flag("force_size") || parent != nil
        let footer = try VPCFooter(kind: isFixed ? .fixed : parent == nil ? .dynamic : .differencing, sectors: sectors, geometry: geometry, isExact: isExact)
        if isFixed {
            try context.file.setLength(sectors * 512)
            return try context.file.write(sectors * 512, bytes: footer.bytes.array)
        }
        try writeGrowing(context, footer, sectors, parent)
    }

    private static func writeGrowing(_ context: CreateContext, _ footer: VPCFooter, _ sectors: UInt64, _ parent: Parent?) throws(BlockError) {
        let blockSize = VPCDynamicHeader.standardBlock
        let blocks = (sectors * 512).divided(roundingUpBy: UInt64(blockSize))
        var header = Bytes([UInt8](repeating: 0, count: VPCDynamicHeader.size), order: .big)
        try header.set(0, bytes: VPCDynamicHeader.cookie)
        try header.set(8, UInt64.max)
        let tableOffset = UInt64(VPCFooter.size + VPCDynamicHeader.size)
        var end = tableOffset + ((blocks * 4).roundedUp(to: 512) ?? 0)
        try header.set(16, tableOffset)
        try header.set(24, UInt32(0x0001_0000))
        try header.set(28, UInt32(truncatingIfNeeded: blocks))
        try header.set(32, blockSize)
        if let parent {
            let name = encodeUTF16(parent.windowsName, bigEndian: false)
            guard name.count <= 32768 else { throw .invalid("Backing file name too long") }
            try header.set(40, bytes: parent.identifier)
            try header.set(56, parent.timestamp)
            let plain = encodeUTF16(parent.lastComponent, bigEndian: true).prefix(510)
            try header.set(64, bytes: Array(plain))
            let space = UInt64(name.count).roundedUp(to: 512) ?? 512
            try header.set(576, VPCDynamicHeader.relativeLocator)
            try header.set(580, UInt32(truncatingIfNeeded: space))
            try header.set(584, UInt32(name.count))
            try header.set(592, end)
            try context.file.write(end, bytes: name)
            end += space
        }
        try header.set(36, VPCFooter.checksum(header.array, at: 36))
        var table = EntryTable<UInt32>(new: Int(blocks), filledWith: VPC.noBlock, at: tableOffset, order: .big)
        // Sectors of the table beyond its last entry are ones too.
        let rest = Int((blocks * 4).roundedUp(to: 512) ?? 0) - Int(blocks * 4)
        try context.file.write(table.takeChanges())
        try context.file.write(tableOffset + blocks * 4, bytes: [UInt8](repeating: 0xff, count: rest))
        try context.file.write(0, bytes: footer.bytes.array)
        try context.file.write(UInt64(VPCFooter.size), bytes: header.array)
        try context.file.write(end, bytes: footer.bytes.array)
    }

    /// The image that a new differencing image stands on.
    private struct Parent {
        var identifier: [UInt8]
        var timestamp: UInt32
        var windowsName: String
        var lastComponent: String

        init(_ name: String, _ context: CreateContext) throws(BlockError) {
            let node = try context.files.open(name, .readOnly)
            defer { try? node.close() }
            let footer = try VPCFormat.footer(node)
            identifier = try footer.bytes.slice(68, 16)
            timestamp = try footer.bytes.u32(24)
            let text = String(name.map { $0 == "/" ? "\\" : $0 })
            windowsName = name.hasPrefix("/") ? text : ".\\" + text
            lastComponent = String(name.split(separator: "/").last ?? "")
        }
    }
}
