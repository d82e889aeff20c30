// What a device is to the rest of a machine.

import Host

/// The declaration of a kind of device: the source of `-device help`, `DEVICE,help`, QMP's lists and the docs.
public struct DeviceModel: Sendable {
    /// As `-device` names it.
    public var name: String
    public var summary: String
    /// What it is plugged into: `sysbus`, `pci`, `virtio-bus`, `usb-bus`, `scsi-bus`, `ide` …
    public var bus: String
    /// As `-device help` groups it: storage, network, input, display, sound, misc, cpu, bridge, USB.
    public var category: String
    public var properties: [Property]

    public init(name: String, summary: String, bus: String, category: String, properties: [Property] = []) {
        self.name = name
        self.summary = summary
        self.bus = bus
        self.category = category
        self.properties = properties
    }
}

/// A window of registers.
public struct Bank: Sendable {
    public var name: String
    /// Bytes.
    public var size: UInt64
    /// The access widths in bytes that the hardware takes; the bus splits or widens others.
    public var widths: ClosedRange<Int>

    public init(_ name: String, size: UInt64, widths: ClosedRange<Int> = 1 ... 8) {
        self.name = name
        self.size = size
        self.widths = widths
    }
}

/// A device on a bus of memory-mapped registers.
///
/// A device is single-threaded: its methods, and all callbacks that it asks its `DeviceHost` for, run under the one lock
/// of its `DeviceSlot`. Interrupt wires and DMA may be used from any of them.
public protocol Device: AnyObject {
    /// The windows, in the order that bank numbers count.
    var banks: [Bank] { get }
    /// Reads `width` bytes at `offset` of a bank; the access is inside the bank and has a width it takes.
    func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64
    func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int)
    /// Back to the state after power-on. Idempotent.
    func reset()
    /// Saves or loads all state that a guest could notice: ONE list for both.
    func transfer(_ state: inout StateTransfer) throws(StateError)
}

/// A device with its lock: what stands in the address space.
///
/// Invariant: `device` is only touched while `lock` is held, so it need not be `Sendable`.
public final class DeviceSlot: BusTarget, @unchecked Sendable {
    private let lock = RecursiveLock()
    private let device: any Device
    private let bankList: [Bank]
    public let name: String
    /// Whether the device writes messages (MSI) under its own lock. Such messages never reach another device that does:
    /// two that interrupt each other would wait for each other's lock.
    public let sendsMessages: Bool

    public init(name: String, _ device: any Device, sendsMessages: Bool = false) {
        self.name = name
        self.device = device
        self.sendsMessages = sendsMessages
        bankList = device.banks
    }

    public var banks: [Bank] { bankList }

    /// A region for each bank, in order, named for the device and the bank.
    public func regions() -> [Region] {
        bankList.enumerated().map { Region($1.name.isEmpty ? name : $1.name, size: $1.size, .device(self, bank: $0)) }
    }

    public func widths(bank: Int) -> ClosedRange<Int> { bankList.indices.contains(bank) ? bankList[bank].widths : 1 ... 8 }

    public func read(bank: Int, offset: UInt64, width: Int) -> UInt64 {
        lock.lock()
        defer { lock.unlock() }
        return device.read(bank, offset, width)
    }

    public func write(bank: Int, offset: UInt64, value: UInt64, width: Int) {
        lock.lock()
        defer { lock.unlock() }
        device.write(bank, offset, value, width)
    }

    /// Runs `body` with the device, alone.
    public func withDevice<Result, Failure: Error>(_ body: (any Device) throws(Failure) -> Result) throws(Failure) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(device)
    }

    /// The same, if nobody else has the device; false: somebody has, and nothing was run.
    public func withDeviceIfFree(_ body: (any Device) -> Void) -> Bool {
        guard lock.tryLock() else { return false }
        defer { lock.unlock() }
        body(device)
        return true
    }

    public func reset() { withDevice { $0.reset() } }
}
