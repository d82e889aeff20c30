// virtio-scsi (Virtual I/O Device 1.3, section 5.6): a host adapter with up to 256 targets of 256 units on one channel.
// Requests go the way of `RequestWorkers`; task management ends by waiting for what is under way.
//
// Left out: protection information, asynchronous notifications of units.

import Core
import Host

public final class VirtioSCSI: VirtioFunction, QueueResetting, ChildBusOwner {
    public static let properties = [
        Property("num_queues", .integer, "request queues"),
        Property("iothread", .reference("iothread"), "the thread that does its requests"),
        Property("virtqueue_size", .integer, "requests a queue can hold", default: "256"),
        Property("seg_max_adjust", .flag, "as many segments as the queue holds", default: "on"),
        Property("max_sectors", .integer, "sectors of the largest request", default: "65535"),
        Property("cmd_per_lun", .integer, "commands a unit takes at once", default: "128"),
        Property("hotplug", .flag, "the driver is told of units that come and go", default: "on"),
    ]

    private enum Feature { static let hotplug: UInt64 = 1 << 1, change: UInt64 = 1 << 2 }
    private enum Response {
        static let good: UInt8 = 0, overrun: UInt8 = 1, badTarget: UInt8 = 3, failure: UInt8 = 9, incorrectUnit: UInt8 = 12
    }
    private enum Queue { static let control = 0, event = 1, firstRequest = 2 }

    public let type = VirtioType.scsi
    public let features: UInt64
    public let queueSizes: [UInt16]
    public let bus: SCSIBus
    public var childBuses: [any ChildBus] { [bus] }
    private let maximumSectors: UInt32
    private let perUnit: UInt32
    private let segments: UInt32
    private static let standardSense: UInt32 = 96, standardCommand: UInt32 = 32
    private var senseSize = VirtioSCSI.standardSense
    private var commandSize = VirtioSCSI.standardCommand
    private var missedEvents = false
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private var workers: RequestWorkers<Request, Int>?
    private let thread: IOThread?

    private struct Request: Sendable {
        var queue: Int
        var chain: VirtChain
        var commandSize: Int
        var senseSize: Int
    }

