// The devices that were asked for by `-device` and `device_add`: made, listed, and let go.

import Block
import BlockMonitor
import Core
import Devices
import Host
import Machines

/// Invariant: the function is touched under its slot's lock only.
struct GuardedFunction: @unchecked Sendable { let function: any VirtioFunction }

/// The devices of a machine beside the board's own.
public final class DeviceTable: Sendable {
    struct Entry: Sendable {
        /// `id`, or what the device is called without one.
        var name: String
        var hasIdentifier: Bool
        var driver: String
        var bus: String
        var slot: DeviceSlot
        var properties: Properties
        var disks: [BlockDevice]
        var virtio: GuardedFunction?
        /// As QEMU's object tree has it.
        var path: String
        /// It hangs from the device in `slot`, and goes with it.
        var isChild = false
        /// Its tray, if the medium can be taken out.
        var drive: (any RemovableDrive)?
        /// How a device leaves that asks nobody.
        var detach: (@Sendable () -> Void)?
    }
    public typealias MakeContext = @Sendable (DeviceHost, _ name: String, Properties) throws(ConfigurationError) -> DeviceContext
    public typealias PlugVirtio = @Sendable (_ name: String, any VirtioFunction, DeviceHost) throws(ConfigurationError) -> DeviceSlot
    private struct State: Sendable {
        var entries: [Entry] = []
        var globals: [(driver: String, property: String, value: String)] = []
        var count = 0
        var gone: @Sendable (Entry) -> Void = { _ in }
        var departed: @Sendable (String) -> Void = { _ in }
        var diskDeparted: @Sendable (String) -> Void = { _ in }
        var diskArrived: @Sendable (BlockDevice, Properties, String) -> Void = { _, _, _ in }
        var changed: @Sendable (Entry) -> Void = { _ in }
    }
    let parts: BoardParts
    let pci: PCIHost
    private let blocks: BlockService
    private let plugVirtio: PlugVirtio
    private let makeContext: MakeContext
    private let state = Locked(State())
    private let children = ChildBuses()
    private let consoles = ConsoleBuses()

    /// - Parameters:
    ///   - plugVirtio: puts a virtio device into a slot of memory-mapped registers.
    ///   - makeContext: the back ends as they are now.
    public init(_ parts: BoardParts, pci: PCIHost, blocks: BlockService, plugVirtio: @escaping PlugVirtio, makeContext: @escaping MakeContext) {
        self.parts = parts
        self.pci = pci
        self.blocks = blocks
        self.plugVirtio = plugVirtio
        self.makeContext = makeContext
        pci.onRemoval { [weak self] slot in self?.left(slot) }
    }

    var entries: [Entry] { state.withLock { $0.entries } }
    func find(_ name: String) -> Entry? { state.withLock { $0.entries.first { $0.name == name || $0.path == name } } }
    func onRemoval(_ body: @escaping @Sendable (Entry) -> Void) { state.withLock { $0.gone = body } }
    /// Told of each disk with its device's properties and path.
    public func onDiskArrival(_ body: @escaping @Sendable (BlockDevice, Properties, String) -> Void) { state.withLock { $0.diskArrived = body } }
    /// Told of a drive (`drive=`) whose device is gone.
    public func onDiskDeparture(_ body: @escaping @Sendable (String) -> Void) { state.withLock { $0.diskDeparted = body } }
    /// Whether a device has this drive.
    public func uses(drive: String) -> Bool { entries.contains { $0.properties.text("drive") == drive } }
    /// Told the name of each device that has left.
    public func onDeparture(_ body: @escaping @Sendable (String) -> Void) { state.withLock { $0.departed = body } }
    /// Told of each new device.
    func onArrival(_ body: @escaping @Sendable (Entry) -> Void) { state.withLock { $0.changed = body } }

    /// `-global DRIVER.PROPERTY=VALUE`: for all devices of that kind that are made from now on.
    public func setGlobal(_ driver: String, _ property: String, _ value: String) throws(ConfigurationError) {
        // A type that devices have in common speaks for those that have the property.
        let devices = DeviceCatalogue.all.filter { $0.types.contains(driver) }
        if let device = devices.first(where: { $0.model.name == driver }) ?? devices.first(where: { $0.model.properties.contains { $0.name == property } }) ?? devices.first {
            _ = try Properties(driver, device.model.properties, [(property, value)])
        }
        state.withLock { $0.globals.append((driver, property, value)) }
    }

    /// Whether devices have such a type.
    public static func isKnown(type name: String) -> Bool { DeviceCatalogue.all.contains { $0.types.contains(name) } }

