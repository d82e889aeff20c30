// An xHCI 1.0 host controller (Intel's eXtensible Host Controller Interface, revision 1.0): registers, running, saving. Ports
// are in +Ports, commands in +Commands, transfers in +Transfers.
//
// Left out: streams, virtualisation, bandwidth, latency tolerance, interrupt moderation, save and restore by the driver (it
// is told of an error and begins anew). No device has isochronous endpoints: transfers to one find nobody.

import Core
import Host

public final class XHCIController: PCIFunction, PCIConfigurationOwner, PCIStateObserver, USBController, ChildBusOwner {
    /// Which controller it looks like.
    public enum Kind: Sendable { case qemu, nec }

    private static let common = [
        Property("p2", .integer, "ports for full and high speed, 0 to 15", default: "4"),
        Property("p3", .integer, "ports for super speed, 0 to 15", default: "4"),
        Property("msi", .choice(["on", "off", "auto"]), "interrupts by MSI", default: "auto"),
        Property("msix", .choice(["on", "off", "auto"]), "interrupts by MSI-X", default: "auto"),
    ]
    public static let model = DeviceModel(name: "qemu-xhci", summary: "USB 3 host controller", bus: "pci", category: "USB", properties: common)
    public static let necModel = DeviceModel(name: "nec-usb-xhci", summary: "USB 3 host controller as NEC's", bus: "pci", category: "USB", properties: common + [
        Property("intrs", .integer, "interrupters, 1 to 16", default: "16"),
        Property("slots", .integer, "device slots, 1 to 64", default: "64"),
    ])

    enum Window { static let size: UInt64 = 0x4000, operational: UInt64 = 0x40, ports: UInt64 = 0x440, runtime: UInt64 = 0x1000, doorbells: UInt64 = 0x2000, vectors: UInt64 = 0x3000 }
    enum Command { static let run: UInt32 = 1, reset: UInt32 = 2, interrupts: UInt32 = 4, save: UInt32 = 0x100, restore: UInt32 = 0x200 }
    enum Status { static let halted: UInt32 = 1, systemError: UInt32 = 4, interrupt: UInt32 = 8, portChange: UInt32 = 0x10, restoreError: UInt32 = 0x400 }
    /// Bits of the command ring's register.
    enum RingControl { static let cycle: UInt64 = 1, stop: UInt64 = 2, abort: UInt64 = 4, running: UInt64 = 8 }

    public let identity: PCIIdentity
    public let windows = [PCIBar(0, "xhci", size: Window.size, .memory64)]
    public let interrupts: PCIInterrupts
    public let bus: USBBus
    public var childBuses: [any ChildBus] { [bus] }
    let kind: Kind
    let slotCount: Int
    var pciPort: PCIPort?
    private var continuation: MachineTimer?

    // Registers (section 5.4).
    private var command: UInt32 = 0
    var status = Status.halted
    private var notifications: UInt32 = 0
    var commandRing = RequestRing()
    var isCommandRingRunning = false
    var contextArray: UInt64 = 0
    private var enabledSlots: UInt32 = 0
    private var started: UInt64 = 0
    var ports: [PortRegister]
    private(set) var interrupters: [Interrupter]

    var slots: [Int: XHCISlot] = [:]
    /// Rings with work: a slot's number times 32 and the endpoint's index; 0 is the command ring.
    private var due: [Int] = []
    private var isWorking = false

    enum Limit {
        /// Requests of one ring before others have their turn, and of all before the vCPU goes on.
        static let turn = 64, work = 4096
        /// Nanoseconds until the rest is done.
        static let pause: UInt64 = 50_000
    }

    public init(_ kind: Kind, _ properties: Properties) throws(ConfigurationError) {
        func number(_ name: String, _ standard: UInt64, _ range: ClosedRange<UInt64>) throws(ConfigurationError) -> Int {
            let value = properties.integer(name) ?? standard
            guard range.contains(value) else { throw ConfigurationError("\(properties.owner): property '\(name)' is \(value), expected \(range.lowerBound) to \(range.upperBound)") }
            return Int(value)
        }
        self.kind = kind
        let slow = try number("p2", 4, 0 ... 15), fast = try number("p3", 4, 0 ... 15), vectors = try number("intrs", 16, 1 ... 16)
        guard slow + fast > 0 else { throw ConfigurationError("\(properties.owner): properties 'p2' and 'p3' are 0: there would be no port") }
        slotCount = try number("slots", 64, 1 ... 64)
        bus = USBBus(slowPorts: slow, fastPorts: fast)
        ports = (0 ..< slow + fast).map { PortRegister(isFast: $0 >= slow) }
        interrupters = [Interrupter](repeating: Interrupter(), count: vectors)
        identity = kind == .qemu ? PCIIdentity(vendor: 0x1b36, device: 0x000d, revision: 1, classCode: 0x0c0330) : PCIIdentity(vendor: 0x1033, device: 0x0194, revision: 3, classCode: 0x0c0330)
        let hasMessages = properties.text("msi") == "on" || properties.text("msi") == "auto" && kind == .nec
        let messages = hasMessages ? 1 << (vectors - 1).significantBits : 0
        interrupts = PCIInterrupts(pin: 1, messages: messages, vectors: properties.text("msix") == "off" ? 0 : vectors, vectorBar: 0, tableOffset: Window.vectors, pendingOffset: Window.vectors + 0x800)
        bus.controller = self
    }

