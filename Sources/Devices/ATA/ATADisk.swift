// A SATA disk: the commands of ACS-3 that operating systems and firmware use, with native command queuing.
//
// Left out: security, host protected areas, power management beyond answers, streaming, queued TRIM.

import Block
import Core
import Host

public final class ATADisk: ATAUnit {
    public static let properties = [
        Property("drive", .reference("node"), "the disk"),
        Property("serial", .text, "serial number, up to 20 characters"),
        Property("model", .text, "model, up to 40 characters", default: "QEMU HARDDISK"),
        Property("ver", .text, "firmware's revision, up to 8 characters", default: "2.5+"),
        Property("wwn", .integer, "world wide name", default: "0"),
        Property("rotation_rate", .integer, "revolutions a minute; 1: no rotation, 0: unknown", default: "0"),
        Property("physical_block_size", .size, "bytes of a block of the medium", default: "512"),
        Property("werror", .choice(FailurePolicy.choices), "what becomes of writes that fail", default: "auto"),
        Property("rerror", .choice(FailurePolicy.choices), "what becomes of reads that fail", default: "auto"),
        Property("write-cache", .choice(["on", "off", "auto"]), "whether there is a write cache", default: "auto"),
    ]

    public let disk: BlockDevice
    public let signature: UInt32 = 0x0000_0101
    public let resetStatus = ATABits.ready | ATABits.seekDone
    let model: String, serial: String, revision: String
    let name: UInt64
    let rotationRate: UInt16
    let physicalExponent: UInt16
    let startsCached: Bool
    let state: Locked<State>
    static let sector: UInt64 = 512
    /// Blocks of ranges that one DATA SET MANAGEMENT takes.
    static let maximumRangeBlocks = 8
    /// Sectors of one block of READ MULTIPLE.
    static let maximumMultiple: UInt16 = 16

    struct State: Sendable {
        var multiple: UInt16 = ATADisk.maximumMultiple
        var hasSmart = true
        var looksAhead = true
        /// The transfer mode that SET FEATURES chose: Ultra DMA 5.
        var mode: UInt8 = 0x45
        /// What the log of queued errors says (log 0x10): tag, status, error, address, count.
        var failedTag: UInt8 = 0x80
        var failedStatus: UInt8 = 0, failedError: UInt8 = 0
        var failedAddress: UInt64 = 0, failedCount: UInt16 = 0
    }

    public init(_ properties: Properties, node: Node, number: Int) throws(ConfigurationError) {
        disk = try BlockDevice(node, isReadOnly: false)
        let owner = properties.owner
        func text(_ name: String, _ standard: String, _ width: Int) throws(ConfigurationError) -> String {
            let value = properties.text(name) ?? standard
            guard value.utf8.count <= width else { throw ConfigurationError("\(owner): property '\(name)' is longer than \(width) characters") }
            return value
        }
        serial = try text("serial", ATADisk.standardSerial(number), 20)
        model = try text("model", "QEMU HARDDISK", 40)
        revision = try text("ver", "2.5+", 8)
        name = properties.integer("wwn") ?? 0
        let rate = properties.integer("rotation_rate") ?? 0, physical = properties.size("physical_block_size") ?? 512
        guard rate <= 0xffff else { throw ConfigurationError("\(owner): property 'rotation_rate' is \(rate), expected 0 to 65535") }
        guard (512 ... 2 << 20).contains(physical), physical & (physical - 1) == 0 else {
            throw ConfigurationError("\(owner): property 'physical_block_size' is \(physical), expected a power of two from 512 to 2097152")
        }
        rotationRate = UInt16(rate)
        physicalExponent = UInt16(physical.trailingZeroBitCount - 9)
        startsCached = properties.text("write-cache") == "on" || properties.text("write-cache") != "off" && !node.access.cache.writeThrough
        state = Locked(State())
        disk.isWriteCacheEnabled = startsCached
    }

    /// As QEMU counts drives, of which a bus has two.
    static func standardSerial(_ number: Int) -> String {
        let digits = String(number * 2 + 1)
        return "QM" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }

    var sectors: UInt64 { disk.size / Self.sector }

    // MARK: ranges

