// raw: the file's bytes are the disk's, optionally a window of them (`offset`, `size`). Holes of the file are the only
// metadata.

import Block

/// A raw image.
public final class Raw: WritableImage, ZeroingImage, DiscardingImage, ResizableImage, TransparentImage {
    private let file: Node
    private let offset: UInt64
    /// A fixed size, or nil: whatever the file has.
    private let size: UInt64?

    init(file: Node, offset: UInt64, size: UInt64?) {
        self.file = file
        self.offset = offset
        self.size = size
    }

    public var virtualSize: UInt64 {
        if let size { return size }
        let length = (try? file.length()) ?? 0
        // Disks are whole sectors: a last part of one is completed with zeros.
        return length > offset ? (length - offset).roundedUp(to: 512) ?? 0 : 0
    }

    public func map(_ position: UInt64, _ count: UInt64) -> Extent {
        Extent(.data(file, offset &+ position), length: count, isWritable: true, mayHaveHoles: true)
    }

    public var allocationUnit: UInt64 { 512 }
    public func place(_ position: UInt64, _ count: UInt64) -> Placement { Placement(length: count, node: file, offset: offset &+ position) }
    public func link(_ fresh: FreshSpace) {}
    public func abandon(_ fresh: FreshSpace) {}
    public func writeBack() {}

    public func zero(_ position: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        try file.writeZeroes(offset &+ position, count, unmap: unmap)
        return count
    }

    public func discard(_ position: UInt64, _ count: UInt64) throws(BlockError) { try file.discard(offset &+ position, count) }

    public func resize(to size: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        guard self.size == nil else { throw .unsupported("Cannot resize fixed-size raw disks") }
        let (end, overflow) = offset.addingReportingOverflow(size)
        guard !overflow else { throw .invalid("Sum of offset and size is too large") }
        try file.setLength(end, preallocation)
    }
}

/// The format `raw`.
public enum RawFormat: CreatableFormat, MeasurableFormat {
    public static let name = "raw"
    public static let openOptions = [
        OptionDeclaration("offset", .size, default: "0", "offset in the disk where the image starts"),
        OptionDeclaration("size", .size, "virtual disk size"),
    ]
    public static let createOptions = [OptionDeclaration("size", .size, "Virtual disk size"),
                                       OptionDeclaration("preallocation", .choice(["off", "falloc", "full"]), "Preallocation mode (allowed values: off, falloc, full)")]
    public static let holdsMetadata = false

    /// Anything is raw, if nothing else.
    public static func probe(_ start: [UInt8], name: String) -> Int { 1 }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let offset = context.options.number("offset") ?? 0
        let size = context.options.number("size")
        let length = try context.file.length()
        guard offset <= length else { throw .invalid("Offset (\(offset)) cannot be greater than size of the containing file (\(length))") }
        if let size {
            guard size <= length - offset else {
                throw .invalid("The sum of offset (\(offset)) and size (\(size)) has to be smaller or equal to the actual size of the containing file (\(length))")
            }
        }
        return Raw(file: context.file, offset: offset, size: size)
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        let mode = context.options.text("preallocation").flatMap { Preallocation(rawValue: $0) } ?? .off
        try context.file.setLength(context.size.roundedUp(to: 512) ?? context.size, mode)
    }

    public static func measure(_ options: OptionValues, size: UInt64, source: Node?) -> Measurement {
        let bytes = size.roundedUp(to: 512) ?? size
        return Measurement(required: bytes, fullyAllocated: bytes)
    }
}
