// One interrupt domain of an APLIC: the state of its sources and targets, and which pending bits change when.
// "RISC-V Advanced Interrupt Architecture" 1.0, sections 4.5 and 4.7.

import Core

/// The domain's state. Source numbers count from 1.
struct InterruptDomain {
    /// Bits of a priority number in direct delivery, as QEMU's `virt` has.
    static let priorityMask: UInt32 = 7
    static let delegated: UInt32 = 1 << 10

    enum Mode { static let detached: UInt32 = 1, edgeHigh: UInt32 = 4, edgeLow: UInt32 = 5, levelHigh: UInt32 = 6, levelLow: UInt32 = 7 }

    let isMachine: Bool
    let sendsMessages: Bool
    let sources: Int
    var isEnabled = false
    private(set) var configuration: [UInt32]
    private(set) var pending: [UInt32]
    private(set) var enabled: [UInt32]
    private(set) var target: [UInt32]

    // Interrupt delivery control of each hart (direct delivery).
    var delivers: [UInt32], forced: [UInt32], threshold: [UInt32]

    /// `genmsi` without its busy bit: messages leave at once.
    var extempore: UInt32 = 0

    init(isMachine: Bool, sendsMessages: Bool, sources: Int, harts: Int) {
        self.isMachine = isMachine
        self.sendsMessages = sendsMessages
        self.sources = sources
        configuration = Array(repeating: 0, count: sources + 1)
        target = configuration
        pending = Array(repeating: 0, count: sources / 32 + 1)
        enabled = pending
        delivers = Array(repeating: 0, count: harts)
        forced = delivers
        threshold = delivers
    }

    func isSource(_ number: Int) -> Bool { number >= 1 && number <= sources }
    private func mode(_ number: Int) -> UInt32 { configuration[number] & Self.delegated != 0 ? 0 : configuration[number] & 7 }
    func isActive(_ number: Int) -> Bool { isSource(number) && mode(number) != 0 }
    func isDelegated(_ number: Int) -> Bool { isSource(number) && configuration[number] & Self.delegated != 0 }

    /// The rectified input.
    func isAsserted(_ number: Int, level: Bool) -> Bool {
        switch mode(number) {
        case Mode.edgeHigh, Mode.levelHigh: level
        case Mode.edgeLow, Mode.levelLow: !level
        default: false
        }
    }
    private func isLevel(_ number: Int) -> Bool { mode(number) >= Mode.levelHigh }

    private func has(_ bits: [UInt32], _ number: Int) -> Bool { bits[number / 32] >> UInt32(number % 32) & 1 != 0 }
    private mutating func setPending(_ number: Int, _ value: Bool) {
        let bit: UInt32 = 1 << UInt32(number % 32)
        if value { pending[number / 32] |= bit } else { pending[number / 32] &= ~bit }
    }

    // MARK: what changes pending bits

    /// The wire of a source has changed to `level`.
    mutating func wireChanged(_ number: Int, level: Bool) {
        guard isActive(number) else { return }
        if isAsserted(number, level: level) { setPending(number, true) } else if isLevel(number) { setPending(number, false) }
    }

    /// Software sets or clears a pending bit.
    mutating func requestPending(_ number: Int, _ value: Bool, level: Bool) {
        guard isActive(number) else { return }
        if isLevel(number) {
            // In direct delivery the bit is the rectified input.
            guard sendsMessages, !value || isAsserted(number, level: level) else { return }
        }
        setPending(number, value)
    }

    /// The interrupt was claimed, or has left as a message.
    mutating func taken(_ number: Int) {
        if sendsMessages || !isLevel(number) { setPending(number, false) }
    }

    mutating func setEnabled(_ number: Int, _ value: Bool) {
        guard isActive(number) else { return }
        let bit: UInt32 = 1 << UInt32(number % 32)
        if value { enabled[number / 32] |= bit } else { enabled[number / 32] &= ~bit }
    }

    /// `sourcecfg`; reserved modes are none.
    mutating func configure(_ number: Int, _ value: UInt32, level: Bool) {
        guard isSource(number) else { return }
        if value & Self.delegated != 0 {
            // The machine's domain has one child, number 0.
            configuration[number] = isMachine ? Self.delegated : 0
        } else {
            configuration[number] = value & 7 == 2 || value & 7 == 3 ? 0 : value & 7
        }
        if !isActive(number) {
            setPending(number, false)
            enabled[number / 32] &= ~(1 << UInt32(number % 32))
            target[number] = 0
            return
        }
        if !sendsMessages, target[number] & Self.priorityMask == 0 { target[number] |= 1 }
        if isLevel(number) { setPending(number, isAsserted(number, level: level)) }
    }

    /// `target`.
    mutating func setTarget(_ number: Int, _ value: UInt32) {
        guard isActive(number) else { return }
        if sendsMessages {
            target[number] = value & (0xfffc_07ff | (isMachine ? 0 : 0x3f << 12))
        } else {
            target[number] = value & 0xfffc_0000 | max(value & Self.priorityMask, 1)
        }
    }

    // MARK: what is to be done

    /// The sources that are pending and enabled.
    var due: [Int] {
        var list: [Int] = []
        for word in pending.indices {
            var bits = pending[word] & enabled[word]
            while bits != 0 {
                list.append(word * 32 + bits.trailingZeroBitCount)
                bits &= bits - 1
            }
        }
        return list
    }

    /// `topi` of each hart: source number and priority.
    func tops() -> [UInt32] {
        var tops = [UInt32](repeating: 0, count: delivers.count)
        for number in due {
            let hart = Int(target[number] >> 18), priority = target[number] & 0xff
            guard tops.indices.contains(hart), threshold[hart] == 0 || priority < threshold[hart] else { continue }
            if tops[hart] == 0 || priority < tops[hart] & 0xff { tops[hart] = UInt32(number) << 16 | priority }
        }
        return tops
    }

    /// `claimi` was read and gave `top`.
    mutating func claim(_ hart: Int, _ top: UInt32) {
        if top != 0 { taken(Int(top >> 16)) } else { forced[hart] = 0 }
    }

    /// The level of each hart's wire.
    func levels() -> [Bool] {
        guard isEnabled, !sendsMessages else { return delivers.map { _ in false } }
        return zip(tops(), delivers.indices).map { top, hart in delivers[hart] != 0 && (top != 0 || forced[hart] != 0) }
    }

    mutating func transfer(_ state: inout StateTransfer, _ prefix: String) throws(StateError) {
        try state.field(prefix + "domaincfg.IE", &isEnabled)
        try state.field(prefix + "sourcecfg", &configuration)
        try state.field(prefix + "setip", &pending)
        try state.field(prefix + "setie", &enabled)
        try state.field(prefix + "target", &target)
        try state.field(prefix + "idelivery", &delivers)
        try state.field(prefix + "iforce", &forced)
        try state.field(prefix + "ithreshold", &threshold)
        try state.field(prefix + "genmsi", &extempore)
    }
}
