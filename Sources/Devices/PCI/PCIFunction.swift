// What a PCI device implements: identity, windows, registers. `PCIEndpoint` gives it configuration space, interrupts and a
// place on a bus.

import Core

/// What configuration space says of a function.
public struct PCIIdentity: Sendable {
    public var vendor: UInt16
    public var device: UInt16
    public var revision: UInt8
    /// Base class, subclass, programming interface: 0x010802 is an NVMe controller.
    public var classCode: UInt32
    public var subsystemVendor: UInt16
    public var subsystem: UInt16

    public init(vendor: UInt16, device: UInt16, revision: UInt8 = 0, classCode: UInt32, subsystemVendor: UInt16 = 0x1af4, subsystem: UInt16 = 0x1100) {
        self.vendor = vendor
        self.device = device
        self.revision = revision
        self.classCode = classCode
        self.subsystemVendor = subsystemVendor
        self.subsystem = subsystem
    }
}

/// A window that the guest places by a base address register.
public struct PCIBar: Sendable {
    public enum Space: Sendable, Equatable { case io, memory32, prefetchable32, memory64, prefetchable64 }
    public enum Contents: Sendable {
        /// The function's `read` and `write`, in accesses of these widths.
        case registers(widths: ClosedRange<Int>)
        /// Memory of the device that vCPUs reach directly: a frame buffer.
        case memory(RAMBlock)
    }
    /// 0 to 5; a 64-bit window takes the next number too.
    public var number: Int
    /// Bytes: a power of two, at least 16 (memory) or 4 (I/O).
    public var size: UInt64
    public var space: Space
    public var contents: Contents
    public var name: String

    public init(_ number: Int, _ name: String, size: UInt64, _ space: Space = .memory32, _ contents: Contents = .registers(widths: 1 ... 8)) {
        self.number = number
        self.name = name
        self.size = size
        self.space = space
        self.contents = contents
    }
}

/// How a function interrupts.
public struct PCIInterrupts: Sendable {
    /// INTA (1) to INTD (4); 0: the function has no pin.
    public var pin: UInt8
    /// MSI messages: 0, 1, 2, 4, 8, 16 or 32.
    public var messages: Int
    /// MSI-X vectors, up to 2,048, and the window that holds their table; 0: none.
    public var vectors: Int
    public var vectorBar: Int
    /// Where in the window table and pending bits begin.
    public var tableOffset: UInt64
    public var pendingOffset: UInt64

    public init(pin: UInt8 = 1, messages: Int = 0, vectors: Int = 0, vectorBar: Int = 0, tableOffset: UInt64 = 0, pendingOffset: UInt64 = 0x800) {
        self.pin = pin
        self.messages = messages
        self.vectors = vectors
        self.vectorBar = vectorBar
        self.tableOffset = tableOffset
        self.pendingOffset = pendingOffset
    }
}

/// What a PCI device implements. All methods run under the lock of its slot.
public protocol PCIFunction: AnyObject {
    var identity: PCIIdentity { get }
    var windows: [PCIBar] { get }
    var interrupts: PCIInterrupts { get }
    /// Capabilities beside power management, MSI, MSI-X and PCI Express: identifier and bytes behind the header.
    var vendorCapabilities: [[UInt8]] { get }
    /// Where capabilities begin: behind registers of the function's own.
    var firstCapability: Int { get }
    /// Called once, before anything else: how it reaches the machine.
    func connect(_ port: PCIPort)
    /// Reads at `offset` of window `bar`; the access is inside, and of a width that the window takes.
    func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64
    func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int)
    func reset()
    func transfer(_ state: inout StateTransfer) throws(StateError)
}

extension PCIFunction {
    public var vendorCapabilities: [[UInt8]] { [] }
    public var firstCapability: Int { 0x40 }
}

/// A function that has registers of its own in configuration space (virtio's window, bridges): `PCIPort.configuration`.
public protocol PCIConfigurationOwner: PCIFunction {
    /// The capabilities have been laid out: where each of `vendorCapabilities` begins.
    func capabilitiesPlaced(_ offsets: [Int])
    /// Configuration space is as after power-on again.
    func didReset()
    /// Before software reads: registers that are computed.
    func willRead(_ offset: Int, _ width: Int)
    /// After software has written.
    func didWrite(_ offset: Int, _ width: Int)
}

/// A function that wants to know when it may master the bus and whether MSI-X is on.
public protocol PCIStateObserver: PCIFunction {
    func busMasteringChanged(_ isEnabled: Bool)
}

/// A function's way into the machine.
public final class PCIPort {
    public let host: DeviceHost
    /// Guest memory, reachable while the guest lets the function master the bus.
    public let memory: GuestMemory
    weak var endpoint: PCIEndpoint?

    init(host: DeviceHost) {
        self.host = host
        memory = GuestMemory(host.memory)
        memory.isEnabled = false
    }

    /// The function's registers of configuration space.
    public var configuration: PCIConfiguration {
        get { endpoint?.configuration ?? PCIConfiguration() }
        _modify {
            if let endpoint {
                yield &endpoint.configuration
            } else {
                var none = PCIConfiguration()
                yield &none
            }
        }
    }

    /// Interrupts by message `vector` (MSI-X, else MSI); where the guest has set neither up, nothing happens.
    public func send(_ vector: Int) { endpoint?.send(vector) }
    /// Sets the level of the interrupt pin; it is felt while neither MSI nor MSI-X is on.
    public func setPin(_ level: Bool) { endpoint?.setPin(level) }
    /// Whether messages take the pin's place.
    public var usesMessages: Bool { endpoint?.usesMessages ?? false }
    public var usesVectors: Bool { endpoint?.vectors?.isEnabled ?? false }
    /// Its slot and function, as serial numbers of what hangs from it tell.
    var place: String { endpoint?.place ?? "" }
}
