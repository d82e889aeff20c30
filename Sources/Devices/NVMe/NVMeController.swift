// An NVMe controller with one namespace (NVM Express 1.4): registers, queues, interrupts. Admin commands are done at once,
// under the device's lock; those of I/O queues go the way of `RequestWorkers`.
//
// Left out: more namespaces, formatting, firmware, metadata, the controller memory buffer, events other than none.

import Block
import Core
import Host

public final class NVMeController: PCIFunction, PCIStateObserver {
    public static let model = DeviceModel(name: "nvme", summary: "NVM Express controller", bus: "pci", category: "storage", properties: [
        Property("drive", .reference("node"), "the disk"),
        Property("serial", .text, "serial number, up to 20 characters"),
        Property("max_ioqpairs", .integer, "I/O queues", default: "64"),
        Property("msix_qsize", .integer, "MSI-X vectors", default: "65"),
        Property("mdts", .integer, "exponent of the largest request in pages of 4 KiB", default: "7"),
        Property("logical_block_size", .size, "bytes of a block", default: "512"),
        Property("write-cache", .choice(["on", "off", "auto"]), "whether there is a write cache", default: "auto"),
    ])

    public let identity = PCIIdentity(vendor: 0x1b36, device: 0x0010, revision: 2, classCode: 0x010802)
    public let windows = [PCIBar(0, "nvme", size: 0x4000, .memory64)]
    public let interrupts: PCIInterrupts
    let disk: BlockDevice
    let serial: String
    let blockBits: UInt64
    let maximumQueues: Int
    let transferExponent: UInt8
    let startsCached: Bool
    var port: PCIPort?
    private var workers: RequestWorkers<NVMeRequest, NVMeStatus>?

    // Registers.
    private var masks: UInt32 = 0
    private var settings: UInt32 = 0
    private var status: UInt32 = 0
    private var adminSizes: UInt32 = 0
    private var adminSubmission: UInt64 = 0
    private var adminCompletion: UInt64 = 0

    /// A submission queue; guest addresses are those of a contiguous ring.
    struct Submission {
        var base: UInt64
        var size: UInt32
        var completion: Int
        var head: UInt32 = 0
        var tail: UInt32 = 0
    }
    struct Completion {
        var base: UInt64
        var size: UInt32
        var vector: Int
        var interrupts: Bool
        var head: UInt32 = 0
        var tail: UInt32 = 0
        var phase: UInt16 = 1
        /// Commands whose completions will come.
        var pending: UInt32 = 0
        var used: UInt32 { (tail &+ size &- head) % size }
        var isFull: Bool { used &+ pending >= size - 1 }
    }
    var submissions: [Int: Submission] = [:]
    var completions: [Int: Completion] = [:]
    /// Identifiers of requests for events.
    var eventRequests: [UInt16] = []
    /// Values of features, by number.
    var featureValues: [UInt8: UInt32] = [:]

    enum Limit { static let entries: UInt32 = 2048, events = 4 }
    private enum Register { static let doorbells: UInt64 = 0x1000, table: UInt64 = 0x2000, pending: UInt64 = 0x3000 }
    private enum State { static let ready: UInt32 = 1, fatal: UInt32 = 2, shutdownDone: UInt32 = 8 }

