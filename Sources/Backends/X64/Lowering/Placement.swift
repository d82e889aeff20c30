import IR
import IRPasses
import Translation

/// Where the values of the block under translation are: the register allocator of tier 1.
///
/// Linear, one op at a time. A value may be at once in a host register, in the home of one or two guest slots (whose
/// current content it is), in a spill slot, or be a constant. Invariants, which `PlacementChecker` verifies in tests:
/// - `owner[r] == v` exactly when `register[v] == r`, for scratch registers;
/// - `slotValue[s] == v` whenever `home[v] == s` or `secondHome[v] == s`;
/// - a live value is in at least one place.
///
/// Host registers are numbered 0–15 (integer) and 16–31 (vector). All arrays are raw memory of the arena's capacity.
struct Placement {
    static let none: UInt8 = 0xFF

    let register: UnsafeMutablePointer<UInt8>
    let home: UnsafeMutablePointer<Int16>
    let secondHome: UnsafeMutablePointer<Int16>
    let spill: UnsafeMutablePointer<Int16>
    /// The value in each scratch register, or -1.
    let owner: UnsafeMutablePointer<Ref>
    /// The value that each slot's home holds now.
    var slotValue = SlotMap()
    /// The host register that is the home of each slot, or `none`.
    let homeRegister: UnsafeMutablePointer<UInt8>
    /// Bits of host registers that the current op needs and that must not be taken.
    var locked: UInt64 = 0
    /// Bits of scratch registers without an owner.
    var free: UInt64 = 0
    var freeSpills: UInt64 = ~0

    static let integerScratchMask: UInt64 = HostRegisters.integerScratch.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
    static let floatScratchMask: UInt64 = ((1 << UInt64(HostRegisters.floatScratchCount)) - 1) << 16

    init(capacity: Int, registers: HostRegisters) {
        register = .allocate(capacity: capacity)
        home = .allocate(capacity: capacity)
        secondHome = .allocate(capacity: capacity)
        spill = .allocate(capacity: capacity)
        owner = .allocate(capacity: 64)
        owner.initialize(repeating: -1, count: 64)
        homeRegister = .allocate(capacity: SlotMap.slots)
        homeRegister.initialize(repeating: Self.none, count: SlotMap.slots)
        for (offset, gpr) in registers.integerHomes {
            let slot = SlotMap.slot(offset, .i64)
            if slot >= 0 { homeRegister[slot] = gpr.rawValue }
        }
        for (offset, xmm) in registers.floatHomes {
            let slot = SlotMap.slot(offset, .f64)
            if slot >= 0 { homeRegister[slot] = 16 + xmm.rawValue }
        }
    }

    func deallocate() {
        register.deallocate()
        home.deallocate()
        secondHome.deallocate()
        spill.deallocate()
        owner.deallocate()
        slotValue.deallocate()
        homeRegister.deallocate()
    }

    mutating func reset() {
        owner.update(repeating: -1, count: 64)
        slotValue.removeAll()
        locked = 0
        free = Self.integerScratchMask | Self.floatScratchMask
        freeSpills = ~0
    }

    @inline(__always)
    mutating func define(_ value: Int) {
        register[value] = Self.none
        home[value] = -1
        secondHome[value] = -1
        spill[value] = -1
    }

    @inline(__always)
    mutating func lock(_ register: UInt8) { locked |= 1 &<< UInt64(register & 63) }

    /// The scratch register `register` now holds `value`.
    @inline(__always)
    mutating func assign(_ value: Int, _ register: UInt8) {
        self.register[value] = register
        owner[Int(register & 63)] = Ref(truncatingIfNeeded: value)
        free &= ~(1 &<< UInt64(register & 63))
    }

    /// The scratch register holds nothing any more.
    @inline(__always)
    mutating func release(_ register: UInt8) {
        let value = owner[Int(register & 63)]
        if value >= 0 { self.register[Int(value)] = Self.none }
        owner[Int(register & 63)] = -1
        free |= 1 &<< UInt64(register & 63)
    }

    /// `value` is not used after this.
    @inline(__always)
    mutating func kill(_ value: Int) {
        let held = register[value]
        if held != Self.none, Self.isScratch(held) { release(held) }
        if spill[value] >= 0 {
            freeSpills |= 1 &<< UInt64(spill[value])
            spill[value] = -1
        }
    }

    @inline(__always)
    static func isScratch(_ register: UInt8) -> Bool {
        (integerScratchMask | floatScratchMask) &>> UInt64(register & 63) & 1 != 0
    }

    /// Whether `value` can be found elsewhere than in its scratch register.
    @inline(__always)
    func isBacked(_ value: Int) -> Bool { home[value] >= 0 || spill[value] >= 0 }

    /// Slot `slot`'s home no longer holds `value`.
    mutating func removeHome(_ value: Int, _ slot: Int) {
        if home[value] == Int16(truncatingIfNeeded: slot) {
            home[value] = secondHome[value]
            secondHome[value] = -1
        } else if secondHome[value] == Int16(truncatingIfNeeded: slot) {
            secondHome[value] = -1
        }
    }

    /// Slot `slot`'s home now holds `value`.
    mutating func addHome(_ value: Int, _ slot: Int) {
        slotValue[slot] = Ref(truncatingIfNeeded: value)
        if home[value] < 0 {
            home[value] = Int16(truncatingIfNeeded: slot)
        } else if home[value] != Int16(truncatingIfNeeded: slot) {
            if secondHome[value] < 0 {
                secondHome[value] = Int16(truncatingIfNeeded: slot)
            } else {
                // A third home is not tracked, and the slot must not claim the value then.
                slotValue[slot] = -1
            }
        }
    }

    static func offset(ofSlot slot: Int) -> Int32 { Int32(truncatingIfNeeded: slot &* 8 &- 128) }
}
