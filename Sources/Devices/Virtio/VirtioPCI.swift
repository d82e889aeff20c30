// virtio over PCI (Virtual I/O Device 1.3, section 4.1): the modern interface, and the legacy one in an I/O window. The
// layout of windows is the one that QEMU's devices have.

import Core

public final class VirtioPCI: PCIConfigurationOwner, PCIStateObserver, VirtioTransport {
    /// What `-device virtio-…-pci` takes beside the device's own properties.
    public static let properties = VirtioOptions.properties + [
        Property("vectors", .integer, "MSI-X vectors; the standard is one a queue and one more"),
        Property("disable-legacy", .choice(["on", "off", "auto"]), "no legacy interface; auto: none behind a PCI Express port", default: "auto"),
        Property("disable-modern", .flag, "no modern interface", default: "off"),
    ]

    public let identity: PCIIdentity
    public let windows: [PCIBar]
    public let interrupts: PCIInterrupts
    public let vendorCapabilities: [[UInt8]]
    public let function: any VirtioFunction
    private let options: VirtioOptions
    private let hasLegacy: Bool
    private let hasModern: Bool
    private var port: PCIPort?
    /// The virtio device; nil before it is connected.
    public private(set) var core: VirtioCore?
    private var accessWindow = 0

    // The common configuration's selectors.
    private var deviceSelect: UInt32 = 0
    private var driverSelect: UInt32 = 0
    private var queueSelect: UInt16 = 0
    private var configurationVector: UInt16 = 0xffff

    private enum Bar { static let legacy = 0, vectors = 1, modern = 4 }
    /// Parts of the modern window, 4 KiB each.
    private enum Part { static let common: UInt64 = 0, status: UInt64 = 0x1000, device: UInt64 = 0x2000, notify: UInt64 = 0x3000, size: UInt64 = 0x4000 }
    private static let noVector: UInt16 = 0xffff
    private static let legacyDevices: [VirtioType: UInt16] = [.network: 0x1000, .block: 0x1001, .balloon: 0x1002, .console: 0x1003, .scsi: 0x1004, .entropy: 0x1005, .plan9: 0x1009]

    /// - Parameters:
    ///   - classCode: base class, subclass, programming interface.
    ///   - vectors: MSI-X vectors unless `vectors` is given.
    ///   - isBehindPort: whether it goes behind a PCI Express port.
    ///   - legacy: instead of the property `disable-legacy`, for devices whose name says it.
    public init(_ function: any VirtioFunction, classCode: UInt32, vectors: Int, properties: Properties, isBehindPort: Bool, legacy: String? = nil) throws(ConfigurationError) {
        self.function = function
        options = VirtioOptions(properties)
        let legacyDevice = Self.legacyDevices[function.type]
        let wish = legacy ?? properties.text("disable-legacy")
        hasLegacy = legacyDevice != nil && (wish == "off" || wish != "on" && !isBehindPort)
        hasModern = !properties.flag("disable-modern")
        guard hasLegacy || hasModern else {
            throw ConfigurationError("\(properties.owner): property 'disable-modern' is on, but there is no legacy interface: expected disable-legacy=off\(legacyDevice == nil ? " and a device that has one" : "")")
        }
        let number = function.type.rawValue
        identity = hasLegacy ? PCIIdentity(vendor: 0x1af4, device: legacyDevice ?? 0, classCode: classCode, subsystem: number)
            : PCIIdentity(vendor: 0x1af4, device: 0x1040 + number, revision: 1, classCode: classCode)
        let count = Int(clamping: properties.integer("vectors") ?? UInt64(max(0, vectors)))
        guard count <= 2048 else { throw ConfigurationError("\(properties.owner): property 'vectors' is \(count), expected at most 2048") }
        let pending = max(2048, (count * 16 + 7) & ~7)
        interrupts = PCIInterrupts(pin: 1, vectors: count, vectorBar: Bar.vectors, pendingOffset: UInt64(pending))
        var windows: [PCIBar] = []
        if hasLegacy {
            let size = 24 + function.configuration.count
            windows.append(PCIBar(Bar.legacy, "virtio-pci", size: Self.power(UInt64(max(32, size))), .io, .registers(widths: 1 ... 4)))
        }
        if count > 0 { windows.append(PCIBar(Bar.vectors, "virtio-msix", size: Self.power(UInt64(max(4096, pending + (count + 63) / 64 * 8))))) }
        if hasModern { windows.append(PCIBar(Bar.modern, "virtio-modern", size: Part.size, .prefetchable64, .registers(widths: 1 ... 4))) }
        self.windows = windows
        vendorCapabilities = hasModern ? Self.capabilities : []
    }

