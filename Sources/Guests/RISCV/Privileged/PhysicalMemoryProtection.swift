// "Physical Memory Protection" and "Smepmp": the entries and their check. Entries are kept decoded, lowest number first.

import Translation

struct PhysicalMemoryProtection {
    private(set) var configurations: [UInt8]
    private(set) var addresses: [UInt64]
    private let count: Int
    /// The entries that match anything: first and last byte, and the configuration.
    private var active: [(first: UInt64, last: UInt64, bits: UInt8)] = []

    static let locked: UInt8 = 0x80
    private static let execute: UInt8 = 4

    /// `mseccfg.MML`, `MMWP` and `RLB` of Smepmp: machine mode obeys entries as others do, what no entry matches is forbidden to it,
    /// locks do not hold.
    private(set) var separatesMachine = false
    private(set) var deniesByDefault = false
    private(set) var bypassesLocks = false

    /// What `mseccfg` has of this: bits 0 to 2.
    var securityBits: UInt64 { (separatesMachine ? 1 : 0) | (deniesByDefault ? 2 : 0) | (bypassesLocks ? 4 : 0) }

    /// The first two bits stay set; the third cannot be set while an entry is locked.
    mutating func setSecurityBits(_ value: UInt64) {
        bypassesLocks = value & 4 != 0 && (bypassesLocks || !configurations.contains { $0 & Self.locked != 0 })
        separatesMachine = separatesMachine || value & 1 != 0
        deniesByDefault = deniesByDefault || value & 2 != 0
    }
    /// Bits of a physical address.
    private static let addressBits: UInt64 = 56

    init(entries: Int) {
        count = min(max(entries, 0), 64)
        configurations = Array(repeating: 0, count: 64)
        addresses = Array(repeating: 0, count: 64)
    }

    private func isLocked(_ entry: Int) -> Bool { configurations[entry] & Self.locked != 0 && !bypassesLocks }

    mutating func setConfiguration(_ entry: Int, _ value: UInt8) {
        guard entry < count, !isLocked(entry) else { return }
        if separatesMachine {
            // Code that machine mode may execute cannot be added.
            let makesCode = value & Self.locked != 0 && (value & Self.execute != 0 && value & 3 != 3 || value & 7 == 2)
            guard bypassesLocks || !makesCode else { return }
            configurations[entry] = value & 0x9f
            return decode()
        }
        // W without R is reserved: both are then kept off.
        configurations[entry] = value & 3 == 2 ? value & 0x9c : value & 0x9f
        decode()
    }

    mutating func setAddress(_ entry: Int, _ value: UInt64) {
        guard entry < count, !isLocked(entry) else { return }
        // The base of a locked range is the address register before it.
        if entry + 1 < count, isLocked(entry + 1), configurations[entry + 1] >> 3 & 3 == 1 { return }
        addresses[entry] = value & (1 << (Self.addressBits - 2) - 1)
        decode()
    }

    private mutating func decode() {
        active = []
        for entry in 0 ..< count {
            let address = addresses[entry], bits = configurations[entry]
            switch bits >> 3 & 3 {
            case 1:
                let first = entry == 0 ? 0 : addresses[entry - 1] << 2
                if address << 2 > first { active.append((first, address << 2 - 1, bits)) }
            case 2: active.append((address << 2, address << 2 | 3, bits))
            case 3:
                let ones = UInt64((~address).trailingZeroBitCount)
                let size: UInt64 = ones + 3 >= 62 ? .max : 1 << (ones + 3)
                let first = size == .max ? 0 : address << 2 & ~(size - 1)
                active.append((first, size == .max ? .max : first + size - 1, bits))
            default: break
            }
        }
    }

    /// Whether all of the naturally aligned `size` bytes around `address` are in the same entry, or in none.
    func isUniform(_ address: UInt64, size: UInt64) -> Bool {
        let first = address & ~(size &- 1), last = first | (size &- 1)
        for entry in active where entry.first <= last && entry.last >= first { return entry.first <= first && entry.last >= last }
        return true
    }

    /// The table of Smepmp for `MML`.
    private static func separated(_ bits: UInt8, _ mode: PrivilegeMode) -> AccessRights {
        let isMachine = mode == .machine
        switch (bits & locked != 0, bits & 7) {
        // W without R: shared regions.
        case (false, 2): return isMachine ? [.load, .store] : [.load]
        case (false, 6): return [.load, .store]
        case (true, 2): return [.fetch]
        case (true, 6): return isMachine ? [.load, .fetch] : [.fetch]
        case (true, 7): return [.load]
        case (let isLocked, let rights):
            guard isLocked == isMachine else { return [] }
            return AccessRights(rawValue: rights & 7)
        }
    }

    /// What accesses of `mode` to the `bytes` at `address` are allowed.
    /// - Returns: the rights, and whether they hold for all of the 4 KiB page.
    func rights(_ address: UInt64, bytes: Int, mode: PrivilegeMode) -> (AccessRights, isWholePage: Bool) {
        let page = address & ~0xfff, last = address &+ UInt64(bytes - 1)
        var isWhole = true
        for entry in active {
            guard entry.first <= page | 0xfff, entry.last >= page else { continue }
            let coversPage = entry.first <= page && entry.last >= page | 0xfff
            if !coversPage { isWhole = false }
            guard entry.first <= last, entry.last >= address else { continue }
            // An access that an entry matches in part fails.
            guard entry.first <= address, entry.last >= last else { return ([], false) }
            if separatesMachine { return (Self.separated(entry.bits, mode), isWhole) }
            if mode == .machine, entry.bits & Self.locked == 0 { return ([.load, .store, .fetch], isWhole) }
            var rights: AccessRights = []
            if entry.bits & 1 != 0 { rights.insert(.load) }
            if entry.bits & 2 != 0 { rights.insert(.store) }
            if entry.bits & 4 != 0 { rights.insert(.fetch) }
            return (rights, isWhole)
        }
        guard mode == .machine else { return (count == 0 ? [.load, .store, .fetch] : [], isWhole) }
        if deniesByDefault { return ([], isWhole) }
        return (separatesMachine ? [.load, .store] : [.load, .store, .fetch], isWhole)
    }
}
