// A virtqueue as devices use it: take chains, complete them, interrupt. Which ring is underneath does not matter to them.

import Core

/// One queue of a virtio device. Guarded by the device's lock.
public final class VirtQueue {
    public let index: Int
    public let maximumSize: UInt16
    private unowned let core: VirtioCore

    // What the driver has set up.
    public internal(set) var size: UInt16
    public internal(set) var isEnabled = false
    var descriptorArea: UInt64 = 0
    var driverArea: UInt64 = 0
    var deviceArea: UInt64 = 0
    var vector: UInt16 = 0xffff

    private enum Ring {
        case split(SplitRing)
        case packed(PackedRing)
        var generation: Int { switch self { case .split(let ring): ring.generation; case .packed(let ring): ring.generation } }
    }
    private var ring: Ring?
    private var split = SplitRing.Position()
    private var packed = PackedRing.Position()
    /// Chains of earlier lives of the queue are not completed.
    private(set) var epoch: UInt32 = 0
    private var inFlight = 0
    /// A device that has switched notifications off looks by itself.
    private var hearsNotifications = true

    init(_ core: VirtioCore, index: Int, maximumSize: UInt16) {
        self.core = core
        self.index = index
        self.maximumSize = maximumSize
        size = maximumSize
    }

    func reset() {
        size = maximumSize
        isEnabled = false
        (descriptorArea, driverArea, deviceArea) = (0, 0, 0)
        vector = 0xffff
        ring = nil
        split = SplitRing.Position()
        packed = PackedRing.Position()
        epoch &+= 1
        inFlight = 0
        hearsNotifications = true
    }

    /// The ring as it is mapped now. - Throws: it cannot be there; the device then needs a reset.
    private func mapped() throws(VirtQueueError) -> Ring? {
        guard isEnabled else { return nil }
        if let ring, ring.generation == core.memory.generation { return ring }
        let usesEvents = core.has(VirtioFeature.eventIndex)
        let new: Ring = core.has(VirtioFeature.packedRing)
            ? .packed(try PackedRing(core.memory, size: size, ring: descriptorArea, driver: driverArea, device: deviceArea, usesEvents: usesEvents))
            : .split(try SplitRing(core.memory, size: size, table: descriptorArea, available: driverArea, used: deviceArea, usesEvents: usesEvents))
        ring = new
        return new
    }

    /// Runs `body` with the ring; what is wrong with it makes the device need a reset.
    private func with<Result>(_ fallback: Result, _ body: (Ring) throws(VirtQueueError) -> Result) -> Result {
        guard core.isAlive, core.memory.isEnabled else { return fallback }
        do throws(VirtQueueError) {
            guard let ring = try mapped() else { return fallback }
            return try body(ring)
        } catch {
            core.fail("queue \(index): \(error.text)")
            return fallback
        }
    }

    private func next(_ ring: Ring) throws(VirtQueueError) -> VirtChain? {
        let chain = switch ring {
        case .split(let ring): try ring.next(core.memory, &split, epoch)
        case .packed(let ring): try ring.next(core.memory, &packed, epoch)
        }
        if chain != nil { inFlight += 1 }
        return chain
    }

    /// The next chain that the driver has made available; nil: there is none.
    public func next() -> VirtChain? {
        with(nil) { (ring) throws(VirtQueueError) in
            if let chain = try next(ring) { return chain }
            // With the event index, the driver tells of what comes behind this place only; it may have come meanwhile.
            guard hearsNotifications else { return nil }
            switch ring {
            case .split(let ring): ring.setNotification(true, split)
            case .packed(let ring): ring.setNotification(true, packed)
            }
            return try next(ring)
        }
    }

    /// The next chains, at most `most`, as `request` makes something of them (nil: the chain is left out); none: notifications
    /// are on again.
    func batch<Request>(_ most: Int, _ request: (VirtChain) -> Request?) -> [Request] {
        var requests: [Request] = []
        while requests.count < most {
            guard let chain = next() else {
                if !requests.isEmpty { break }
                setNotification(true)
                guard isPending else { break }
                setNotification(false)
                continue
            }
            if let request = request(chain) { requests.append(request) }
        }
        return requests
    }

    /// Whether `next` has something.
    public var isPending: Bool {
        with(false) { (ring) throws(VirtQueueError) in
            switch ring {
            case .split(let ring): try ring.pending(split) > 0
            case .packed(let ring): ring.isPending(packed)
            }
        }
    }

    /// Puts the chain that was taken last back, to be taken again.
    public func takeBack(_ chain: VirtChain) {
        guard chain.generation == epoch else { return }
        inFlight -= 1
        with(()) { ring in
            switch ring {
            case .split(let ring): ring.takeBack(&split)
            case .packed(let ring): ring.takeBack(chain.places, &packed)
            }
        }
    }

    /// Gives a chain back to the driver. - Parameter written: bytes that are written to its writable part.
    public func complete(_ chain: VirtChain, written: Int) {
        guard chain.generation == epoch else { return }
        inFlight -= 1
        let written = UInt32(clamping: written)
        with(()) { ring in
            switch ring {
            case .split(let ring): ring.complete(chain.identifier, written, &split)
            case .packed(let ring): ring.complete(chain.identifier, chain.places, written, &packed)
            }
        }
    }

    /// Interrupts the driver if it wants to hear of what was completed.
    public func interrupt() {
        let isWanted = with(false) { ring in
            switch ring {
            case .split(let ring): ring.wantsInterrupt(&split)
            case .packed(let ring): ring.wantsInterrupt(&packed)
            }
        }
        if isWanted || (core.has(VirtioFeature.notifyOnEmpty) && core.isAlive && isEnabled && inFlight == 0 && !isPending) { core.interrupt(self) }
    }

    /// Whether the driver shall tell when it makes more available. After switching on, look once more.
    public func setNotification(_ isOn: Bool) {
        hearsNotifications = isOn
        with(()) { ring in
            switch ring {
            case .split(let ring): ring.setNotification(isOn, split)
            case .packed(let ring): ring.setNotification(isOn, packed)
            }
        }
    }

    func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("size", &size)
        try state.field("enabled", &isEnabled)
        try state.field("descriptors", &descriptorArea)
        try state.field("driver", &driverArea)
        try state.field("device", &deviceArea)
        try state.field("vector", &vector)
        try state.field("splitAvailable", &split.nextAvailable)
        try state.field("splitUsed", &split.nextUsed)
        try state.field("packedAvailable", &packed.nextAvailable)
        try state.field("packedAvailableWrap", &packed.availableWrap)
        try state.field("packedUsed", &packed.nextUsed)
        try state.field("packedUsedWrap", &packed.usedWrap)
        guard state.isLoading else { return }
        guard size > 0, size <= maximumSize, packed.nextAvailable < size, packed.nextUsed < size else { throw .badValue("queue \(index)") }
        ring = nil
        // One interrupt too many is harmless, one too few is not.
        split.signalled = nil
        packed.sinceSignal = nil
        epoch &+= 1
        inFlight = 0
    }
}
