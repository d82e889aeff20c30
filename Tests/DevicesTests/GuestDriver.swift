// The driver's side of virtio: negotiates, makes rings in memory, submits chains and waits for their end; over PCI or
// memory-mapped registers, with split or packed rings.

import Core
import Devices
import Testing

/// How a driver reaches the registers.
protocol GuestTransport {
    func features(_ word: Int) -> UInt32
    func accept(_ word: Int, _ bits: UInt32)
    var status: UInt8 { get nonmutating set }
    func setUp(queue: Int, size: Int, areas: (UInt64, UInt64, UInt64))
    func maximum(queue: Int) -> Int
    func notify(_ queue: Int)
    func configuration(_ offset: Int, _ width: Int) -> UInt64
    func setConfiguration(_ offset: Int, _ value: UInt64, _ width: Int)
}

struct PCITransport: GuestTransport {
    let function: GuestMachine.Function
    private let common: UInt64, notifications: UInt64, device: UInt64, step: UInt64
    private var machine: GuestMachine { function.machine }

    init(_ function: GuestMachine.Function, vectors: Int = 0) {
        self.function = function
        let window = function.place(4)
        var places: [UInt64: (UInt64, Int)] = [:]
        for at in function.capabilities(9) { places[function.read(at + 3, 1)] = (window + function.read(at + 8, 4), at) }
        common = places[1]?.0 ?? 0
        notifications = places[2]?.0 ?? 0
        device = places[4]?.0 ?? 0
        step = places[2].map { function.read($0.1 + 16, 4) } ?? 0
        guard vectors > 0, let at = function.capabilities(0x11).first else { return }
        let table = function.place(1)
        for vector in 0 ..< UInt64(vectors) {
            function.machine.store(table + vector * 16, GuestMachine.messageBase, 8)
            function.machine.store(table + vector * 16 + 8, vector, 4)
            function.machine.store(table + vector * 16 + 12, 0, 4)
        }
        function.write(at + 2, 0x8000, 2)
    }

    func features(_ word: Int) -> UInt32 {
        machine.store(common, UInt64(word), 4)
        return UInt32(machine.load(common + 4, 4))
    }
    func accept(_ word: Int, _ bits: UInt32) {
        machine.store(common + 8, UInt64(word), 4)
        machine.store(common + 12, UInt64(bits), 4)
    }
    var status: UInt8 {
        get { UInt8(machine.load(common + 0x14, 1)) }
        nonmutating set { machine.store(common + 0x14, UInt64(newValue), 1) }
    }
    func maximum(queue: Int) -> Int {
        machine.store(common + 0x16, UInt64(queue), 2)
        return Int(machine.load(common + 0x18, 2))
    }
    func setUp(queue: Int, size: Int, areas: (UInt64, UInt64, UInt64)) {
        machine.store(common + 0x16, UInt64(queue), 2)
        machine.store(common + 0x18, UInt64(size), 2)
        machine.store(common + 0x1a, UInt64(queue + 1), 2)
        for (at, area) in [(0x20, areas.0), (0x28, areas.1), (0x30, areas.2)] as [(UInt64, UInt64)] {
            machine.store(common + at, area & 0xffff_ffff, 4)
            machine.store(common + at + 4, area >> 32, 4)
        }
        machine.store(common + 0x1c, 1, 2)
    }
    func notify(_ queue: Int) { machine.store(notifications + UInt64(queue) * step, UInt64(queue), 2) }
    func configuration(_ offset: Int, _ width: Int) -> UInt64 { machine.load(device + UInt64(offset), width) }
    func setConfiguration(_ offset: Int, _ value: UInt64, _ width: Int) { machine.store(device + UInt64(offset), value, width) }
}

struct MMIOTransport: GuestTransport {
    let machine: GuestMachine
    let base: UInt64