    public init(_ properties: Properties, node: Node) throws(ConfigurationError) {
        let owner = properties.owner
        func number(_ name: String, _ standard: UInt64, _ range: ClosedRange<UInt64>) throws(ConfigurationError) -> UInt64 {
            let value = properties.integer(name) ?? standard
            guard range.contains(value) else { throw ConfigurationError("\(owner): property '\(name)' is \(value), expected \(range.lowerBound) to \(range.upperBound)") }
            return value
        }
        guard let serial = properties.text("serial"), !serial.isEmpty else { throw ConfigurationError("\(owner): property 'serial' is required") }
        guard serial.utf8.count <= 20 else { throw ConfigurationError("\(owner): property 'serial' is longer than 20 characters") }
        self.serial = serial
        disk = try BlockDevice(node, isReadOnly: !node.isWritable)
        maximumQueues = Int(try number("max_ioqpairs", 64, 1 ... 127))
        transferExponent = UInt8(try number("mdts", 7, 1 ... 10))
        let block = properties.size("logical_block_size") ?? 512
        guard (512 ... 4096).contains(block), block & (block - 1) == 0 else {
            throw ConfigurationError("\(owner): property 'logical_block_size' is \(block), expected a power of two from 512 to 4096")
        }
        blockBits = UInt64(block.trailingZeroBitCount)
        startsCached = properties.text("write-cache") == "on" || properties.text("write-cache") != "off" && !node.access.cache.writeThrough
        interrupts = PCIInterrupts(pin: 1, vectors: Int(try number("msix_qsize", 65, 1 ... 128)), vectorBar: 0, tableOffset: Register.table, pendingOffset: Register.pending)
        disk.isWriteCacheEnabled = startsCached
    }

    public func connect(_ port: PCIPort) {
        self.port = port
        let disk = disk, bits = blockBits
        workers = RequestWorkers(port.host, take: { [unowned self] in take($0) }, isSmall: { $0.isSmall },
                                 run: { $0.run(disk, bits) }, finish: { [unowned self] in finish($0) })
    }

    public func busMasteringChanged(_ isEnabled: Bool) {
        if isEnabled { for number in submissions.keys.sorted() { process(number) } }
    }

    // MARK: registers (section 3.1)