    /// How a command says which sectors it is for, and what it does with them.
    private enum Kind { case none, read, write, verify }
    private static func kind(_ code: UInt8) -> (kind: Kind, isLong: Bool, isProgrammed: Bool, isForced: Bool) {
        switch code {
        case 0x20, 0x21, 0xc4: (.read, false, true, false)
        case 0x24, 0x29: (.read, true, true, false)
        case 0xc8, 0xc9: (.read, false, false, false)
        case 0x25, 0x60: (.read, true, false, false)
        case 0x30, 0x31, 0xc5: (.write, false, true, false)
        case 0x34, 0x39: (.write, true, true, false)
        case 0xce: (.write, true, true, true)
        case 0xca, 0xcb: (.write, false, false, false)
        case 0x35, 0x61: (.write, true, false, false)
        case 0x3d: (.write, true, false, true)
        case 0x40, 0x41: (.verify, false, false, false)
        case 0x42: (.verify, true, false, false)
        default: (.none, false, false, false)
        }
    }

    /// Sectors of a command, in which 0 stands for the most there can be.
    private static func count(_ command: ATACommand, isLong: Bool) -> UInt64 {
        let value = command.isQueued ? command.features : isLong ? command.count : command.count & 0xff
        return value == 0 ? (isLong ? 65536 : 256) : UInt64(value)
    }

    private static let heads: UInt64 = 16, track: UInt64 = 63

    private static func first(_ command: ATACommand, isLong: Bool) -> UInt64? {
        if isLong { return command.address }
        let low = command.address & 0xff_ffff, head = UInt64(command.device & 15)
        if command.device & 0x40 != 0 { return low | head << 24 }
        // Cylinder, head, sector from 1.
        guard low & 0xff != 0, low & 0xff <= track else { return nil }
        return ((low >> 8) * heads + head) * track + (low & 0xff) - 1
    }

    public func data(_ command: ATACommand, isOutput: Bool) -> (bytes: Int, isInput: Bool) {
        let (kind, isLong, _, _) = Self.kind(command.code)
        switch kind {
        case .read, .write: return (Int(Self.count(command, isLong: isLong) * Self.sector), kind == .read)
        case .verify: return (0, false)
        case .none: break
        }
        switch command.code {
        case 0x06: return (min(Self.maximumRangeBlocks, Int(command.count)) * 512, false)
        case 0x2f, 0x47: return (min(256, Int(command.count)) * 512, true)
        case 0xb0: return ([0xd0, 0xd1, 0xd5].contains(command.features & 0xff) ? 512 : 0, true)
        case 0xec: return (512, true)
        default: return (0, true)
        }
    }

    public func isSmall(_ request: ATARequest) -> Bool {
        let kind = Self.kind(request.command.code).kind
        return (kind == .read || kind == .write) && request.data.count <= 160 << 10 || request.command.code == 0xec
    }

    // MARK: commands

    public func execute(_ request: ATARequest) -> ATAReply {
        let reply = perform(request)
        if reply.isError, request.command.isQueued {
            state.withLock { state in
                state.failedTag = UInt8(request.command.tag)
                (state.failedStatus, state.failedError) = (reply.status, reply.error)
                (state.failedAddress, state.failedCount) = (request.command.address, request.command.features)
            }
        }
        return reply
    }

    private func perform(_ request: ATARequest) -> ATAReply {
        let command = request.command
        let (kind, isLong, isProgrammed, isForced) = Self.kind(command.code)
        if kind != .none {
            let count = Self.count(command, isLong: isLong), sectors = sectors
            if [0xc4, 0x29, 0xc5, 0x39, 0xce].contains(command.code), state.withLock({ $0.multiple == 0 }) { return .failed() }
            guard let first = Self.first(command, isLong: isLong), first <= sectors, count <= sectors - first else {
                return .failed(ATABits.notFound | (command.isQueued ? ATABits.aborted : 0))
            }
            return move(request, kind, first * Self.sector, count * Self.sector, isProgrammed: isProgrammed,
                        isForced: isForced || command.isQueued && command.device & 0x80 != 0)
        }
        switch command.code {
        case 0x06: return manageData(request)
        case 0x2f, 0x47: return readLog(request)
        case 0x10 ... 0x1f, 0x70: return .done()
        case 0x27, 0xf8: return nativeMaximum(command)
        case 0x90:
            var reply = ATAReply()
            (reply.error, reply.count, reply.address) = (1, 1, 1)
            return reply
        // Geometry cannot be changed: what it is may be said.
        case 0x91: return command.count & 0xff == Self.track && command.device & 15 == Self.heads - 1 ? .done() : .failed()
        case 0x94, 0x95, 0x96, 0x97, 0xe0, 0xe1, 0xe2, 0xe3: return .done()
        case 0x99, 0xe6: return .done()
        case 0x98, 0xe5:
            var reply = ATAReply()
            reply.count = 0xff
            return reply
        case 0xb0: return smart(request)
        case 0xc6: return setMultiple(command.count & 0xff)
        case 0xe7, 0xea: return disk.flush().isDone ? .done() : .failed()
        case 0xec: return answer(request, identity)
        case 0xef: return setFeatures(command)
        default: return .failed()
        }
    }

