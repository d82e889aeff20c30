// Device slots and their endpoints (xHCI 1.0 sections 4.5 and 6.2): what the controller keeps beside the contexts in memory.

import Core

/// A row of requests that belong together: one transfer.
struct XHCITransfer {
    struct Part {
        var request: TransferRequest
        var address: UInt64
    }
    var parts: [Part] = []
    /// Of a control transfer.
    var setup: USBSetup?
    var data = GuestPieces()
    /// The ring behind it.
    var next = RequestRing()
    /// Why it cannot be done.
    var failure: UInt32?
}

final class XHCIEndpoint {
    /// Section 6.2.3, table 57.
    enum State: UInt32 { case disabled = 0, running, halted, stopped, error }

    /// Where its context is in guest memory.
    let context: UInt64
    /// EP Type: 1 to 3 are OUT, 4 control, 5 to 7 IN; isochronous, bulk, interrupt.
    let type: UInt32
    var state = State.running
    var ring: RequestRing
    /// A transfer that has begun: the device had nothing to say yet, or works on it.
    var active: XHCITransfer?
    var isPending = false

    init(context: UInt64, type: UInt32, ring: RequestRing) {
        self.context = context
        self.type = type
        self.ring = ring
    }

    var isControl: Bool { type == 4 }
    var isIsochronous: Bool { type & 3 == 1 }

    func drop() { (active, isPending) = (nil, false) }

    /// Tells the driver by the context.
    func publish(_ memory: GuestMemory) {
        if let word = memory.load(context, as: UInt32.self) { memory.store(context, word & ~7 | state.rawValue) }
        memory.store(context &+ 8, ring.dequeue & ~15 | (ring.cycle ? 1 : 0))
    }
}

final class XHCISlot {
    /// Section 6.2.2, table 56; `enabled` shares its number with disabled slots.
    enum State: UInt32 { case enabled = 0, initial, addressed, configured }

    /// Where its contexts are in guest memory; 0: not known yet.
    var context: UInt64 = 0
    var state = State.enabled
    /// Port of the bus, from 1; 0: none.
    var port = 0
    /// By device context index, 1 to 31.
    var endpoints: [Int: XHCIEndpoint] = [:]
}
