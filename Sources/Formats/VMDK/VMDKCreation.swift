// vmdk: making images, laid out as QEMU does it: both directories and all tables stand ready before the first grain.

import Block

extension VMDKFormat {
    private static let grainSectors: UInt64 = 128
    private static let tableEntries: UInt64 = 512
    private static let splitSize: UInt64 = 2 << 30
    /// Sectors that an embedded descriptor gets.
    private static let descriptorSectors: UInt64 = 20

    public static func create(_ context: CreateContext) throws(BlockError) {
        let options = context.options
        let subformat = options.text("subformat") ?? "monolithicSparse"
        let isFlat = subformat.hasSuffix("Flat"), isSplit = subformat.hasPrefix("twoGb"), isStream = subformat == "streamOptimized"
        let backing = options.text("backing_file").flatMap { $0.isEmpty ? nil : $0 }
        if options.flag("compat6"), options.has("hwversion"), options.text("hwversion") != "undefined" {
            throw .invalid("compat6 cannot be enabled with hwversion set")
        }
        if isFlat, backing != nil { throw .invalid("Flat image can't have backing file") }
        if isFlat, options.flag("zeroed_grain") { throw .invalid("Flat image can't enable zeroed grain") }
        var parentCID = VMDKDescriptor.noParent
        if let backing {
            guard let found = try cid(of: backing, context.files) else { throw .invalid("Invalid backing file format: '\(backing)'. Must be vmdk") }
            parentCID = found
        }
        let size = context.size.roundedUp(to: 512) ?? context.size
        guard size <= UInt64(Int64.max) / 2 else { throw .invalid("The image size is too large for file format 'vmdk'") }
        let ownName = String(context.files.base.split(separator: "/").last ?? "")
        var lines = ""
        if !isFlat, !isSplit {
            lines = "RW \(size / 512) SPARSE \"\(ownName)\"\n"
            try writeSparse(context.file, size / 512, compressed: isStream, zeroGrains: options.flag("zeroed_grain"))
        } else {
            let count = isSplit ? max(1, size.divided(roundingUpBy: splitSize)) : 1
            for index in 0..<count {
                let length = isSplit ? min(splitSize, size - index * splitSize) : size
                let name = extentName(ownName, isSplit ? "-" + (isFlat ? "f" : "s") + padded(index + 1) : "-flat")
                let node = try context.files.create(name)
                do throws(BlockError) {
                    if isFlat { try node.setLength(length) } else { try writeSparse(node, length / 512, compressed: false, zeroGrains: options.flag("zeroed_grain")) }
                    try node.flush()
                } catch { try? node.close(); throw error }
                try node.close()
                lines += isFlat ? "RW \(length / 512) FLAT \"\(name)\" 0\n" : "RW \(length / 512) SPARSE \"\(name)\"\n"
            }
        }
        let text = try descriptor(options, subformat, size, parentCID, backing, lines)
        if isFlat || isSplit { return try context.file.write(0, bytes: Array(text.utf8)) }
        guard UInt64(text.utf8.count) <= descriptorSectors * 512 else { throw .invalid("The descriptor is too long: the backing file's name?") }
        try context.file.write(512, bytes: Array(text.utf8))
    }

    /// `disk.vmdk` and `-flat` make `disk-flat.vmdk`.
    private static func extentName(_ name: String, _ suffix: String) -> String {
        guard let dot = name.lastIndex(of: ".") else { return name + suffix }
        return name[..<dot] + suffix + name[dot...]
    }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 3 - digits.utf8.count)) + digits
    }

    private static func descriptor(_ options: OptionValues, _ subformat: String, _ size: UInt64, _ parentCID: UInt32, _ backing: String?, _ lines: String) throws(BlockError) -> String {
        let adapter = options.text("adapter_type") ?? "ide"
        var hardware = options.text("hwversion") ?? "undefined"
        if hardware == "undefined" { hardware = options.flag("compat6") ? "6" : "4" }
        let tools = options.text("toolsversion") ?? "2147483647"
        for word in [hardware, tools, backing ?? ""] where word.contains("\"") || word.contains("\n") { throw .invalid("'\(word)' cannot stand in a descriptor") }
        let heads: UInt64 = adapter == "ide" || adapter == "legacyESX" ? 16 : 255
        var text = "# Disk DescriptorFile\nversion=1\nCID=\(VMDKDescriptor.hex(UInt32.random(in: 1..<VMDKDescriptor.noParent)))\n"
        text += "parentCID=\(VMDKDescriptor.hex(parentCID))\ncreateType=\"\(subformat)\"\n"
        if let backing { text += "parentFileNameHint=\"\(backing)\"\n" }
        text += "\n# Extent description\n" + lines
        text += "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"\(hardware)\"\n"
        text += "ddb.geometry.cylinders = \"\(size / (63 * heads * 512))\"\nddb.geometry.heads = \"\(heads)\"\nddb.geometry.sectors = \"63\"\n"
        text += "ddb.adapterType = \"\(adapter == "legacyESX" ? "legacyESX" : adapter)\"\nddb.toolsVersion = \"\(tools)\"\n"
        return text
    }

    private static func writeSparse(_ file: Node, _ sectors: UInt64, compressed: Bool, zeroGrains: Bool) throws(BlockError) {
        let tableSectors = tableEntries * 4 / 512
        let tables = sectors.divided(roundingUpBy: grainSectors * tableEntries)
        let directorySectors = (tables * 4).divided(roundingUpBy: 512)
        let redundant = 1 + descriptorSectors
        let directory = redundant + directorySectors + tables * tableSectors
        guard let first = (directory + directorySectors + tables * tableSectors).roundedUp(to: grainSectors), first <= UInt64(UInt32.max) else {
            throw .invalid("The image size is too large for file format 'vmdk'")
        }
        var header = Bytes([UInt8](repeating: 0, count: 512), order: .little)
        try header.set(0, bytes: VMDKSparseHeader.hostedMagic)
        try header.set(4, UInt32(compressed ? 3 : zeroGrains ? 2 : 1))
        try header.set(8, UInt32(3) | (zeroGrains ? 4 : 0) | (compressed ? 0x3_0000 : 0))
        try header.set(12, sectors)
        try header.set(20, grainSectors)
        try header.set(28, UInt64(1))
        try header.set(36, descriptorSectors)
        try header.set(44, UInt32(tableEntries))
        try header.set(48, redundant)
        try header.set(56, directory)
        try header.set(64, first)
        try header.set(73, bytes: [0x0a, 0x20, 0x0d, 0x0a])
        try header.set(77, UInt16(compressed ? 1 : 0))
        try file.setLength(first * 512)
        for start in [redundant, directory] {
            var table = EntryTable<UInt32>(new: Int(tables), filledWith: 0, at: start * 512, order: .little)
            for index in 0..<tables { table[Int(index)] = UInt32(truncatingIfNeeded: start + directorySectors + index * tableSectors) }
            try file.write(table.takeChanges())
        }
        try file.write(0, bytes: header.array)
    }
}
