// A SCSI disk or CD-ROM drive as a logical unit: the commands of SPC-4, SBC-3 and MMC-5 that operating systems use.
//
// Left out: protection information, reservations that exclude anybody (there is one initiator), descriptor-format sense,
// burning, audio, third-party copies.

import Block
import Core
import Host

public final class SCSIDisk: SCSIUnit, RemovableDrive {
    public static let properties = [
        Property("drive", .reference("node"), "the disk"),
        Property("serial", .text, "serial number, up to 36 characters"),
        Property("vendor", .text, "vendor, up to 8 characters", default: "QEMU"),
        Property("product", .text, "product, up to 16 characters"),
        Property("ver", .text, "revision, up to 4 characters", default: "2.5+"),
        Property("device_id", .text, "identifier of the unit, up to 20 characters"),
        Property("wwn", .integer, "world wide name", default: "0"),
        Property("removable", .flag, "the medium can be taken out", default: "off"),
        Property("dpofua", .flag, "writes can be forced to the medium", default: "off"),
        Property("rotation_rate", .integer, "revolutions a minute; 1: no rotation, 0: unknown", default: "0"),
        Property("werror", .choice(FailurePolicy.choices), "what becomes of writes that fail", default: "auto"),
        Property("rerror", .choice(FailurePolicy.choices), "what becomes of reads that fail", default: "auto"),
        Property("write-cache", .choice(["on", "off", "auto"]), "whether there is a write cache", default: "auto"),
        Property("logical_block_size", .size, "bytes of a block", default: "512"),
        Property("physical_block_size", .size, "bytes of a block of the medium", default: "512"),
        Property("min_io_size", .size, "the smallest good request", default: "0"),
        Property("opt_io_size", .size, "the best request", default: "0"),
    ]

    public let disk: BlockDevice
    let isOptical: Bool
    /// Bytes.
    let blockSize: UInt64
    let physicalExponent: UInt8
    let vendor: String, product: String, revision: String, serial: String, identifier: String
    let name: UInt64
    let isRemovable: Bool
    let mayForce: Bool
    let rotationRate: UInt16
    let smallest: UInt64, best: UInt64
    let startsCached: Bool
    let state = Locked(State())
    /// Blocks of one READ or WRITE of the largest size that a unit should take.
    static let maximumBytes: UInt64 = 64 << 20

    struct State: Sendable {
        /// Unit attention that the next command finds; 0x29 after power-on.
        var attention: UInt8 = 0x29
        /// For REQUEST SENSE.
        var sense = SCSISense.none
        var isLocked = false
        /// The tray is open.
        var isEjected = false
        /// What GET EVENT STATUS NOTIFICATION tells next: 1 eject request, 2 new medium, 3 removal.
        var mediaEvent: UInt8 = 0
        var trayMoved: @Sendable (Bool) -> Void = { _ in }
    }

