// A PCI Express host bridge with an enhanced configuration window (ECAM; `pci-host-ecam-generic` in device trees), as QEMU's
// `virt` machines have it: PCI Firmware Specification 3.2, section 4.1.2.

import Core
import Host

/// The host bridge and all buses behind it. All methods may be called from any thread.
public final class PCIHost: BusTarget, @unchecked Sendable {
    public let root: PCIBus
    /// The configuration window: 256 buses of 1 MiB.
    public static let configurationSize: UInt64 = 256 << 20
    private let lock = RecursiveLock()
    private let wires: PinWires
    private var buses: [String: PCIBus] = [:]
    private var owners: [String: DeviceSlot] = [:]
    private var removed: @Sendable (DeviceSlot) -> Void = { _ in }

    /// - Parameters:
    ///   - name: of the root bus: `pcie.0`.
    ///   - lines: INTA to INTD.
    public init(name: String = "pcie.0", lines: [InterruptLine], host: DeviceHost) {
        wires = PinWires(lines)
        root = PCIBus(name: name, isRoot: true, deviceCount: 32, wires: wires)
        buses[name] = root
        let bridge = PCIEndpoint.make("gpex-root", HostBridge(), host: host)
        _ = try? root.plug(bridge, at: 0, isMultifunction: false, pin: 0)
    }

    /// The configuration window, for the machine to place.
    public func configurationRegion(size: UInt64 = PCIHost.configurationSize) -> Region { Region("pcie-mmcfg-mmio", size: size, .device(self, bank: 0)) }
    /// What the machine shows of the bus's memory: `size` bytes from bus address `start`.
    public func memoryWindow(_ name: String, from start: UInt64, size: UInt64) -> Region { Region(name, size: size, .alias(root.memory, offset: start)) }
    public func portWindow(size: UInt64) -> Region { Region("gpex_ioport", size: size, .alias(root.ports, offset: 0)) }

    // MARK: BusTarget: configuration accesses

    public func widths(bank: Int) -> ClosedRange<Int> { 1 ... 4 }

    public func read(bank: Int, offset: UInt64, width: Int) -> UInt64 {
        let ones: UInt64 = (1 << UInt64(width * 8)) - 1
        return locked {
            guard let slot = find(offset) else { return ones }
            let value = slot.withDevice { ($0 as? PCIEndpoint)?.readConfiguration(Int(offset & 0xfff), width) }
            return value.map(UInt64.init) ?? ones
        }
    }

    public func write(bank: Int, offset: UInt64, value: UInt64, width: Int) {
        locked {
            guard let slot = find(offset) else { return }
            slot.withDevice { ($0 as? PCIEndpoint)?.writeConfiguration(Int(offset & 0xfff), UInt32(truncatingIfNeeded: value), width) }
        }
    }

    private func find(_ offset: UInt64) -> DeviceSlot? {
        root.find(UInt8(truncatingIfNeeded: offset >> 20), UInt8(truncatingIfNeeded: offset >> 12), own: 0)
    }

