// virtio-blk (Virtual I/O Device 1.3, section 5.2). Requests are taken from the rings in batches and read and write the
// guest's memory in place; who does them is the business of `RequestWorkers`.
//
// Left out: zoned devices, lifetime, secure erase.

import Block
import Core
import Host

public final class VirtioBlock: VirtioFunction, QueueResetting {
    public static let properties = [
        Property("drive", .reference("node"), "the disk"),
        Property("iothread", .reference("iothread"), "the thread that does its requests"),
        Property("serial", .text, "what the guest reads as the disk's serial number"),
        Property("num-queues", .integer, "queues"),
        Property("queue-size", .integer, "requests a queue can hold", default: "256"),
        Property("seg-max-adjust", .flag, "as many segments as the queue holds", default: "on"),
        Property("config-wce", .flag, "the guest may switch the write cache", default: "on"),
        Property("werror", .choice(FailurePolicy.choices), "what becomes of writes that fail", default: "auto"),
        Property("rerror", .choice(FailurePolicy.choices), "what becomes of reads that fail", default: "auto"),
        Property("write-cache", .choice(["on", "off", "auto"]), "whether the guest is told of a write cache", default: "auto"),
        Property("discard", .flag, "the guest may discard", default: "on"),
        Property("write-zeroes", .flag, "the guest may have zeros written", default: "on"),
        Property("logical_block_size", .size, "bytes of a block", default: "512"),
        Property("physical_block_size", .size, "bytes of a block of the medium", default: "512"),
        Property("min_io_size", .size, "the smallest good request", default: "0"),
        Property("opt_io_size", .size, "the best request", default: "0"),
        Property("cyls", .integer, "cylinders", default: "0"),
        Property("heads", .integer, "heads", default: "0"),
        Property("secs", .integer, "sectors of a track", default: "0"),
    ]

    private enum Feature {
        static let segments: UInt64 = 1 << 2, geometry: UInt64 = 1 << 4, readOnly: UInt64 = 1 << 5, blockSize: UInt64 = 1 << 6
        static let flush: UInt64 = 1 << 9, topology: UInt64 = 1 << 10, cacheSwitch: UInt64 = 1 << 11, queues: UInt64 = 1 << 12
        static let discard: UInt64 = 1 << 13, zeroes: UInt64 = 1 << 14
    }
    private enum Status { static let ok: UInt8 = 0, error: UInt8 = 1, unsupported: UInt8 = 2 }
    private enum Kind { static let read: UInt32 = 0, write: UInt32 = 1, flush: UInt32 = 4, identity: UInt32 = 8, discard: UInt32 = 11, zeroes: UInt32 = 13 }

    public let type = VirtioType.block
    public let queueSizes: [UInt16]
    public let features: UInt64
    public let disk: BlockDevice
    private let serial: [UInt8]
    private let blockSize: UInt32
    private let physicalExponent: UInt8
    private let smallest: UInt16
    private let best: UInt32
    private let geometry: (cylinders: UInt16, heads: UInt8, sectors: UInt8)
    private let segments: UInt32
    private let startsCached: Bool
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private var workers: RequestWorkers<Request, Int>?
    private let thread: IOThread?

