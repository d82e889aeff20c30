// Rings of transfer request blocks (xHCI 1.0 sections 4.9 and 6.4): what the driver gives to the controller, and the event
// rings that go the other way.

import Core

/// A transfer request block.
struct TransferRequest: Equatable {
    enum Kind {
        static let normal = 1, setup = 2, data = 3, status = 4, isochronous = 5, link = 6, eventData = 7, noOperation = 8
        static let enableSlot = 9, disableSlot = 10, addressDevice = 11, configureEndpoint = 12, evaluateContext = 13, resetEndpoint = 14
        static let stopEndpoint = 15, setDequeue = 16, resetDevice = 17, commandNoOperation = 23, firmwareVersion = 49
        static let transferEvent = 32, completionEvent = 33, portEvent = 34, controllerEvent = 37, firmwareEvent = 48
    }
    static let size: UInt64 = 16

    var parameter: UInt64
    var status: UInt32
    var control: UInt32

    init(parameter: UInt64, status: UInt32, control: UInt32) { (self.parameter, self.status, self.control) = (parameter, status, control) }
    init(_ bytes: [UInt8]) { (parameter, status, control) = (bytes.number(0), bytes.number(8), bytes.number(12)) }

    var kind: Int { Int(control >> 10 & 63) }
    var cycle: Bool { control & 1 != 0 }
    var isChained: Bool { control & 0x10 != 0 }
    var wantsShortEvent: Bool { control & 4 != 0 }
    var wantsEvent: Bool { control & 0x20 != 0 }
    var blocksInterrupt: Bool { control & 0x200 != 0 }
    /// The data are in `parameter` itself.
    var isImmediate: Bool { control & 0x40 != 0 }
    var isIn: Bool { control & 0x10000 != 0 }
    /// Bytes of its data.
    var length: Int { Int(status & 0x1ffff) }
    var interrupter: Int { Int(status >> 22) }
    var slot: Int { Int(control >> 24) }
    var endpoint: Int { Int(control >> 16 & 31) }
}

/// How something went (section 6.4.5).
enum XHCICode {
    static let success: UInt32 = 1, dataBuffer: UInt32 = 2, transaction: UInt32 = 4, request: UInt32 = 5, stall: UInt32 = 6, noSlots: UInt32 = 9
    static let slotNotEnabled: UInt32 = 11, shortPacket: UInt32 = 13, parameter: UInt32 = 17, contextState: UInt32 = 19, ringFull: UInt32 = 21
    static let ringStopped: UInt32 = 24, stopped: UInt32 = 26
}

/// Where the controller is in a ring that the driver fills.
struct RequestRing: Equatable {
    var dequeue: UInt64 = 0
    var cycle = false
    /// The low half of the command ring's register, until the high half comes.
    var written: UInt32 = 0

    enum Found { case request(TransferRequest, at: UInt64), none, broken }
    /// Links that follow each other: a ring of nothing else would go on for ever.
    private static let maximumLinks = 16

    /// The next request that is no link.
    mutating func next(_ memory: GuestMemory) -> Found {
        for _ in 0 ..< Self.maximumLinks {
            guard let bytes = memory.bytes(dequeue, Int(TransferRequest.size)) else { return .broken }
            let request = TransferRequest(bytes)
            guard request.cycle == cycle else { return .none }
            guard request.kind == TransferRequest.Kind.link else {
                defer { dequeue = dequeue &+ TransferRequest.size }
                return .request(request, at: dequeue)
            }
            dequeue = request.parameter & ~15
            if request.control & 2 != 0 { cycle.toggle() }
        }
        return .broken
    }
}

/// An interrupter (section 4.17) with its event ring (4.9.4).
struct Interrupter {
    enum Limit { static let segments = 16, entries: UInt64 = 4096, held = 8192 }
    struct Segment: Equatable { var base: UInt64, size: UInt64 }

    // Registers (section 5.5.2).
    var management: UInt32 = 0
    var moderation: UInt32 = 4000
    var tableSize: UInt32 = 0
    var table: UInt64 = 0
    var dequeue: UInt64 = 0