    /// 2,048 entries, contiguous queues, 7.5 s, the NVM command set, pages of 4 to 64 KiB.
    private static let capabilities: UInt64 = 2047 | 1 << 16 | 0x0f << 24 | 1 << 37 | 4 << 52
    var pageSize: Int { 4096 << Int(min(4, settings >> 7 & 15)) }
    /// Bytes of the largest request.
    var maximumTransfer: Int { 4096 << Int(transferExponent) }

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        let base = offset & ~3
        var value = UInt64(word(base)) >> ((offset & 3) * 8)
        if width == 8 { value |= UInt64(word(base &+ 4)) << 32 }
        return value
    }

    private func word(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0x00: Self.capabilities.low
        case 0x04: Self.capabilities.high
        case 0x08: 0x10400
        case 0x0c, 0x10: masks
        case 0x14: settings
        case 0x1c: status
        case 0x24: adminSizes
        case 0x28: adminSubmission.low
        case 0x2c: adminSubmission.high
        case 0x30: adminCompletion.low
        case 0x34: adminCompletion.high
        default: 0
        }
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard offset & 3 == 0, width >= 4 else { return }
        store(offset, value.low)
        if width == 8, offset < Register.doorbells { store(offset + 4, value.high) }
    }

    private func store(_ offset: UInt64, _ value: UInt32) {
        switch offset {
        case 0x0c:
            masks |= value
            updatePin()
        case 0x10:
            masks &= ~value
            updatePin()
        case 0x14: configure(value)
        case 0x24: adminSizes = value & 0x0fff_0fff
        case 0x28: adminSubmission.low = value & ~0xfff
        case 0x2c: adminSubmission.high = value
        case 0x30: adminCompletion.low = value & ~0xfff
        case 0x34: adminCompletion.high = value
        case Register.doorbells ..< Register.table: ring(Int(offset - Register.doorbells) / 4, value)
        default: break
        }
    }

    private func configure(_ value: UInt32) {
        let wasEnabled = settings & 1 != 0
        settings = value & 0x00ff_fff1
        if wasEnabled, value & 1 == 0 {
            stop()
            return
        }
        if value >> 14 & 3 != 0 {
            workers?.settle()
            _ = disk.flush()
            status = status & ~0x0c | State.shutdownDone
        } else {
            status &= ~0x0c
        }
        guard !wasEnabled, value & 1 != 0 else { return }
        let sizes = (adminSizes & 0xfff, adminSizes >> 16 & 0xfff)
        guard value >> 7 & 15 <= 4, value >> 4 & 7 == 0, value >> 11 & 7 == 0, sizes.0 > 0, sizes.1 > 0 else {
            status |= State.fatal
            return
        }
        submissions[0] = Submission(base: adminSubmission, size: sizes.0 + 1, completion: 0)
        completions[0] = Completion(base: adminCompletion, size: sizes.1 + 1, vector: 0, interrupts: true)
        status |= State.ready
    }

    /// A controller reset: queues are gone.
    private func stop() {
        workers?.abandon()
        submissions = [:]
        completions = [:]
        eventRequests = []
        featureValues = [:]
        disk.isWriteCacheEnabled = startsCached
        status = 0
        updatePin()
    }

    private func ring(_ index: Int, _ value: UInt32) {
        guard status & State.ready != 0, status & State.fatal == 0 else { return }
        let number = index / 2
        if index & 1 == 0 {
            guard let queue = submissions[number], value < queue.size else { return }
            submissions[number]?.tail = value
            process(number)
        } else {
            // The head cannot pass the tail.
            guard let queue = completions[number], value < queue.size, (value &+ queue.size &- queue.head) % queue.size <= queue.used else { return }
            let wasFull = queue.isFull
            completions[number]?.head = value
            updatePin()
            if wasFull { for (number, queue) in submissions.sorted(by: { $0.key < $1.key }) where queue.completion == index / 2 { process(number) } }
        }
    }

    private func process(_ number: Int) {
        guard number == 0 else { workers?.kick(number); return }
        // At most a queue full at a time: what it adds meanwhile it rings for again.
        for _ in 0 ..< Limit.entries {
            guard let command = next(0) else { return }
            if let (status, result) = administer(command) {
                complete(0, command.identifier, status, result)
                interrupt([0])
            } else {
                completions[0]?.pending &-= 1
            }
        }
    }

    // MARK: queues

    /// The next entry of a submission queue, with a place in its completion queue.
    private func next(_ number: Int) -> NVMeCommand? {
        guard let port, port.memory.isEnabled, let queue = submissions[number], queue.head != queue.tail,
              let completion = completions[queue.completion], !completion.isFull else { return nil }
        guard let bytes = port.memory.bytes(queue.base &+ UInt64(queue.head) * 64, NVMeCommand.size) else {
            status |= State.fatal
            return nil
        }
        submissions[number]?.head = (queue.head + 1) % queue.size
        completions[queue.completion]?.pending &+= 1
        return NVMeCommand(bytes: bytes)
    }

    private func take(_ number: Int) -> [NVMeRequest] {
        var requests: [NVMeRequest] = []
        while requests.count < RequestWorkers<NVMeRequest, NVMeStatus>.batch, status & State.fatal == 0, let command = next(number), let port {
            requests.append(NVMeRequest(command, queue: number, memory: port.memory, controller: self))
        }
        return requests
    }

    private func finish(_ finished: [(request: NVMeRequest, answer: NVMeStatus)]) {
        var touched: Set<Int> = []
        for (request, status) in finished {
            guard let queue = submissions[request.queue] else { continue }
            complete(request.queue, request.command.identifier, status, 0)
            touched.insert(queue.completion)
        }
        interrupt(touched)
    }

    private func complete(_ number: Int, _ identifier: UInt16, _ status: NVMeStatus, _ result: UInt32) {
        guard let queue = submissions[number], let completion = completions[queue.completion], let port else { return }
        var entry = FieldWriter()
        entry.add(result)
        entry.add(UInt32(0))
        entry.add(UInt16(truncatingIfNeeded: queue.head))
        entry.add(UInt16(truncatingIfNeeded: number))
        entry.add(identifier)
        let address = completion.base &+ UInt64(completion.tail) * 16
        // The word with the phase comes last: the driver looks at nothing else first.
        port.memory.write(address, bytes: entry.bytes)
        port.memory.store(address &+ 14, status.code << 1 | completion.phase)
        let tail = (completion.tail + 1) % completion.size
        completions[queue.completion]?.tail = tail
        completions[queue.completion]?.pending &-= 1
        if tail == 0 { completions[queue.completion]?.phase ^= 1 }
    }

    private func interrupt(_ numbers: Set<Int>) {
        if port?.usesMessages == true {
            for number in numbers { if let queue = completions[number], queue.interrupts { port?.send(queue.vector) } }
        } else {
            updatePin()
        }
    }

    /// The pin is high while a queue whose interrupt is not masked has entries that the driver has not seen.
    private func updatePin() {
        let isHigh = completions.values.contains { $0.interrupts && $0.head != $0.tail && masks >> UInt32(min(31, $0.vector)) & 1 == 0 }
        port?.setPin(isHigh)
    }

    /// Requests of all I/O queues are over.
    func settle() { workers?.settle() }

    // MARK: life

    public func reset() {
        stop()
        (masks, settings, adminSizes, adminSubmission, adminCompletion) = (0, 0, 0, 0, 0)
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        if state.isLoading { workers?.abandon() } else { settle() }
        try state.field("masks", &masks)
        try state.field("settings", &settings)
        try state.field("status", &status)
        try state.field("adminSizes", &adminSizes)
        try state.field("adminSubmission", &adminSubmission)
        try state.field("adminCompletion", &adminCompletion)
        var outgoing = submissions.sorted { $0.key < $1.key }.flatMap { (entry) -> [UInt64] in [UInt64(entry.key), entry.value.base, UInt64(entry.value.size), UInt64(entry.value.completion), UInt64(entry.value.head), UInt64(entry.value.tail)] }
        var incoming = completions.sorted { $0.key < $1.key }.flatMap { (number, queue) -> [UInt64] in
            [UInt64(number), queue.base, UInt64(queue.size), UInt64(queue.vector), queue.interrupts ? 1 : 0, UInt64(queue.head), UInt64(queue.tail), UInt64(queue.phase)]
        }
        var values = featureValues.sorted { $0.key < $1.key }.flatMap { [UInt32($0.key), $0.value] }
        var isCached = disk.isWriteCacheEnabled
        try state.field("submissions", &outgoing, maximum: 256 * 6)
        try state.field("completions", &incoming, maximum: 256 * 8)
        try state.field("features", &values, maximum: 512)
        try state.field("events", &eventRequests, maximum: Limit.events)
        try state.field("cached", &isCached)
        guard state.isLoading else { return }
        try load(outgoing, incoming, values)
        disk.isWriteCacheEnabled = isCached
        updatePin()
        busMasteringChanged(true)
    }

    private func load(_ outgoing: [UInt64], _ incoming: [UInt64], _ values: [UInt32]) throws(StateError) {
        (submissions, completions, featureValues) = ([:], [:], [:])
        guard outgoing.count % 6 == 0, incoming.count % 8 == 0, values.count % 2 == 0 else { throw .badValue("queues") }
        let sizes = 2 ... UInt64(4096)
        for at in stride(from: 0, to: incoming.count, by: 8) {
            let row = Array(incoming[at ..< at + 8])
            guard row[0] <= 127, sizes.contains(row[2]), row[3] < 2048, row[5] < row[2], row[6] < row[2], row[7] <= 1 else { throw .badValue("completions") }
            completions[Int(row[0])] = Completion(base: row[1], size: UInt32(row[2]), vector: Int(row[3]), interrupts: row[4] != 0, head: UInt32(row[5]), tail: UInt32(row[6]), phase: UInt16(row[7]))
        }
        for at in stride(from: 0, to: outgoing.count, by: 6) {
            let row = Array(outgoing[at ..< at + 6])
            guard row[0] <= 127, sizes.contains(row[2]), row[3] <= 127, row[4] < row[2], row[5] < row[2] else { throw .badValue("submissions") }
            submissions[Int(row[0])] = Submission(base: row[1], size: UInt32(row[2]), completion: Int(row[3]), head: UInt32(row[4]), tail: UInt32(row[5]))
        }
        for at in stride(from: 0, to: values.count, by: 2) { featureValues[UInt8(truncatingIfNeeded: values[at])] = values[at + 1] }
    }
}

extension NVMeController: DiskOwner {
    public var disks: [BlockDevice] { [disk] }
    /// As QEMU's, a namespace keeps its size.
    public func sizeChanged() {}
}