    private func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }

    // MARK: devices

    /// Told of functions that have left after `requestUnplug`; called from the event loop's thread.
    public func onRemoval(_ body: @escaping @Sendable (DeviceSlot) -> Void) { locked { removed = body } }

    /// The names of all buses.
    public var busNames: [String] { locked { buses.keys.sorted() } }

    /// Puts a function on a bus.
    /// - Parameters:
    ///   - name: the device's `id`, or what it is called without.
    ///   - busName: nil: the root bus.
    ///   - address: `addr`: "DEVICE" or "DEVICE.FUNCTION", hexadecimal; nil: the first free device.
    ///   - isHot: the machine runs: the guest is told through the slot.
    @discardableResult
    public func plug(_ name: String, _ function: any PCIFunction, rom: ExpansionROM? = nil, host: DeviceHost, bus busName: String? = nil, address: String? = nil,
                     isMultifunction: Bool = false, isHot: Bool = false) throws(ConfigurationError) -> DeviceSlot {
        try locked { () throws(ConfigurationError) in
            guard let bus = busName.map({ buses[$0] }) ?? root else {
                throw ConfigurationError("\(name): there is no bus '\(busName ?? "")', expected one of \(buses.keys.sorted().joined(separator: ", "))")
            }
            var mayCome = false
            withPort(of: bus) { mayCome = $0.isHotPluggable }
            guard !isHot || mayCome else { throw ConfigurationError("\(name): bus '\(bus.name)' does not support hot-plugging") }
            let number = try address.map { (text) throws(ConfigurationError) in try Self.place(name, text) }
            guard rom == nil || !(function is any PCIBridge) else { throw ConfigurationError("\(name): a port has no expansion ROM") }
            if let port = function as? RootPort { try claim(port, name) }
            if let port = function as? RootPort { port.makeBus(name: name, wires: wires) }
            let slot = PCIEndpoint.make(name, function, rom: rom, host: host)
            _ = try bus.plug(slot, at: number, isMultifunction: isMultifunction, pin: function.interrupts.pin)
            if let port = function as? RootPort {
                buses[name] = port.secondary
                owners[name] = slot
                port.onEject { [weak self] in self?.eject($0) }
            }
            withPort(of: bus) { $0.deviceArrived(isHot: isHot) }
            return slot
        }
    }

    /// Asks the guest to let a function go; `onRemoval` tells when it has.
    public func requestUnplug(_ name: String) throws(ConfigurationError) {
        try locked { () throws(ConfigurationError) in
            guard let bus = buses.values.first(where: { $0.functions.values.contains { $0.name == name } }) else {
                throw ConfigurationError("device '\(name)' is not on a PCI bus")
            }
            var isAsked: Bool?
            withPort(of: bus) { isAsked = $0.isHotPluggable ? $0.pressAttentionButton() : nil }
            guard let isAsked else { throw ConfigurationError("device '\(name)': bus '\(bus.name)' does not support hot-plugging") }
            guard isAsked else { throw ConfigurationError("device '\(name)' is already in the process of unplug") }
        }
    }

    /// A chassis has each slot once, as the numbers that a person reads on it.
    private func claim(_ port: RootPort, _ name: String) throws(ConfigurationError) {
        for (other, slot) in owners {
            let taken = slot.withDevice { (($0 as? PCIEndpoint)?.function as? RootPort)?.chassisSlot }
            guard taken.map({ $0 == port.chassisSlot }) != true else {
                throw ConfigurationError("\(name): chassis \(port.chassisSlot.chassis) slot \(port.chassisSlot.slot) is '\(other)' already: give another 'chassis' or 'slot'")
            }
        }
    }

    private func withPort(of bus: PCIBus, _ body: (RootPort) -> Void) {
        owners[bus.name]?.withDevice { device in
            guard let port = (device as? PCIEndpoint)?.function as? RootPort else { return }
            body(port)
        }
    }

    /// The guest has switched a slot off. Called with both locks held.
    private func eject(_ bus: PCIBus) {
        let sink = removed
        for number in bus.functions.keys.sorted(by: >) {
            guard let slot = bus.unplug(number) else { continue }
            slot.withDevice { device in
                guard let endpoint = device as? PCIEndpoint else { return }
                endpoint.function.reset()
                endpoint.port.host.loop.submit { sink(slot) }
            }
        }
    }

    /// All functions with their bus names and places, as `info pci` lists them.
    public var functions: [(bus: String, number: UInt8, slot: DeviceSlot)] {
        locked { buses.values.sorted { $0.name < $1.name }.flatMap { bus in bus.functions.sorted { $0.key < $1.key }.map { (bus.name, $0.key, $0.value) } } }
    }

    /// Back to the state after power-on.
    public func reset() { locked { for bus in buses.values { bus.resetAll() } } }

    private static func place(_ name: String, _ text: String) throws(ConfigurationError) -> UInt8 {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let digits = { (part: Substring) in UInt8(part.hasPrefix("0x") ? part.dropFirst(2) : part, radix: 16) }
        guard parts.count <= 2, let device = parts.first.flatMap(digits), device < 32, let function = parts.count == 2 ? digits(parts[1]) : 0, function < 8 else {
            throw ConfigurationError("\(name): property 'addr' is '\(text)', expected a slot 0 to 1f, with or without a function .0 to .7")
        }
        return device << 3 | function
    }
}

/// Device 0 of the root bus.
private final class HostBridge: PCIFunction {
    let identity = PCIIdentity(vendor: 0x1b36, device: 0x0008, classCode: 0x060000)
    let windows: [PCIBar] = []
    let interrupts = PCIInterrupts(pin: 0)
    func connect(_ port: PCIPort) {}
    func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 { 0 }
    func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {}
    func reset() {}
    func transfer(_ state: inout StateTransfer) throws(StateError) {}
}
