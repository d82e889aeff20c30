// What all virtio devices have, whatever carries them: status, feature negotiation, queues, configuration changes
// (Virtual I/O Device 1.3, chapters 2 and 3; the legacy interface where its sections say so).

import Core

/// Device types (chapter 5).
public enum VirtioType: UInt16, Sendable {
    case network = 1, block = 2, console = 3, entropy = 4, balloon = 5, scsi = 8, plan9 = 9, gpu = 16, input = 18, socket = 19
}

/// Feature bits that do not belong to a type of device (chapter 6).
public enum VirtioFeature {
    public static let notifyOnEmpty: UInt64 = 1 << 24, anyLayout: UInt64 = 1 << 27
    public static let indirect: UInt64 = 1 << 28, eventIndex: UInt64 = 1 << 29, version1: UInt64 = 1 << 32
    public static let accessPlatform: UInt64 = 1 << 33, packedRing: UInt64 = 1 << 34, ringReset: UInt64 = 1 << 40
    /// What the legacy interface shows.
    static let legacy: UInt64 = 0xffff_ffff
}

/// Bits of the device status.
enum VirtioStatus {
    static let driverOK: UInt8 = 4, featuresOK: UInt8 = 8, needsReset: UInt8 = 64
}

/// What a virtio device implements. All methods run under the lock of its slot.
public protocol VirtioFunction: AnyObject {
    var type: VirtioType { get }
    /// Feature bits of the type.
    var features: UInt64 { get }
    /// The largest size of each queue.
    var queueSizes: [UInt16] { get }
    /// The configuration fields as they are now.
    var configuration: [UInt8] { get }
    /// The driver has written `bytes` at `offset`; they lie inside the fields.
    func writeConfiguration(_ offset: Int, _ bytes: [UInt8])
    /// Called once, before anything else.
    func connect(_ core: VirtioCore)
    /// The driver is ready (DRIVER_OK), or state was loaded of one that was: look at all queues.
    func start()
    /// The driver has made buffers available on a queue.
    func process(_ queue: VirtQueue)
    /// Back to the state after power-on: requests under way are over when it returns.
    func reset()
    /// State of the function itself. When saving, requests under way have to be completed first.
    func transfer(_ state: inout StateTransfer) throws(StateError)
}

/// A function that keeps chains of a queue while other requests go on.
public protocol QueueResetting: VirtioFunction {
    /// Requests of the queue are over when it returns.
    func willReset(_ queue: VirtQueue)
}

extension VirtioFunction {
    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {}
    public func start() {}
    public func reset() {}
    public func transfer(_ state: inout StateTransfer) throws(StateError) {}
}

/// What carries a virtio device: interrupts.
protocol VirtioTransport: AnyObject {
    func interrupt(queue: VirtQueue)
    func interruptConfiguration()
}

/// Which features of rings and transports a device offers: its properties by QEMU's names.
public struct VirtioOptions: Sendable {
    public var offered: UInt64

    public static let properties = [
        Property("indirect_desc", .flag, "indirect descriptors", default: "on"),
        Property("event_idx", .flag, "event index", default: "on"),
        Property("notify_on_empty", .flag, "interrupt when a queue runs empty (legacy)", default: "on"),
        Property("any_layout", .flag, "no rules for where headers end (legacy)", default: "on"),
        Property("iommu_platform", .flag, "memory through the platform's IOMMU", default: "off"),
        Property("packed", .flag, "packed queues", default: "off"),
        Property("queue_reset", .flag, "queues can be reset one by one", default: "on"),
    ]

    public init(_ properties: Properties) {
        offered = VirtioFeature.version1
        let bits = [("indirect_desc", VirtioFeature.indirect), ("event_idx", VirtioFeature.eventIndex), ("notify_on_empty", VirtioFeature.notifyOnEmpty),
                    ("any_layout", VirtioFeature.anyLayout), ("iommu_platform", VirtioFeature.accessPlatform), ("packed", VirtioFeature.packedRing),
                    ("queue_reset", VirtioFeature.ringReset)]
        for (name, bit) in bits where properties.flag(name) { offered |= bit }
    }

    /// All that devices offer by themselves.
    public init() { offered = VirtioFeature.version1 | VirtioFeature.indirect | VirtioFeature.eventIndex | VirtioFeature.ringReset | VirtioFeature.anyLayout | VirtioFeature.notifyOnEmpty }
}

/// The state that a driver and a device share through a transport.
public final class VirtioCore {
    public let function: any VirtioFunction
    public let memory: GuestMemory
    public let host: DeviceHost
    public private(set) var queues: [VirtQueue] = []
    weak var transport: (any VirtioTransport)?
    private let options: VirtioOptions

    private(set) var status: UInt8 = 0
    /// What the driver has accepted.
    public private(set) var features: UInt64 = 0
    private(set) var generation: UInt32 = 0
    private(set) var interruptStatus: UInt8 = 0
    private(set) var isLegacy = false
    /// Why the device needs a reset, for logs.
    public private(set) var failure: String?

    init(_ function: any VirtioFunction, memory: GuestMemory, host: DeviceHost, options: VirtioOptions) {
        self.function = function
        self.memory = memory
        self.host = host
        self.options = options
        queues = function.queueSizes.enumerated().map { VirtQueue(self, index: $0, maximumSize: $1) }
        function.connect(self)
    }

    // MARK: for functions

    /// Whether the driver has accepted a feature.
    @inline(__always)
    public func has(_ bit: UInt64) -> Bool { features & bit == bit }
    /// The driver is ready, and the device does not need a reset.
    public var isRunning: Bool { status & (VirtioStatus.driverOK | VirtioStatus.needsReset) == VirtioStatus.driverOK }
    var isAlive: Bool { status & VirtioStatus.needsReset == 0 }

