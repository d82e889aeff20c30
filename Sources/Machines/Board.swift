// A machine while it is put together and while it lives: address space, devices, and what holds them.

import Core
import Devices
import Host

/// What a board is built from, beside its own properties.
public struct BoardOptions: Sendable {
    public var processors: Int
    /// Bytes of RAM.
    public var memory: UInt64
    /// Memory that a person made for it (`memory-backend`); nil: anonymous memory.
    public var memoryBacking: RAMBlock?
    public var realTimeStart: UInt64?
    /// Streams for the board's serial ports, in order; nil: a port nobody listens to.
    public var serials: [(any CharacterStream)?] = []
    /// Contents of the board's flash chips.
    public var flashes: [FlashImage?] = []
    public var interrupts = InterruptArchitecture.plic
    /// Firmware is handed ACPI tables.
    public var hasACPI = true

    public init(processors: Int, memory: UInt64) {
        self.processors = processors
        self.memory = memory
    }
}

/// How interrupts of a RISC-V board get to its harts.
public enum InterruptArchitecture: Sendable, Equatable {
    /// A PLIC; devices that send messages use their wires.
    case plic
    /// An APLIC that drives the harts' wires.
    case aplic
    /// Messages to IMSICs, with so many interrupt files for guests of each hart; an APLIC turns wires into messages.
    case imsic(guests: Int)

    /// Interrupt files for guests of each hart; nil: there are no IMSICs.
    public var guestFiles: Int? { if case .imsic(let guests) = self { guests } else { nil } }
}

/// What is in a flash chip.
public struct FlashImage: Sendable {
    public var contents: [UInt8]
    public var storage: (any FlashStorage)?
    public var isReadOnly: Bool
    public init(contents: [UInt8], storage: (any FlashStorage)?, isReadOnly: Bool) {
        self.contents = contents
        self.storage = storage
        self.isReadOnly = isReadOnly
    }
}

/// What all boards have.
public final class BoardParts: @unchecked Sendable {
    public let loop: EventLoop
    public let clock: MachineClock
    public let root: Region
    public let memory: AddressSpace
    public let requests: MachineRequests
    public let gate = RunGate()
    // Changed while the machine is built and by hot-plug, under the machine's own lock.
    public private(set) var slots: [DeviceSlot] = []
    public private(set) var blocks: [RAMBlock] = []

    public init(loop: EventLoop, requests: MachineRequests) {
        self.loop = loop
        self.requests = requests
        clock = MachineClock(loop: loop)
        root = Region(container: "system")
        memory = AddressSpace(name: "memory", root: root)
    }

    /// The surroundings of a device that masters the system bus.
    public func host() -> DeviceHost { DeviceHost(memory: memory, clock: clock, loop: loop) }

    /// Puts a device with its windows into the address space, one after the other from `address` on.
    @discardableResult
    public func place(_ name: String, _ device: any Device, host: DeviceHost? = nil, at addresses: UInt64...) -> DeviceSlot {
        let slot = DeviceSlot(name: name, device)
        host?.bind(slot)
        slots.append(slot)
        for (region, address) in zip(slot.regions(), addresses) { AddressSpace.place(region, in: root, at: address) }
        return slot
    }

    /// A device that is not in the system's address space itself.
    public func add(_ slot: DeviceSlot) { slots.append(slot) }

    /// Puts memory into the address space.
    @discardableResult
    public func place(_ block: RAMBlock, at address: UInt64, isReadOnly: Bool = false) -> Region {
        let region = Region(block, isReadOnly: isReadOnly)
        blocks.append(block)
        AddressSpace.place(region, in: root, at: address)
        return region
    }

    /// Resets all devices.
    public func resetDevices() { for slot in slots { slot.reset() } }
}