    private(set) var segments: [Segment] = []
    /// Where the next event goes, counted over all segments.
    private(set) var place: UInt64 = 0
    private(set) var cycle = true
    /// Events for which the ring has no room.
    private(set) var held: [TransferRequest] = []
    private var hasToldFull = false

    var isEnabled: Bool { management & 2 != 0 }
    var isBusy: Bool { dequeue & 8 != 0 }
    private var total: UInt64 { segments.reduce(0) { $0 &+ $1.size } }

    /// Takes the segment table over. - Returns: false if it is none.
    mutating func begin(_ memory: GuestMemory) -> Bool {
        (segments, place, cycle, held, hasToldFull) = ([], 0, true, [], false)
        for index in 0 ..< UInt64(min(tableSize, UInt32(Limit.segments))) {
            guard let entry = memory.bytes(table &+ index * 16, 16) else { return false }
            let segment = Segment(base: entry.number(0, as: UInt64.self) & ~63, size: UInt64(entry.number(8, as: UInt16.self)))
            guard (16 ... Limit.entries).contains(segment.size) else { return false }
            segments.append(segment)
        }
        return true
    }

    mutating func restore(_ segments: [Segment], place: UInt64, cycle: Bool, held: [TransferRequest], hasToldFull: Bool) -> Bool {
        (self.segments, self.place, self.cycle, self.held, self.hasToldFull) = (segments, place, cycle, held, hasToldFull)
        return segments.isEmpty ? place == 0 : place < total
    }
    var saved: (hasToldFull: Bool, held: [TransferRequest]) { (hasToldFull, held) }

    private func address(_ place: UInt64) -> UInt64? {
        var left = place
        for segment in segments {
            if left < segment.size { return segment.base &+ left * TransferRequest.size }
            left -= segment.size
        }
        return nil
    }

    /// Where the driver is; nil: not in the ring.
    private var reader: UInt64? {
        var before: UInt64 = 0
        let pointer = dequeue & ~15
        for segment in segments {
            let offset = pointer &- segment.base
            if pointer >= segment.base, offset < segment.size * TransferRequest.size { return before &+ offset / TransferRequest.size }
            before = before &+ segment.size
        }
        return nil
    }

    /// Events that fit in; one place always stays free.
    private var room: UInt64 {
        let total = total
        guard total > 0 else { return 0 }
        guard let reader else { return total - 1 }
        return (reader &+ total &- place &- 1) % total
    }
    /// Whether there is something that the driver has not seen.
    var hasEvents: Bool { reader.map { $0 != place } ?? false }

    /// Writes an event, or keeps it until there is room. - Returns: whether something was written.
    mutating func post(_ event: TransferRequest, _ memory: GuestMemory) -> Bool {
        guard !segments.isEmpty else { return false }
        if held.isEmpty, room > 1 {
            put(event, memory)
            return true
        }
        if held.count < Limit.held { held.append(event) }
        guard room == 1, !hasToldFull else { return false }
        hasToldFull = true
        put(TransferRequest(parameter: 0, status: XHCICode.ringFull << 24, control: UInt32(TransferRequest.Kind.controllerEvent) << 10), memory)
        return true
    }

    /// The driver has moved on. - Returns: whether something was written.
    mutating func release(_ memory: GuestMemory) -> Bool {
        var count = 0
        while count < held.count, room > 1 {
            put(held[count], memory)
            count += 1
        }
        held.removeFirst(count)
        if room > 1 { hasToldFull = false }
        return count > 0
    }

    private mutating func put(_ event: TransferRequest, _ memory: GuestMemory) {
        guard let address = address(place) else { return }
        // The word with the cycle bit comes last: the driver looks at nothing else first.
        memory.store(address, event.parameter)
        memory.store(address &+ 8, event.status)
        memory.store(address &+ 12, event.control & ~1 | (cycle ? 1 : 0))
        place += 1
        if place == total { (place, cycle) = (0, !cycle) }
    }
}
