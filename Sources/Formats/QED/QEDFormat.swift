// qed: probing, opening, creating.

import Block

/// The format `qed`.
public enum QEDFormat: CreatableFormat {
    public static let name = "qed"
    public static let openOptions: [OptionDeclaration] = []
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("backing_file", .text, "File name of a base image"),
        OptionDeclaration("backing_fmt", .text, "Image format of the base image"),
        OptionDeclaration("cluster_size", .size, default: "65536", "Cluster size (in bytes)"),
        OptionDeclaration("table_size", .size, "L1/L2 table size (in clusters)"),
    ]
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int { start.starts(with: QEDHeader.magic) ? 100 : 0 }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let header = try QEDHeader(try context.header(QEDHeader.size, order: .little), context.file)
        let image = try QED(context.file, header)
        guard context.access.writable else { return image }
        if header.features & QEDHeader.Features.needsCheck != 0 {
            guard try image.check(.all).corruptions == 0 else { throw .corrupt(at: 16, "the image was not closed properly, and cannot be repaired") }
        } else if header.autoclear != 0 { try image.setFeatures(header.features) }
        return image
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        let options = context.options
        let cluster = options.number("cluster_size") ?? 65536, table = options.number("table_size") ?? 4
        guard cluster >= 4096, cluster <= 64 << 20, cluster & (cluster - 1) == 0 else { throw .invalid("QED cluster size must be within range [4096, 67108864] and power of 2") }
        guard table >= 1, table <= 16, table & (table - 1) == 0 else { throw .invalid("QED table size must be within range [1, 16] and power of 2") }
        let size = context.size.roundedUp(to: 512) ?? context.size
        var header = Bytes([UInt8](repeating: 0, count: QEDHeader.size), order: .little)
        try header.set(0, bytes: QEDHeader.magic)
        try header.set(4, UInt32(cluster))
        try header.set(8, UInt32(table))
        try header.set(12, UInt32(1))
        try header.set(40, cluster)
        try header.set(48, size)
        var name: [UInt8] = []
        if let backing = options.text("backing_file"), !backing.isEmpty {
            name = Array(backing.utf8)
            guard name.count <= 1023 else { throw .invalid("Backing file name too long") }
            try header.set(16, QEDHeader.Features.backing | (options.text("backing_fmt") == "raw" ? QEDHeader.Features.rawBacking : 0))
            try header.set(56, UInt32(QEDHeader.size))
            try header.set(60, UInt32(name.count))
        }
        try context.file.setLength(cluster + table * cluster)
        try context.file.write(0, bytes: header.array + name)
        do throws(BlockError) { _ = try QEDHeader(header, context.file) } catch {
            throw .invalid("QED image size must be a non-zero multiple of cluster size and less than what the tables hold: \(error.text)")
        }
    }
}