    private struct Request: Sendable {
        var queue: Int
        var chain: VirtChain
    }
    public init(_ properties: Properties, node: Node, processors: Int = 1, thread: IOThread? = nil) throws(ConfigurationError) {
        self.thread = thread
        disk = try BlockDevice(node, isReadOnly: !node.isWritable)
        let owner = properties.owner
        func checked(_ name: String, _ value: UInt64, _ range: ClosedRange<UInt64>, powerOfTwo: Bool = false) throws(ConfigurationError) -> UInt64 {
            guard range.contains(value), !powerOfTwo || value & (value &- 1) == 0 else {
                throw ConfigurationError("\(owner): property '\(name)' is \(value), expected \(powerOfTwo ? "a power of two from " : "")\(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        let queues = Int(try checked("num-queues", properties.integer("num-queues") ?? UInt64(min(64, max(1, processors))), 1 ... 1024))
        let size = UInt16(try checked("queue-size", properties.integer("queue-size") ?? 256, 4 ... 1024, powerOfTwo: true))
        queueSizes = [UInt16](repeating: size, count: queues)
        segments = properties.flag("seg-max-adjust") ? UInt32(size) - 2 : 126
        let logical = try checked("logical_block_size", properties.size("logical_block_size") ?? 512, 512 ... 32768, powerOfTwo: true)
        let physical = try checked("physical_block_size", properties.size("physical_block_size") ?? 512, 512 ... 2 << 20, powerOfTwo: true)
        blockSize = UInt32(logical)
        physicalExponent = UInt8(max(0, physical.trailingZeroBitCount - logical.trailingZeroBitCount))
        smallest = UInt16(clamping: (properties.size("min_io_size") ?? 0) / logical)
        best = UInt32(clamping: (properties.size("opt_io_size") ?? 0) / logical)
        let cylinders = UInt16(try checked("cyls", properties.integer("cyls") ?? 0, 0 ... 65535))
        let heads = UInt8(try checked("heads", properties.integer("heads") ?? 0, 0 ... 255)), sectors = UInt8(try checked("secs", properties.integer("secs") ?? 0, 0 ... 255))
        geometry = cylinders > 0 ? (cylinders, heads, sectors) : Self.guess(disk.size)
        serial = Array((properties.text("serial") ?? "").utf8)
        startsCached = properties.text("write-cache") == "on" || properties.text("write-cache") != "off" && !node.access.cache.writeThrough
        var bits = Feature.segments | Feature.geometry | Feature.blockSize | Feature.flush | Feature.topology
        if disk.isReadOnly { bits |= Feature.readOnly }
        if properties.flag("config-wce") { bits |= Feature.cacheSwitch }
        if queues > 1 { bits |= Feature.queues }
        if properties.flag("discard"), !disk.isReadOnly { bits |= Feature.discard }
        if properties.flag("write-zeroes"), !disk.isReadOnly { bits |= Feature.zeroes }
        features = bits
        disk.isWriteCacheEnabled = startsCached
    }

    /// A geometry for software that wants one.
    private static func guess(_ size: UInt64) -> (UInt16, UInt8, UInt8) { (UInt16(clamping: max(1, size / 512 / (16 * 63))), 16, 63) }

    public func connect(_ core: VirtioCore) {
        self.core = core
        let disk = disk, serial = serial
        workers = RequestWorkers(core.host, thread: thread, take: { [unowned self] in take($0) }, isSmall: { !disk.isThrottled && Self.isSmall($0.chain) },
                                 run: { Self.run($0.chain, disk, serial) }, finish: { [unowned self] in finish($0) })
    }

    // MARK: configuration

    public var configuration: [UInt8] {
        var fields = FieldWriter()
        fields.add(disk.size / BlockDevice.sectorBytes)
        fields.add(UInt32(0))
        fields.add(segments)
        fields.add(geometry.cylinders)
        fields.add(geometry.heads)
        fields.add(geometry.sectors)
        fields.add(blockSize)
        fields.add(physicalExponent)
        fields.add(UInt8(0))
        fields.add(smallest)
        fields.add(best)
        fields.add(UInt8(disk.isWriteCacheEnabled ? 1 : 0))
        fields.add(UInt8(0))
        fields.add(UInt16(queueSizes.count))
        // Discard: sectors at once, ranges at once, alignment; the same for zeros, which may be discarded.
        fields.add(Self.maximumSectors)
        fields.add(UInt32(1))
        fields.add(blockSize / 512)
        fields.add(Self.maximumSectors)
        fields.add(UInt32(1))
        fields.add(UInt8(1))
        fields.add(UInt8(0))
        fields.add(UInt16(0))
        return fields.bytes
    }
    private static let maximumSectors: UInt32 = 0x3f_ffff

    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        // The write cache's switch is the one field that can be written.
        guard offset <= 32, offset + bytes.count > 32, core.has(Feature.cacheSwitch) else { return }
        disk.isWriteCacheEnabled = bytes[32 - offset] & 1 != 0
    }

    /// The image's length has changed.
    public func resized() { core.configurationChanged() }

    // MARK: requests

    public func start() {
        // A driver that knows neither flushes nor the switch must find its writes on the disk.
        if !core.has(Feature.cacheSwitch) { disk.isWriteCacheEnabled = startsCached && core.has(Feature.flush) }
        for queue in core.queues where queue.isEnabled { process(queue) }
    }

    public func process(_ queue: VirtQueue) {
        queue.setNotification(false)
        workers?.kick(queue.index)
    }

    /// The next requests of a queue; none: its notifications are on again.
    private func take(_ number: Int) -> [Request] {
        guard core.queues.indices.contains(number) else { return [] }
        return core.queues[number].batch(RequestWorkers<Request, Int>.batch) { chain in
            guard chain.readable.count >= 16, chain.writable.count >= 1 else {
                core.fail("a block request without header or status")
                return nil
            }
            return Request(queue: number, chain: chain)
        }
    }

    /// Whether a vCPU may do the request itself: a short read or write.
    private static func isSmall(_ chain: VirtChain) -> Bool {
        guard chain.readable.count + chain.writable.count <= 160 << 10 else { return false }
        switch chain.readable.load(0, as: UInt32.self) ?? 0 {
        case Kind.read, Kind.write, Kind.identity: return true
        default: return false
        }
    }

    /// Gives requests back to the driver.
    private func finish(_ finished: [(request: Request, answer: Int)]) {
        var touched: Set<Int> = []
        for (request, written) in finished {
            core.queues[request.queue].complete(request.chain, written: written)
            touched.insert(request.queue)
        }
        for queue in touched { core.queues[queue].interrupt() }
    }

    /// Does one request. - Returns: bytes written for the driver, the status included.
    private static func run(_ chain: VirtChain, _ disk: BlockDevice, _ serial: [UInt8]) -> Int {
        let kind = chain.readable.load(0, as: UInt32.self) ?? 0, sector = chain.readable.load(8, as: UInt64.self) ?? 0
        let room = chain.writable.count - 1
        let (offset, overflow) = sector.multipliedReportingOverflow(by: BlockDevice.sectorBytes)
        var status = Status.ok, written = 0
        switch kind {
        case Kind.read:
            let data = chain.writable.slice(0, room)
            let isGood = !overflow && room % 512 == 0 && disk.read(offset, into: data).isDone
            status = isGood ? Status.ok : Status.error
            written = isGood ? room : 0
        case Kind.write:
            let data = chain.readable.slice(16)
            status = !overflow && data.count % 512 == 0 && disk.write(offset, from: data).isDone ? Status.ok : Status.error
        case Kind.flush: status = disk.flush().isDone ? Status.ok : Status.error
        case Kind.identity:
            written = chain.writable.fill(0, bytes: Array((serial + [UInt8](repeating: 0, count: 20)).prefix(min(20, room))))
        case Kind.discard, Kind.zeroes: status = runRange(chain.readable, disk, isDiscard: kind == Kind.discard)
        default: status = Status.unsupported
        }
        chain.writable.store(room, status)
        return written + 1
    }

    /// Discards a range or writes zeros to it.
    private static func runRange(_ request: GuestPieces, _ disk: BlockDevice, isDiscard: Bool) -> UInt8 {
        guard request.count == 32, let sector: UInt64 = request.load(16), let sectors: UInt32 = request.load(24), let flags: UInt32 = request.load(28) else {
            return request.count % 16 == 0 ? Status.unsupported : Status.error
        }
        // The one flag: zeros may be unmapped. It means nothing for discards.
        guard flags & ~1 == 0, !(isDiscard && flags & 1 != 0) else { return Status.unsupported }
        let (offset, overflow) = sector.multipliedReportingOverflow(by: BlockDevice.sectorBytes)
        guard !overflow, sectors <= maximumSectors else { return Status.error }
        let count = UInt64(sectors) * BlockDevice.sectorBytes
        let result = isDiscard ? disk.discard(offset, count) : disk.writeZeroes(offset, count, unmap: flags & 1 != 0)
        return result.isDone ? Status.ok : Status.error
    }

    // MARK: life

    public func willReset(_ queue: VirtQueue) { workers?.settle() }

    public func reset() {
        workers?.abandon()
        disk.isWriteCacheEnabled = startsCached
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        if !state.isLoading { workers?.settle() }
        var isCached = disk.isWriteCacheEnabled
        try state.field("writeCache", &isCached)
        disk.isWriteCacheEnabled = isCached
    }
}

extension VirtioBlock: DiskOwner {
    public var disks: [BlockDevice] { [disk] }
    public func sizeChanged() {
        do throws(BlockError) { try disk.refreshSize() } catch { return }
        core.configurationChanged()
    }
}
