// How a format makes itself known: probing, opening, creating. A format is a type that conforms, in a file or folder of
// its own, and a line in the registry.

/// An image format.
public protocol ImageFormat: Sendable {
    /// QEMU's name.
    static var name: String { get }
    /// Options when opening, beside those that every node has.
    static var openOptions: [OptionDeclaration] { get }
    /// How sure this is that a file is of this format: 0 no, 100 certain. QEMU's scores, so that the same one wins.
    /// - Parameters: `start`: the file's first bytes, at most 2048, fewer if it is shorter. `name`: for formats that go by it.
    static func probe(_ start: [UInt8], name: String) -> Int
    /// Whether the file holds metadata that others must not change while it is open. False only for raw.
    static var holdsMetadata: Bool { get }
    /// Opens the image in `context.file`.
    static func open(_ context: OpenContext) throws(BlockError) -> any Image
}

/// A format that images can be made in.
public protocol CreatableFormat: ImageFormat {
    /// In the order in which `create` prints them. `size` is among them.
    static var createOptions: [OptionDeclaration] { get }
    /// Writes an empty image into `context.file`, which is empty and grows.
    static func create(_ context: CreateContext) throws(BlockError)
}

/// A format that can say how large a file will be.
public protocol MeasurableFormat: CreatableFormat {
    /// - Parameter allocated: how many bytes of each of the unit-sized pieces are data: nil for a new, empty image.
    static func measure(_ options: OptionValues, size: UInt64, source: Node?) throws(BlockError) -> Measurement
}

/// What `measure` prints.
public struct Measurement: Sendable {
    /// For the data there is.
    public var required: UInt64
    /// For a full disk.
    public var fullyAllocated: UInt64
    public var bitmaps: UInt64?
    public init(required: UInt64, fullyAllocated: UInt64, bitmaps: UInt64? = nil) {
        self.required = required
        self.fullyAllocated = fullyAllocated
        self.bitmaps = bitmaps
    }
}

/// What a format gets to open an image.
public struct OpenContext: Sendable {
    /// The node with the image's bytes.
    public let file: Node
    /// What the user wants to do.
    public let access: Access
    public let options: OptionValues
    /// Opens further files that the header names, under the policy for such names.
    public let files: NamedFiles

    public init(file: Node, access: Access, options: OptionValues, files: NamedFiles) {
        self.file = file
        self.access = access
        self.options = options
        self.files = files
    }

    /// The first `count` bytes of the file, zeros beyond its end.
    public func header(_ count: Int, order: ByteOrder) throws(BlockError) -> Bytes { try file.metadata(0, count, order: order) }
}

/// What a format gets to create an image.
public struct CreateContext: Sendable {
    /// The node to write to: empty, writable, growing.
    public let file: Node
    /// Bytes of the new disk.
    public let size: UInt64
    public let options: OptionValues
    /// Makes and opens further files (data file, extents) beside this one.
    public let files: NamedFiles

    public init(file: Node, size: UInt64, options: OptionValues, files: NamedFiles) {
        self.file = file
        self.size = size
        self.options = options
        self.files = files
    }
}

/// The first bytes that a probe is given.
public let probeLength = 2048

/// A format whose images can store units compressed (`convert -c`): its images are `CompressingImage`s.
public protocol CompressingFormat: CreatableFormat {}
