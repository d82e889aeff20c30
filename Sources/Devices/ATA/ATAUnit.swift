// What hangs from a SATA link: commands as register FISes bring them (SATA 3.1 section 10.5, ACS-3), and how they end.

import Core
import Host

/// A register FIS from the host (SATA 10.5.5): 20 bytes.
public struct ATACommand: Sendable {
    public let bytes: [UInt8]
    public static let size = 20

    public init(_ bytes: [UInt8]) { self.bytes = Array((bytes + [UInt8](repeating: 0, count: Self.size)).prefix(Self.size)) }

    /// Whether it is a command, and no write to the control register.
    var isCommand: Bool { bytes[1] & 0x80 != 0 }
    var code: UInt8 { bytes[2] }
    var features: UInt16 { UInt16(bytes[3]) | UInt16(bytes[11]) << 8 }
    var device: UInt8 { bytes[7] }
    var count: UInt16 { UInt16(bytes[12]) | UInt16(bytes[13]) << 8 }
    var control: UInt8 { bytes[15] }
    /// 48 bits.
    var address: UInt64 { [10, 9, 8, 6, 5, 4].reduce(0) { $0 << 8 | UInt64(bytes[$1]) } }

    /// READ or WRITE FPDMA QUEUED, which take turns with others.
    var isQueued: Bool { code == 0x60 || code == 0x61 }
    var tag: Int { Int(bytes[12] >> 3) }
}

/// A command with its data.
public struct ATARequest: Sendable {
    public var command: ATACommand
    /// The command packet of PACKET.
    public var packet: [UInt8] = []
    public var data = GuestPieces()
    /// The data is room for an answer; if not, it may be memory that cannot be written.
    public var isInput = true

    public init(_ command: ATACommand, packet: [UInt8] = [], data: GuestPieces = GuestPieces(), isInput: Bool = true) {
        self.command = command
        self.packet = packet
        self.data = data
        self.isInput = isInput
    }
}

/// Bits of the status and error registers.
enum ATABits {
    static let error: UInt8 = 0x01, request: UInt8 = 0x08, seekDone: UInt8 = 0x10, fault: UInt8 = 0x20, ready: UInt8 = 0x40, busy: UInt8 = 0x80
    static let aborted: UInt8 = 0x04, notFound: UInt8 = 0x10, uncorrectable: UInt8 = 0x40
}

/// What the device's registers hold after a command.
public struct ATAReply: Sendable {
    public var status: UInt8 = ATABits.ready | ATABits.seekDone
    public var error: UInt8 = 0
    /// Bytes that went one way or the other.
    public var transferred = 0
    /// Data came by PIO, so that the host sees a PIO Setup FIS.
    public var isProgrammedInput = false
    /// Nil: as the command had them.
    public var count: UInt16?
    public var address: UInt64?

    static func done(_ transferred: Int = 0) -> ATAReply {
        var reply = ATAReply()
        reply.transferred = transferred
        return reply
    }
    static func failed(_ error: UInt8 = ATABits.aborted) -> ATAReply {
        var reply = ATAReply()
        reply.status |= ATABits.error
        reply.error = error
        return reply
    }
    var isError: Bool { status & ATABits.error != 0 }
}

/// A drive. `execute` may be called from any thread and may block.
public protocol ATAUnit: AnyObject, Sendable {
    var disk: BlockDevice { get }
    /// Sector count and LBA bits 7:0, 15:8, 23:16 after a reset, as PxSIG has them.
    var signature: UInt32 { get }
    /// Status after a reset.
    var resetStatus: UInt8 { get }
    /// The most bytes that a command moves, and whether towards the host; `isOutput` is what the host's adapter was told.
    func data(_ command: ATACommand, isOutput: Bool) -> (bytes: Int, isInput: Bool)
    /// Whether a command is short, and no flush.
    func isSmall(_ request: ATARequest) -> Bool
    func execute(_ request: ATARequest) -> ATAReply
    /// A reset by the link or by software; `isPowerOn` brings back what commands have set, too.
    func reset(isPowerOn: Bool)
    func transfer(_ state: inout StateTransfer) throws(StateError)
}

/// A SATA link: one drive.
public final class ATABus: ChildBus {
    public static let placeProperties = [Property("unit", .integer, "always 0: a link has one drive")]
    public let kind = "IDE"
    /// The port that it belongs to, from 0.
    public let number: Int
    private let content = Locked<(any ATAUnit)?>(nil)

    public init(_ number: Int) { self.number = number }

    public var unit: (any ATAUnit)? { content.withLock { $0 } }
    public var isFull: Bool { unit != nil }

    public func attach(_ unit: any ATAUnit, _ properties: Properties) throws(ConfigurationError) {
        if let place = properties.integer("unit"), place != 0 { throw ConfigurationError("\(properties.owner): property 'unit' is \(place), expected 0") }
        try content.withLock { (content) throws(ConfigurationError) in
            guard content == nil else { throw ConfigurationError("\(properties.owner): the bus has a drive already") }
            content = unit
        }
    }
}

/// Text in the words of IDENTIFY: two characters a word, the first one in the upper byte.
func swapped(_ text: String, _ width: Int) -> [UInt8] {
    var bytes = padded(text, width)
    for at in stride(from: 0, to: width - 1, by: 2) { bytes.swapAt(at, at + 1) }
    return bytes
}

/// 256 words, with the checksum that word 255 holds.
func identifyBytes(_ fill: (inout [UInt16]) -> Void, texts: [(word: Int, bytes: [UInt8])]) -> [UInt8] {
    var words = [UInt16](repeating: 0, count: 256)
    fill(&words)
    var bytes = words.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    for (word, text) in texts { bytes.replaceSubrange(word * 2 ..< word * 2 + text.count, with: text) }
    bytes[510] = 0xa5
    bytes[511] = 0
    bytes[511] = 0 &- bytes.reduce(0, &+)
    return bytes
}
