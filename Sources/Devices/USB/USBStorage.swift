// A disk or CD-ROM drive on USB: the Bulk-Only Transport (USB Mass Storage Class, Bulk-Only Transport 1.0) in front of a
// SCSI unit. The host sends a command block, data goes one way, a status block comes back.
//
// Data of a command that one transfer carries goes straight between disk and guest; data in several transfers goes through a
// buffer of `Limit.buffer` bytes.

import Block
import Core
import Glibc
import Host

public final class USBStorage: USBFunction {
    public static let properties: [Property] = [
        Property("drive", .reference("node"), "the disk"),
        Property("serial", .text, "serial number, up to 36 characters"),
        Property("removable", .flag, "the medium can be taken out", default: "off"),
        Property("werror", .choice(FailurePolicy.choices), "what becomes of writes that fail", default: "auto"),
        Property("rerror", .choice(FailurePolicy.choices), "what becomes of reads that fail", default: "auto"),
        Property("write-cache", .choice(["on", "off", "auto"]), "whether there is a write cache", default: "auto"),
        Property("logical_block_size", .size, "bytes of a block", default: "512"),
        Property("physical_block_size", .size, "bytes of a block of the medium", default: "512"),
        Property("min_io_size", .size, "the smallest good request", default: "0"),
        Property("opt_io_size", .size, "the best request", default: "0"),
    ]

    private enum Limit { static let buffer = 16 << 20 }
    private enum Endpoint { static let input: UInt8 = 0x81, output: UInt8 = 0x02 }
    private enum Signature { static let command: UInt32 = 0x4342_5355, status: UInt32 = 0x5342_5355 }

    /// Where a command is (section 5.3).
    private enum Phase: UInt8 {
        case command, dataOut, dataIn, executing, status
        /// What the host sent made no sense: nothing helps but a reset (section 5.3.4).
        case broken
    }

    let unit: SCSIDisk
    private let serial: String?
    private unowned var device: USBDevice! // Set by `connect`, before anything else is called.
    private var workers: RequestWorkers<SCSIRequest, SCSIReply>?
    private var buffer: RAMBlock?

    private var phase = Phase.command
    private var tag: UInt32 = 0
    private var block: [UInt8] = []
    private var isInput = false
    /// Bytes that the host expects to move, has moved, and that the unit has given.
    private var length = 0, moved = 0, available = 0
    private var residue: UInt32 = 0
    private var status: UInt8 = 0
    /// The request that waits to be taken, what it answered, and whether `execute` itself still waits for that.
    private var next: SCSIRequest?
    private var reply: SCSIReply?
    private var isStarting = false
    /// The transfer that waits for the unit: all of a command's data, or none.
    private var waiting: (endpoint: UInt8, data: GuestPieces)?
    private var isDirect = false

    public init(_ properties: Properties, node: Node, isOptical: Bool) throws(ConfigurationError) {
        unit = try SCSIDisk(properties, node: node, isOptical: isOptical)
        serial = properties.text("serial")
    }

    // MARK: USBFunction

    public let productName = "QEMU USB MSD"
    public let speeds: [USBSpeed] = [.full, .high, .superSpeed]

    public func description(serial make: (String) -> String) -> USBDescription {
        USBDescription(vendor: 0x46f4, product: 1, strings: ["QEMU", "QEMU USB HARDDRIVE", serial ?? make("1")], attributes: 0xc0, power: 0, classCode: (8, 6, 0x50))
    }

    public func endpoints(_ speed: USBSpeed) -> [USBEndpoint] {
        let packet: UInt16 = speed == .superSpeed ? 1024 : speed == .high ? 512 : 64
        return [Endpoint.input, Endpoint.output].map { USBEndpoint(address: $0, kind: .bulk, maximumPacket: packet, interval: 0, burst: 15) }
    }

    public func connect(_ device: USBDevice) {
        self.device = device
        guard let host = device.host else { return }
        let unit = unit
        workers = RequestWorkers(host, maximum: 1, take: { [unowned self] _ in take() }, isSmall: { Self.isSmall($0) }, run: { unit.execute($0) },
                                 finish: { [unowned self] in if let last = $0.last { finish(last.answer) } })
    }

    public func disconnect() { workers = nil }
    public func configured(_ isOn: Bool) { clear() }

    public func settle() {
        workers?.settle()
        // A worker that has not come to take it needs not come any more.
        for request in take() { finish(unit.execute(request)) }
    }