    public func connect(_ port: PCIPort) {
        pciPort = port
        bus.host = port.host
        bus.path = { [weak port] in port?.place ?? "" }
        continuation = port.host.timer { [weak self] in self?.work() }
    }

    // MARK: configuration space

    /// The release number of the bus is at 0x60.
    public var firstCapability: Int { 0x70 }
    public func capabilitiesPlaced(_ offsets: [Int]) {
        pciPort?.configuration[byte: 0x60] = 0x30
        pciPort?.configuration[byte: 0x61] = 0x20
    }
    public func didReset() {}
    public func willRead(_ offset: Int, _ width: Int) {}
    public func didWrite(_ offset: Int, _ width: Int) {}
    public func busMasteringChanged(_ isEnabled: Bool) { if isEnabled { resume() } }

    // MARK: registers

    var memory: GuestMemory? { pciPort?.memory }
    var isRunning: Bool { command & Command.run != 0 && status & Status.halted == 0 }
    private var now: UInt64 { pciPort?.host.clock.now ?? 0 }

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        let base = offset & ~3
        var value = UInt64(word(base)) >> ((offset & 3) * 8)
        if width == 8 { value |= UInt64(word(base &+ 4)) << 32 }
        return width == 8 ? value : value & (1 << UInt64(width * 8) - 1)
    }

    private func word(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0 ..< Window.operational: return capability(offset)
        case Window.operational ..< Window.ports: return operational(offset - Window.operational)
        case Window.ports ..< Window.ports + UInt64(ports.count) * 16: return readPort(Int(offset - Window.ports) / 16, offset & 15)
        case Window.runtime: return isRunning ? UInt32(truncatingIfNeeded: (now &- started) / 125_000) & 0x3fff : 0
        case Window.runtime + 0x20 ..< Window.doorbells: return readInterrupter(Int(offset - Window.runtime - 0x20) / 32, offset & 31)
        default: return 0
        }
    }

    /// Section 5.3, and the protocols of the ports (7.2).
    private func capability(_ offset: UInt64) -> UInt32 {
        let name: UInt32 = 0x2042_5355 // "USB "
        switch offset {
        // Registers from 0x40 on; revision 1.0.
        case 0x00: return 0x0100_0040
        case 0x04: return UInt32(ports.count) << 24 | UInt32(interrupters.count) << 8 | UInt32(slotCount)
        // Segment tables of up to 16 entries; no scratchpads.
        case 0x08: return 0x4f
        // 64-bit addresses, contexts of 32 bytes, extended capabilities at 0x20.
        case 0x10: return 0x0008_0001
        case 0x14: return UInt32(Window.doorbells)
        case 0x18: return UInt32(Window.runtime)
        case 0x20: return 0x0200_0402
        case 0x24, 0x34: return name
        case 0x28: return UInt32(bus.slowPorts) << 8 | 1
        case 0x30: return 0x0300_0002
        case 0x38: return UInt32(bus.fastPorts) << 8 | UInt32(bus.slowPorts + 1)
        default: return 0
        }
    }

    private func operational(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0x00: command
        case 0x04: status
        // Pages of 4 KiB.
        case 0x08: 1
        case 0x14: notifications
        case 0x18: isCommandRingRunning ? UInt32(RingControl.running) : 0
        case 0x30: contextArray.low
        case 0x34: contextArray.high
        case 0x38: enabledSlots
        default: 0
        }
    }

    private func readInterrupter(_ number: Int, _ offset: UInt64) -> UInt32 {
        guard interrupters.indices.contains(number) else { return 0 }
        let interrupter = interrupters[number]
        return switch offset {
        case 0x00: interrupter.management
        case 0x04: interrupter.moderation
        case 0x08: interrupter.tableSize
        case 0x10: interrupter.table.low
        case 0x14: interrupter.table.high
        case 0x18: interrupter.dequeue.low
        case 0x1c: interrupter.dequeue.high
        default: 0
        }
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard offset & 3 == 0, width >= 4 else { return }
        store(offset, value.low)
        if width == 8 { store(offset + 4, value.high) }
        work()
    }

    private func store(_ offset: UInt64, _ value: UInt32) {
        switch offset {
        case Window.operational ..< Window.ports: storeOperational(offset - Window.operational, value)
        case Window.ports ..< Window.ports + UInt64(ports.count) * 16: writePort(Int(offset - Window.ports) / 16, offset & 15, value)
        case Window.runtime + 0x20 ..< Window.doorbells: storeInterrupter(Int(offset - Window.runtime - 0x20) / 32, offset & 31, value)
        case Window.doorbells ..< Window.vectors: ring(Int(offset - Window.doorbells) / 4, Int(value & 0xff))
        default: break
        }
    }

    private func storeOperational(_ offset: UInt64, _ value: UInt32) {
        switch offset {
        case 0x00: control(value)
        case 0x04: status &= ~(value & (Status.systemError | Status.interrupt | Status.portChange | Status.restoreError))
        case 0x14: notifications = value & 0xffff
        case 0x18: commandRing.written = value
        case 0x1c: controlRing(value)
        case 0x30: contextArray.low = value & ~63
        case 0x34: contextArray.high = value
        case 0x38: enabledSlots = value & 0xff
        default: break
        }
    }

    private func control(_ value: UInt32) {
        if value & Command.reset != 0 { return restart() }
        // State that the driver lets the controller save is not kept: it hears so, and sets all up again.
        if value & Command.save != 0 { status &= ~Status.restoreError }
        if value & Command.restore != 0 { status |= Status.restoreError }
        let wasRunning = command & Command.run != 0
        command = value & 0xc0d
        if value & Command.run != 0, !wasRunning {
            status &= ~Status.halted
            started = now
            portsStart()
            resume()
        } else if value & Command.run == 0 {
            status |= Status.halted
            isCommandRingRunning = false
        }
        updatePin()
    }

    /// The command ring's pointer and control bits (section 5.4.5); the low half came first.
    private func controlRing(_ high: UInt32) {
        let low = UInt64(commandRing.written), value = low | UInt64(high) << 32
        if isCommandRingRunning {
            guard low & (RingControl.stop | RingControl.abort) != 0 else { return }
            isCommandRingRunning = false
            postEvent(0, TransferRequest(parameter: commandRing.dequeue, status: XHCICode.ringStopped << 24, control: UInt32(TransferRequest.Kind.completionEvent) << 10))
        } else {
            (commandRing.dequeue, commandRing.cycle) = (value & ~63, value & RingControl.cycle != 0)
        }
    }

    private func storeInterrupter(_ number: Int, _ offset: UInt64, _ value: UInt32) {
        guard interrupters.indices.contains(number), let memory else { return }
        switch offset {
        case 0x00:
            interrupters[number].management = interrupters[number].management & ~(value & 1) & ~2 | value & 2
            updatePin()
        case 0x04: interrupters[number].moderation = value
        case 0x08: interrupters[number].tableSize = value & 0xffff
        case 0x10: interrupters[number].table.low = value & ~63
        case 0x14:
            interrupters[number].table.high = value
            if !interrupters[number].begin(memory) { fail() }
        case 0x18:
            // Bit 3 is cleared by writing 1.
            let busy = interrupters[number].dequeue.low & 8 & ~value
            interrupters[number].dequeue.low = value & ~8 | busy
            moved(number, memory)
        case 0x1c:
            interrupters[number].dequeue.high = value
            moved(number, memory)
        default: break
        }
    }

    /// The driver has read events.
    private func moved(_ number: Int, _ memory: GuestMemory) {
        let wasFull = !interrupters[number].held.isEmpty
        let isNew = interrupters[number].release(memory)
        if isNew || !interrupters[number].isBusy && interrupters[number].hasEvents { raise(number) }
        if wasFull, interrupters[number].held.isEmpty { resume() }
    }

    // MARK: interrupts

    /// An event for the driver.
    func postEvent(_ number: Int, _ event: TransferRequest, isQuiet: Bool = false) {
        let number = interrupters.indices.contains(number) ? number : 0
        guard let memory, memory.isEnabled, interrupters[number].post(event, memory), !isQuiet else { return }
        raise(number)
    }

    private func raise(_ number: Int) {
        status |= Status.interrupt
        let wasBusy = interrupters[number].isBusy
        interrupters[number].dequeue |= 8
        interrupters[number].management |= 1
        guard !wasBusy else { return }
        guard interrupters[number].isEnabled, command & Command.interrupts != 0 else { return }
        if pciPort?.usesMessages == true {
            interrupters[number].management &= ~1
            pciPort?.send(number)
        } else {
            updatePin()
        }
    }

    private func updatePin() {
        let isHigh = command & Command.interrupts != 0 && interrupters[0].management & 3 == 3
        pciPort?.setPin(isHigh && pciPort?.usesMessages != true)
    }

    /// What the driver has set up cannot be used: the controller stops (section 4.24.1).
    private func fail() {
        status |= Status.systemError | Status.halted
        command &= ~Command.run
        isCommandRingRunning = false
    }

    // MARK: work

    /// The driver has rung for a ring.
    private func ring(_ slot: Int, _ target: Int) {
        guard isRunning else { return }
        if slot == 0 {
            guard target == 0 else { return }
            isCommandRingRunning = true
            plan(0)
        } else if let endpoint = slots[slot]?.endpoints[target], (1 ... 31).contains(target) {
            if endpoint.state == .stopped {
                endpoint.state = .running
                if let memory { endpoint.publish(memory) }
            }
            plan(slot * 32 + target)
        }
    }

    /// Has a ring looked at soon.
    func plan(_ key: Int) { if !due.contains(key) { due.append(key) } }

    /// Has all rings looked at.
    private func resume() {
        guard isRunning else { return }
        if isCommandRingRunning { plan(0) }
        for (number, slot) in slots.sorted(by: { $0.key < $1.key }) {
            for index in slot.endpoints.keys.sorted() { plan(number * 32 + index) }
        }
        work()
    }

    /// The driver has to read events before more can be told.
    var isBlocked: Bool { interrupters.contains { !$0.held.isEmpty } }

    /// Looks at rings in turn, as much as is good at a time.
    func work() {
        guard !isWorking, !due.isEmpty else { return }
        isWorking = true
        defer { isWorking = false }
        var left = Limit.work
        while left > 0, !due.isEmpty {
            guard isRunning, !isBlocked, memory?.isEnabled == true else { return due = [] }
            let key = due.removeFirst()
            let done = key == 0 ? runCommands(Limit.turn) : run(key >> 5, key & 31, Limit.turn)
            if done >= Limit.turn { plan(key) }
            left -= max(1, done)
        }
        if !due.isEmpty { continuation?.arm(at: now &+ Limit.pause) }
    }

    func wake(_ device: USBDevice, _ endpoint: UInt8) {
        guard let number = slotNumber(of: device) else { return }
        plan(number * 32 + Self.index(endpoint))
        work()
    }

    func complete(_ device: USBDevice, _ endpoint: UInt8, _ result: USBResult) {
        guard let number = slotNumber(of: device), let slot = slots[number], let target = slot.endpoints[Self.index(endpoint)], target.isPending, let transfer = target.active else { return }
        target.isPending = false
        finish(number, Self.index(endpoint), target, transfer, result)
        plan(number * 32 + Self.index(endpoint))
        work()
    }

    /// The device context index of an endpoint.
    static func index(_ endpoint: UInt8) -> Int { Int(endpoint & 15) * 2 + (endpoint & 0x80 != 0 ? 1 : 0) }
    private func slotNumber(of device: USBDevice) -> Int? { slots.first { $0.value.port == device.port }?.key }
    func device(of slot: XHCISlot) -> USBDevice? { slot.port == 0 ? nil : bus.devices[slot.port] }

    // MARK: life

    /// A reset by the driver (section 4.23.1).
    private func restart() {
        for device in bus.devices.values { device.reset() }
        (command, status, notifications, contextArray, enabledSlots) = (0, Status.halted, 0, 0, 0)
        (commandRing, isCommandRingRunning, slots, due) = (RequestRing(), false, [:], [])
        interrupters = [Interrupter](repeating: Interrupter(), count: interrupters.count)
        resetPorts()
        updatePin()
    }

    public func reset() { restart() }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        // What goes on ends, and nothing new begins meanwhile.
        isWorking = true
        defer {
            isWorking = false
            work()
        }
        for device in bus.devices.values { if state.isLoading { device.abandon() } else { device.settle() } }
        try state.field("command", &command)
        try state.field("status", &status)
        try state.field("notifications", &notifications)
        try state.field("ring", &commandRing.dequeue)
        try state.field("ringWritten", &commandRing.written)
        try state.field("ringCycle", &commandRing.cycle)
        try state.field("ringRunning", &isCommandRingRunning)
        try state.field("contexts", &contextArray)
        try state.field("slotsEnabled", &enabledSlots)
        try state.field("started", &started)
        var values = ports.map(\.value)
        try state.field("ports", &values)
        for (index, value) in values.enumerated() { ports[index].value = value }
        for index in interrupters.indices { try state.part("interrupter\(index)") { (part) throws(StateError) in try interrupters[index].transfer(&part) } }
        try transferSlots(&state)
        for (port, device) in bus.devices.sorted(by: { $0.key < $1.key }) {
            try state.part("port\(port)") { (part) throws(StateError) in try device.transfer(&part) }
        }
        guard state.isLoading else { return }
        command &= 0xc0d
        due = []
        updatePin()
        resume()
    }

    private func transferSlots(_ state: inout StateTransfer) throws(StateError) {
        var rows = slots.sorted { $0.key < $1.key }.flatMap { number, slot in [UInt64(number), slot.context, UInt64(slot.state.rawValue), UInt64(slot.port)] }
        var ends = slots.sorted { $0.key < $1.key }.flatMap { number, slot in
            slot.endpoints.sorted { $0.key < $1.key }.flatMap { index, endpoint -> [UInt64] in
                [UInt64(number), UInt64(index), endpoint.context, UInt64(endpoint.type), UInt64(endpoint.state.rawValue), endpoint.ring.dequeue, endpoint.ring.cycle ? 1 : 0]
            }
        }
        try state.field("slots", &rows, maximum: slotCount * 4)
        try state.field("endpoints", &ends, maximum: slotCount * 31 * 7)
        guard state.isLoading else { return }
        guard rows.count % 4 == 0, ends.count % 7 == 0 else { throw .badValue("slots") }
        slots = [:]
        for at in stride(from: 0, to: rows.count, by: 4) {
            guard (1 ... UInt64(slotCount)).contains(rows[at]), let kind = XHCISlot.State(rawValue: UInt32(truncatingIfNeeded: rows[at + 2])), rows[at + 3] <= UInt64(bus.ports) else { throw .badValue("slots") }
            let slot = XHCISlot()
            (slot.context, slot.state, slot.port) = (rows[at + 1], kind, Int(rows[at + 3]))
            slots[Int(rows[at])] = slot
        }
        for at in stride(from: 0, to: ends.count, by: 7) {
            guard ends[at] <= UInt64(slotCount), let slot = slots[Int(ends[at])], (1 ... 31).contains(ends[at + 1]), ends[at + 3] <= 7,
                  let kind = XHCIEndpoint.State(rawValue: UInt32(truncatingIfNeeded: ends[at + 4])) else { throw .badValue("endpoints") }
            let endpoint = XHCIEndpoint(context: ends[at + 2], type: UInt32(ends[at + 3]), ring: RequestRing(dequeue: ends[at + 5], cycle: ends[at + 6] != 0))
            endpoint.state = kind
            slot.endpoints[Int(ends[at + 1])] = endpoint
        }
    }
}

