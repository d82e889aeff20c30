// SCSI commands as every carrier (virtio-scsi, ATAPI, USB) hands them to a logical unit, and how they end (SAM-5, SPC-4).

import Core

/// How a command ended (SAM-5 5.3.1).
public enum SCSIStatus: UInt8, Sendable { case good = 0, checkCondition = 2 }

/// Why (SPC-4 4.5): sense key, additional sense code and its qualifier.
public struct SCSISense: Sendable, Equatable {
    public var key: UInt8
    public var code: UInt8
    public var qualifier: UInt8

    init(_ key: UInt8, _ code: UInt8, _ qualifier: UInt8 = 0) { (self.key, self.code, self.qualifier) = (key, code, qualifier) }

    static let none = SCSISense(0, 0), mediumError = SCSISense(3, 0x11), writeError = SCSISense(3, 0x0c), hardwareError = SCSISense(4, 0x44)
    static let noMedium = SCSISense(2, 0x3a), invalidCommand = SCSISense(5, 0x20), outOfRange = SCSISense(5, 0x21), invalidField = SCSISense(5, 0x24)
    static let noUnit = SCSISense(5, 0x25), invalidParameter = SCSISense(5, 0x26), removalPrevented = SCSISense(5, 0x53, 2), modeMismatch = SCSISense(5, 0x64)
    static let powerOn = SCSISense(6, 0x29), mediumChanged = SCSISense(6, 0x28), writeProtected = SCSISense(7, 0x27), noSpace = SCSISense(7, 0x27, 7)
    static let miscompare = SCSISense(14, 0x1d)

    /// Fixed format, current error, 18 bytes.
    public var bytes: [UInt8] { [0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0] }
}

/// A command with its data.
public struct SCSIRequest: Sendable {
    public var command: [UInt8]
    /// What the initiator sends.
    public var output: GuestPieces
    /// Room for the answer.
    public var input: GuestPieces

    public init(_ command: [UInt8], output: GuestPieces = GuestPieces(), input: GuestPieces = GuestPieces()) {
        self.command = command
        self.output = output
        self.input = input
    }

    /// The big-endian number of `width` bytes at `offset` of the command; bytes that it does not have are 0.
    func field(_ offset: Int, _ width: Int) -> UInt64 {
        (offset ..< offset + width).reduce(0) { $0 &<< 8 | (command.indices.contains($1) ? UInt64(command[$1]) : 0) }
    }
    func byte(_ offset: Int) -> UInt8 { command.indices.contains(offset) ? command[offset] : 0 }
}

/// How it ended.
public struct SCSIReply: Sendable {
    public var status: SCSIStatus
    public var sense: SCSISense
    /// Bytes that went one way or the other.
    public var transferred: Int

    static func good(_ transferred: Int = 0) -> SCSIReply { SCSIReply(status: .good, sense: .none, transferred: transferred) }
    static func check(_ sense: SCSISense) -> SCSIReply { SCSIReply(status: .checkCondition, sense: sense, transferred: 0) }
}

/// A logical unit. `execute` may be called from any thread and may block.
public protocol SCSIUnit: AnyObject, Sendable {
    func execute(_ request: SCSIRequest) -> SCSIReply
    /// Back to the state after power-on or a reset of the unit.
    func reset()
    func transfer(_ state: inout StateTransfer) throws(StateError)
}

/// Big-endian numbers of answers.
func big<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

/// Text in a field of fixed width, filled with spaces.
func padded(_ text: String, _ width: Int) -> [UInt8] { Array((Array(text.utf8) + [UInt8](repeating: 0x20, count: width)).prefix(width)) }
