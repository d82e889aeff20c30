// What a node is made of: something with numbered bytes. Protocols (file, null, nbd …) and filters conform directly;
// image formats are driven by `ImageStorage`.
//
// Every call is synchronous and may come from many threads at once: each request in flight is a thread. Offsets and
// counts have been checked against `length()` by the node, except where `growsOnWrite`.

/// Bytes that can be read.
public protocol Storage: AnyObject, Sendable {
    /// Bytes now.
    func length() throws(BlockError) -> UInt64
    /// Fills `buffer` from `offset`. What lies beyond the end reads as zeros.
    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError)
    /// What is known about the bytes from `offset`: the answer covers at least 1 and at most `count` of them.
    func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus
    /// Called once, after the last request. Locks and descriptors are gone afterwards.
    func close() throws(BlockError)
}

/// Bytes that can be written.
public protocol WritableStorage: Storage {
    /// Whether a write beyond the end makes the storage longer (files do, images do not).
    var growsOnWrite: Bool { get }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError)
    /// Makes the bytes read as zeros. - Parameter unmap: their space may be given back.
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError)
    /// A hint that nobody needs these bytes; afterwards they read as anything, but the same each time.
    func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError)
    /// Returns when everything written before survives a loss of power.
    func flush() throws(BlockError)
}

extension WritableStorage {
    /// `writeZeroes` where there is no better way: zeros are written, a mebibyte at a time.
    public func writeZeroesAsData(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        let zeros = try OwnedBuffer(Int(min(count, 1 << 20)))
        defer { withExtendedLifetime(zeros) {} }
        zeros.buffer.fill()
        var done: UInt64 = 0
        while done < count {
            let part = zeros.buffer.slice(0, count - done)
            try write(offset + done, part)
            done += UInt64(part.count)
        }
    }
}

/// Storage that reads into and writes from scattered memory at once.
public protocol VectoredStorage: WritableStorage {
    /// Fills `buffers`, one after the other, from `offset`. - Returns: false: nothing was done; it must be one buffer.
    func read(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) -> Bool
    func write(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) -> Bool
}

/// Storage whose length can be set.
public protocol ResizableStorage: WritableStorage {
    func setLength(_ length: UInt64, _ preallocation: Preallocation) throws(BlockError)
}

/// Storage that excludes other processes.
public protocol LockableStorage: Storage {
    /// Announces what is done here and what others may do. Called again, it replaces what it announced before.
    /// - Throws: `inUse` if another process does not agree; then the earlier state holds.
    func lock(using: Permissions, sharing: Permissions) throws(BlockError)
}

/// Storage that says more about itself than its length.
public protocol DescribedStorage: Storage {
    /// Bytes taken on the host; nil if that has no answer.
    func allocatedSize() throws(BlockError) -> UInt64?
}

/// How space is set aside in advance.
public enum Preallocation: String, Sendable, CaseIterable {
    case off, metadata, falloc, full
}

/// What is known about a run of bytes, as `map` prints it.
public struct BlockStatus: Sendable {
    /// Bytes this holds for.
    public var length: UInt64
    /// They have to be read to be known.
    public var isData: Bool
    /// They are all 0.
    public var isZero: Bool
    /// This node decides what they are, not its backing file.
    public var isAllocated: Bool
    public var isCompressed = false
    /// Where they stand as they are, if they do.
    public var offset: UInt64?
    /// The name of the file that `offset` counts in.
    public var file: String?
    /// How many backing steps down they were found; filled by walks over chains.
    public var depth = 0

    public init(length: UInt64, isData: Bool, isZero: Bool, isAllocated: Bool = true, offset: UInt64? = nil, file: String? = nil) {
        self.length = length
        self.isData = isData
        self.isZero = isZero
        self.isAllocated = isAllocated
        self.offset = offset
        self.file = file
    }
}
