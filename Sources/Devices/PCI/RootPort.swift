// A PCI Express root port with one slot and native hot-plug (PCI Express Base 7.8.10 to 7.8.15 and 6.7; `pcie-root-port` as
// QEMU has it). Left out: error reporting, power management events, the electromechanical interlock.

import Core
import Host

public final class RootPort: PCIConfigurationOwner, PCIBridge {
    public static let model = DeviceModel(name: "pcie-root-port", summary: "PCI Express Root Port", bus: "pci", category: "bridge", properties: [
        Property("port", .integer, "port number", default: "0"),
        Property("chassis", .integer, "chassis number", default: "0"),
        Property("slot", .integer, "slot number in the chassis", default: "0"),
        Property("hotplug", .flag, "whether devices can come and go", default: "on"),
    ])

    public let identity = PCIIdentity(vendor: 0x1b36, device: 0x000c, classCode: 0x060400)
    public let windows = [PCIBar(0, "root-port-msix", size: 4096)]
    public let interrupts = PCIInterrupts(pin: 1, vectors: 1, vectorBar: 0)
    /// The subsystem, and PCI Express: `PCIEndpoint` adds that one itself.
    public let vendorCapabilities: [[UInt8]] = [[0x0d, 0, 0, 0x36, 0x1b, 0, 0]]
    private let settings: Properties
    private var port: PCIPort?
    private var bus: PCIBus?
    private var shown: [Region] = []
    private var eject: (PCIBus) -> Void = { _ in }
    private var wasInterrupting = false

    public init(_ properties: Properties) { settings = properties }

    /// Whether devices may come while the machine runs.
    var isHotPluggable: Bool { settings.flag("hotplug") }
    /// The numbers under which a person finds the slot.
    var chassisSlot: (chassis: UInt64, slot: UInt64) { (settings.integer("chassis") ?? 0, settings.integer("slot") ?? 0) }

    func makeBus(name: String, wires: PinWires) { bus = PCIBus(name: name, isRoot: false, deviceCount: 1, wires: wires) }
    func onEject(_ body: @escaping (PCIBus) -> Void) { eject = body }

    private lazy var unused = PCIBus(name: "unused", isRoot: false, deviceCount: 1, wires: PinWires([]))
    var secondary: PCIBus { bus ?? unused }
    private(set) var busNumbers: ClosedRange<UInt8>?

    public func connect(_ port: PCIPort) { self.port = port }
    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 { 0 }
    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {}

    // MARK: registers

    /// Offsets in the PCI Express capability, and bits of the slot's registers.
    private enum Slot {
        static let linkStatus = 0x12, capabilities = 0x14, control = 0x18, status = 0x1a, linkActive: UInt16 = 0x2000
        static let attention: UInt16 = 1, presenceChanged: UInt16 = 8, commandDone: UInt16 = 16, present: UInt16 = 0x40, linkChanged: UInt16 = 0x100
        static let interruptEnable: UInt16 = 0x20, powerOff: UInt16 = 0x400, indicator: UInt16 = 0x300, blinking: UInt16 = 0x200, linkEnable: UInt16 = 0x1000
    }

    private var configuration: PCIConfiguration {
        get { port?.configuration ?? PCIConfiguration() }
        _modify {
            if let port {
                yield &port.configuration
            } else {
                var none = PCIConfiguration()
                yield &none
            }
        }
    }
    private var express: Int { port?.endpoint?.express ?? 0 }
    private var lastControl: UInt16 = 0
    private var isOccupied: Bool { !(bus?.functions.isEmpty ?? true) }

    public func capabilitiesPlaced(_ offsets: [Int]) {
        configuration.allow(PCIRegister.primaryBus, 4, 0xffffff)
        configuration[word: PCIRegister.ioBase] = 0x0101
        configuration.allow(PCIRegister.ioBase, 2, 0xf0f0)
        configuration.allow(PCIRegister.secondaryStatus, 2, 0, clearing: 0xf900)
        configuration.allow(PCIRegister.memoryBase, 4, 0xfff0_fff0)
        configuration[long: PCIRegister.prefetchBase] = 0x0001_0001
        configuration.allow(PCIRegister.prefetchBase, 4, 0xfff0_fff0)
        configuration.allow(PCIRegister.prefetchBaseHigh, 4, ~0)
        configuration.allow(PCIRegister.prefetchLimitHigh, 4, ~0)
        configuration.allow(PCIRegister.ioBaseHigh, 4, ~0)
        configuration.allow(PCIRegister.bridgeControl, 2, 0x5f)
        guard let at = port?.endpoint?.express else { return }
        // The link's state is reported.
        configuration[long: at + 12] |= 1 << 20 | UInt32(truncatingIfNeeded: settings.integer("port") ?? 0) << 24
        // Attention button, power controller, both indicators, surprise removal, hot-plug.
        let features: UInt32 = settings.flag("hotplug") ? 0x7b : 0
        configuration[long: at + Slot.capabilities] = features | UInt32(truncatingIfNeeded: settings.integer("slot") ?? 0) << 19
        configuration.allow(at + Slot.control, 2, 0x17ff)
        configuration.allow(at + Slot.status, 2, 0, clearing: 0x11f)
        configuration.allow(at + 0x1c, 2, 0x1f)
        configuration.allow(at + 0x20, 4, 0, clearing: 0x10000)
        configuration[word: at + Slot.control] = 0x03c0 | Slot.powerOff
    }

    public func willRead(_ offset: Int, _ width: Int) { refresh() }

