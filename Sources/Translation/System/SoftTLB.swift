// Where a vCPU of a machine remembers translations: raw tables in front of its state block, at fixed distances from the
// state pointer, so that translated code probes them with one instruction each.
//
// For each MMU index there is a table for loads and one for stores. An entry is {tag, addend}, 16 bytes: the tag is the
// virtual address of a page, the addend what makes a virtual address on it a host address. A page's entry stands at its
// number modulo the table's size, so that zeroed memory is an empty table: the tag 0 belongs into entry 0 and matches
// nowhere else; entry 0 is empty with the tag of page 1.
//
// Unsafe: raw memory. Only the vCPU's own thread adds entries; any thread may remove some (`forgetStores`).

import Core

/// The layout of the tables: byte offsets from the state pointer.
public enum SoftTLB {
    public static let entries = 512
    public static let tableBytes = entries * 16
    public static let indexCount = 16
    /// `address >> 8 & mask` is the byte offset of an entry.
    public static let mask = UInt64(entries - 1) << 4
    public static let addendOffset: Int32 = 8

    /// UInt32 × `fetchSlots`: which mapping of code pages holds now; see `FetchIdentity`.
    public static let fetchSlots = 1024
    public static let fetch = -Int32(StateHeader.bias + fetchSlots * 4)

    /// Bytes in front of the state block.
    public static let bytes = fetchSlots * 4 + indexCount * 2 * tableBytes

    /// The table of an MMU index for loads or stores.
    @inlinable
    public static func table(_ kind: AccessKind, _ index: Int) -> Int32 {
        fetch &- Int32(truncatingIfNeeded: ((index & 15) &* 2 &+ (kind == .store ? 1 : 0) &+ 1) &* tableBytes)
    }

    /// The offset of the cell for the code page at `address`.
    @inlinable
    public static func fetchSlot(_ address: UInt64) -> Int32 {
        fetch &+ Int32(truncatingIfNeeded: fetchCell(address)) &* 4
    }

    /// Its number.
    @inlinable
    static func fetchCell(_ address: UInt64) -> Int { Int(truncatingIfNeeded: (address &>> RAMBlock.pageBits) & UInt64(fetchSlots &- 1)) }

    /// The tag of entry `number` while it is empty.
    @inlinable
    static func emptyTag(_ number: Int) -> UInt64 { number == 0 ? RAMBlock.pageBytes : 0 }
}

/// The tables of one vCPU.
struct SoftTLBMemory {
    let state: UnsafeMutableRawPointer
    /// The entries of each table, and those of one address space alone.
    private let all: UnsafeMutablePointer<MadeEntries>
    private let local: UnsafeMutablePointer<MadeEntries>

    init(_ state: UnsafeMutableRawPointer) {
        self.state = state
        all = .allocate(capacity: SoftTLB.indexCount * 2)
        local = .allocate(capacity: SoftTLB.indexCount * 2)
        for table in 0 ..< SoftTLB.indexCount * 2 {
            (all + table).initialize(to: MadeEntries())
            (local + table).initialize(to: MadeEntries())
        }
        for index in 0 ..< SoftTLB.indexCount {
            for kind in [AccessKind.load, .store] { words(kind, index)[0] = SoftTLB.emptyTag(0) }
        }
    }

    func deallocate() {
        for table in 0 ..< SoftTLB.indexCount * 2 {
            all[table].deallocate()
            local[table].deallocate()
        }
        all.deallocate()
        local.deallocate()
    }

    private func words(_ kind: AccessKind, _ index: Int) -> UnsafeMutablePointer<UInt64> {
        (state + Int(SoftTLB.table(kind, index))).assumingMemoryBound(to: UInt64.self)
    }

    private func number(_ kind: AccessKind, _ index: Int) -> Int { (index & 15) &* 2 &+ (kind == .store ? 1 : 0) }

