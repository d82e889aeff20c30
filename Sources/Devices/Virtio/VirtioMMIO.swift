// virtio over memory-mapped registers (Virtual I/O Device 1.3, section 4.2): version 2, and version 1 for legacy drivers.

import Core

public final class VirtioMMIO: Device, VirtioTransport {
    public static let windowSize: UInt64 = 0x200
    public let banks = [Bank("virtio-mmio", size: VirtioMMIO.windowSize, widths: 1 ... 4)]
    private let core: VirtioCore?
    private let line: InterruptLine
    private let isLegacy: Bool

    private var deviceSelect: UInt32 = 0
    private var driverSelect: UInt32 = 0
    private var queueSelect: UInt32 = 0
    private var pageSize: UInt32 = 0
    private var alignment: UInt32 = 4096

    /// - Parameters:
    ///   - function: nil: the slot is empty.
    ///   - isLegacy: QEMU's `force-legacy`.
    public init(_ function: (any VirtioFunction)?, host: DeviceHost, line: InterruptLine, isLegacy: Bool = false, options: VirtioOptions = VirtioOptions()) {
        self.line = line
        self.isLegacy = isLegacy
        core = function.map { VirtioCore($0, memory: GuestMemory(host.memory), host: host, options: options) }
        core?.transport = self
    }

    private var queue: VirtQueue? {
        guard let core, core.queues.indices.contains(Int(queueSelect)) else { return nil }
        return core.queues[Int(queueSelect)]
    }

    /// Register offsets.
    private enum Register {
        static let deviceFeatures: UInt64 = 0x10, deviceSelect: UInt64 = 0x14, driverFeatures: UInt64 = 0x20, driverSelect: UInt64 = 0x24
        static let pageSize: UInt64 = 0x28, queueSelect: UInt64 = 0x30, queueMaximum: UInt64 = 0x34, queueSize: UInt64 = 0x38
        static let queueAlignment: UInt64 = 0x3c, queuePage: UInt64 = 0x40, queueReady: UInt64 = 0x44, notify: UInt64 = 0x50
        static let interruptStatus: UInt64 = 0x60, acknowledge: UInt64 = 0x64, status: UInt64 = 0x70
        static let sharedLow: UInt64 = 0xb0, sharedEnd: UInt64 = 0xc0, queueReset: UInt64 = 0xc0, generation: UInt64 = 0xfc, configuration: UInt64 = 0x100
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        if offset >= Register.configuration { return core?.readConfiguration(offset - Register.configuration, width) ?? 0 }
        guard width == 4 else { return 0 }
        return UInt64(readRegister(offset))
    }

    private func readRegister(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0x00: return 0x7472_6976
        case 0x04: return isLegacy ? 1 : 2
        case 0x08: return core.map { UInt32($0.function.type.rawValue) } ?? 0
        case 0x0c: return 0x554d_4551
        default: break
        }
        guard let core else { return 0 }
        switch offset {
        case Register.deviceFeatures: return core.offeredWord(deviceSelect, isLegacy: isLegacy)
        case Register.queueMaximum: return queue.map { UInt32($0.maximumSize) } ?? 0
        case Register.queuePage where isLegacy: return pageSize > 0 ? queue.map { UInt32(truncatingIfNeeded: $0.descriptorArea / UInt64(pageSize)) } ?? 0 : 0
        case Register.queueReady where !isLegacy: return queue?.isEnabled == true ? 1 : 0
        case Register.interruptStatus: return UInt32(core.interruptStatus)
        case Register.status: return UInt32(core.status)
        // There is no shared memory.
        case Register.sharedLow ..< Register.sharedEnd where !isLegacy: return ~0
        case Register.generation where !isLegacy: return core.generation
        default: return 0
        }
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard let core else { return }
        if offset >= Register.configuration { return core.writeConfiguration(offset - Register.configuration, value, width) }
        guard width == 4 else { return }
        let word = UInt32(truncatingIfNeeded: value)
        switch offset {
        case Register.deviceSelect: deviceSelect = word
        case Register.driverSelect: driverSelect = word
        case Register.driverFeatures: core.accept(driverSelect, word, isLegacy: isLegacy)
        case Register.queueSelect: queueSelect = word
        case Register.notify: core.notify(Int(word))
        case Register.acknowledge:
            core.acknowledge(UInt8(truncatingIfNeeded: word))
            update()
        case Register.status:
            core.setStatus(UInt8(truncatingIfNeeded: word))
            if core.status == 0 { forget() }
            update()
        case Register.queueSize: if let queue, !queue.isEnabled, word > 0, word <= UInt32(queue.maximumSize) { queue.size = UInt16(word) }
        default: isLegacy ? writeLegacy(core, offset, word) : writeQueue(core, offset, word)
        }
    }

    private func writeLegacy(_ core: VirtioCore, _ offset: UInt64, _ word: UInt32) {
        switch offset {
        case Register.pageSize: pageSize = word & (word &- 1) == 0 ? word : 0
        case Register.queueAlignment: alignment = word > 0 && word & (word - 1) == 0 ? word : 4096
        case Register.queuePage: if let queue { core.setLegacyPlace(queue, address: UInt64(word) * UInt64(pageSize), alignment: UInt64(alignment)) }
        default: break
        }
    }

    private func writeQueue(_ core: VirtioCore, _ offset: UInt64, _ word: UInt32) {
        guard let queue else { return }
        if offset == Register.queueReady {
            if word & 1 == 0 { queue.isEnabled = false } else if !queue.isEnabled { core.enable(queue) }
            return
        }
        if offset == Register.queueReset {
            if word & 1 != 0, core.has(VirtioFeature.ringReset) { core.resetQueue(queue) }
            return
        }
        guard !queue.isEnabled else { return }
        switch offset {
        case 0x80: queue.descriptorArea.low = word
        case 0x84: queue.descriptorArea.high = word
        case 0x90: queue.driverArea.low = word
        case 0x94: queue.driverArea.high = word
        case 0xa0: queue.deviceArea.low = word
        case 0xa4: queue.deviceArea.high = word
        default: break
        }
    }

    // MARK: interrupts

    func interrupt(queue: VirtQueue) { update() }
    func interruptConfiguration() { update() }
    private func update() { line.set(core?.interruptStatus ?? 0 != 0) }

    // MARK: Device

    private func forget() {
        (deviceSelect, driverSelect, queueSelect, pageSize, alignment) = (0, 0, 0, 0, 4096)
    }

    public func reset() {
        core?.reset()
        forget()
        update()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("deviceSelect", &deviceSelect)
        try state.field("driverSelect", &driverSelect)
        try state.field("queueSelect", &queueSelect)
        try state.field("pageSize", &pageSize)
        try state.field("alignment", &alignment)
        if let core { try state.part("virtio") { (part) throws(StateError) in try core.transfer(&part) } }
        if state.isLoading {
            update()
            core?.resume()
        }
    }
}

extension UInt64 {
    /// The low and high 32 bits.
    var low: UInt32 {
        get { UInt32(truncatingIfNeeded: self) }
        set { self = self & 0xffff_ffff_0000_0000 | UInt64(newValue) }
    }
    var high: UInt32 {
        get { UInt32(truncatingIfNeeded: self >> 32) }
        set { self = self & 0xffff_ffff | UInt64(newValue) << 32 }
    }
}