    private func load(_ offset: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: machine.load(base + offset, 4)) }
    private func store(_ offset: UInt64, _ value: UInt64) { machine.store(base + offset, value & 0xffff_ffff, 4) }

    func features(_ word: Int) -> UInt32 {
        store(0x14, UInt64(word))
        return load(0x10)
    }
    func accept(_ word: Int, _ bits: UInt32) {
        store(0x24, UInt64(word))
        store(0x20, UInt64(bits))
    }
    var status: UInt8 {
        get { UInt8(truncatingIfNeeded: load(0x70)) }
        nonmutating set { store(0x70, UInt64(newValue)) }
    }
    func maximum(queue: Int) -> Int {
        store(0x30, UInt64(queue))
        return Int(load(0x34))
    }
    func setUp(queue: Int, size: Int, areas: (UInt64, UInt64, UInt64)) {
        store(0x30, UInt64(queue))
        store(0x38, UInt64(size))
        for (at, area) in [(0x80, areas.0), (0x90, areas.1), (0xa0, areas.2)] as [(UInt64, UInt64)] {
            store(at, area)
            store(at + 4, area >> 32)
        }
        store(0x44, 1)
    }
    func notify(_ queue: Int) { store(0x50, UInt64(queue)) }
    func configuration(_ offset: Int, _ width: Int) -> UInt64 { machine.load(base + 0x100 + UInt64(offset), width) }
    func setConfiguration(_ offset: Int, _ value: UInt64, _ width: Int) { machine.store(base + 0x100 + UInt64(offset), value, width) }
}

/// A queue as the driver keeps it.
final class GuestQueue {
    let machine: GuestMachine
    let index: Int
    let size: Int
    let areas: (UInt64, UInt64, UInt64)
    let isPacked: Bool
    let usesIndirect: Bool
    private var next: UInt16 = 0
    private var wrap = true
    private var used: UInt16 = 0
    private var usedWrap = true
    private var descriptor = 0
    private var identifier: UInt16 = 0
    private var placesOf: [UInt16: Int] = [:]

    struct Buffer {
        var address: UInt64
        var count: Int
        var isWritable: Bool
    }

    init(_ machine: GuestMachine, index: Int, size: Int, isPacked: Bool, usesIndirect: Bool) {
        self.machine = machine
        self.index = index
        self.size = size
        self.isPacked = isPacked
        self.usesIndirect = usesIndirect
        areas = (machine.allocate(size * 16), machine.allocate(6 + size * 2), machine.allocate(6 + size * 8))
    }

    private func write(_ at: UInt64, _ buffer: Buffer, flags: UInt16, next: UInt16) {
        machine.store(at, buffer.address, 8)
        machine.store(at + 8, UInt64(buffer.count), 4)
        let flags = flags | (buffer.isWritable ? 2 : 0)
        machine.store(at + (isPacked ? 14 : 12), UInt64(flags), 2)
        machine.store(at + (isPacked ? 12 : 14), UInt64(next), 2)
    }

    private func table(_ buffers: [Buffer]) -> Buffer {
        let at = machine.allocate(buffers.count * 16, alignment: 16)
        for (number, buffer) in buffers.enumerated() {
            let isLast = number == buffers.count - 1
            write(at + UInt64(number) * 16, buffer, flags: isLast || isPacked ? 0 : 1, next: isLast ? 0 : UInt16(number + 1))
        }
        return Buffer(address: at, count: buffers.count * 16, isWritable: false)
    }

    /// Makes a chain available. - Returns: what `take` gives back.
    @discardableResult
    func add(_ buffers: [Buffer]) -> UInt16 {
        let isTable = usesIndirect && buffers.count > 1
        let list = isTable ? [table(buffers)] : buffers
        return isPacked ? addPacked(list, isTable) : addSplit(list, isTable)
    }

    private func addSplit(_ list: [Buffer], _ isTable: Bool) -> UInt16 {
        let head = UInt16(descriptor)
        for (number, buffer) in list.enumerated() {
            let isLast = number == list.count - 1, here = descriptor
            descriptor = (descriptor + 1) % size
            write(areas.0 + UInt64(here) * 16, buffer, flags: (isTable ? 4 : 0) | (isLast ? 0 : 1), next: isLast ? 0 : UInt16(descriptor))
        }
        machine.store(areas.1 + 4 + UInt64(Int(next) % size * 2), UInt64(head), 2)
        next &+= 1
        machine.store(areas.1 + 2, UInt64(next), 2)
        return head
    }