    /// The host address for `bytes` bytes at `address`, if the page is known and they do not leave it.
    @inline(__always)
    func find(_ address: UInt64, _ kind: AccessKind, _ bytes: Int, _ index: Int) -> UnsafeMutableRawPointer? {
        let entry = state + Int(SoftTLB.table(kind, index)) + Int(truncatingIfNeeded: (address &>> 8) & SoftTLB.mask)
        let inside = address ^ entry.load(as: UInt64.self)
        guard inside <= RAMBlock.pageBytes &- UInt64(truncatingIfNeeded: bytes) else { return nil }
        return UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: address &+ entry.load(fromByteOffset: 8, as: UInt64.self)))
    }

    /// Remembers that the page of `address` is at `host` (the address's own byte).
    func insert(_ address: UInt64, _ host: UnsafeMutableRawPointer, _ kind: AccessKind, _ index: Int, isGlobal: Bool) {
        let position = Int(truncatingIfNeeded: (address &>> RAMBlock.pageBits) & UInt64(SoftTLB.entries &- 1))
        let entry = words(kind, index) + position &* 2
        // The tag last: another thread that forgets stores looks at both.
        entry[0] = SoftTLB.emptyTag(position)
        entry[1] = UInt64(UInt(bitPattern: host)) &- address
        entry[0] = address & ~(RAMBlock.pageBytes &- 1)
        let table = number(kind, index)
        all[table].add(position)
        if !isGlobal { local[table].add(position) }
    }

    func remove(_ address: UInt64, _ kind: AccessKind, _ index: Int) {
        let position = Int(truncatingIfNeeded: (address &>> RAMBlock.pageBits) & UInt64(SoftTLB.entries &- 1))
        let entry = words(kind, index) + position &* 2
        if entry[0] == address & ~(RAMBlock.pageBytes &- 1) { entry[0] = SoftTLB.emptyTag(position) }
    }

    /// Empties the tables of one index.
    func clear(_ index: Int) {
        for kind in [AccessKind.load, .store] {
            let table = number(kind, index)
            remove(all[table], kind, index)
            all[table].removeAll()
            local[table].removeAll()
        }
    }

    /// Takes the entries of one address space out of the tables of one index.
    func clearLocal(_ index: Int) {
        for kind in [AccessKind.load, .store] {
            let table = number(kind, index)
            remove(local[table], kind, index)
            local[table].removeAll()
        }
    }

    private func remove(_ made: MadeEntries, _ kind: AccessKind, _ index: Int) {
        guard made.count > 0 else { return }
        let words = words(kind, index)
        guard made.isComplete else {
            UnsafeMutableRawPointer(words).initializeMemory(as: UInt8.self, repeating: 0, count: SoftTLB.tableBytes)
            words[0] = SoftTLB.emptyTag(0)
            return
        }
        made.forEach { words[$0 &* 2] = SoftTLB.emptyTag($0) }
    }

    /// Removes store entries that lead to the host page at `page`; all if it is nil. Called by any thread.
    func forgetStores(to page: UnsafeMutableRawPointer?) {
        for index in 0 ..< SoftTLB.indexCount where all[number(.store, index)].count > 0 {
            let words = words(.store, index)
            for position in 0 ..< SoftTLB.entries {
                let tag = words[position &* 2]
                guard tag != SoftTLB.emptyTag(position) else { continue }
                if page == nil || UInt64(UInt(bitPattern: page)) == tag &+ words[position &* 2 &+ 1] {
                    words[position &* 2] = SoftTLB.emptyTag(position)
                }
            }
        }
    }

    /// Forgets which mappings of code pages hold.
    func clearFetch() {
        (state + Int(SoftTLB.fetch)).initializeMemory(as: UInt8.self, repeating: 0, count: SoftTLB.fetchSlots &* 4)
    }

    /// The same for the code pages in `made`, numbers of cells.
    func clearFetch(_ made: MadeEntries) {
        guard made.isComplete else { return clearFetch() }
        let cells = (state + Int(SoftTLB.fetch)).assumingMemoryBound(to: UInt32.self)
        made.forEach { cells[$0] = 0 }
    }
}

/// The places in a table to which entries were added since it was empty: the first of them by number, so that few are removed
/// one by one.
struct MadeEntries {
    private static let capacity = 48
    private let numbers: UnsafeMutablePointer<UInt16>
    private(set) var count = 0

    init() {
        numbers = .allocate(capacity: Self.capacity)
        numbers.initialize(repeating: 0, count: Self.capacity)
    }

    func deallocate() { numbers.deallocate() }

    /// Whether all of them are known by number.
    var isComplete: Bool { count <= Self.capacity }

    mutating func add(_ number: Int) {
        if count < Self.capacity { numbers[count] = UInt16(truncatingIfNeeded: number) }
        count &+= 1
    }

    mutating func removeAll() { count = 0 }

    func forEach(_ body: (Int) -> Void) {
        for position in 0 ..< min(count, Self.capacity) { body(Int(numbers[position])) }
    }
}