    public func abandon() {
        workers?.abandon()
        next = nil
        // A command whose answer is gone ends with a failure, should its status be asked for.
        if phase == .executing || waiting != nil { (phase, status) = (.status, 1) }
        waiting = nil
    }

    public func reset() {
        clear()
        unit.reset()
    }

    private func clear() {
        (phase, tag, block, isInput, length, moved, available, residue, status) = (.command, 0, [], false, 0, 0, 0, 0, 0)
        (next, reply, waiting, isDirect) = (nil, nil, nil, false)
    }

    /// Bulk-Only Mass Storage Reset and Get Max LUN (sections 3.1, 3.2).
    public func control(_ setup: USBSetup, _ data: [UInt8]) -> [UInt8]? {
        switch (setup.requestType, setup.request) {
        case (0x21, 0xff):
            abandon()
            clear()
            return []
        case (0xa1, 0xfe): return [0]
        default: return nil
        }
    }

    public func transfer(_ endpoint: UInt8, _ data: GuestPieces) -> USBResult {
        switch (endpoint, phase) {
        case (_, .broken): return .stall
        case (Endpoint.output, .command): return command(data)
        case (Endpoint.output, .dataOut): return dataOut(data)
        case (Endpoint.input, .dataIn): return dataIn(data)
        case (Endpoint.input, .status): return sendStatus(data)
        // The host reads while there is nothing yet.
        case (Endpoint.input, .command), (Endpoint.input, .executing): return .nak
        default: return broken()
        }
    }

    private func broken() -> USBResult {
        phase = .broken
        device.wake(Endpoint.input)
        return .stall
    }

    // MARK: phases

    private func command(_ data: GuestPieces) -> USBResult {
        let bytes = data.bytes(0, 32)
        let size = Int(bytes.count == 31 ? bytes[14] & 31 : 0)
        guard bytes.count == 31, data.count == 31, bytes.number(0, as: UInt32.self) == Signature.command, bytes[13] & 15 == 0, (1 ... 16).contains(size) else { return broken() }
        clear()
        tag = bytes.number(4)
        length = Int(bytes.number(8, as: UInt32.self))
        isInput = bytes[12] & 0x80 != 0
        block = Array(bytes[15 ..< 15 + size])
        residue = UInt32(truncatingIfNeeded: length)
        if length > 0 {
            phase = isInput ? .dataIn : .dataOut
            if isInput { device.wake(Endpoint.input) }
        } else {
            phase = .executing
            execute(SCSIRequest(block))
            if reply != nil { endCommand() }
        }
        return .done(31)
    }

    private func dataOut(_ data: GuestPieces) -> USBResult {
        guard waiting == nil else { return .nak }
        if moved == 0, data.count >= length {
            isDirect = true
            return start(SCSIRequest(block, output: data.slice(0, length)), Endpoint.output, data)
        }
        guard let buffer = ready() else { return broken() }
        let part = min(data.count, length - moved)
        data.copy(0, into: UnsafeMutableRawBufferPointer(start: buffer.host + moved, count: part))
        moved += part
        guard moved == length else { return .done(part) }
        return start(SCSIRequest(block, output: pieces(buffer)), Endpoint.output, data.slice(0, part))
    }

    private func dataIn(_ data: GuestPieces) -> USBResult {
        guard waiting == nil else { return .nak }
        if reply != nil { return give(data) }
        if data.count >= length {
            isDirect = true
            return start(SCSIRequest(block, input: data.slice(0, length)), Endpoint.input, data)
        }
        guard let buffer = ready() else { return broken() }
        // What a unit does not fill must not be what another command read.
        memset(buffer.host, 0, length)
        return start(SCSIRequest(block, input: pieces(buffer)), Endpoint.input, data)
    }

    /// The buffer, if the command's data fit in.
    private func ready() -> RAMBlock? {
        guard length <= Limit.buffer else { return nil }
        if buffer == nil {
            do throws(MemoryError) { buffer = try RAMBlock(name: "usb-storage", size: UInt64(Limit.buffer)) } catch { return nil }
        }
        return buffer
    }

    private func pieces(_ buffer: RAMBlock) -> GuestPieces { GuestPieces(GuestPiece(inside: buffer, offset: 0, count: length).map { [$0] } ?? []) }

    /// Has the unit do the command; the transfer ends when it has.
    private func start(_ request: SCSIRequest, _ endpoint: UInt8, _ data: GuestPieces) -> USBResult {
        waiting = (endpoint, data)
        execute(request)
        guard let (result, _) = ended() else { return .pending }
        return result
    }

