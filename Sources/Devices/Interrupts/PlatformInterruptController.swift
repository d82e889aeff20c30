// PLIC, by "RISC-V Platform-Level Interrupt Controller Specification" 1.0.0: interrupt sources with priorities and, for each
// context (a privilege mode of a hart), enable bits, a threshold and the claim/complete register.

import Core
import Host

public final class PlatformInterruptController: Device {
    /// How it is laid out.
    public struct Shape: Sendable {
        /// Sources, with the reserved number 0.
        public var sources: Int
        public var priorities: UInt32
        public var contexts: Int
        /// Bytes of the window.
        public var size: UInt64
        public init(sources: Int, priorities: UInt32, contexts: Int, size: UInt64) {
            self.sources = min(max(sources, 1), 1024)
            self.priorities = priorities
            self.contexts = min(max(contexts, 1), 15872)
            self.size = size
        }
    }

    public let banks: [Bank]
    private let shape: Shape
    private let words: Int
    private let targets: [InterruptLine]
    private var priority: [UInt32]
    private var pending: [UInt32]
    private var claimed: [UInt32]
    private var level: [UInt32]
    /// `words` for each context.
    private var enable: [UInt32]
    private var threshold: [UInt32]

    private static let pendingAt: UInt64 = 0x1000, enableAt: UInt64 = 0x2000, contextAt: UInt64 = 0x20_0000
    private static let enableStride: UInt64 = 0x80, contextStride: UInt64 = 0x1000

    /// - Parameter targets: the external-interrupt wire of each context.
    public init(_ shape: Shape, targets: [InterruptLine]) {
        self.shape = shape
        self.targets = targets
        words = (shape.sources + 31) / 32
        priority = Array(repeating: 0, count: shape.sources)
        pending = Array(repeating: 0, count: words)
        claimed = pending
        level = pending
        enable = Array(repeating: 0, count: words * shape.contexts)
        threshold = Array(repeating: 0, count: shape.contexts)
        banks = [Bank("riscv.sifive.plic", size: shape.size, widths: 4 ... 4)]
    }

    /// A wire into source `number`.
    public static func line(_ number: Int, into slot: DeviceSlot) -> InterruptLine {
        InterruptLine { [weak slot] isHigh in
            slot?.withDevice { ($0 as? PlatformInterruptController)?.setLevel(number, isHigh) }
        }
    }

    /// The wire of source `number` is at `isHigh`.
    public func setLevel(_ number: Int, _ isHigh: Bool) {
        guard number > 0, number < shape.sources else { return }
        let word = number / 32, bit: UInt32 = 1 << UInt32(number % 32)
        guard (level[word] & bit != 0) != isHigh else { return }
        if isHigh {
            level[word] |= bit
            // While a request is in service the gateway forwards no other.
            if claimed[word] & bit == 0 { pending[word] |= bit }
        } else {
            level[word] &= ~bit
            // The gateway of a level source withdraws what nobody has claimed.
            pending[word] &= ~bit
        }
        update()
    }

    // MARK: registers

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        switch offset {
        case 0 ..< Self.pendingAt:
            let number = Int(offset / 4)
            return number < shape.sources ? UInt64(priority[number]) : 0
        case Self.pendingAt ..< Self.enableAt:
            let word = Int((offset - Self.pendingAt) / 4)
            return word < words ? UInt64(pending[word]) : 0
        case Self.enableAt ..< Self.contextAt:
            return enableIndex(offset).map { UInt64(enable[$0]) } ?? 0
        default:
            let context = Int((offset - Self.contextAt) / Self.contextStride)
            guard context < shape.contexts else { return 0 }
            switch (offset - Self.contextAt) % Self.contextStride {
            case 0: return UInt64(threshold[context])
            case 4: return UInt64(claim(context))
            default: return 0
            }
        }
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let value = UInt32(truncatingIfNeeded: value)
        switch offset {
        case 0 ..< Self.pendingAt:
            let number = Int(offset / 4)
            guard number > 0, number < shape.sources else { return }
            priority[number] = value & priorityMask
        case Self.pendingAt ..< Self.enableAt: return
        case Self.enableAt ..< Self.contextAt:
            guard let index = enableIndex(offset) else { return }
            enable[index] = index % words == 0 ? value & ~1 : value
        default:
            let context = Int((offset - Self.contextAt) / Self.contextStride)
            guard context < shape.contexts else { return }
            switch (offset - Self.contextAt) % Self.contextStride {
            case 0: threshold[context] = value & priorityMask
            case 4: complete(context, value)
            default: return
            }
        }
        update()
    }

    /// Priorities are WARL; with a power of two of them, the low bits are kept.
    private var priorityMask: UInt32 { shape.priorities & (shape.priorities &+ 1) == 0 ? shape.priorities : .max }

    private func enableIndex(_ offset: UInt64) -> Int? {
        let context = Int((offset - Self.enableAt) / Self.enableStride), word = Int((offset - Self.enableAt) % Self.enableStride / 4)
        return context < shape.contexts && word < words ? context * words + word : nil
    }

    /// The pending and enabled source of the highest priority above the threshold, the lowest number of equals; 0: none.
    private func best(_ context: Int) -> Int {
        var best = 0, bestPriority = threshold[context]
        for word in 0 ..< words {
            var bits = pending[word] & ~claimed[word] & enable[context * words + word]
            while bits != 0 {
                let number = word * 32 + bits.trailingZeroBitCount
                bits &= bits - 1
                if number < shape.sources, priority[number] > bestPriority {
                    best = number
                    bestPriority = priority[number]
                }
            }
        }
        return best
    }

    private func claim(_ context: Int) -> Int {
        let number = best(context)
        if number > 0 {
            pending[number / 32] &= ~(1 << UInt32(number % 32))
            claimed[number / 32] |= 1 << UInt32(number % 32)
            update()
        }
        return number
    }

    private func complete(_ context: Int, _ value: UInt32) {
        guard let number = Int(exactly: value), number < shape.sources else { return }
        let word = number / 32, bit: UInt32 = 1 << UInt32(number % 32)
        // A completion of a source that the context has not enabled is ignored.
        guard enable[context * words + word] & bit != 0 else { return }
        claimed[word] &= ~bit
        if level[word] & bit != 0 { pending[word] |= bit }
    }

    private func update() {
        for (context, target) in targets.enumerated() where context < shape.contexts { target.set(best(context) != 0) }
    }

    public func reset() {
        for index in priority.indices { priority[index] = 0 }
        for index in pending.indices {
            pending[index] = level[index]
            claimed[index] = 0
        }
        for index in enable.indices { enable[index] = 0 }
        for index in threshold.indices { threshold[index] = 0 }
        update()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("priority", &priority)
        try state.field("pending", &pending)
        try state.field("claimed", &claimed)
        try state.field("level", &level)
        try state.field("enable", &enable)
        try state.field("threshold", &threshold)
        if state.isLoading { update() }
    }
}