    /// - Parameter product: what INQUIRY says, unless it is given.
    public init(_ properties: Properties, node: Node, isOptical: Bool, product standardProduct: String? = nil) throws(ConfigurationError) {
        self.isOptical = isOptical
        disk = try BlockDevice(node, isReadOnly: isOptical || !node.isWritable, mayBeEmpty: isOptical)
        let owner = properties.owner
        func size(_ name: String, _ standard: UInt64, _ range: ClosedRange<UInt64>) throws(ConfigurationError) -> UInt64 {
            let value = properties.isGiven(name) ? properties.size(name) ?? standard : standard
            guard range.contains(value), value & (value &- 1) == 0 else {
                throw ConfigurationError("\(owner): property '\(name)' is \(value), expected a power of two from \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        func text(_ name: String, _ standard: String, _ width: Int) throws(ConfigurationError) -> String {
            let value = properties.text(name) ?? standard
            guard value.utf8.count <= width else { throw ConfigurationError("\(owner): property '\(name)' is longer than \(width) characters") }
            return value
        }
        blockSize = try size("logical_block_size", isOptical ? 2048 : 512, 512 ... 32768)
        let physical = try size("physical_block_size", blockSize, blockSize ... 2 << 20)
        physicalExponent = UInt8(physical.trailingZeroBitCount - blockSize.trailingZeroBitCount)
        vendor = try text("vendor", "QEMU", 8)
        product = try text("product", standardProduct ?? (isOptical ? "QEMU CD-ROM" : "QEMU HARDDISK"), 16)
        revision = try text("ver", "2.5+", 4)
        serial = try text("serial", "", 36)
        identifier = try text("device_id", serial.isEmpty ? node.name : String(serial.prefix(20)), 255)
        name = properties.integer("wwn") ?? 0
        isRemovable = isOptical || properties.flag("removable")
        mayForce = properties.flag("dpofua")
        let rate = properties.integer("rotation_rate") ?? 0
        guard rate <= 0xffff else { throw ConfigurationError("\(owner): property 'rotation_rate' is \(rate), expected 0 to 65535") }
        rotationRate = UInt16(rate)
        smallest = (properties.size("min_io_size") ?? 0) / blockSize
        best = (properties.size("opt_io_size") ?? 0) / blockSize
        startsCached = properties.text("write-cache") == "on" || properties.text("write-cache") != "off" && !node.access.cache.writeThrough
        disk.isWriteCacheEnabled = startsCached
    }

    /// There is a medium, behind a closed tray.
    var hasMedium: Bool { !state.withLock { $0.isEjected } && !disk.isEmpty }
    /// Whole blocks.
    var blocks: UInt64 { disk.size / blockSize }

    // MARK: life

    public func reset() {
        disk.isWriteCacheEnabled = startsCached
        state.withLock { state in
            let old = state
            state = State()
            (state.isEjected, state.trayMoved) = (old.isEjected, old.trayMoved)
        }
    }

    public func transfer(_ transfer: inout StateTransfer) throws(StateError) {
        var copy = state.withLock { $0 }, isCached = disk.isWriteCacheEnabled
        try transfer.field("attention", &copy.attention)
        try transfer.field("senseKey", &copy.sense.key)
        try transfer.field("senseCode", &copy.sense.code)
        try transfer.field("senseQualifier", &copy.sense.qualifier)
        try transfer.field("locked", &copy.isLocked)
        try transfer.field("ejected", &copy.isEjected)
        try transfer.field("event", &copy.mediaEvent)
        try transfer.field("cached", &isCached)
        guard transfer.isLoading else { return }
        state.withLock { $0 = copy }
        disk.isWriteCacheEnabled = isCached
    }

    // MARK: commands

    public func execute(_ request: SCSIRequest) -> SCSIReply {
        let operation = request.byte(0)
        // INQUIRY, REPORT LUNS, REQUEST SENSE and GESN do not report attentions.
        let attention: UInt8 = [0x12, 0xa0, 0x03, 0x4a].contains(operation) ? 0 : state.withLock { state in
            let code = state.attention
            state.attention = 0
            return code
        }
        let reply = attention != 0 ? .check(SCSISense(6, attention)) : perform(operation, request)
        if operation != 0x03 { state.withLock { $0.sense = reply.sense } }
        return reply
    }

    private func perform(_ operation: UInt8, _ request: SCSIRequest) -> SCSIReply {
        switch operation {
        case 0x03: return requestSense(request)
        case 0x12: return inquiry(request)
        case 0xa0: return reportUnits(request)
        case 0x1e: return preventRemoval(request)
        case 0x1b: return startStop(request)
        case 0x16, 0x17: return .good()
        case 0x1a, 0x5a: return modeSense(request)
        case 0x15, 0x55: return modeSelect(request)
        case 0x4a where isOptical: return eventStatus(request)
        case 0x46 where isOptical: return configuration(request)
        case 0xbb where isOptical, 0xa7 where isOptical: return .good()
        case 0xbd where isOptical: return answer(request, [0, 0, 0, 0, 0, 1, 0, 0], allocation: request.field(8, 2))
        default: break
        }
        guard hasMedium else { return .check(.noMedium) }
        switch operation {
        case 0x00: return .good()
        case 0x08, 0x28, 0xa8, 0x88: return read(request)
        case 0x25: return capacity(request)
        case 0x9e where request.byte(1) & 31 == 0x10: return longCapacity(request)
        case 0x2f, 0xaf, 0x8f: return verify(request)
        case 0x35, 0x91: return result(disk.flush(), 0)
        case 0x2b: return .good()
        case 0x43 where isOptical: return tableOfContents(request)
        case 0x51 where isOptical: return discInformation(request)
        case 0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e: return isOptical ? .check(.invalidCommand) : write(request)
        case 0x41, 0x93: return isOptical ? .check(.invalidCommand) : writeSame(request)
        case 0x42: return isOptical ? .check(.invalidCommand) : unmap(request)
        default: return .check(.invalidCommand)
        }
    }

    /// Sends `bytes`, at most what the command's allocation length and the initiator's room allow.
    func answer(_ request: SCSIRequest, _ bytes: [UInt8], allocation: UInt64) -> SCSIReply {
        let count = min(bytes.count, Int(clamping: allocation))
        return .good(request.input.fill(0, bytes: Array(bytes.prefix(count))))
    }

    func result(_ result: DiskResult, _ transferred: Int, isWrite: Bool = false) -> SCSIReply {
        switch result {
        case .done: .good(transferred)
        case .failed(.readOnly): .check(.writeProtected)
        case .failed(.noSpace): .check(.noSpace)
        case .failed(.invalid): .check(.outOfRange)
        case .failed: .check(isWrite ? .writeError : .mediumError)
        }
    }

    private func requestSense(_ request: SCSIRequest) -> SCSIReply {
        let sense = state.withLock { state in
            let sense = state.sense
            state.sense = .none
            return sense
        }
        return answer(request, sense.bytes, allocation: request.field(4, 1))
    }

    private func reportUnits(_ request: SCSIRequest) -> SCSIReply {
        answer(request, big(UInt32(8)) + [UInt8](repeating: 0, count: 12), allocation: request.field(6, 4))
    }
}