    private func execute(_ request: SCSIRequest) {
        next = request
        reply = nil
        guard let workers else { return }
        isStarting = true
        workers.kick(0)
        isStarting = false
    }

    private func take() -> [SCSIRequest] {
        defer { next = nil }
        return next.map { [$0] } ?? []
    }

    private static func isSmall(_ request: SCSIRequest) -> Bool {
        guard request.input.count + request.output.count <= 160 << 10 else { return false }
        return [0x28, 0x88, 0x2a, 0x8a, 0x00, 0x12, 0x1a, 0x25, 0x5a, 0x9e, 0x03].contains(request.byte(0))
    }

    private func finish(_ answer: SCSIReply) {
        reply = answer
        guard !isStarting else { return }
        if let (result, endpoint) = ended() {
            device.complete(endpoint, result)
        } else if phase == .executing {
            endCommand()
            device.wake(Endpoint.input)
        }
    }

    /// The transfer that waited is over; nil: none waited, or the unit is not done.
    private func ended() -> (USBResult, UInt8)? {
        guard let reply, let (endpoint, data) = waiting else { return nil }
        waiting = nil
        available = min(max(0, reply.transferred), length)
        if endpoint == Endpoint.output {
            let count = isDirect ? length : data.count
            endCommand()
            return (.done(count), endpoint)
        }
        guard isDirect else { return (give(data), endpoint) }
        endCommand()
        return (.done(available), endpoint)
    }

    /// A part of what the unit has put into the buffer.
    private func give(_ data: GuestPieces) -> USBResult {
        let part = min(data.count, max(0, available - moved), max(0, length - moved))
        if let buffer { data.fill(0, from: UnsafeRawBufferPointer(start: buffer.host + moved, count: part)) }
        moved += part
        // A short packet, an empty one too, ends the data.
        if part < data.count || moved >= length { endCommand() }
        return .done(part)
    }

    private func endCommand() {
        let done = min(max(0, reply?.transferred ?? 0), length)
        residue = UInt32(truncatingIfNeeded: length - done)
        status = reply?.status == .good ? 0 : 1
        phase = .status
        device.wake(Endpoint.input)
    }

    private func sendStatus(_ data: GuestPieces) -> USBResult {
        guard data.count >= 13 else { return broken() }
        var fields = FieldWriter()
        fields.add(Signature.status)
        fields.add(tag)
        fields.add(residue)
        fields.add(status)
        data.fill(0, bytes: fields.bytes)
        phase = .command
        device.wake(Endpoint.output)
        return .done(13)
    }

    // MARK: state

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        if state.isLoading { workers?.abandon() } else { settle() }
        var number = phase.rawValue, sizes = [UInt64(length), UInt64(moved), UInt64(available)]
        var hasReply = reply != nil, isGood = reply?.status != .checkCondition
        var held = phase == .dataIn && hasReply || phase == .dataOut && moved > 0 ? contents() : []
        try state.field("phase", &number)
        try state.field("tag", &tag)
        try state.field("block", &block, maximum: 16)
        try state.field("input", &isInput)
        try state.field("sizes", &sizes)
        try state.field("residue", &residue)
        try state.field("status", &status)
        try state.field("answered", &hasReply)
        try state.field("good", &isGood)
        try state.field("buffer", &held, maximum: Limit.buffer)
        try state.part("unit") { (part) throws(StateError) in try unit.transfer(&part) }
        guard state.isLoading else { return }
        guard let loaded = Phase(rawValue: number), sizes[0] <= UInt64(UInt32.max), sizes[1] <= sizes[0], sizes[2] <= sizes[0] else { throw .badValue("phase") }
        (phase, length, moved, available) = (loaded, Int(sizes[0]), Int(sizes[1]), Int(sizes[2]))
        (next, waiting, isDirect, reply) = (nil, nil, false, hasReply ? SCSIReply(status: isGood ? .good : .checkCondition, sense: .none, transferred: available) : nil)
        // A buffer that is not there makes the command fail, never more.
        if !held.isEmpty, held.count == length, let buffer = ready() { held.withUnsafeBytes { if let base = $0.baseAddress { memcpy(buffer.host, base, $0.count) } } }
        else if phase == .dataIn && hasReply || phase == .dataOut && moved > 0 || phase == .executing { (phase, status) = (.status, 1) }
    }

    private func contents() -> [UInt8] { buffer.map { Array(UnsafeRawBufferPointer(start: $0.host, count: min(length, Limit.buffer))) } ?? [] }
}