    /// The configuration fields have changed.
    public func configurationChanged() {
        generation &+= 1
        guard status & VirtioStatus.driverOK != 0 else { return }
        interruptStatus |= 2
        transport?.interruptConfiguration()
    }

    /// The driver broke the rules: nothing goes on before a reset.
    public func fail(_ reason: String) {
        guard isAlive else { return }
        failure = reason
        GuestErrors.report("virtio device \(function.type.rawValue): \(reason)")
        status |= VirtioStatus.needsReset
        if has(VirtioFeature.version1) {
            interruptStatus |= 2
            transport?.interruptConfiguration()
        }
    }

    func interrupt(_ queue: VirtQueue) {
        interruptStatus |= 1
        transport?.interrupt(queue: queue)
    }

    // MARK: for transports

    var offered: UInt64 { function.features | options.offered }
    /// Modern drivers are not offered what only legacy ones know.
    func offeredWord(_ select: UInt32, isLegacy: Bool) -> UInt32 {
        let bits = isLegacy ? offered & VirtioFeature.legacy : offered & ~(VirtioFeature.notifyOnEmpty | VirtioFeature.anyLayout)
        return select < 2 ? UInt32(truncatingIfNeeded: bits >> UInt64(select * 32)) : 0
    }
    func acceptedWord(_ select: UInt32) -> UInt32 { select < 2 ? UInt32(truncatingIfNeeded: features >> UInt64(select * 32)) : 0 }

    func accept(_ select: UInt32, _ word: UInt32, isLegacy: Bool) {
        guard select < 2, status & VirtioStatus.featuresOK == 0 else { return }
        self.isLegacy = isLegacy
        let shift = UInt64(select * 32)
        features = features & ~(0xffff_ffff << shift) | UInt64(word) << shift
        // A legacy driver does not say when it is done: only what was offered counts.
        if isLegacy { features &= offered & VirtioFeature.legacy }
    }

    func setStatus(_ value: UInt8) {
        guard value != 0 else { return reset() }
        var new = value & ~VirtioStatus.needsReset | status & VirtioStatus.needsReset
        if new & VirtioStatus.featuresOK != 0, status & VirtioStatus.featuresOK == 0 {
            let isGood = features & ~offered == 0 && has(VirtioFeature.version1)
            if !isGood { new &= ~VirtioStatus.featuresOK }
        }
        let starts = new & VirtioStatus.driverOK != 0 && status & VirtioStatus.driverOK == 0
        status = new
        if starts, isRunning { function.start() }
    }

    /// The driver has told of buffers on queue `index`.
    func notify(_ index: Int) {
        // Drivers of the legacy interface begin before they say that they are ready.
        guard queues.indices.contains(index), queues[index].isEnabled, isRunning || (isLegacy && isAlive) else { return }
        function.process(queues[index])
    }

    func acknowledge(_ bits: UInt8) { interruptStatus &= ~bits }

    /// Switches a queue on once its size and areas are set.
    func enable(_ queue: VirtQueue) {
        guard queue.size > 0, has(VirtioFeature.packedRing) || queue.size & (queue.size - 1) == 0 else { return fail("queue \(queue.index): a size of \(queue.size)") }
        queue.isEnabled = true
    }

    /// One queue begins anew; the function's requests on it are over.
    func resetQueue(_ queue: VirtQueue) {
        (function as? any QueueResetting)?.willReset(queue)
        queue.reset()
    }

    /// Where a legacy driver has put a queue, in pages; 0: away with it.
    func setLegacyPlace(_ queue: VirtQueue, address: UInt64, alignment: UInt64) {
        guard address != 0 else { return queue.reset() }
        let size = UInt64(queue.size)
        queue.descriptorArea = address
        queue.driverArea = address &+ size * 16
        queue.deviceArea = (queue.driverArea &+ 6 + size * 2 &+ alignment &- 1) & ~(alignment &- 1)
        isLegacy = true
        enable(queue)
    }

    func readConfiguration(_ offset: UInt64, _ width: Int) -> UInt64 {
        let fields = function.configuration
        guard offset < UInt64(fields.count) else { return 0 }
        return (0 ..< width).reduce(0) { value, index in
            let at = Int(offset) + index
            return value | (at < fields.count ? UInt64(fields[at]) << UInt64(index * 8) : 0)
        }
    }

    func writeConfiguration(_ offset: UInt64, _ value: UInt64, _ width: Int) {
        let count = function.configuration.count
        guard offset < UInt64(count), Int(offset) + width <= count else { return }
        function.writeConfiguration(Int(offset), (0 ..< width).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) })
    }

    func reset() {
        function.reset()
        for queue in queues { queue.reset() }
        status = 0
        features = 0
        interruptStatus = 0
        isLegacy = false
        failure = nil
    }

    func transfer(_ state: inout StateTransfer) throws(StateError) {
        if state.isLoading { function.reset() }
        // First: it completes what is under way.
        try state.part("function") { (part) throws(StateError) in try function.transfer(&part) }
        try state.field("status", &status)
        try state.field("features", &features)
        try state.field("generation", &generation)
        try state.field("isr", &interruptStatus)
        try state.field("legacy", &isLegacy)
        if state.isLoading, features & ~offered != 0 { throw .badValue("features") }
        for queue in queues {
            try state.part("queue\(queue.index)") { (part) throws(StateError) in try queue.transfer(&part) }
        }
    }

    /// After loading, once the transport is as it was.
    func resume() { if isRunning { function.start() } }
}
