// qcow2: a bounded cache of pieces ("slices") of L2 tables or refcount blocks. Only clean slices are evicted; who fills the
// cache with dirty ones writes them back first, in the right order.

import Block

struct QCOW2TableCache: Sendable {
    private struct Slot: Sendable {
        var offset: UInt64
        var bytes: [UInt8]
        var isDirty = false
        var wasUsed = true
    }
    /// Bytes of a slice: a whole table, or a power of two of it.
    let sliceBytes: Int
    let capacity: Int
    private var slots: [Slot] = []
    private var index: [UInt64: Int] = [:]
    private var hand = 0
    /// The slot that was asked for last: tables are walked entry by entry.
    private var recent = 0
    private(set) var dirtyCount = 0

    init(clusterSize: UInt64, budget: Int) {
        sliceBytes = Int(min(clusterSize, 65536))
        // At least the slices of a few whole tables; small ones are not worth more than some thousand dictionary entries.
        capacity = min(8192, max(budget / sliceBytes, 4 * Int(clusterSize) / sliceBytes + 16))
    }

    /// Whether another `count` dirty slices fit.
    func hasRoom(_ count: Int) -> Bool { dirtyCount + count < capacity }

    /// The slot that holds the slice at `offset`, read from `file` if it is not here.
    mutating func slot(_ offset: UInt64, _ file: Node) throws(BlockError) -> Int {
        // No slice has the last offset: a slot with it is empty.
        if recent < slots.count, slots[recent].offset == offset, offset != UInt64.max {
            slots[recent].wasUsed = true
            return recent
        }
        if let known = index[offset] {
            slots[known].wasUsed = true
            recent = known
            return known
        }
        recent = try insert(offset, try file.bytes(offset, sliceBytes))
        return recent
    }

    /// Takes a slice that is not in the file yet (or replaces what is here) as dirty.
    mutating func put(_ offset: UInt64, _ bytes: [UInt8]) throws(BlockError) {
        let slot: Int
        if let known = index[offset] { slot = known; slots[known].bytes = bytes } else { slot = try insert(offset, bytes) }
        touch(slot)
    }

    private mutating func insert(_ offset: UInt64, _ bytes: [UInt8]) throws(BlockError) -> Int {
        if slots.count < capacity {
            slots.append(Slot(offset: offset, bytes: bytes))
            index[offset] = slots.count - 1
            return slots.count - 1
        }
        for _ in 0..<2 * slots.count {
            hand = hand + 1 < slots.count ? hand + 1 : 0
            if slots[hand].isDirty { continue }
            if slots[hand].wasUsed { slots[hand].wasUsed = false; continue }
            index[slots[hand].offset] = nil
            slots[hand] = Slot(offset: offset, bytes: bytes)
            index[offset] = hand
            return hand
        }
        throw BlockError(.noSpace, "the metadata cache is full of changes")
    }

    /// The slice's bytes.
    func bytes(_ slot: Int) -> [UInt8] { slots[slot].bytes }

    /// The big-endian word at byte `offset` of a slice; 0 outside.
    func word(_ slot: Int, _ offset: Int) -> UInt64 {
        slots[slot].bytes.withUnsafeBytes { bytes in
            offset >= 0 && offset &+ 8 <= bytes.count ? UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) : 0
        }
    }

    /// Stores a big-endian word; nothing outside.
    mutating func setWord(_ slot: Int, _ offset: Int, _ value: UInt64) {
        slots[slot].bytes.withUnsafeMutableBytes { bytes in
            if offset >= 0, offset &+ 8 <= bytes.count { bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self) }
        }
        touch(slot)
    }

    /// Entry `number` of `1 << order` bits.
    func entry(_ slot: Int, _ number: Int, order: UInt32) -> UInt64 {
        slots[slot].bytes.withUnsafeBytes { QCOW2TableCache.entry($0, number, order: order) }
    }

    mutating func setEntry(_ slot: Int, _ number: Int, order: UInt32, _ value: UInt64) {
        slots[slot].bytes.withUnsafeMutableBytes { QCOW2TableCache.setEntry($0, number, order: order, value) }
        touch(slot)
    }

    /// A refcount: within a byte, the lowest bits come first; from 16 bits on, big endian.
    static func entry(_ bytes: UnsafeRawBufferPointer, _ number: Int, order: UInt32) -> UInt64 {
        if order < 3 {
            let byte = number >> Int(3 - order)
            guard byte >= 0, byte < bytes.count else { return 0 }
            let shift = UInt8((number & ((8 >> Int(order)) - 1)) << Int(order))
            return UInt64(bytes[byte] >> shift & UInt8((1 << (1 << order)) - 1))
        }
        let width = 1 << Int(order - 3)
        let start = number &* width
        guard start >= 0, start &+ width <= bytes.count else { return 0 }
        var value: UInt64 = 0
        for byte in 0..<width { value = value << 8 | UInt64(bytes[start + byte]) }
        return value
    }

    static func setEntry(_ bytes: UnsafeMutableRawBufferPointer, _ number: Int, order: UInt32, _ value: UInt64) {
        if order < 3 {
            let byte = number >> Int(3 - order)
            guard byte >= 0, byte < bytes.count else { return }
            let shift = UInt8((number & ((8 >> Int(order)) - 1)) << Int(order))
            let mask = UInt8((1 << (1 << order)) - 1)
            bytes[byte] = bytes[byte] & ~(mask << shift) | (UInt8(truncatingIfNeeded: value) & mask) << shift
            return
        }
        let width = 1 << Int(order - 3)
        let start = number &* width
        guard start >= 0, start &+ width <= bytes.count else { return }
        for byte in 0..<width { bytes[start + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (width - 1 - byte))) }
    }

    private mutating func touch(_ slot: Int) {
        if !slots[slot].isDirty { slots[slot].isDirty = true; dirtyCount += 1 }
        slots[slot].wasUsed = true
    }

    /// Forgets the slices of a table: its cluster is free, or will be written past this cache.
    mutating func drop(_ offset: UInt64, _ count: UInt64) {
        var at = offset
        while at < offset &+ count {
            if let slot = index.removeValue(forKey: at) {
                if slots[slot].isDirty { dirtyCount -= 1 }
                // An offset no slice has: the slot is the next to be reused.
                slots[slot] = Slot(offset: UInt64.max, bytes: [], wasUsed: false)
            }
            at &+= UInt64(sliceBytes)
        }
    }

    mutating func forgetAll() {
        slots.removeAll()
        index.removeAll()
        dirtyCount = 0
    }

    /// Writes all dirty slices, in the order of the file.
    mutating func write(to file: Node) throws(BlockError) {
        guard dirtyCount > 0 else { return }
        let dirty = slots.indices.filter { slots[$0].isDirty }.sorted { slots[$0].offset < slots[$1].offset }
        for slot in dirty {
            try file.write(slots[slot].offset, bytes: slots[slot].bytes)
            slots[slot].isDirty = false
            dirtyCount -= 1
        }
    }
}