    private func addPacked(_ list: [Buffer], _ isTable: Bool) -> UInt16 {
        identifier = (identifier + 1) % UInt16(size)
        placesOf[identifier] = list.count
        var first: (UInt64, UInt16)?
        for (number, buffer) in list.enumerated() {
            let at = areas.0 + UInt64(next) * 16
            let flags: UInt16 = (isTable ? 4 : 0) | (number == list.count - 1 ? 0 : 1) | (wrap ? 0x80 : 0x8000)
            if number == 0 {
                // The head is made available last.
                write(at, buffer, flags: flags ^ 0x8080, next: identifier)
                first = (at, flags | (buffer.isWritable ? 2 : 0))
            } else {
                write(at, buffer, flags: flags, next: identifier)
            }
            next += 1
            if Int(next) == size { (next, wrap) = (0, !wrap) }
        }
        if let (at, flags) = first { machine.store(at + 14, UInt64(flags), 2) }
        return identifier
    }

    /// A chain that the device has completed and the bytes it wrote; nil: none.
    func take() -> (id: UInt16, written: Int)? {
        if isPacked {
            let at = areas.0 + UInt64(used) * 16, flags = machine.load(at + 14, 2)
            guard (flags & 0x80 != 0) == usedWrap, (flags & 0x8000 != 0) == usedWrap else { return nil }
            let id = UInt16(machine.load(at + 12, 2)), written = Int(machine.load(at + 8, 4))
            used += UInt16(placesOf[id] ?? 1)
            if Int(used) >= size { (used, usedWrap) = (used - UInt16(size), !usedWrap) }
            return (id, written)
        }
        guard UInt16(machine.load(areas.2 + 2, 2)) != used else { return nil }
        let at = areas.2 + 4 + UInt64(Int(used) % size * 8)
        used &+= 1
        return (UInt16(machine.load(at, 4)), Int(machine.load(at + 4, 4)))
    }
}

final class GuestDriver {
    let machine: GuestMachine
    let transport: any GuestTransport
    private(set) var queues: [GuestQueue] = []
    private(set) var features: UInt64 = 0

    /// Negotiates all that is offered but what `without` names, and switches on the first `queueCount` queues.
    init(_ machine: GuestMachine, _ transport: any GuestTransport, queues queueCount: Int, size: Int = 64, without: UInt64 = 0, usesIndirect: Bool = false) {
        self.machine = machine
        self.transport = transport
        transport.status = 0
        transport.status = 1
        transport.status = 3
        let offered = UInt64(transport.features(0)) | UInt64(transport.features(1)) << 32
        features = offered & ~without
        transport.accept(0, UInt32(truncatingIfNeeded: features))
        transport.accept(1, UInt32(truncatingIfNeeded: features >> 32))
        transport.status = 11
        #expect(transport.status & 8 != 0)
        let isPacked = features & VirtioFeature.packedRing != 0
        for index in 0 ..< queueCount {
            let queue = GuestQueue(machine, index: index, size: min(size, max(1, transport.maximum(queue: index))), isPacked: isPacked, usesIndirect: usesIndirect)
            transport.setUp(queue: index, size: queue.size, areas: queue.areas)
            queues.append(queue)
        }
        transport.status = 15
    }

    /// Submits `output` with room for `input` bytes, and waits. - Returns: what was written; nil: it never ended.
    func request(_ queue: Int = 0, _ output: [[UInt8]], input: [Int]) -> [UInt8]? {
        var buffers: [GuestQueue.Buffer] = [], rooms: [(UInt64, Int)] = []
        for bytes in output {
            let at = machine.allocate(bytes.count, alignment: 16)
            machine.fill(at, bytes)
            buffers.append(.init(address: at, count: bytes.count, isWritable: false))
        }
        for count in input {
            let at = machine.allocate(count, alignment: 16)
            rooms.append((at, count))
            buffers.append(.init(address: at, count: count, isWritable: true))
        }
        queues[queue].add(buffers)
        transport.notify(queue)
        var done: (id: UInt16, written: Int)?
        guard machine.wait({ done = queues[queue].take(); return done != nil }) else { return nil }
        return Array(rooms.flatMap { machine.bytes($0.0, $0.1) }.prefix(done?.written ?? 0))
    }
}
