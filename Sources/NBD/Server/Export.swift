// What a server offers under a name: a root of the block graph, and what may be asked about it.

import Block
import Host

/// A dirty bitmap that clients may ask about.
public struct ExportedBitmap: Sendable {
    public let name: String
    /// Dirty ranges, ascending. Asked for each time, unless it never changes.
    public let ranges: @Sendable () throws(BlockError) -> [Range<UInt64>]
    public init(name: String, ranges: @escaping @Sendable () throws(BlockError) -> [Range<UInt64>]) {
        self.name = name
        self.ranges = ranges
    }

    /// A bitmap stored in an image of the chain. A read-only export has it as it is now.
    public init(named name: String, in top: Node, isWritable: Bool) throws(BlockError) {
        for node in top.chain {
            guard let image = node.image as? any BitmappedImage, let record = image.bitmaps.first(where: { $0.name == name }) else { continue }
            if record.isInconsistent { throw .invalid("Bitmap '\(name)' is inconsistent and cannot be used") }
            if !isWritable, record.isEnabled, node.isWritable { throw .invalid("Enabled bitmap '\(name)' incompatible with readonly export") }
            let now = try image.dirtyRanges(name)
            let changes = isWritable && record.isEnabled
            self.init(name: name) { () throws(BlockError) in changes ? try image.dirtyRanges(name) : now }
            return
        }
        throw .invalid("Bitmap '\(name)' is not found")
    }
}

/// One export of a server.
public final class Export: Sendable {
    public struct Settings: Sendable {
        public var name: String
        public var description: String?
        public var isWritable: Bool
        public var bitmaps: [ExportedBitmap] = []
        public var offersDepth = false
        /// Part of the node: from `offset`, `length` bytes (nil: all the rest).
        public var offset: UInt64 = 0
        public var length: UInt64?
        /// Whether several clients may use it at a time.
        public var isShared = true
        public init(name: String, isWritable: Bool) {
            self.name = name
            self.isWritable = isWritable
        }
    }

    public let settings: Settings
    public let root: Root
    /// Bytes that clients see.
    public let size: UInt64
    /// Metadata contexts, the number of each is its place.
    let contexts: [MetaContext]
    let preferredBlock: UInt32
    private struct Users { var count = 0; var isGone = false; var sessions: [ObjectIdentifier: ServerSession] = [:] }
    private let users = Waiting(Users())

    public var name: String { settings.name }

    /// - Parameter root: stays the caller's.
    public init(_ root: Root, _ settings: Settings) throws(BlockError) {
        self.settings = settings
        self.root = root
        let node = root.node
        if settings.isWritable, !node.isWritable { throw BlockError(.readOnly, "the node '\(node.name)' is read-only: it cannot be exported for writing") }
        guard settings.name.utf8.count <= Handshake.longestText, (settings.description?.utf8.count ?? 0) <= Handshake.longestText else {
            throw .invalid("an export's name and description have at most \(Handshake.longestText) bytes")
        }
        let whole = try node.length()
        guard settings.offset <= whole else { throw .invalid("the offset \(settings.offset) lies beyond the \(whole) bytes of the image") }
        size = min(settings.length ?? UInt64.max, whole - settings.offset)
        var contexts: [MetaContext] = [.allocation]
        if settings.offersDepth { contexts.append(.depth) }
        contexts += settings.bitmaps.map { .bitmap($0) }
        self.contexts = contexts
        preferredBlock = 4096
    }

    /// What clients are told, before `structured` replies are known.
    func flags(structured: Bool) -> ExportFlags {
        var flags: ExportFlags = [.hasFlags, .flush, .forceUnitAccess, .cache]
        if settings.isWritable { flags.formUnion([.trim, .writeZeroes, .fastZero]) } else { flags.insert(.readOnly) }
        // All connections come to one node: a flush on one is a flush of all.
        if settings.isShared { flags.insert(.multipleConnections) }
        if structured { flags.insert(.dontFragment) }
        return flags
    }

    /// What the kernel is told.
    public var kernelFlags: UInt16 { flags(structured: false).subtracting([.cache, .fastZero]).rawValue }

    // MARK: Who uses it

    /// False if it is going away.
    func enter(_ session: ServerSession) -> Bool {
        users.change { users in
            if users.isGone { return false }
            users.count += 1
            users.sessions[ObjectIdentifier(session)] = session
            return true
        }
    }
    func leave(_ session: ServerSession) {
        users.change { users in
            users.count -= 1
            users.sessions[ObjectIdentifier(session)] = nil
        }
    }
    /// Whether a client is connected.
    public var isBusy: Bool { users.look { $0.count > 0 } }
    /// Sends all clients away and returns when none is left. Nobody comes in any more.
    public func retire() {
        let sessions = users.change { users in
            users.isGone = true
            return Array(users.sessions.values)
        }
        for session in sessions { session.shutDown() }
        _ = users.wait { $0.count == 0 ? true : nil }
    }
}
