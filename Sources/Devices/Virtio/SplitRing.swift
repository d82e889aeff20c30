// Split virtqueues (Virtual I/O Device 1.3, section 2.7): descriptor table, available ring, used ring.
//
// Unsafe: the three areas are raw guest memory. Invariant: each `RingArea` covers all bytes that its ring's size needs, so
// offsets computed from numbers below the size stay inside; the map's generation is compared before each use.

import CHost
import Core

/// An area of a ring in host memory.
struct RingArea {
    let piece: GuestPiece
    var host: UnsafeMutableRawPointer { piece.host }

    /// `size` bytes at `address` in one piece, aligned; nil: they are not.
    init?(_ memory: GuestMemory, _ address: UInt64, _ size: Int, alignment: UInt64, writable: Bool) {
        guard address & (alignment - 1) == 0, let piece = memory.piece(address, size, writable: writable), piece.count == size else { return nil }
        self.piece = piece
    }

    func load16(_ offset: Int) -> UInt16 { UInt16(littleEndian: apus_atomic_load_u16((host + offset).assumingMemoryBound(to: UInt16.self))) }
    func store16(_ offset: Int, _ value: UInt16) {
        piece.block.willWrite(piece.offset + UInt64(offset), 2)
        apus_atomic_store_u16((host + offset).assumingMemoryBound(to: UInt16.self), value.littleEndian)
    }
    func store32(_ offset: Int, _ value: UInt32) {
        piece.block.willWrite(piece.offset + UInt64(offset), 4)
        (host + offset).storeBytes(of: value.littleEndian, as: UInt32.self)
    }
}

struct SplitRing {
    let size: Int
    private let table: RingArea
    private let available: RingArea
    private let used: RingArea
    private let usesEvents: Bool
    let generation: Int

    /// How far the device has come.
    struct Position {
        var nextAvailable: UInt16 = 0
        var nextUsed: UInt16 = 0
        /// The used index of the last interrupt; nil: none yet.
        var signalled: UInt16?
    }

    init(_ memory: GuestMemory, size: UInt16, table: UInt64, available: UInt64, used: UInt64, usesEvents: Bool) throws(VirtQueueError) {
        let count = Int(size)
        let generation = memory.generation
        guard let table = RingArea(memory, table, count * VirtDescriptor.size, alignment: 16, writable: false),
              let available = RingArea(memory, available, 6 + count * 2, alignment: 2, writable: false),
              let used = RingArea(memory, used, 6 + count * 8, alignment: 4, writable: true) else {
            throw VirtQueueError("a ring outside of memory or not aligned")
        }
        self.size = count
        self.table = table
        self.available = available
        self.used = used
        self.usesEvents = usesEvents
        self.generation = generation
    }

    func pending(_ position: Position) throws(VirtQueueError) -> Int {
        let count = Int(available.load16(2) &- position.nextAvailable)
        guard count <= size else { throw VirtQueueError("an available index \(count) ahead of a queue of \(size)") }
        return count
    }

    func next(_ memory: GuestMemory, _ position: inout Position, _ epoch: UInt32) throws(VirtQueueError) -> VirtChain? {
        guard try pending(position) > 0 else { return nil }
        let head = available.load16(4 + Int(position.nextAvailable) % size * 2)
        guard Int(head) < size else { throw VirtQueueError("descriptor \(head) of a queue of \(size)") }
        position.nextAvailable &+= 1
        var builder = ChainBuilder(memory), number = Int(head), seen = 0
        while true {
            let descriptor = VirtDescriptor(split: table.host + number * VirtDescriptor.size)
            if descriptor.isIndirect {
                guard !descriptor.isChained else { throw VirtQueueError("an indirect descriptor that is chained") }
                try builder.addTable(descriptor, isPacked: false)
                break
            }
            try builder.add(descriptor)
            guard descriptor.isChained else { break }
            seen += 1
            number = Int(descriptor.next)
            guard seen < size, number < size else { throw VirtQueueError("a loop or a descriptor that does not exist in a chain") }
        }
        return builder.chain(head, places: 1, generation: epoch)
    }

    func complete(_ identifier: UInt16, _ written: UInt32, _ position: inout Position) {
        let at = 4 + Int(position.nextUsed) % size * 8
        used.store32(at, UInt32(identifier))
        used.store32(at + 4, written)
        position.nextUsed &+= 1
        used.store16(2, position.nextUsed)
    }

    /// Puts back the chain that was taken last.
    func takeBack(_ position: inout Position) { position.nextAvailable &-= 1 }

    func wantsInterrupt(_ position: inout Position) -> Bool {
        apus_fence()
        guard usesEvents else { return available.load16(0) & 1 == 0 }
        let old = position.signalled
        position.signalled = position.nextUsed
        guard let old else { return true }
        let event = available.load16(4 + size * 2)
        return position.nextUsed &- event &- 1 < position.nextUsed &- old
    }

    func setNotification(_ isOn: Bool, _ position: Position) {
        if usesEvents {
            if isOn { used.store16(4 + size * 8, position.nextAvailable) }
        } else {
            used.store16(0, isOn ? 0 : 1)
        }
        if isOn { apus_fence() }
    }
}
