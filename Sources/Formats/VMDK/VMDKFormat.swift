// vmdk: probing and opening: the file at hand is a descriptor, or a sparse extent with one inside, or a bare extent.

import Block

/// The format `vmdk`.
public enum VMDKFormat: CreatableFormat, CompressingFormat {
    public static let name = "vmdk"
    public static let openOptions: [OptionDeclaration] = []
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("adapter_type", .choice(["ide", "lsilogic", "buslogic", "legacyESX"]), "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX"),
        OptionDeclaration("backing_file", .text, "File name of a base image"),
        OptionDeclaration("backing_fmt", .choice(["vmdk"]), "Must be 'vmdk' if present"),
        OptionDeclaration("compat6", .flag, default: "off", "VMDK version 6 image"),
        OptionDeclaration("hwversion", .text, default: "undefined", "VMDK hardware version"),
        OptionDeclaration("toolsversion", .text, "VMware guest tools version"),
        OptionDeclaration("subformat", .choice(["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"]),
                          "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | twoGbMaxExtentSparse | twoGbMaxExtentFlat | streamOptimized} "),
        OptionDeclaration("zeroed_grain", .flag, "Enable efficient zero writes using the zeroed-grain GTE feature"),
    ]
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        if start.starts(with: VMDKSparseHeader.hostedMagic) || start.starts(with: VMDKSparseHeader.cowdMagic) { return 100 }
        return isDescriptor(start) ? 100 : 0
    }

    /// Comments and empty lines, then `version=1` (to 3).
    private static func isDescriptor(_ start: [UInt8]) -> Bool {
        guard start.first == UInt8(ascii: "#") || start.first == UInt8(ascii: "v") else { return false }
        for line in start.prefix(4096).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let text = String(decoding: line, as: UTF8.self).trimmingEnds
            if text.isEmpty || text.hasPrefix("#") { continue }
            return ["version=1", "version=2", "version=3"].contains(text)
        }
        return false
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let file = context.file
        let start = try file.bytes(0, 2048)
        let wide = try Bytes(start, order: .little).u64(0) == VMDKSparseHeader.seSparseMagic
        guard wide || start.starts(with: VMDKSparseHeader.hostedMagic) || start.starts(with: VMDKSparseHeader.cowdMagic) else {
            guard isDescriptor(start) else { throw .corrupt(at: 0, "neither a sparse extent nor a descriptor") }
            return try openDescriptor(context)
        }
        let header = try VMDKSparseHeader(file)
        var descriptor = try VMDKDescriptor([])
        var place: VMDKDescriptorPlace?
        if header.kind == .hosted, header.descriptorOffset > 0, header.descriptorSectors > 0 {
            let room = header.descriptorSectors * 512
            descriptor = try VMDKDescriptor(try file.bytes(header.descriptorOffset * 512, Int(room)))
            place = VMDKDescriptorPlace(node: file, offset: header.descriptorOffset * 512, room: room)
        }
        let extent = VMDKExtent(contents: .sparse(try VMDKSparse(file, header)), start: 0, length: header.sectors * 512, type: "", node: file)
        try checkWritable([extent], context.access)
        try checkParent(descriptor, context)
        if header.isCompressed { return StreamVMDK(extents: [extent], descriptor: descriptor, place: place, furtherFiles: []) }
        return VMDK(extents: [extent], descriptor: descriptor, place: place, furtherFiles: [])
    }

    private static func openDescriptor(_ context: OpenContext) throws(BlockError) -> any Image {
        let length = try context.file.length()
        guard length <= UInt64(VMDKDescriptor.largest) else { throw .corrupt(at: 0, "a descriptor of \(length) bytes: expected at most \(VMDKDescriptor.largest)") }
        let descriptor = try VMDKDescriptor(try context.file.bytes(0, Int(length)))
        guard !descriptor.extents.isEmpty else { throw .corrupt(at: 0, "the descriptor names no extent") }
        var extents: [VMDKExtent] = []
        var opened: [Child] = []
        // All directories together are bounded as one table is.
        var room = EntryTableBounds.largestTable
        do throws(BlockError) {
            for (index, line) in descriptor.extents.enumerated() {
                let extent = try open(line, extents.last?.end ?? 0, context, &room)
                if let node = extent.node { opened.append(Child("extents.\(index)", node)) }
                extents.append(extent)
            }
            try checkWritable(extents, context.access)
            try checkParent(descriptor, context)
        } catch {
            for child in opened { try? child.node.close() }
            throw error
        }
        let place = VMDKDescriptorPlace(node: context.file, offset: 0, room: nil)
        return VMDK(extents: extents, descriptor: descriptor, place: place, furtherFiles: opened)
    }

    private static func open(_ line: VMDKDescriptor.Extent, _ start: UInt64, _ context: OpenContext, _ room: inout UInt64) throws(BlockError) -> VMDKExtent {
        let length = line.sectors * 512
        guard length <= UInt64(Int64.max) / 2 - min(start, UInt64(Int64.max) / 2) else { throw .corrupt("the extents together are too large") }
        if line.type == "ZERO" { return VMDKExtent(contents: .zero, start: start, length: length, type: line.type, node: nil) }
        var access = context.access
        if line.access != "RW" { access.writable = false }
        switch line.type {
        case "FLAT", "VMFS":
            let node = try context.files.open(line.file, access)
            do throws(BlockError) {
                let there = try node.length()
                guard line.offset * 512 <= there, length <= there - line.offset * 512 else {
                    throw BlockError(.corrupt, "an extent of \(line.sectors) sectors from sector \(line.offset) does not fit", file: node.filename)
                }
            } catch { try? node.close(); throw error }
            return VMDKExtent(contents: .flat(node, line.offset * 512), start: start, length: length, type: "FLAT", node: node)
        case "SPARSE", "VMFSSPARSE", "SESPARSE":
            let node = try context.files.open(line.file, access)
            do throws(BlockError) {
                let header = try VMDKSparseHeader(node)
                guard header.sectors >= line.sectors else { throw BlockError(.corrupt, "an extent of \(header.sectors) sectors: the descriptor says \(line.sectors)", file: node.filename) }
                let directories = header.tables * (header.kind == .seSparse ? 8 : header.hasRedundant ? 8 : 4)
                guard directories <= room else { throw BlockError(.corrupt, "the directories of all extents have more than \(EntryTableBounds.largestTable) bytes", file: node.filename) }
                room -= directories
                return VMDKExtent(contents: .sparse(try VMDKSparse(node, header)), start: start, length: length, type: line.type, node: node)
            } catch { try? node.close(); throw error.naming(node.filename) }
        default: throw .unsupported("Unsupported extent type '\(line.type)'")
        }
    }

    /// Grains must not reach across the ends of their extents, and what VMware alone writes is not written.
    private static func checkWritable(_ extents: [VMDKExtent], _ access: Access) throws(BlockError) {
        guard access.writable else { return }
        let unit = extents.reduce(UInt64(512)) { if case .sparse(let sparse) = $1.contents { max($0, sparse.grainSize) } else { $0 } }
        for (index, extent) in extents.enumerated() {
            guard extent.node?.isWritable ?? true else { throw BlockError(.readOnly, "the extent is for reading only", file: extent.node?.filename) }
            guard case .sparse(let sparse) = extent.contents else { continue }
            guard sparse.header.kind != .seSparse else { throw .unsupported("seSparse extents cannot be written") }
            guard extent.start % unit == 0, index == extents.count - 1 || extent.length % unit == 0, sparse.grainSize == unit || extents.count == 1 else {
                throw .unsupported("extents that do not end with a grain cannot be written")
            }
            guard !sparse.header.isCompressed || extents.count == 1 else { throw .unsupported("compressed extents beside others cannot be written") }
        }
    }

    /// An image that has been written since another was put on it no longer fits below it.
    private static func checkParent(_ descriptor: VMDKDescriptor, _ context: OpenContext) throws(BlockError) {
        guard context.access.opensBacking, let name = descriptor.parent else { return }
        let found = try cid(of: name, context.files)
        guard found == descriptor.parentCID else {
            throw .corrupt("the image below, '\(name)', has changed: its CID is \(found.map(VMDKDescriptor.hex) ?? "missing"), expected \(VMDKDescriptor.hex(descriptor.parentCID))")
        }
    }

    /// The CID of the image called `name`; nil if it is no vmdk image.
    static func cid(of name: String, _ files: NamedFiles) throws(BlockError) -> UInt32? {
        let node = try files.open(name, .readOnly)
        defer { try? node.close() }
        let start = try node.bytes(0, 2048)
        if isDescriptor(start) {
            return try VMDKDescriptor(try node.bytes(0, Int(min(try node.length(), UInt64(VMDKDescriptor.largest))))).cid
        }
        guard start.starts(with: VMDKSparseHeader.hostedMagic), let header = try? VMDKSparseHeader(node), header.descriptorOffset > 0 else { return nil }
        return try VMDKDescriptor(try node.bytes(header.descriptorOffset * 512, Int(header.descriptorSectors * 512))).cid
    }
}

extension String {
    /// Without white space at both ends.
    var trimmingEnds: String {
        var text = self[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
