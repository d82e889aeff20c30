// How a node is opened: what its user wants to do, what others may do meanwhile, and how the host caches.

/// What a user of a node does to it, or lets others do. The bit numbers are those of the byte locks that QEMU takes.
public struct Permissions: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Reads that must not see changes by others half made.
    public static let consistentRead = Permissions(rawValue: 1)
    public static let write = Permissions(rawValue: 2)
    /// Writes that leave the visible contents as they are.
    public static let writeUnchanged = Permissions(rawValue: 4)
    public static let resize = Permissions(rawValue: 8)
    public static let all: Permissions = [.consistentRead, .write, .writeUnchanged, .resize]
}

/// QEMU's cache modes (`-t`, `-T`, `cache.*`).
public struct CacheMode: Sendable, Equatable {
    /// O_DIRECT: past the host's page cache.
    public var direct: Bool
    /// Flushes do nothing: data is lost if the host goes down.
    public var ignoresFlush: Bool
    /// Every write is followed by a flush.
    public var writeThrough: Bool

    public static let writeBack = CacheMode(direct: false, ignoresFlush: false, writeThrough: false)
    public static let unsafe = CacheMode(direct: false, ignoresFlush: true, writeThrough: false)

    public init(direct: Bool, ignoresFlush: Bool, writeThrough: Bool) {
        self.direct = direct
        self.ignoresFlush = ignoresFlush
        self.writeThrough = writeThrough
    }

    /// A mode by its name; nil if there is none.
    public init?(named name: String) {
        switch name {
        case "writeback": self = .writeBack
        case "unsafe": self = .unsafe
        case "none", "off": self.init(direct: true, ignoresFlush: false, writeThrough: false)
        case "directsync": self.init(direct: true, ignoresFlush: false, writeThrough: true)
        case "writethrough": self.init(direct: false, ignoresFlush: false, writeThrough: true)
        default: return nil
        }
    }
}

/// What is done about writes of nothing but zeros (`detect-zeroes`).
public enum ZeroDetection: String, Sendable, CaseIterable {
    /// They are writes as others.
    case off
    /// The range is made zeros, as far as the format can without writing them.
    case on
    /// The same, and its space may be given back.
    case unmap
}

/// How to open a node.
public struct Access: Sendable {
    public var writable: Bool
    public var cache: CacheMode
    /// QEMU's `-U`: takes no part in locking beyond reading, and lets everyone do everything.
    public var forceShare: Bool
    /// Whether others may write meanwhile, where the format allows it.
    public var sharesWrite: Bool
    /// Whether discards reach the host.
    public var discards: Bool
    /// Whether files that headers name are opened too.
    public var opensBacking: Bool
    /// Metadata only (`info`): no lock but that of a reader, no backing file, encrypted images without their key.
    public var metadataOnly: Bool

    /// How the host does the requests to files.
    public var interface = HostInterface.threads
    /// Of this node; its file has no part in it.
    public var zeroDetection = ZeroDetection.off

    public init(writable: Bool = false, cache: CacheMode = .writeBack, forceShare: Bool = false, sharesWrite: Bool = true,
                discards: Bool = false, opensBacking: Bool = true, metadataOnly: Bool = false) {
        self.writable = writable
        self.cache = cache
        self.forceShare = forceShare
        self.sharesWrite = sharesWrite
        self.discards = discards
        self.opensBacking = opensBacking
        self.metadataOnly = metadataOnly
    }

    /// For the node that holds this one's bytes.
    var forFile: Access {
        var access = self
        access.zeroDetection = .off
        return access
    }

    public static let readOnly = Access()
    public static let readWrite = Access(writable: true)
}
