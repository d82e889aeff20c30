// Intel's ICH9 SATA controller in AHCI mode (AHCI 1.3.1): six ports, each with a link for one drive, 32 command slots, native
// command queuing. Requests go the way of `RequestWorkers`.
//
// Left out: port multipliers, enclosure management, staggered spin-up, command completion coalescing, the legacy IDE mode.

import Core
import Host

public final class AHCIController: PCIFunction, PCIStateObserver, ChildBusOwner {
    public static let model = DeviceModel(name: "ich9-ahci", summary: "Intel ICH9 SATA controller (AHCI)", bus: "pci", category: "storage")
    public static let portCount = 6

    public let identity = PCIIdentity(vendor: 0x8086, device: 0x2922, revision: 2, classCode: 0x010601)
    public let windows = [PCIBar(4, "ahci-idp", size: 32, .io, .registers(widths: 1 ... 4)), PCIBar(5, "ahci", size: 4096, .memory32, .registers(widths: 1 ... 8))]
    public let interrupts = PCIInterrupts(pin: 1, messages: 1)
    /// SATA capability 1.0: the index and data registers are in window 4, 16 bytes from its start.
    public let vendorCapabilities: [[UInt8]] = [[0x12, 0x10, 0x00, 0x48, 0x00, 0x00, 0x00]]
    private var port: PCIPort?
    private let ports = (0 ..< AHCIController.portCount).map { AHCIPort($0) }
    private var workers: RequestWorkers<AHCIRequest, ATAReply>?

    private enum Global { static let reset: UInt32 = 1, interrupts: UInt32 = 2, ahci: UInt32 = 1 << 31 }
    private static let portBase: UInt64 = 0x100, portBytes: UInt64 = 0x80
    /// Six ports, 32 slots, AHCI only, 1.5 Gb/s, native command queuing, 64-bit addresses.
    private static let capabilities: UInt32 = UInt32(portCount - 1) | 31 << 8 | 1 << 18 | 1 << 20 | 1 << 30 | 1 << 31
    private var control = Global.ahci
    /// Ports whose interrupts were felt, and not cleared since.
    private var status: UInt32 = 0
    private var index: UInt32 = 0
    /// No command is begun.
    private var isSettling = false

    public init() {}

    public var childBuses: [any ChildBus] { ports.map(\.bus) }

    public func connect(_ port: PCIPort) {
        self.port = port
        workers = RequestWorkers(port.host, take: { [unowned self] in take($0) }, isSmall: { $0.unit.isSmall($0.request) },
                                 run: { $0.run() }, finish: { [unowned self] in finish($0) })
    }

    public func busMasteringChanged(_ isEnabled: Bool) {
        if isEnabled { kickAll() }
        update()
    }

    // MARK: registers

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        if bar == 4 {
            switch offset & ~3 {
            case 16: return UInt64(index) >> ((offset & 3) * 8)
            case 20: return UInt64(word(UInt64(index))) >> ((offset & 3) * 8)
            default: return 0
            }
        }
        let base = offset & ~3
        var value = UInt64(word(base)) >> ((offset & 3) * 8)
        if width == 8 { value |= UInt64(word(base &+ 4)) << 32 }
        return value
    }

    private func word(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0x00: return Self.capabilities
        case 0x04: return control
        case 0x08: return status
        case 0x0c: return (1 << UInt32(Self.portCount)) - 1
        case 0x10: return 0x1_0000
        default: break
        }
        guard offset >= Self.portBase else { return 0 }
        let number = Int((offset - Self.portBase) / Self.portBytes)
        return ports.indices.contains(number) ? ports[number].read((offset - Self.portBase) % Self.portBytes) : 0
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        if bar == 4 {
            guard width == 4 else { return }
            if offset == 16 { index = value.low & 0xffc }
            if offset == 20 { store(UInt64(index), value.low) }
            return
        }
        guard offset & 3 == 0, width >= 4 else { return }
        store(offset, value.low)
        if width == 8 { store(offset + 4, value.high) }
    }

    private func store(_ offset: UInt64, _ value: UInt32) {
        switch offset {
        case 0x04:
            if value & Global.reset != 0 { return resetAll() }
            control = Global.ahci | value & Global.interrupts
            update(isRenewed: true)
        case 0x08:
            status &= ~value
            update(isRenewed: true)
        case Self.portBase...: storePort(Int((offset - Self.portBase) / Self.portBytes), (offset - Self.portBase) % Self.portBytes, value)
        default: break
        }
    }

    private func storePort(_ number: Int, _ offset: UInt64, _ value: UInt32) {
        guard ports.indices.contains(number), let port else { return }
        let mustSettle = ports[number].mustSettle(offset, value)
        if mustSettle { settle() }
        if ports[number].write(offset, value, port.memory) { workers?.kick(number) }
        if mustSettle { kickAll() }
        update()
    }

    // MARK: commands

    private func take(_ number: Int) -> [AHCIRequest] {
        guard ports.indices.contains(number), !isSettling, let port else { return [] }
        var requests: [AHCIRequest] = []
        while requests.count < RequestWorkers<AHCIRequest, ATAReply>.batch, let request = ports[number].next(port.memory) { requests.append(request) }
        // Resets and errors interrupt without a command that ends.
        if requests.isEmpty { update() }
        return requests
    }

    private func finish(_ finished: [(request: AHCIRequest, answer: ATAReply)]) {
        guard let port else { return }
        for (request, reply) in finished { ports[request.port].complete(request, reply, port.memory) }
        update()
        // Commands that had to wait for these.
        for number in Set(finished.map(\.request.port)) { workers?.kick(number) }
    }

    private func kickAll() { for number in ports.indices { workers?.kick(number) } }

    /// Waits for what is under way on all ports. Who calls it kicks them all afterwards.
    private func settle() {
        isSettling = true
        workers?.settle()
        isSettling = false
    }

    /// - Parameter isRenewed: what still interrupts is to be told anew (AHCI 10.6.2).
    private func update(isRenewed: Bool = false) {
        let before = status
        for (number, port) in ports.enumerated() where port.isInterrupting { status |= 1 << UInt32(number) }
        let isHigh = control & Global.interrupts != 0 && status != 0
        port?.setPin(isHigh)
        if isHigh, isRenewed || status & ~before != 0, port?.usesMessages == true { port?.send(0) }
    }

    // MARK: life

    private func resetAll() {
        workers?.abandon()
        (control, status) = (Global.ahci, 0)
        if let port { for each in ports { each.reset(port.memory) } }
        update()
    }

    public func reset() {
        resetAll()
        index = 0
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        if state.isLoading { workers?.abandon() } else { settle() }
        try state.field("control", &control)
        try state.field("status", &status)
        try state.field("index", &index)
        for (number, each) in ports.enumerated() { try state.part("port\(number)") { (part) throws(StateError) in try each.transfer(&part) } }
        if state.isLoading {
            control = control & Global.interrupts | Global.ahci
            index &= 0xffc
            update()
        }
        kickAll()
    }
}
