// Packed virtqueues (Virtual I/O Device 1.3, section 2.8): one ring of descriptors, two areas that suppress events.

import CHost
import Core

struct PackedRing {
    let size: Int
    private let ring: RingArea
    private let driverEvents: RingArea
    private let deviceEvents: RingArea
    private let usesEvents: Bool
    let generation: Int

    /// How far the device has come.
    struct Position {
        var nextAvailable: UInt16 = 0
        var availableWrap = true
        var nextUsed: UInt16 = 0
        var usedWrap = true
        /// Places used since the last interrupt; nil: there was none yet.
        var sinceSignal: UInt16?
    }

    private static let availableFlag: UInt16 = 1 << 7, usedFlag: UInt16 = 1 << 15

    init(_ memory: GuestMemory, size: UInt16, ring: UInt64, driver: UInt64, device: UInt64, usesEvents: Bool) throws(VirtQueueError) {
        let count = Int(size)
        let generation = memory.generation
        guard let ring = RingArea(memory, ring, count * VirtDescriptor.size, alignment: 16, writable: true),
              let driver = RingArea(memory, driver, 4, alignment: 4, writable: false),
              let device = RingArea(memory, device, 4, alignment: 4, writable: true) else {
            throw VirtQueueError("a ring outside of memory or not aligned")
        }
        self.size = count
        self.ring = ring
        driverEvents = driver
        deviceEvents = device
        self.usesEvents = usesEvents
        self.generation = generation
    }

    func isPending(_ position: Position) -> Bool {
        let flags = ring.load16(Int(position.nextAvailable) * VirtDescriptor.size + 14)
        return (flags & Self.availableFlag != 0) == position.availableWrap && (flags & Self.usedFlag != 0) != position.availableWrap
    }

    func next(_ memory: GuestMemory, _ position: inout Position, _ epoch: UInt32) throws(VirtQueueError) -> VirtChain? {
        guard isPending(position) else { return nil }
        var builder = ChainBuilder(memory), number = Int(position.nextAvailable), places = 0
        var descriptor: VirtDescriptor
        repeat {
            guard places < size else { throw VirtQueueError("a chain longer than the queue of \(size)") }
            descriptor = VirtDescriptor(packed: ring.host + number * VirtDescriptor.size)
            if descriptor.isIndirect {
                guard places == 0, !descriptor.isChained else { throw VirtQueueError("an indirect descriptor that is chained") }
                try builder.addTable(descriptor, isPacked: true)
            } else {
                try builder.add(descriptor)
            }
            places += 1
            number = number + 1 == size ? 0 : number + 1
        } while descriptor.isChained
        guard Int(descriptor.next) < size else { throw VirtQueueError("buffer \(descriptor.next) of a queue of \(size)") }
        Self.advance(&position.nextAvailable, &position.availableWrap, places, size)
        return builder.chain(descriptor.next, places: UInt16(places), generation: epoch)
    }

    func complete(_ identifier: UInt16, _ places: UInt16, _ written: UInt32, _ position: inout Position) {
        let at = Int(position.nextUsed) * VirtDescriptor.size
        ring.store32(at + 8, written)
        ring.store16(at + 12, identifier)
        let flags: UInt16 = (position.usedWrap ? Self.availableFlag | Self.usedFlag : 0) | (written > 0 ? VirtDescriptor.deviceWrites : 0)
        ring.store16(at + 14, flags)
        if let count = position.sinceSignal { position.sinceSignal = count &+ places }
        Self.advance(&position.nextUsed, &position.usedWrap, Int(places), size)
    }

    func takeBack(_ places: UInt16, _ position: inout Position) {
        if position.nextAvailable >= places {
            position.nextAvailable -= places
        } else {
            position.nextAvailable = UInt16(Int(position.nextAvailable) + size - Int(places))
            position.availableWrap.toggle()
        }
    }

    private static func advance(_ index: inout UInt16, _ wrap: inout Bool, _ places: Int, _ size: Int) {
        let next = Int(index) + places
        index = UInt16(next >= size ? next - size : next)
        if next >= size { wrap.toggle() }
    }

    func wantsInterrupt(_ position: inout Position) -> Bool {
        apus_fence()
        let flags = driverEvents.load16(2) & 3
        let count = position.sinceSignal
        position.sinceSignal = 0
        switch flags {
        case 1: return false
        case 2 where usesEvents:
            guard let count else { return true }
            let wish = driverEvents.load16(0), place = Int(wish & 0x7fff)
            guard place < size else { return true }
            // How many places ago the wished one was used.
            let distance = Int(position.nextUsed) - place + ((wish >> 15 == 1) == position.usedWrap ? 0 : size)
            return distance >= 1 && distance <= Int(count)
        default: return true
        }
    }

    func setNotification(_ isOn: Bool, _ position: Position) {
        if !isOn {
            deviceEvents.store16(2, 1)
        } else if usesEvents {
            deviceEvents.store16(0, position.nextAvailable | (position.availableWrap ? 0x8000 : 0))
            deviceEvents.store16(2, 2)
        } else {
            deviceEvents.store16(2, 0)
        }
        if isOn { apus_fence() }
    }
}
