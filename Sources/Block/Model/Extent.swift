// The words in which formats tell Block where bytes live, and where new ones are to go.

/// Where a run of an image's bytes lives. Answers `Image.map`.
public struct Extent: Sendable {
    public enum Place: Sendable {
        /// Plain bytes in a node, from this offset.
        case data(Node, UInt64)
        /// Bytes in a node that `EncryptedImage.decrypt` makes readable.
        case encrypted(Node, UInt64)
        /// Zeros, whatever a backing file holds. May have space of its own already.
        case zero(space: UInt64?)
        /// Not here: the backing file has them; without one they are zeros.
        case unallocated
        /// Part of a unit that is stored compressed; `CompressedImage` expands it.
        case compressed(CompressedUnit)
    }
    public var place: Place
    /// Bytes this holds for, from the offset asked for: at least 1.
    public var length: UInt64
    /// The bytes may be overwritten where they are (data and encrypted only).
    public var isWritable: Bool
    /// The node below may know of holes in these bytes (raw, preallocated images).
    public var mayHaveHoles: Bool

    public init(_ place: Place, length: UInt64, isWritable: Bool = false, mayHaveHoles: Bool = false) {
        self.place = place
        self.length = length
        self.isWritable = isWritable
        self.mayHaveHoles = mayHaveHoles
    }
}

/// A compressed unit of an image.
public struct CompressedUnit: Sendable {
    /// The node and bytes that hold the payload. Block bounds `count` by `CompressedImage.largestPayload`.
    public var node: Node
    public var offset: UInt64
    public var count: UInt64
    /// The guest bytes it expands to.
    public var start: UInt64
    public var length: UInt64
    /// For the format's own use: which method, for example.
    public var tag: UInt64

    public init(node: Node, offset: UInt64, count: UInt64, start: UInt64, length: UInt64, tag: UInt64 = 0) {
        self.node = node
        self.offset = offset
        self.count = count
        self.start = start
        self.length = length
        self.tag = tag
    }
}

/// Where bytes about to be written go. Answers `WritableImage.place`.
public struct Placement: Sendable {
    /// Bytes this holds for, from the offset asked for: at least 1.
    public var length: UInt64
    /// Where the byte at the offset asked for goes.
    public var node: Node
    public var offset: UInt64
    /// Set if nothing points to this space yet.
    public var fresh: FreshSpace?
    /// The bytes are to be encrypted by `EncryptedImage`.
    public var isEncrypted: Bool

    public init(length: UInt64, node: Node, offset: UInt64, fresh: FreshSpace? = nil, isEncrypted: Bool = false) {
        self.length = length
        self.node = node
        self.offset = offset
        self.fresh = fresh
        self.isEncrypted = isEncrypted
    }
}

/// Space taken for whole units, to which no table points yet. Block fills all of it (what the request does not cover
/// keeps its old contents: copy-on-write) and then calls `link`; or `abandon` if that failed.
public struct FreshSpace: Sendable {
    /// Guest bytes of the units; the request's part lies inside.
    public var start: UInt64
    public var length: UInt64
    /// The space reads as zeros already (it lies beyond the end of the file): zeros need not be written.
    public var isZero: Bool
    /// For the format: what it needs to know in `link` and `abandon`.
    public var token: UInt64

    public init(start: UInt64, length: UInt64, isZero: Bool, token: UInt64) {
        self.start = start
        self.length = length
        self.isZero = isZero
        self.token = token
    }
}
