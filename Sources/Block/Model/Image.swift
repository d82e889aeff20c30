// What an opened image can do. `Image` is all that a format must answer; everything else is a small protocol that it
// conforms to if it has the ability. Block does the I/O of payload; formats read and write their own metadata through
// the nodes they were opened on.
//
// Calls come from many threads. Block guarantees, by a lock over guest ranges: while `place`, `link`, `abandon`,
// `zero`, `discard` run for a range (rounded out to `allocationUnit`), no other request touches that range; so what
// `map` said about a range stays true while Block reads or writes it. Metadata shared between ranges (tables, free
// space) is the format's to lock.

import Core

/// An opened image: where its bytes are.
public protocol Image: AnyObject, Sendable {
    /// Bytes the guest sees.
    var virtualSize: UInt64 { get }
    /// Where the bytes from `offset` are; the answer may cover fewer than `count` (at least 1), never wrongly more.
    func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent
}

/// An image that can be written. An image opened read-only may conform; it is not asked then.
public protocol WritableImage: Image {
    /// The unit in which space is taken: a power of two, at least 512.
    var allocationUnit: UInt64 { get }
    /// Where to write the bytes from `offset`. Takes space if there is none: then `fresh` is set, and old contents stay
    /// readable by `map` until `link`.
    func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement
    /// The fresh space has been filled: point to it, and free what it replaces.
    func link(_ fresh: FreshSpace) throws(BlockError)
    /// The fresh space was not filled: free it.
    func abandon(_ fresh: FreshSpace)
    /// Writes changed metadata that is still in memory, in an order that is consistent at every moment, with `flush` of
    /// the file's node as the barrier between (data first: it has been written, but not flushed). Block flushes the
    /// nodes once more afterwards. Called for each flush and before closing.
    func writeBack() throws(BlockError)
}

/// An image whose bytes are its file's, holes and all (raw): `map` shows the file's own status.
public protocol TransparentImage: Image {}

/// An image in which runs of zeros need no space.
public protocol ZeroingImage: WritableImage {
    /// Makes bytes from `offset` read as zeros without writing them.
    /// - Returns: how many bytes from `offset` now do; 0 if the unit there is only partly covered, or it must be written.
    func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64
}

/// An image that can give space back.
public protocol DiscardingImage: WritableImage {
    /// Gives back what it can of the range: whole units. What was discarded reads as zeros, or as before.
    func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError)
}

/// An image with units stored compressed.
public protocol CompressedImage: Image {
    /// No payload is larger: the bound of what Block allocates for one.
    var largestPayload: UInt64 { get }
    /// Expands `payload` into `output`, which has the unit's length; all of it is set. Called without locks.
    func expand(_ unit: CompressedUnit, _ payload: BlockBuffer, into output: BlockBuffer) throws(BlockError)
}

/// An image that can store units compressed.
public protocol CompressingImage: CompressedImage, WritableImage {
    /// Bytes of a unit. Block passes whole units, and the last one padded with zeros.
    var compressionUnit: UInt64 { get }
    /// The unit compressed, or nil if that does not make it smaller. Called without locks, from many threads.
    func compress(_ unit: BlockBuffer) throws(BlockError) -> [UInt8]?
    /// Stores a payload as the unit at `start`, and links it.
    func store(compressed payload: [UInt8], at start: UInt64) throws(BlockError)
}

/// An image whose units can only be stored compressed: `convert` compresses without being asked.
public protocol CompressedOnlyImage: CompressingImage {}

/// An image whose payload is encrypted.
public protocol EncryptedImage: Image {
    /// Decrypts in place what was read at `fileOffset` and stands at `offset` for the guest. 512-byte multiples.
    func decrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError)
    /// Encrypts in place what will be written there.
    func encrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError)
}

/// A file that an image's header names.
public struct FileReference: Sendable, Equatable {
    /// As it stands in the header.
    public var name: String
    /// The format's name, if the header has it.
    public var format: String?
    public init(name: String, format: String?) {
        self.name = name
        self.format = format
    }
}

/// An image that may stand on another.
public protocol BackedImage: Image {
    /// What the header says now.
    var backing: FileReference? { get }
}

/// An image whose backing reference can be changed.
public protocol RebasableImage: BackedImage, WritableImage {
    func setBacking(_ reference: FileReference?) throws(BlockError)
}

/// An image whose size can be changed.
public protocol ResizableImage: WritableImage {
    func resize(to size: UInt64, _ preallocation: Preallocation) throws(BlockError)
}

/// An image that can forget all its contents at once (after a commit).
public protocol EmptyableImage: WritableImage {
    func makeEmpty() throws(BlockError)
}

/// What `info` prints about an image beyond its sizes.
public struct ImageInformation: Sendable {
    public var clusterSize: UInt64?
    public var isEncrypted = false
    public var isCompressed = false
    /// Not closed properly.
    public var isDirty = false
    /// QEMU's `format-specific` data: members in its spelling, in its order.
    public var specific: [JSONValue.Member]?
    public init(clusterSize: UInt64? = nil, specific: [JSONValue.Member]? = nil) {
        self.clusterSize = clusterSize
        self.specific = specific
    }
}

