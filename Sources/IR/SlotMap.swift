/// Which value each 8-byte slot of guest state is known to hold at one point of a trace.
///
/// Slots are numbered from the start of the state allocation; only whole, aligned 8-byte accesses are tracked, and a
/// narrower or misaligned write forgets the slots that it touches. Clearing is O(1): entries carry a generation.
///
/// The first 32 slots are registers: an i32 there stands for the whole slot, whose upper half is zero. So the registers of
/// a 32-bit guest are tracked like those of a 64-bit one.
@frozen
public struct SlotMap {
    @inlinable public static var slots: Int { 1024 }
    /// How many of them are registers.
    @inlinable public static var registers: Int { 32 }
    @usableFromInline let entries: UnsafeMutablePointer<(generation: UInt32, ref: Ref)>
    @usableFromInline var generation: UInt32 = 1

    public init() {
        entries = .allocate(capacity: Self.slots)
        entries.initialize(repeating: (0, -1), count: Self.slots)
    }

    public func deallocate() { entries.deallocate() }

    @inlinable
    public mutating func removeAll() {
        generation &+= 1
        if generation == 0 {
            entries.update(repeating: (0, -1), count: Self.slots)
            generation = 1
        }
    }

    /// The slot number of state offset `offset`, or -1 if it is not tracked.
    @inlinable
    public static func slot(_ offset: Int32, _ type: ValueType) -> Int {
        let position = Int(offset) &+ 128
        guard position & 7 == 0, position >= 0, position < slots * 8 else { return -1 }
        return type.bytes == 8 || type == .i32 && position < registers * 8 ? position >> 3 : -1
    }

    /// Whether a put of `type` at `offset` writes all of a register slot.
    @inlinable
    public static func isRegister(_ offset: Int32, _ type: ValueType) -> Bool {
        type == .i32 && offset >= -128 && Int(offset) < registers * 8 - 128 && offset & 7 == 0
    }

    @inlinable
    public subscript(slot: Int) -> Ref {
        get { entries[slot].generation == generation ? entries[slot].ref : -1 }
        nonmutating set { entries[slot] = (generation, newValue) }
    }

    /// Forgets every slot that a write of `bytes` at `offset` touches.
    @inlinable
    public func forget(_ offset: Int32, bytes: Int) {
        let first = (Int(offset) &+ 128) >> 3, last = (Int(offset) &+ 127 &+ bytes) >> 3
        guard first >= 0, last >= first else { return }
        for slot in first ... last where slot < Self.slots { self[slot] = -1 }
    }
}