    /// Makes a device and puts it in its place.
    /// - Parameter isHot: the machine runs already.
    public func plug(_ given: [(name: String, value: String)], isHot: Bool) throws(ConfigurationError) {
        guard let driver = given.first(where: { $0.name == "driver" })?.value else { throw ConfigurationError("-device: no driver is given") }
        guard let device = DeviceCatalogue.find(driver) else { throw ConfigurationError("-device: '\(driver)' is not a device that is supported (-device help)") }
        var rest = given.filter { $0.name != "driver" }
        func take(_ name: String) -> String? {
            defer { rest.removeAll { $0.name == name } }
            return rest.last { $0.name == name }?.value
        }
        let id = take("id")
        var bus = take("bus")
        if let id, find(id) != nil { throw ConfigurationError("Duplicate device ID '\(id)'") }
        let (globals, number) = state.withLock { state in
            defer { state.count += 1 }
            let fitting = state.globals.filter { global in
                global.driver == driver || device.types.contains(global.driver) && device.model.properties.contains { $0.name == global.property }
            }
            return (fitting, state.count)
        }
        let name = id ?? "\(driver)-\(number)"
        let properties = try Properties(driver, device.model.properties, globals.map { ($0.property, $0.value) } + rest)
        let host = parts.host()
        var context = try makeContext(host, name, properties)
        let slot: DeviceSlot, virtio: (any VirtioFunction)?, disks: [BlockDevice]
        var child: AttachedChild?
        switch device.maker {
        case .pci(let make):
            context.isBehindPort = bus != nil && bus != pci.root.name
            let function = try make(properties, context)
            virtio = (function as? VirtioPCI)?.function
            if let console = virtio as? VirtioConsole { consoles.add(name, console, host) }
            disks = ((virtio as? any DiskOwner) ?? (function as? any DiskOwner))?.disks ?? []
            try refuseShared(disks)
            let rom = try ExpansionROM(properties, read: context.firmwareFile)
            slot = try pci.plug(name, function, rom: rom, host: host, bus: bus, address: properties.text("addr"), isMultifunction: properties.flag("multifunction"), isHot: isHot)
            children.add(of: function, id: id, slot: slot)
        case .virtio(let make):
            if isHot { throw ConfigurationError("Bus 'virtio-mmio-bus' does not support hotplugging") }
            let function = try make(properties, context)
            virtio = function
            if let console = function as? VirtioConsole { consoles.add(name, console, host) }
            disks = (function as? any DiskOwner)?.disks ?? []
            try refuseShared(disks)
            slot = try plugVirtio(name, function, host)
            children.add(of: function, id: id, slot: slot)
        case .system(let make):
            if isHot { throw ConfigurationError("Device '\(driver)' does not support hotplugging") }
            slot = try make(properties, context)
            parts.add(slot)
            (virtio, disks) = (nil, [])
        case .child(let attach):
            let place = try children.find(bus, kind: device.model.bus, for: driver)
            guard !isHot || place.bus.isHotPluggable else { throw ConfigurationError("Bus '\(place.name)' does not support hotplugging") }
            context.hasIdentifier = id != nil
            if let drive = properties.text("drive"), let node = context.node(drive), node.isWritable { try refuseShared(node) }
            let attached = try attach(properties, context, place.bus)
            (child, slot, virtio, disks, bus) = (attached, place.owner, nil, attached.disks, place.name)
        case .consolePort(let isConsole):
            try consoles.addPort(properties, bus: bus, isConsole: isConsole, find: context.characters)
            return
        }
        let path = id.map { "/machine/peripheral/\($0)" } ?? "/machine/peripheral-anon/device[\(number)]"
        for disk in disks {
            disk.node.retain()
            blocks.attach(path, disk.root)
            state.withLock { $0.diskArrived }(disk, properties, path)
        }
        let entry = Entry(name: name, hasIdentifier: id != nil, driver: driver, bus: bus ?? (device.model.bus == "pci" ? pci.root.name : device.model.bus), slot: slot,
                          properties: properties, disks: disks, virtio: virtio.map { GuardedFunction(function: $0) }, path: path,
                          isChild: child != nil, drive: child?.drive, detach: child?.detach)
        state.withLock { state in
            state.entries.append(entry)
            return state.changed
        }(entry)
    }

    /// Two devices that write to one disk would not know of each other.
    private func refuseShared(_ disks: [BlockDevice]) throws(ConfigurationError) {
        for disk in disks where !disk.isReadOnly { try refuseShared(disk.node) }
    }

    private func refuseShared(_ node: Node) throws(ConfigurationError) {
        guard !entries.contains(where: { $0.disks.contains { $0.node === node } }) else { throw ConfigurationError("Drive '\(node.name)' is already in use by another block device") }
    }

    /// Buses of a kind that devices provide.
    func buses(_ kind: String) -> [any ChildBus] { children.all(kind) }

    /// Asks the guest to let a device go; one that can leave at once does.
    func requestUnplug(_ entry: Entry) throws(ConfigurationError) {
        if let detach = entry.detach {
            detach()
            return forget { $0.name == entry.name }
        }
        guard !entry.isChild, pci.functions.contains(where: { $0.slot === entry.slot }) else { throw ConfigurationError("Bus '\(entry.bus)' does not support hotplugging") }
        try pci.requestUnplug(entry.name)
    }

    private func left(_ slot: DeviceSlot) {
        children.remove(of: slot)
        for entry in entries where entry.slot === slot && entry.isChild { entry.detach?() }
        forget { $0.slot === slot }
    }

    /// What hangs from a device goes before it.
    private func forget(_ isMeant: (Entry) -> Bool) {
        let (gone, departed, diskDeparted, entries) = state.withLock { state in
            let leaving = state.entries.filter(isMeant)
            state.entries.removeAll(where: isMeant)
            return (state.gone, state.departed, state.diskDeparted, leaving.filter(\.isChild) + leaving.filter { !$0.isChild })
        }
        for entry in entries {
            for disk in entry.disks {
                blocks.detach(disk.root)
                try? disk.node.close()
            }
            gone(entry)
            departed(entry.name)
            if let drive = entry.properties.text("drive") { diskDeparted(drive) }
        }
    }
}