    /// Presence, link and power as they are.
    private func refresh() {
        let at = express
        guard at > 0 else { return }
        let status = configuration[word: at + Slot.status] & ~Slot.present
        configuration[word: at + Slot.status] = status | (isOccupied ? Slot.present : 0)
        let link = configuration[word: at + Slot.linkStatus] & ~Slot.linkActive
        configuration[word: at + Slot.linkStatus] = link | (isOccupied ? Slot.linkActive : 0)
        // A slot that was occupied when the machine began is on.
        if isOccupied, isFresh { configuration[word: at + Slot.control] = configuration[word: at + Slot.control] & ~(Slot.powerOff | Slot.indicator) | 0x100 }
        isFresh = false
        lastControl = configuration[word: at + Slot.control]
    }
    private var isFresh = true

    public func didWrite(_ offset: Int, _ width: Int) {
        if (PCIRegister.command ..< PCIRegister.command + 2).touches(offset, width) || (PCIRegister.primaryBus ..< PCIRegister.ioLimitHigh + 2).touches(offset, width) {
            updateWindows()
        }
        if (PCIRegister.bridgeControl ..< PCIRegister.bridgeControl + 2).touches(offset, width), configuration[word: PCIRegister.bridgeControl] & 0x40 != 0 {
            bus?.resetAll()
        }
        let at = express
        if at > 0, (at + Slot.control ..< at + Slot.control + 2).touches(offset, width) { control(at) }
        if at > 0, (at + Slot.control ..< at + Slot.status + 2).touches(offset, width) { interrupt(at) }
    }

    private func control(_ at: Int) {
        let new = configuration[word: at + Slot.control], old = lastControl
        lastControl = new
        configuration[word: at + Slot.status] |= Slot.commandDone
        let isOff = { (word: UInt16) in word & Slot.powerOff != 0 && word & Slot.indicator == Slot.indicator }
        guard isOff(new), !isOff(old), isOccupied, let bus else { return }
        eject(bus)
        refresh()
        configuration[word: at + Slot.status] |= Slot.presenceChanged | Slot.linkChanged
    }

    private func interrupt(_ at: Int) {
        let control = configuration[word: at + Slot.control], status = configuration[word: at + Slot.status]
        let events = status & control & 0x1f | (control & Slot.linkEnable != 0 ? status & Slot.linkChanged : 0)
        let isInterrupting = events != 0 && control & Slot.interruptEnable != 0
        if isInterrupting, !wasInterrupting { port?.send(0) }
        wasInterrupting = isInterrupting
        port?.setPin(isInterrupting)
    }

    // MARK: the slot

    /// A device has been put in.
    func deviceArrived(isHot: Bool) {
        if isHot { isFresh = false }
        refresh()
        guard isHot, express > 0 else { return }
        configuration[word: express + Slot.status] |= Slot.presenceChanged | Slot.linkChanged
        interrupt(express)
    }

    /// - Returns: false: the guest is at it already.
    func pressAttentionButton() -> Bool {
        guard express > 0 else { return false }
        if configuration[word: express + Slot.control] & Slot.indicator == Slot.blinking { return false }
        configuration[word: express + Slot.status] |= Slot.attention
        interrupt(express)
        return true
    }

    // MARK: what passes through

    private func updateWindows() {
        let first = configuration[byte: PCIRegister.secondaryBus], last = configuration[byte: PCIRegister.subordinateBus]
        busNumbers = first > 0 && first <= last ? first ... last : nil
        guard let bus, let above = port?.endpoint?.bus else { return }
        for region in shown {
            AddressSpace.remove(region, from: above.memory)
            AddressSpace.remove(region, from: above.ports)
        }
        shown = []
        let command = configuration[word: PCIRegister.command]
        if command & PCICommand.memory != 0 {
            let base = UInt64(configuration[word: PCIRegister.memoryBase] & 0xfff0) << 16
            let limit = UInt64(configuration[word: PCIRegister.memoryLimit] & 0xfff0) << 16 | 0xfffff
            show(bus.memory, in: above.memory, base, limit)
            let low = UInt64(configuration[word: PCIRegister.prefetchBase] & 0xfff0) << 16 | UInt64(configuration[long: PCIRegister.prefetchBaseHigh]) << 32
            let high = UInt64(configuration[word: PCIRegister.prefetchLimit] & 0xfff0) << 16 | UInt64(configuration[long: PCIRegister.prefetchLimitHigh]) << 32 | 0xfffff
            show(bus.memory, in: above.memory, low, high)
        }
        if command & PCICommand.io != 0 {
            let base = UInt64(configuration[byte: PCIRegister.ioBase] & 0xf0) << 8 | UInt64(configuration[word: PCIRegister.ioBaseHigh]) << 16
            let limit = UInt64(configuration[byte: PCIRegister.ioLimit] & 0xf0) << 8 | UInt64(configuration[word: PCIRegister.ioLimitHigh]) << 16 | 0xfff
            show(bus.ports, in: above.ports, base, limit)
        }
    }

    private func show(_ region: Region, in container: Region, _ base: UInt64, _ limit: UInt64) {
        guard base <= limit, limit < .max else { return }
        let window = Region(region.name + ".window", size: limit - base + 1, .alias(region, offset: base))
        AddressSpace.place(window, in: container, at: base, priority: 1)
        shown.append(window)
    }

    public func reset() {
        isFresh = true
        wasInterrupting = false
        lastControl = 0
    }

    /// Configuration space is as after power-on: no window is open.
    public func didReset() {
        updateWindows()
        refresh()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("interrupting", &wasInterrupting)
        try state.field("control", &lastControl)
        try state.field("fresh", &isFresh)
        if state.isLoading { updateWindows() }
    }
}
