// MSI-X (PCI 3.0 section 6.8.2): a table of messages in a window of the function, and its pending bits.

import Core

/// The vectors of one function.
struct MessageVectors {
    let count: Int
    let tableOffset: UInt64
    let pendingOffset: UInt64
    let capability: Int
    /// 16 bytes each: address, data, control.
    private var table: [UInt8]
    private var pending: [UInt64]
    /// From the capability's control word.
    private(set) var isEnabled = false
    private var isMasked = false

    init(count: Int, tableOffset: UInt64, pendingOffset: UInt64, capability: Int) {
        self.count = count
        self.tableOffset = tableOffset
        self.pendingOffset = pendingOffset
        self.capability = capability
        table = [UInt8](repeating: 0, count: count * 16)
        pending = [UInt64](repeating: 0, count: (count + 63) / 64)
        reset()
    }

    mutating func reset() {
        for index in table.indices { table[index] = index & 15 == 12 ? 1 : 0 }
        for index in pending.indices { pending[index] = 0 }
        isEnabled = false
        isMasked = false
    }

    /// Whether an access at `offset` of the vectors' window is for the table or the pending bits.
    func contains(_ offset: UInt64) -> Bool {
        offset >= tableOffset && offset - tableOffset < UInt64(table.count)
            || offset >= pendingOffset && offset - pendingOffset < UInt64(pending.count * 8)
    }

    func read(_ offset: UInt64, _ width: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0 ..< width {
            let at = offset &+ UInt64(index)
            var byte: UInt8 = 0
            if at >= tableOffset, at - tableOffset < UInt64(table.count) {
                byte = table[Int(at - tableOffset)]
            } else if at >= pendingOffset, at - pendingOffset < UInt64(pending.count * 8) {
                let place = Int(at - pendingOffset)
                byte = UInt8(truncatingIfNeeded: pending[place / 8] >> UInt64(place % 8 * 8))
            }
            value |= UInt64(byte) << UInt64(index * 8)
        }
        return value
    }

    /// - Returns: the vectors that must be sent now because they were unmasked.
    mutating func write(_ offset: UInt64, _ value: UInt64, _ width: Int) -> [Int] {
        guard offset >= tableOffset else { return [] }
        for index in 0 ..< width {
            let at = offset &+ UInt64(index) &- tableOffset
            guard at < UInt64(table.count) else { break }
            let byte = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
            // Of the control word only the mask bit is there.
            table[Int(at)] = at & 15 < 12 ? byte : at & 15 == 12 ? byte & 1 : 0
        }
        return released()
    }

    /// The capability's control word was written.
    mutating func control(_ word: UInt16) -> [Int] {
        isEnabled = word & 0x8000 != 0
        isMasked = word & 0x4000 != 0
        return released()
    }

    /// The message of a vector; nil: it is masked, and pending from now on.
    mutating func fire(_ vector: Int) -> (address: UInt64, data: UInt32)? {
        guard isEnabled, (0 ..< count).contains(vector) else { return nil }
        guard !isMasked, table[vector * 16 + 12] & 1 == 0 else {
            pending[vector / 64] |= 1 << UInt64(vector % 64)
            return nil
        }
        pending[vector / 64] &= ~(1 << UInt64(vector % 64))
        let number = { (table: [UInt8], from: Int, width: Int) in (0 ..< width).reduce(UInt64(0)) { $0 | UInt64(table[from + $1]) << UInt64($1 * 8) } }
        return (number(table, vector * 16, 8) & ~3, UInt32(truncatingIfNeeded: number(table, vector * 16 + 8, 4)))
    }

    private func released() -> [Int] {
        guard isEnabled, !isMasked, pending.contains(where: { $0 != 0 }) else { return [] }
        return (0 ..< count).filter { pending[$0 / 64] >> UInt64($0 % 64) & 1 != 0 && table[$0 * 16 + 12] & 1 == 0 }
    }

    mutating func transfer(_ state: inout StateTransfer, control word: UInt16) throws(StateError) {
        try state.field("table", &table)
        try state.field("pending", &pending)
        if state.isLoading { _ = control(word) }
    }
}
