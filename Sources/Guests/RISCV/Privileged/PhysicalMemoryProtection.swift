// "Physical Memory Protection" and "Smepmp": the entries and their check. Entries are kept decoded, lowest number first.

import Translation

/// One hart's entries. A class, as every step of a page-table walk asks it: nothing is copied to do so.
package final class PhysicalMemoryProtection {
    package private(set) var configurations: [UInt8]
    package private(set) var addresses: [UInt64]
    private let count: Int
    /// The entries that match anything: first and last byte, and the configuration.
    private var active: [(first: UInt64, last: UInt64, bits: UInt8)] = []

    /// Addresses for which one rule holds, as found last for each mode: most of memory is one stretch.
    private struct Stretch: BitwiseCopyable {
        var first: UInt64 = 1
        var last: UInt64 = 0
        var rights: AccessRights = []
        /// Whether all bytes from `low` to `high` are in it.
        func contains(_ low: UInt64, _ high: UInt64) -> Bool { first <= low && low <= high && high <= last }
    }
    private var ordinary = Stretch(), machine = Stretch()

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
    package func setSecurityBits(_ value: UInt64) {
        defer { forget() }
        bypassesLocks = value & 4 != 0 && (bypassesLocks || !configurations.contains { $0 & Self.locked != 0 })
        separatesMachine = separatesMachine || value & 1 != 0
        deniesByDefault = deniesByDefault || value & 2 != 0
    }
    /// Bits of a physical address.
    private static let addressBits: UInt64 = 56

    package init(entries: Int) {
        count = min(max(entries, 0), 64)
        configurations = Array(repeating: 0, count: 64)
        addresses = Array(repeating: 0, count: 64)
    }

    /// As after a reset of the hart.
    func reset() {
        configurations = Array(repeating: 0, count: 64)
        addresses = Array(repeating: 0, count: 64)
        (separatesMachine, deniesByDefault, bypassesLocks) = (false, false, false)
        decode()
    }

    private func forget() { (ordinary, machine) = (Stretch(), Stretch()) }

    private func isLocked(_ entry: Int) -> Bool { configurations[entry] & Self.locked != 0 && !bypassesLocks }

    package func setConfiguration(_ entry: Int, _ value: UInt8) {
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

    package func setAddress(_ entry: Int, _ value: UInt64) {
        guard entry < count, !isLocked(entry) else { return }
        // The base of a locked range is the address register before it.
        if entry + 1 < count, isLocked(entry + 1), configurations[entry + 1] >> 3 & 3 == 1 { return }
        addresses[entry] = value & (1 << (Self.addressBits - 2) - 1)
        decode()
    }

    private func decode() {
        active = []
        forget()
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
    package func isUniform(_ address: UInt64, size: UInt64) -> Bool {
        let first = address & ~(size &- 1), last = first | (size &- 1)
        if ordinary.contains(first, last) || machine.contains(first, last) { return true }
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
    package func rights(_ address: UInt64, bytes: Int, mode: PrivilegeMode) -> (AccessRights, isWholePage: Bool) {
        let page = address & ~0xfff, last = address &+ UInt64(truncatingIfNeeded: bytes) &- 1
        let known = mode == .machine ? machine : ordinary
        if known.contains(page, page | 0xfff), last <= page | 0xfff { return (known.rights, true) }
        var isWhole = true
        var stretch = Stretch(first: 0, last: .max)
        for entry in active {
            // What no entry before this one matches, and it neither, on the address's own side of it.
            if entry.last < address { stretch.first = max(stretch.first, entry.last &+ 1) }
            if entry.first > address { stretch.last = min(stretch.last, entry.first &- 1) }
            guard entry.first <= page | 0xfff, entry.last >= page else { continue }
            let coversPage = entry.first <= page && entry.last >= page | 0xfff
            if !coversPage { isWhole = false }
            guard entry.first <= last, entry.last >= address else { continue }
            // An access that an entry matches in part fails.
            guard entry.first <= address, entry.last >= last else { return ([], false) }
            stretch.rights = rights(entry.bits, mode)
            (stretch.first, stretch.last) = (max(stretch.first, entry.first), min(stretch.last, entry.last))
            remember(stretch, mode)
            return (stretch.rights, isWhole)
        }
        stretch.rights = unmatchedRights(mode)
        remember(stretch, mode)
        return (stretch.rights, isWhole)
    }

    private func remember(_ stretch: Stretch, _ mode: PrivilegeMode) {
        if mode == .machine { machine = stretch } else { ordinary = stretch }
    }

    /// What an entry that matches allows. User and supervisor mode are alike.
    private func rights(_ bits: UInt8, _ mode: PrivilegeMode) -> AccessRights {
        if separatesMachine { return Self.separated(bits, mode) }
        if mode == .machine, bits & Self.locked == 0 { return [.load, .store, .fetch] }
        return AccessRights(rawValue: bits & 7)
    }

    /// What is allowed where no entry matches.
    private func unmatchedRights(_ mode: PrivilegeMode) -> AccessRights {
        guard mode == .machine else { return count == 0 ? [.load, .store, .fetch] : [] }
        if deniesByDefault { return [] }
        return separatesMachine ? [.load, .store] : [.load, .store, .fetch]
    }
}