    private static func power(_ size: UInt64) -> UInt64 { size <= 1 ? 1 : 1 << UInt64(64 - (size - 1).leadingZeroBitCount) }

    /// Where the parts are: common, notifications (with their step), status, device, and a window through configuration space.
    private static let capabilities: [[UInt8]] = {
        let little = { (value: UInt64) in (0 ..< 4).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) } }
        let one = { (kind: UInt8, at: UInt64, extra: [UInt8]) -> [UInt8] in
            [9, UInt8(16 + extra.count), kind, kind == 5 ? 0 : UInt8(Bar.modern), 0, 0, 0] + little(at) + little(kind == 5 ? 0 : 0x1000) + extra
        }
        return [one(5, 0, [0, 0, 0, 0]), one(2, Part.notify, little(4)), one(4, Part.device, []), one(3, Part.status, []), one(1, Part.common, [])]
    }()

    public func connect(_ port: PCIPort) {
        self.port = port
        let core = VirtioCore(function, memory: port.memory, host: port.host, options: options)
        core.transport = self
        self.core = core
    }

    // MARK: windows

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        guard let core else { return 0 }
        if bar == Bar.legacy { return readLegacy(core, offset, width) }
        guard bar == Bar.modern else { return 0 }
        switch offset & ~0xfff {
        case Part.common: return readCommon(core, offset, width)
        case Part.status: return offset == Part.status ? UInt64(takeStatus(core)) : 0
        case Part.device: return core.readConfiguration(offset - Part.device, width)
        default: return 0
        }
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard let core else { return }
        if bar == Bar.legacy { return writeLegacy(core, offset, value, width) }
        guard bar == Bar.modern else { return }
        switch offset & ~0xfff {
        case Part.common: writeCommon(core, offset, value, width)
        case Part.device: core.writeConfiguration(offset - Part.device, value, width)
        case Part.notify: core.notify(Int(offset - Part.notify) / 4)
        default: break
        }
    }

    private func takeStatus(_ core: VirtioCore) -> UInt8 {
        let status = core.interruptStatus
        core.acknowledge(status)
        port?.setPin(false)
        return status
    }

    private var queue: VirtQueue? {
        guard let core, core.queues.indices.contains(Int(queueSelect)) else { return nil }
        return core.queues[Int(queueSelect)]
    }

    // MARK: the common configuration

    /// Fields are read with their own width, 64-bit ones as halves; narrower accesses get the part they ask for.
    private func readCommon(_ core: VirtioCore, _ offset: UInt64, _ width: Int) -> UInt64 {
        let base = offset & ~3
        let word = UInt64(commonWord(core, base))
        let next = (offset & 3) + UInt64(width) > 4 ? UInt64(commonWord(core, base + 4)) : 0
        let value = (word | next << 32) >> ((offset & 3) * 8)
        return width >= 8 ? value : value & (1 << UInt64(width * 8) - 1)
    }

    private func commonWord(_ core: VirtioCore, _ base: UInt64) -> UInt32 {
        let queue = queue
        switch base {
        case 0x00: return deviceSelect
        case 0x04: return core.offeredWord(deviceSelect, isLegacy: false)
        case 0x08: return driverSelect
        case 0x0c: return core.acceptedWord(driverSelect)
        case 0x10: return UInt32(configurationVector) | UInt32(core.queues.count) << 16
        case 0x14: return UInt32(core.status) | (core.generation & 0xff) << 8 | UInt32(queueSelect) << 16
        case 0x18: return UInt32(queue?.size ?? 0) | UInt32(queue?.vector ?? Self.noVector) << 16
        case 0x1c: return (queue?.isEnabled == true ? 1 : 0) | UInt32(queueSelect) << 16
        case 0x20: return queue?.descriptorArea.low ?? 0
        case 0x24: return queue?.descriptorArea.high ?? 0
        case 0x28: return queue?.driverArea.low ?? 0
        case 0x2c: return queue?.driverArea.high ?? 0
        case 0x30: return queue?.deviceArea.low ?? 0
        case 0x34: return queue?.deviceArea.high ?? 0
        case 0x38: return UInt32(queueSelect)
        default: return 0
        }
    }

    private func writeCommon(_ core: VirtioCore, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let word = UInt32(truncatingIfNeeded: value), half = UInt16(truncatingIfNeeded: value)
        switch (offset, width) {
        case (0x00, 4): deviceSelect = word
        case (0x08, 4): driverSelect = word
        case (0x0c, 4): core.accept(driverSelect, word, isLegacy: false)
        case (0x10, 2): configurationVector = checked(half)
        case (0x14, 1): setStatus(core, UInt8(truncatingIfNeeded: value))
        case (0x16, 2): queueSelect = half
        case (0x1a, 2): queue?.vector = checked(half)
        case (0x1c, 2): if half == 1, let queue, !queue.isEnabled { core.enable(queue) }
        case (0x3a, 2): if half == 1, let queue, core.has(VirtioFeature.ringReset) { resetKeepingVector(core, queue) }
        default: writeArea(offset, word, half, width)
        }
    }

    private func writeArea(_ offset: UInt64, _ word: UInt32, _ half: UInt16, _ width: Int) {
        guard let queue, !queue.isEnabled else { return }
        switch (offset, width) {
        case (0x18, 2): if half > 0, half <= queue.maximumSize { queue.size = half }
        case (0x20, 4): queue.descriptorArea.low = word
        case (0x24, 4): queue.descriptorArea.high = word
        case (0x28, 4): queue.driverArea.low = word
        case (0x2c, 4): queue.driverArea.high = word
        case (0x30, 4): queue.deviceArea.low = word
        case (0x34, 4): queue.deviceArea.high = word
        default: break
        }
    }

    private func resetKeepingVector(_ core: VirtioCore, _ queue: VirtQueue) {
        let vector = queue.vector
        core.resetQueue(queue)
        queue.vector = vector
    }

    private func checked(_ vector: UInt16) -> UInt16 { Int(vector) < interrupts.vectors ? vector : Self.noVector }

    private func setStatus(_ core: VirtioCore, _ value: UInt8) {
        core.setStatus(value)
        guard core.status == 0 else { return }
        forget()
        port?.setPin(false)
    }

    // MARK: the legacy interface (4.1.4.10)

    private var legacyHeader: UInt64 { port?.usesVectors == true ? 24 : 20 }

    private func readLegacy(_ core: VirtioCore, _ offset: UInt64, _ width: Int) -> UInt64 {
        if offset >= legacyHeader { return core.readConfiguration(offset - legacyHeader, width) }
        switch offset {
        case 0: return UInt64(core.offeredWord(0, isLegacy: true))
        case 4: return UInt64(core.acceptedWord(0))
        case 8: return queue.map { $0.isEnabled ? $0.descriptorArea >> 12 : 0 } ?? 0
        case 12: return UInt64(queue?.maximumSize ?? 0)
        case 14: return UInt64(queueSelect)
        case 18: return UInt64(core.status)
        case 19: return UInt64(takeStatus(core))
        case 20: return UInt64(configurationVector)
        case 22: return UInt64(queue?.vector ?? Self.noVector)
        default: return 0
        }
    }

    private func writeLegacy(_ core: VirtioCore, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        if offset >= legacyHeader { return core.writeConfiguration(offset - legacyHeader, value, width) }
        let half = UInt16(truncatingIfNeeded: value)
        switch offset {
        case 4: core.accept(0, UInt32(truncatingIfNeeded: value), isLegacy: true)
        case 8: if let queue { placeLegacy(core, queue, value & 0xffff_ffff) }
        case 14: queueSelect = half
        case 16: core.notify(Int(half))
        case 18: setStatus(core, UInt8(truncatingIfNeeded: value))
        case 20: configurationVector = checked(half)
        case 22: queue?.vector = checked(half)
        default: break
        }
    }

    private func placeLegacy(_ core: VirtioCore, _ queue: VirtQueue, _ page: UInt64) {
        // A legacy driver ends its use of the device by taking a queue away.
        let vector = queue.vector
        core.setLegacyPlace(queue, address: page << 12, alignment: 4096)
        if page != 0 { queue.vector = vector }
    }

    // MARK: the window through configuration space (4.1.4.9)

    public func capabilitiesPlaced(_ offsets: [Int]) {
        guard hasModern, let port, let at = offsets.first, at > 0 else { return }
        accessWindow = at
        port.configuration.allow(at + 4, 1, 0xff)
        port.configuration.allow(at + 8, 4, ~0)
        port.configuration.allow(at + 12, 4, ~0)
        port.configuration.allow(at + 16, 4, ~0)
    }

    /// The access that the window asks for; nil: it is not one.
    private func access(_ offset: Int, _ width: Int) -> (offset: UInt64, width: Int)? {
        guard accessWindow > 0, let port, (accessWindow + 16 ..< accessWindow + 20).touches(offset, width) else { return nil }
        let configuration = port.configuration
        let at = UInt64(configuration[long: accessWindow + 8]), length = configuration[long: accessWindow + 12]
        guard configuration[byte: accessWindow + 4] == Bar.modern, length == 1 || length == 2 || length == 4, at % UInt64(length) == 0, at < Part.size else { return nil }
        return (at, Int(length))
    }

    public func willRead(_ offset: Int, _ width: Int) {
        guard let access = access(offset, width) else { return }
        let value = read(Bar.modern, access.offset, access.width)
        port?.configuration[long: accessWindow + 16] = UInt32(truncatingIfNeeded: value)
    }

    public func didWrite(_ offset: Int, _ width: Int) {
        guard let access = access(offset, width), let value = port?.configuration[long: accessWindow + 16] else { return }
        write(Bar.modern, access.offset, UInt64(value), access.width)
    }

    public func didReset() {}

    /// A driver that lost the right to reach memory is not served any more; when it gets it again, requests wait.
    public func busMasteringChanged(_ isEnabled: Bool) { if isEnabled { core?.resume() } }

    // MARK: interrupts

    func interrupt(queue: VirtQueue) { interrupt(queue.vector) }
    func interruptConfiguration() { interrupt(configurationVector) }

    private func interrupt(_ vector: UInt16) {
        if port?.usesVectors == true {
            if vector != Self.noVector { port?.send(Int(vector)) }
        } else {
            port?.setPin(core?.interruptStatus ?? 0 != 0)
        }
    }

    // MARK: state

    private func forget() {
        (deviceSelect, driverSelect, queueSelect, configurationVector) = (0, 0, 0, Self.noVector)
    }

    public func reset() {
        core?.reset()
        forget()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("deviceSelect", &deviceSelect)
        try state.field("driverSelect", &driverSelect)
        try state.field("queueSelect", &queueSelect)
        try state.field("configurationVector", &configurationVector)
        if let core { try state.part("virtio") { (part) throws(StateError) in try core.transfer(&part) } }
        if state.isLoading {
            configurationVector = checked(configurationVector)
            core?.resume()
        }
    }
}