    /// Data by PIO.
    func answer(_ request: ATARequest, _ bytes: [UInt8]) -> ATAReply {
        var reply = ATAReply.done(request.data.fill(0, bytes: bytes))
        reply.isProgrammedInput = true
        return reply
    }

    private func move(_ request: ATARequest, _ kind: Kind, _ offset: UInt64, _ count: UInt64, isProgrammed: Bool, isForced: Bool) -> ATAReply {
        guard kind != .verify else { return .done() }
        guard UInt64(request.data.count) == count else { return .failed() }
        if kind == .read {
            guard disk.read(offset, into: request.data).isDone else { return .failed(ATABits.uncorrectable) }
            var reply = ATAReply.done(request.data.count)
            reply.isProgrammedInput = isProgrammed
            return reply
        }
        guard disk.write(offset, from: request.data).isDone, !isForced || disk.flush().isDone else { return .failed() }
        return .done(request.data.count)
    }

    /// DATA SET MANAGEMENT (ACS-3 7.5): TRIM. Ranges of 48 bits of address and 16 bits of count.
    private func manageData(_ request: ATARequest) -> ATAReply {
        let command = request.command
        guard command.features & 0xff == 1, (1 ... Self.maximumRangeBlocks).contains(Int(command.count)) else { return .failed() }
        let list = request.data.bytes(0, Int(command.count) * 512), sectors = sectors
        guard list.count == Int(command.count) * 512 else { return .failed() }
        for at in stride(from: 0, to: list.count, by: 8) {
            let entry: UInt64 = list.number(at), first = entry & 0xffff_ffff_ffff, count = entry >> 48
            guard count > 0 else { continue }
            guard first <= sectors, count <= sectors - first else { return .failed(ATABits.notFound | ATABits.aborted) }
            guard disk.discard(first * Self.sector, count * Self.sector).isDone else { return .failed() }
        }
        return .done(list.count)
    }

    private func nativeMaximum(_ command: ATACommand) -> ATAReply {
        guard sectors > 0, command.device & 0x40 != 0 else { return .failed() }
        var reply = ATAReply()
        reply.address = command.code == 0x27 ? sectors - 1 : min(sectors - 1, 0xfff_ffff)
        return reply
    }

    private func setMultiple(_ count: UInt16) -> ATAReply {
        guard count <= Self.maximumMultiple, count & (count &- 1) == 0 else { return .failed() }
        state.withLock { $0.multiple = count }
        return .done()
    }

    private func setFeatures(_ command: ATACommand) -> ATAReply {
        switch command.features & 0xff {
        case 0x02: disk.isWriteCacheEnabled = true
        case 0x82:
            guard disk.flush().isDone else { return .failed() }
            disk.isWriteCacheEnabled = false
        case 0x03:
            let mode = UInt8(truncatingIfNeeded: command.count)
            switch mode {
            case 0x00, 0x01, 0x08 ... 0x0c: break
            case 0x20 ... 0x22, 0x40 ... 0x45: state.withLock { $0.mode = mode }
            default: return .failed()
            }
        case 0x55: state.withLock { $0.looksAhead = false }
        case 0xaa: state.withLock { $0.looksAhead = true }
        // Whether a soft reset brings back what was at power-on: it does not.
        case 0x66: break
        default: return .failed()
        }
        return .done()
    }

    // MARK: life

    public func reset(isPowerOn: Bool) {
        guard isPowerOn else { return }
        state.withLock { $0 = State() }
        disk.isWriteCacheEnabled = startsCached
    }

    public func transfer(_ transfer: inout StateTransfer) throws(StateError) {
        var copy = state.withLock { $0 }, isCached = disk.isWriteCacheEnabled
        try transfer.field("multiple", &copy.multiple)
        try transfer.field("smart", &copy.hasSmart)
        try transfer.field("lookAhead", &copy.looksAhead)
        try transfer.field("mode", &copy.mode)
        try transfer.field("failedTag", &copy.failedTag)
        try transfer.field("failedStatus", &copy.failedStatus)
        try transfer.field("failedError", &copy.failedError)
        try transfer.field("failedAddress", &copy.failedAddress)
        try transfer.field("failedCount", &copy.failedCount)
        try transfer.field("cached", &isCached)
        guard transfer.isLoading else { return }
        guard copy.multiple <= Self.maximumMultiple else { throw .badValue("multiple") }
        let loaded = copy
        state.withLock { $0 = loaded }
        disk.isWriteCacheEnabled = isCached
    }
}
