// A CD-ROM drive on a SATA link: PACKET carries SCSI's commands to the same unit that SCSI buses have (ACS-3 7.23, MMC-5).

import Block
import Core
import Host

public final class ATAPIDrive: ATAUnit {
    public static let properties = [
        Property("drive", .reference("node"), "the medium"),
        Property("serial", .text, "serial number, up to 20 characters"),
        Property("model", .text, "model, up to 40 characters", default: "QEMU DVD-ROM"),
        Property("ver", .text, "firmware's revision, up to 8 characters", default: "2.5+"),
        Property("wwn", .integer, "world wide name", default: "0"),
    ]

    public let unit: SCSIDisk
    public var disk: BlockDevice { unit.disk }
    public let signature: UInt32 = 0xeb14_0101
    public let resetStatus: UInt8 = 0
    private let model: String, serial: String, revision: String
    private let name: UInt64
    /// Bytes of one PACKET.
    private static let maximumTransfer = 32 << 20
    /// Interrupt reason: the command is over, and nothing is to be moved.
    private static let completed: UInt16 = 3

    public init(_ properties: Properties, unit: SCSIDisk, number: Int) throws(ConfigurationError) {
        self.unit = unit
        let owner = properties.owner
        func text(_ name: String, _ standard: String, _ width: Int) throws(ConfigurationError) -> String {
            let value = properties.text(name) ?? standard
            guard value.utf8.count <= width else { throw ConfigurationError("\(owner): property '\(name)' is longer than \(width) characters") }
            return value
        }
        serial = try text("serial", ATADisk.standardSerial(number), 20)
        model = try text("model", "QEMU DVD-ROM", 40)
        revision = try text("ver", "2.5+", 8)
        name = properties.integer("wwn") ?? 0
    }

    public func data(_ command: ATACommand, isOutput: Bool) -> (bytes: Int, isInput: Bool) {
        switch command.code {
        case 0xa0: (Self.maximumTransfer, !isOutput)
        case 0xa1: (512, true)
        default: (0, true)
        }
    }

    public func isSmall(_ request: ATARequest) -> Bool { request.command.code == 0xa0 && request.data.count <= 160 << 10 }

    public func execute(_ request: ATARequest) -> ATAReply {
        let command = request.command
        switch command.code {
        case 0xa0: return packet(request)
        case 0xa1:
            var reply = ATAReply.done(request.data.fill(0, bytes: identity))
            reply.isProgrammedInput = true
            return reply
        case 0x08:
            unit.reset()
            return signed()
        case 0x90:
            var reply = signed()
            reply.error = 1
            return reply
        // IDENTIFY DEVICE and READ SECTORS are aborted with the signature, by which hosts tell what it is.
        case 0xec, 0x20:
            var reply = signed()
            reply.status |= ATABits.error
            reply.error = ATABits.aborted
            return reply
        case 0xe0, 0xe1, 0xe2, 0xe3, 0xe6: return .done()
        case 0xe5:
            var reply = ATAReply()
            reply.count = 0xff
            return reply
        case 0xef:
            switch (command.features & 0xff, command.count & 0xff) {
            case (0x03, 0x00ff): return .failed()
            case (0x03, _), (0x66, _): return .done()
            default: return .failed()
            }
        default: return .failed()
        }
    }

    private func signed() -> ATAReply {
        var reply = ATAReply()
        (reply.count, reply.address) = (1, 0xeb1401)
        return reply
    }

    private func packet(_ request: ATARequest) -> ATAReply {
        let none = GuestPieces()
        let answer = unit.execute(SCSIRequest(request.packet, output: request.isInput ? none : request.data, input: request.isInput ? request.data : none))
        var reply = ATAReply.done(answer.transferred)
        reply.count = Self.completed
        if answer.status != .good {
            reply.status = ATABits.ready | ATABits.error
            reply.error = answer.sense.key << 4 | (answer.sense.key == 5 ? ATABits.aborted : 0)
        } else {
            reply.isProgrammedInput = request.command.features & 1 == 0 && request.isInput && answer.transferred > 0
        }
        return reply
    }

    private var identity: [UInt8] {
        identifyBytes({ words in
            // A CD-ROM drive with a removable medium, packets of 12 bytes.
            words[0] = 0x85c0
            (words[20], words[21], words[22]) = (3, 512, 4)
            (words[48], words[49], words[53]) = (1, 0x0b00, 7)
            (words[62], words[63], words[64]) = (7, 7, 3)
            for at in 65 ... 68 { words[at] = 0xb4 }
            (words[71], words[72]) = (30, 30)
            (words[76], words[80]) = (0x0002, 0x01f0)
            (words[82], words[83], words[84]) = (0x4210, 0x4000, name == 0 ? 0x4000 : 0x4100)
            (words[85], words[87]) = (0x4210, words[84])
            words[88] = 0x203f
            if name != 0 { for at in 0 ..< 4 { words[108 + at] = UInt16(truncatingIfNeeded: name >> UInt64(48 - at * 16)) } }
        }, texts: [(10, swapped(serial, 20)), (23, swapped(revision, 8)), (27, swapped(model, 40))])
    }

    public func reset(isPowerOn: Bool) { unit.reset() }
    public func transfer(_ state: inout StateTransfer) throws(StateError) { try unit.transfer(&state) }
}