    public init(_ properties: Properties, processors: Int = 1, thread: IOThread? = nil) throws(ConfigurationError) {
        self.thread = thread
        func number(_ name: String, _ standard: UInt64, _ range: ClosedRange<UInt64>) throws(ConfigurationError) -> UInt64 {
            let value = properties.integer(name) ?? standard
            guard range.contains(value) else {
                throw ConfigurationError("\(properties.owner): property '\(name)' is \(value), expected \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        let queues = Int(try number("num_queues", UInt64(min(64, max(1, processors))), 1 ... 1022))
        let size = try number("virtqueue_size", 256, 4 ... 1024)
        guard size & (size - 1) == 0 else { throw ConfigurationError("\(properties.owner): property 'virtqueue_size' is \(size), expected a power of two") }
        queueSizes = [UInt16](repeating: UInt16(size), count: queues + 2)
        segments = properties.flag("seg_max_adjust") ? UInt32(size) - 2 : 126
        maximumSectors = UInt32(try number("max_sectors", 65535, 1 ... 0xffff_ffff))
        perUnit = UInt32(try number("cmd_per_lun", 128, 1 ... 0xffff_ffff))
        features = Feature.change | (properties.flag("hotplug") ? Feature.hotplug : 0)
        bus = SCSIBus(isHotPluggable: properties.flag("hotplug"))
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        let bus = bus
        workers = RequestWorkers(core.host, thread: thread, take: { [unowned self] in take($0) }, isSmall: { !bus.isThrottled && Self.isSmall($0) },
                                 run: { Self.run($0, bus) }, finish: { [unowned self] in finish($0) })
        bus.onChange(core.host.callback { [unowned self] (change: SCSIBus.Change) in unitChanged(change) })
    }

    // MARK: configuration

    public var configuration: [UInt8] {
        var fields = FieldWriter()
        fields.add(UInt32(queueSizes.count - Queue.firstRequest))
        fields.add(segments)
        fields.add(maximumSectors)
        fields.add(perUnit)
        // An event's bytes, sense and command bytes, the last channel, target and unit.
        fields.add(UInt32(16))
        fields.add(senseSize)
        fields.add(commandSize)
        fields.add(UInt16(0))
        fields.add(UInt16(SCSIBus.maximumTarget))
        fields.add(UInt32(SCSIBus.maximumUnit))
        return fields.bytes
    }

    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        guard bytes.count == 4 else { return }
        let value: UInt32 = bytes.number(0)
        // A driver may ask for more or less sense, and for longer commands; nonsense changes nothing.
        if offset == 20, value <= 252 { senseSize = value }
        if offset == 24, (16 ... 260).contains(value) { commandSize = value }
    }

    // MARK: requests

    public func start() { for queue in core.queues where queue.isEnabled { process(queue) } }

    public func process(_ queue: VirtQueue) {
        switch queue.index {
        case Queue.control: control(queue)
        case Queue.event: if missedEvents { send(event: 0, place: nil, reason: 0) }
        default:
            queue.setNotification(false)
            workers?.kick(queue.index)
        }
    }

    private func take(_ number: Int) -> [Request] {
        guard core.queues.indices.contains(number) else { return [] }
        return core.queues[number].batch(RequestWorkers<Request, Int>.batch) { chain in
            guard chain.readable.count >= 19 + Int(commandSize), chain.writable.count >= 12 + Int(senseSize) else {
                core.fail("a SCSI request without header or room for its response")
                return nil
            }
            return Request(queue: number, chain: chain, commandSize: Int(commandSize), senseSize: Int(senseSize))
        }
    }

    private static func isSmall(_ request: Request) -> Bool {
        guard request.chain.readable.count + request.chain.writable.count <= 160 << 10 else { return false }
        switch request.chain.readable.load(19, as: UInt8.self) ?? 0 {
        case 0x28, 0x88, 0x2a, 0x8a, 0x00, 0x12, 0x1a, 0x25, 0x5a, 0x9e: return true
        default: return false
        }
    }

    private func finish(_ finished: [(request: Request, answer: Int)]) {
        var touched: Set<Int> = []
        for (request, written) in finished {
            core.queues[request.queue].complete(request.chain, written: written)
            touched.insert(request.queue)
        }
        for queue in touched { core.queues[queue].interrupt() }
    }

    /// Target and unit of an 8-byte LUN (5.6.6.1): byte 0 is 1, then the target, then a single-level unit number.
    private static func place(_ bytes: [UInt8]) -> SCSIBus.Place? {
        guard bytes.count == 8, bytes[0] == 1, bytes[4...].allSatisfy({ $0 == 0 }) else { return nil }
        let unit = Int(bytes[2]) << 8 | Int(bytes[3])
        return SCSIBus.Place(Int(bytes[1]), unit & 0x3fff)
    }

    /// Does a request. - Returns: bytes written for the driver.
    private static func run(_ request: Request, _ bus: SCSIBus) -> Int {
        let chain = request.chain, header = 19 + request.commandSize, response = 12 + request.senseSize
        let output = chain.readable.slice(header), input = chain.writable.slice(response)
        let number = chain.readable.bytes(0, 8)
        let command = SCSIRequest(chain.readable.bytes(19, request.commandSize), output: output, input: input)
        var code = Response.good, reply = SCSIReply.good()
        // The well-known unit REPORT LUNS of a target is reached as c1 01.
        let wellKnown = number.count == 8 && number[0] == 1 && number[2] == 0xc1 && number[3] == 1
        if let place = wellKnown ? SCSIBus.Place(Int(number[1]), 0) : Self.place(number), !bus.units(place.target).isEmpty {
            let isReport = command.byte(0) == 0xa0
            if isReport { reply = bus.report(place.target, command) }
            else if let unit = bus.find(place) { reply = unit.execute(command) }
            else { reply = SCSIBus.answerMissing(command) }
        } else {
            code = Response.badTarget
        }
        let expected = output.count + input.count
        let sense = reply.status == .good ? [] : Array(reply.sense.bytes.prefix(request.senseSize))
        var answer = FieldWriter()
        answer.add(UInt32(sense.count))
        answer.add(UInt32(clamping: max(0, expected - reply.transferred)))
        answer.add(UInt16(0))
        answer.add(reply.status.rawValue)
        answer.add(code)
        answer.add(sense)
        answer.pad(to: response)
        chain.writable.fill(0, bytes: answer.bytes)
        return response + min(input.count, reply.transferred)
    }

    // MARK: control

    private func control(_ queue: VirtQueue) {
        // A driver cannot have more in the queue than it holds.
        for _ in 0 ..< Int(queue.size) {
            guard let chain = queue.next() else { break }
            let kind = chain.readable.load(0, as: UInt32.self) ?? .max
            switch kind {
            case 0:
                let code = manage(chain.readable.load(4, as: UInt32.self) ?? .max, chain.readable.bytes(8, 8))
                queue.complete(chain, written: chain.writable.store(0, code) ? 1 : 0)
            case 1, 2:
                // Asynchronous notifications: none of those asked for are there.
                let written = chain.writable.fill(0, bytes: [0, 0, 0, 0, Response.good])
                queue.complete(chain, written: written)
            default: queue.complete(chain, written: 0)
            }
        }
        queue.interrupt()
    }

    /// A task management function (5.6.6.2).
    private func manage(_ function: UInt32, _ number: [UInt8]) -> UInt8 {
        guard let place = Self.place(number), !bus.units(place.target).isEmpty else { return Response.badTarget }
        // Resetting a target, as opposed to a unit, needs no unit.
        guard function == 4 || bus.find(place) != nil else { return Response.incorrectUnit }
        switch function {
        // Abort a task, a set of tasks, clear a set: they are over once all that is under way is.
        case 0, 1, 3: workers?.settle()
        case 4, 5:
            workers?.settle()
            for unit in function == 5 ? [place.unit] : bus.units(place.target) { bus.find(SCSIBus.Place(place.target, unit))?.reset() }
        // Query a task or a set: none is left.
        case 6, 7: workers?.settle()
        default: return 11
        }
        return Response.good
    }

    // MARK: events

    /// A unit has come or gone.
    private func unitChanged(_ change: SCSIBus.Change) {
        // Requests that found the unit are over before it goes.
        if !change.isThere { workers?.settle() }
        guard core.has(Feature.hotplug) else { return }
        send(event: 1, place: change.place, reason: change.isThere ? 1 : 2)
    }

    private func send(event: UInt32, place: SCSIBus.Place?, reason: UInt32) {
        let queue = core.queues[Queue.event]
        guard core.isRunning, let chain = queue.next() else { return missedEvents = true }
        var fields = FieldWriter()
        fields.add(event | (missedEvents ? 0x8000_0000 : 0))
        if let place { fields.add([1, UInt8(truncatingIfNeeded: place.target), 0, UInt8(truncatingIfNeeded: place.unit), 0, 0, 0, 0]) }
        fields.pad(to: 12)
        fields.add(reason)
        missedEvents = false
        queue.complete(chain, written: chain.writable.fill(0, bytes: fields.bytes))
        queue.interrupt()
    }

    // MARK: life

    public func willReset(_ queue: VirtQueue) { workers?.settle() }

    public func reset() {
        workers?.abandon()
        for entry in bus.all { entry.unit.reset() }
        (senseSize, commandSize, missedEvents) = (Self.standardSense, Self.standardCommand, false)
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        if !state.isLoading { workers?.settle() }
        try state.field("sense", &senseSize)
        try state.field("command", &commandSize)
        try state.field("missed", &missedEvents)
        guard senseSize <= 252, (16 ... 260).contains(commandSize) else { throw .badValue("sense or command size") }
        for entry in bus.all {
            try state.part("unit\(entry.place.target).\(entry.place.unit)") { (part) throws(StateError) in try entry.unit.transfer(&part) }
        }
    }
}