/// An image that says more about itself.
public protocol DescribedImage: Image {
    func information() throws(BlockError) -> ImageInformation
}

/// What `check` may change.
public enum Repair: Sendable, Equatable { case nothing, leaks, all }

/// The result of `check`, in QEMU's terms.
public struct CheckResult: Sendable {
    public var corruptions: UInt64 = 0
    public var leaks: UInt64 = 0
    public var corruptionsFixed: UInt64 = 0
    public var leaksFixed: UInt64 = 0
    /// Problems that kept parts from being checked.
    public var checkErrors: UInt64 = 0
    /// One past the last byte of the file that is used.
    public var imageEnd: UInt64?
    /// Units of the image, how many have space, follow another than their neighbour, are compressed.
    public var units: (total: UInt64, allocated: UInt64, fragmented: UInt64, compressed: UInt64)?
    /// One line for each thing found, at most `messageLimit`.
    public private(set) var messages: [String] = []
    public static let messageLimit = 1000

    public init() {}
    /// Adds a line, unless there are too many already.
    public mutating func note(_ line: String) {
        if messages.count < CheckResult.messageLimit { messages.append(line) }
    }
}

/// An image whose metadata can be checked.
public protocol CheckableImage: Image {
    func check(_ repair: Repair) throws(BlockError) -> CheckResult
}

/// A snapshot inside an image.
public struct SnapshotRecord: Sendable, Equatable {
    public var id: String
    public var name: String
    public var vmStateSize: UInt64
    /// When it was made: seconds since 1970 and nanoseconds.
    public var seconds: UInt64
    public var nanoseconds: UInt32
    /// The guest's clock in nanoseconds.
    public var vmClock: UInt64
    /// Instructions executed, where they were counted.
    public var instructions: UInt64?
    public var diskSize: UInt64?
    public init(id: String, name: String, vmStateSize: UInt64 = 0, seconds: UInt64 = 0, nanoseconds: UInt32 = 0, vmClock: UInt64 = 0,
                instructions: UInt64? = nil, diskSize: UInt64? = nil) {
        self.id = id
        self.name = name
        self.vmStateSize = vmStateSize
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.vmClock = vmClock
        self.instructions = instructions
        self.diskSize = diskSize
    }
}

/// An image with snapshots inside. Block has no request in flight while these run; `which` is an id or a name, ids first.
public protocol SnapshottingImage: Image {
    var snapshots: [SnapshotRecord] { get }
    /// `record.id` is ignored: the format chooses it.
    func createSnapshot(_ record: SnapshotRecord) throws(BlockError)
    func applySnapshot(_ which: String) throws(BlockError)
    func deleteSnapshot(_ which: String) throws(BlockError)
    /// From now on, `map` answers for the snapshot; the image was opened read-only.
    func showSnapshot(_ which: String) throws(BlockError)
}

/// An image that holds a machine's state beside the disk.
public protocol VMStateImage: WritableImage {
    func readState(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError)
    func writeState(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError)
}

/// A dirty bitmap stored in an image.
public struct BitmapRecord: Sendable, Equatable {
    public var name: String
    public var granularity: UInt64
    /// Records writes.
    public var isEnabled: Bool
    /// Was not stored properly: its contents cannot be trusted.
    public var isInconsistent: Bool
    public init(name: String, granularity: UInt64, isEnabled: Bool, isInconsistent: Bool = false) {
        self.name = name
        self.granularity = granularity
        self.isEnabled = isEnabled
        self.isInconsistent = isInconsistent
    }
}

/// An image that keeps dirty bitmaps.
public protocol BitmappedImage: WritableImage {
    var bitmaps: [BitmapRecord] { get }
    func addBitmap(_ record: BitmapRecord) throws(BlockError)
    func removeBitmap(_ name: String) throws(BlockError)
    func enableBitmap(_ name: String, _ enabled: Bool) throws(BlockError)
    /// The dirty ranges of a bitmap, ascending, as guest bytes.
    func dirtyRanges(_ name: String) throws(BlockError) -> [Range<UInt64>]
    /// Marks ranges.
    func markDirty(_ name: String, _ ranges: [Range<UInt64>]) throws(BlockError)
    func clearBitmap(_ name: String) throws(BlockError)
}

/// An image whose creation options can be changed later.
public protocol AmendableImage: WritableImage {
    /// Which of the creation options.
    static var amendOptions: [OptionDeclaration] { get }
    /// Only the options that `has` says are given are to change. - Parameter progress: 0…1.
    func amend(_ options: OptionValues, force: Bool, progress: (Double) -> Void) throws(BlockError)
}

/// An image with work to do when it is closed (after `writeBack`): marks it clean, for example.
public protocol ClosingImage: Image {
    func close() throws(BlockError)
}