extension Interrupter {
    mutating func transfer(_ state: inout StateTransfer) throws(StateError) {
        var rows = segments.flatMap { [$0.base, $0.size] }, place = place, cycle = cycle, hasToldFull = saved.hasToldFull
        var events = saved.held.flatMap { [$0.parameter, UInt64($0.control) << 32 | UInt64($0.status)] }
        try state.field("management", &management)
        try state.field("moderation", &moderation)
        try state.field("tableSize", &tableSize)
        try state.field("table", &table)
        try state.field("dequeue", &dequeue)
        try state.field("segments", &rows, maximum: Limit.segments * 2)
        try state.field("place", &place)
        try state.field("cycle", &cycle)
        try state.field("told", &hasToldFull)
        try state.field("held", &events, maximum: Limit.held * 2)
        guard state.isLoading else { return }
        guard rows.count % 2 == 0, events.count % 2 == 0 else { throw .badValue("segments") }
        let segments = stride(from: 0, to: rows.count, by: 2).map { Segment(base: rows[$0], size: rows[$0 + 1]) }
        let held = stride(from: 0, to: events.count, by: 2).map { TransferRequest(parameter: events[$0], status: events[$0 + 1].low, control: events[$0 + 1].high) }
        guard segments.allSatisfy({ (16 ... Limit.entries).contains($0.size) }), restore(segments, place: place, cycle: cycle, held: held, hasToldFull: hasToldFull) else { throw .badValue("segments") }
    }
}

private extension Int {
    /// Bits that the number needs.
    var significantBits: Int { bitWidth - leadingZeroBitCount }
}
