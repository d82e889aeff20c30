// The numbers of the NBD protocol (doc/proto.md of the NetworkBlockDevice project). All integers on the wire are big
// endian. Left out: the oldstyle handshake, NBD_OPT_PEEK_EXPORT, resizing.

/// Numbers of the handshake.
package enum Handshake {
    package static let greeting: UInt64 = 0x4e42_444d_4147_4943       // "NBDMAGIC"
    package static let option: UInt64 = 0x4948_4156_454f_5054         // "IHAVEOPT"
    package static let oldstyle: UInt64 = 0x0000_4202_8186_1253
    package static let reply: UInt64 = 0x0003_e889_0455_65a9
    /// Flags of both sides.
    package static let fixedNewstyle: UInt16 = 1
    package static let noZeroes: UInt16 = 2
    /// Names and descriptions are no longer.
    package static let longestText = 4096
    /// Neither is what belongs to one option.
    package static let longestOption = 64 << 10
    /// A client that has asked for so many options is sent away.
    package static let mostOptions = 1000
}

package enum Option: UInt32 {
    case exportName = 1, abort, list, peekExport, startTLS, info, go, structuredReply, listMetaContext, setMetaContext, extendedHeaders
}

package enum OptionReply {
    package static let acknowledged: UInt32 = 1
    package static let server: UInt32 = 2
    package static let info: UInt32 = 3
    package static let metaContext: UInt32 = 4
    package static let errorBit: UInt32 = 1 << 31
    package static let unsupported: UInt32 = 1 << 31 | 1
    package static let policy: UInt32 = 1 << 31 | 2
    package static let invalid: UInt32 = 1 << 31 | 3
    package static let tlsRequired: UInt32 = 1 << 31 | 5
    package static let unknown: UInt32 = 1 << 31 | 6
    package static let tooBig: UInt32 = 1 << 31 | 9
    package static let extendedRequired: UInt32 = 1 << 31 | 10
}

package enum InfoType {
    package static let export: UInt16 = 0
    package static let name: UInt16 = 1
    package static let description: UInt16 = 2
    package static let blockSize: UInt16 = 3
}

/// What an export can do (transmission flags).
public struct ExportFlags: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let hasFlags = ExportFlags(rawValue: 1)
    public static let readOnly = ExportFlags(rawValue: 2)
    public static let flush = ExportFlags(rawValue: 4)
    public static let forceUnitAccess = ExportFlags(rawValue: 8)
    public static let rotational = ExportFlags(rawValue: 16)
    public static let trim = ExportFlags(rawValue: 32)
    public static let writeZeroes = ExportFlags(rawValue: 64)
    public static let dontFragment = ExportFlags(rawValue: 128)
    public static let multipleConnections = ExportFlags(rawValue: 256)
    public static let resize = ExportFlags(rawValue: 512)
    public static let cache = ExportFlags(rawValue: 1024)
    public static let fastZero = ExportFlags(rawValue: 2048)
    public static let blockStatusPayload = ExportFlags(rawValue: 4096)

    /// The words by which lists of exports name them, in the order of the bits.
    public static let names: [(ExportFlags, String)] = [
        (.readOnly, "readonly"), (.flush, "flush"), (.forceUnitAccess, "fua"), (.rotational, "rotational"), (.trim, "trim"),
        (.writeZeroes, "zeroes"), (.dontFragment, "df"), (.multipleConnections, "multi"), (.resize, "resize"), (.cache, "cache"),
        (.fastZero, "fast-zero"), (.blockStatusPayload, "block-status-payload"),
    ]
}

package enum Command {
    package static let magic: UInt32 = 0x2560_9513
    package static let extendedMagic: UInt32 = 0x21e4_1c71
    package static let read: UInt16 = 0
    package static let write: UInt16 = 1
    package static let disconnect: UInt16 = 2
    package static let flush: UInt16 = 3
    package static let trim: UInt16 = 4
    package static let cache: UInt16 = 5
    package static let writeZeroes: UInt16 = 6
    package static let blockStatus: UInt16 = 7
}

package struct CommandFlags: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let forceUnitAccess = CommandFlags(rawValue: 1)
    package static let noHole = CommandFlags(rawValue: 2)
    package static let dontFragment = CommandFlags(rawValue: 4)
    package static let requestOne = CommandFlags(rawValue: 8)
    package static let fastZero = CommandFlags(rawValue: 16)
    package static let payloadLength = CommandFlags(rawValue: 32)
}

package enum Reply {
    package static let simpleMagic: UInt32 = 0x6744_6698
    package static let structuredMagic: UInt32 = 0x668e_33ef
    package static let extendedMagic: UInt32 = 0x6e8a_278c
    package static let done: UInt16 = 1
}

package enum Chunk {
    package static let none: UInt16 = 0
    package static let data: UInt16 = 1
    package static let hole: UInt16 = 2
    package static let blockStatus: UInt16 = 5
    package static let blockStatusExtended: UInt16 = 6
    package static let errorBit: UInt16 = 1 << 15
    package static let error: UInt16 = 1 << 15 | 1
    package static let errorAtOffset: UInt16 = 1 << 15 | 2
}

/// Error numbers on the wire. They are Linux's, whatever the host.
public enum NBDErrorNumber {
    package static let permission: UInt32 = 1
    package static let input: UInt32 = 5
    package static let noMemory: UInt32 = 12
    package static let invalid: UInt32 = 22
    package static let noSpace: UInt32 = 28
    package static let overflow: UInt32 = 75
    package static let notSupported: UInt32 = 95
    package static let shutdown: UInt32 = 108
}

/// Metadata contexts, and what their flags mean.
package enum Context {
    package static let allocation = "base:allocation"
    package static let depth = "qemu:allocation-depth"
    package static let bitmapPrefix = "qemu:dirty-bitmap:"
    package static let hole: UInt32 = 1
    package static let zero: UInt32 = 2
    package static let dirty: UInt32 = 1
}

/// Bounds on requests.
package enum Limits {
    /// Payload of one request: QEMU's, which clients assume unless they are told another.
    package static let payload = 32 << 20
    /// Requests of one client in flight.
    package static let requests = 16
    /// Bytes of payload of one client in flight, beyond one request of any size.
    package static let payloadInFlight = 64 << 20
    /// Extents of one answer to BLOCK_STATUS.
    package static let extents = 16384
    /// Metadata contexts of one connection.
    package static let contexts = 1024
}
