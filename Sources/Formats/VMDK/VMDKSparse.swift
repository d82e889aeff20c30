// vmdk: sparse extents: a directory of tables of grains. Three kinds: "hosted" (magic KDMV; Virtual Disk Format 1.1,
// "Hosted Sparse Extents", also with compressed grains), ESX's COWD (`vmfsSparse`; "ESX Server Sparse Extents"), and
// seSparse, whose 64-bit tables VMware never described: it is read only. All numbers are little endian.
//
// Order of writes: grains are added at the end of the file; then the tables (both copies); then the directory.

import Block
import Host

/// Where one grain is.
enum Grain: Sendable, Equatable {
    case absent, zero
    /// Byte offset in the extent's file.
    case at(UInt64)
}

/// What a sparse extent's header says, checked.
struct VMDKSparseHeader: Sendable {
    enum Kind: Sendable { case hosted, cowd, seSparse }
    var kind = Kind.hosted
    var sectors: UInt64 = 0
    var grainSectors: UInt64 = 0
    var tableEntries: UInt64 = 0
    var directory: UInt64 = 0
    /// The second copy, 0 if there is none.
    var redundant: UInt64 = 0
    var flags: UInt32 = 0
    var descriptorOffset: UInt64 = 0
    var descriptorSectors: UInt64 = 0
    /// seSparse: where tables and grains are numbered from.
    var tablesBase: UInt64 = 0
    var grainsBase: UInt64 = 0

    static let hostedMagic = Array("KDMV".utf8)
    static let cowdMagic = Array("COWD".utf8)
    static let seSparseMagic: UInt64 = 0xcafe_babe

    var hasRedundant: Bool { kind == .hosted && flags & 2 != 0 && redundant != 0 }
    var hasZeroGrains: Bool { kind == .hosted && flags & 4 != 0 }
    var isCompressed: Bool { kind == .hosted && flags & 0x1_0000 != 0 }
    var hasMarkers: Bool { kind == .hosted && flags & 0x2_0000 != 0 }
    var grainSize: UInt64 { grainSectors * 512 }
    var tables: UInt64 { sectors.divided(roundingUpBy: grainSectors * tableEntries) }

    init(_ file: Node) throws(BlockError) {
        let bytes = try file.metadata(0, 512, order: .little)
        let magic = try bytes.slice(0, 4)
        if magic == VMDKSparseHeader.hostedMagic { try readHosted(bytes, file) }
        else if magic == VMDKSparseHeader.cowdMagic { try readCOWD(bytes) }
        else if try bytes.u64(0) == VMDKSparseHeader.seSparseMagic { try readSESparse(bytes) }
        else { throw .corrupt(at: 0, "no header of a sparse extent (KDMV, COWD or seSparse)") }
        guard sectors <= UInt64(Int64.max) / 1024 else { throw .corrupt(at: 8, "an extent of \(sectors) sectors") }
        guard grainSectors >= 1, grainSectors <= 65536, grainSectors & (grainSectors - 1) == 0 else {
            throw .corrupt(at: 20, "grains of \(grainSectors) sectors: expected a power of two up to 65536")
        }
        guard tableEntries >= 1, tableEntries <= 65536 else { throw .corrupt(at: 44, "L2 table size too big: \(tableEntries) entries") }
        for offset in [directory, redundant, tablesBase, grainsBase] where offset > UInt64(Int64.max) / 1024 {
            throw .corrupt(at: 0, "a table at sector \(offset)")
        }
    }

    private mutating func readHosted(_ first: Bytes, _ file: Node) throws(BlockError) {
        var bytes = first
        if try bytes.u64(56) == UInt64.max {
            // Written as a stream: the true header is the footer, before the end-of-stream marker.
            let length = try file.length()
            guard length >= 1536 else { throw .corrupt(at: 0, "a stream of \(length) bytes has no footer") }
            bytes = try file.metadata(length - 1024, 512, order: .little)
            guard try bytes.slice(0, 4) == VMDKSparseHeader.hostedMagic else { throw .corrupt(at: length - 1024, "no footer of a streamed extent (KDMV)") }
        }
        let version = try bytes.u32(4)
        guard version >= 1, version <= 3 else { throw .unsupported("Unsupported VMDK version \(version)", at: 4) }
        flags = try bytes.u32(8)
        sectors = try bytes.u64(12)
        grainSectors = try bytes.u64(20)
        descriptorOffset = try first.u64(28)
        descriptorSectors = try first.u64(36)
        tableEntries = UInt64(try bytes.u32(44))
        redundant = try bytes.u64(48)
        directory = try bytes.u64(56)
        let method = try bytes.u16(77)
        guard flags & 0x1_0000 == 0 || method == 1 else { throw .unsupported("compression method \(method): expected 1 (deflate)", at: 77) }
        // Copying in text mode would have changed these.
        if flags & 1 != 0, try bytes.slice(73, 4) != [0x0a, 0x20, 0x0d, 0x0a] { throw .corrupt(at: 73, "line ends have been translated: the file was copied as text") }
        guard descriptorOffset <= UInt64(Int64.max) / 1024, descriptorSectors <= UInt64(VMDKDescriptor.largest / 512) else {
            throw .corrupt(at: 28, "a descriptor of \(descriptorSectors) sectors at sector \(descriptorOffset)")
        }
    }

    private mutating func readCOWD(_ bytes: Bytes) throws(BlockError) {
        kind = .cowd
        let version = try bytes.u32(4)
        guard version == 1 else { throw .unsupported("COWD version \(version): expected 1", at: 4) }
        sectors = UInt64(try bytes.u32(12))
        grainSectors = UInt64(try bytes.u32(16))
        directory = UInt64(try bytes.u32(20))
        tableEntries = 4096
    }

    private mutating func readSESparse(_ bytes: Bytes) throws(BlockError) {
        kind = .seSparse
        let version = try bytes.u64(8)
        guard version == 0x2_0000_0001 else { throw .unsupported("seSparse version 0x\(String(version, radix: 16)): expected 0x200000001", at: 8) }
        sectors = try bytes.u64(16)
        grainSectors = try bytes.u64(24)
        let tableSectors = try bytes.u64(32)
        guard tableSectors == 64 else { throw .unsupported("seSparse tables of \(tableSectors) sectors: expected 64", at: 32) }
        tableEntries = 4096
        directory = try bytes.u64(128)
        tablesBase = try bytes.u64(144)
        grainsBase = try bytes.u64(192)
    }
}

/// An open sparse extent.
final class VMDKSparse: Sendable {
    private struct State {
        var directory: EntryTable<UInt32>
        var redundant: EntryTable<UInt32>?
        var tables: TableCache<UInt32>
        /// seSparse has entries of 64 bits.
        var wideDirectory: EntryTable<UInt64>?
        var wideTables: TableCache<UInt64>
        /// Where the next grain goes.
        var end: UInt64
    }
    let file: Node
    let header: VMDKSparseHeader
    private let state: Locked<State>

    init(_ file: Node, _ header: VMDKSparseHeader) throws(BlockError) {
        self.file = file
        self.header = header
        let entries = Int(header.tableEntries)
        let empty = EntryTable<UInt32>(new: 0, filledWith: 0, at: 0, order: .little)
        let isWide = header.kind == .seSparse
        let length = try file.length()
        state = Locked(State(
            directory: isWide ? empty : try EntryTable(reading: file, at: header.directory * 512, count: header.tables, order: .little),
            redundant: header.hasRedundant ? try EntryTable(reading: file, at: header.redundant * 512, count: header.tables, order: .little) : nil,
            tables: TableCache(file: file, entries: entries, order: .little),
            wideDirectory: isWide ? try EntryTable(reading: file, at: header.directory * 512, count: header.tables, order: .little) : nil,
            wideTables: TableCache(file: file, entries: entries, order: .little), end: length.roundedUp(to: 512) ?? length))
    }

    var grainSize: UInt64 { header.grainSize }

    /// Where the bytes from `offset` of this extent are, and for how many that holds.
    func find(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> (grain: Grain, length: UInt64) {
        let grain = offset / grainSize, inside = offset % grainSize
        let table = Int(clamping: grain / header.tableEntries), slot = Int(grain % header.tableEntries)
        let left = Int(header.tableEntries) - slot
        let wanted = Int(clamping: min((inside + count).divided(roundingUpBy: grainSize), UInt64(left)))
        return try state.withLock { (state) throws(BlockError) -> (Grain, UInt64) in
            let (first, run) = try grains(&state, table, slot, wanted)
            let length = min(count, UInt64(run) * grainSize - inside)
            if case .at(let position) = first { return (.at(position + inside), length) }
            return (first, length)
        }
    }

    /// The state of a grain, and how many from it on are absent, zero, or in the file one after the other.
    private func grains(_ state: inout State, _ table: Int, _ slot: Int, _ wanted: Int) throws(BlockError) -> (Grain, Int) {
        if header.kind == .seSparse {
            guard let place = try wideTable(state, table) else { return (.absent, wanted) }
            let entries = try state.wideTables.table(place)
            return run(wanted) { slot + $0 < entries.count ? wideGrain(entries[slot + $0]) : .absent }
        }
        guard let place = state.directory[table], place != 0 else { return (.absent, wanted) }
        let entries = try state.tables.table(UInt64(place) * 512)
        return run(wanted) { slot + $0 < entries.count ? narrowGrain(entries[slot + $0]) : .absent }
    }

    private func run(_ wanted: Int, _ grain: (Int) -> Grain) -> (Grain, Int) {
        let first = grain(0)
        var count = 1
        while count < wanted {
            let next = grain(count)
            if case .at(let start) = first {
                // Compressed grains come one by one.
                guard !header.isCompressed, case .at(let position) = next, position == start &+ UInt64(count) * grainSize else { break }
            } else if next != first { break }
            count += 1
        }
        return (first, count)
    }

    private func narrowGrain(_ entry: UInt32) -> Grain {
        entry == 0 ? .absent : entry == 1 && header.hasZeroGrains ? .zero : .at(UInt64(entry) * 512)
    }

    private func wideTable(_ state: borrowing State, _ index: Int) throws(BlockError) -> UInt64? {
        guard let entry = state.wideDirectory?[index], entry != 0 else { return nil }
        guard entry >> 32 == 0x1000_0000 else { throw .corrupt(at: header.directory * 512 + UInt64(index) * 8, "an seSparse directory entry 0x\(String(entry, radix: 16))") }
        return header.tablesBase * 512 + (entry & 0xffff_ffff) * 64 * 512
    }

    /// The four highest bits tell the kind; the number of an allocated grain is stored in two parts.
    private func wideGrain(_ entry: UInt64) -> Grain {
        switch entry >> 60 {
        case 1, 2: return .zero
        case 3:
            let number = (entry & 0x0fff_0000_0000_0000) >> 48 | (entry & 0x0000_ffff_ffff_ffff) << 12
            let (bytes, overflow) = number.multipliedReportingOverflow(by: grainSize)
            return overflow || bytes > UInt64(Int64.max) / 2 ? .absent : .at(header.grainsBase * 512 + bytes)
        default: return .absent
        }
    }

    // MARK: Writing

    /// Takes `bytes` at the end of the file; they read as zeros.
    func take(_ bytes: UInt64) throws(BlockError) -> UInt64 {
        let room = bytes.roundedUp(to: 512) ?? bytes
        let position = try state.withLock { (state) throws(BlockError) -> UInt64 in
            guard (state.end + room) / 512 <= UInt64(UInt32.max) else { throw BlockError(.noSpace, "the extent is too large for sector numbers of 32 bits") }
            defer { state.end += room }
            return state.end
        }
        try file.writeZeroes(position, room)
        return position
    }

    /// Points a grain to a place, or (1 sector: the mark of zeros) to none.
    func set(_ offset: UInt64, to position: UInt64?) throws(BlockError) {
        let grain = offset / grainSize
        let table = Int(clamping: grain / header.tableEntries), slot = Int(grain % header.tableEntries)
        let value = UInt32(truncatingIfNeeded: position.map { $0 / 512 } ?? 1)
        if state.withLock({ $0.directory[table] }) == 0 {
            let bytes = header.tableEntries * 4
            let first = try take(bytes), second = header.hasRedundant ? try take(bytes) : 0
            state.withLock { state in
                guard state.directory[table] == 0 else { return }
                state.tables.add(first)
                state.directory[table] = UInt32(truncatingIfNeeded: first / 512)
                if header.hasRedundant {
                    state.tables.add(second)
                    state.redundant?[table] = UInt32(truncatingIfNeeded: second / 512)
                }
            }
        }
        let isFull = try state.withLock { (state) throws(BlockError) -> Bool in
            if let place = state.directory[table], place != 0 { try state.tables.set(UInt64(place) * 512, slot, value) }
            if let place = state.redundant?[table], place != 0, place != state.directory[table] { try state.tables.set(UInt64(place) * 512, slot, value) }
            return state.tables.isFull
        }
        if isFull { try writeBack() }
    }

    private let writing = Locked(false)

    func writeBack() throws(BlockError) {
        try writing.withLock { (_: inout Bool) throws(BlockError) in
            let (tables, directory) = state.withLock { state in
                (state.tables.takeChanges(), state.directory.takeChanges() + (state.redundant?.takeChanges() ?? []))
            }
            if tables.isEmpty, directory.isEmpty { return }
            do throws(BlockError) {
                try file.flush()
                for (_, changes) in tables { try file.write(changes) }
                if directory.isEmpty { return }
                try file.flush()
                try file.write(directory)
            } catch {
                state.withLock { state in
                    state.tables.putBack(tables)
                    state.directory.putBack(directory)
                    state.redundant?.putBack(directory)
                }
                throw error
            }
        }
    }

    // MARK: Checking

    func check(_ name: String, _ result: inout CheckResult) throws(BlockError) {
        guard header.kind != .seSparse else { return }
        let length = try file.length()
        var occupancy = Occupancy(end: header.isCompressed ? UInt64.max : length)
        var seen = Set<UInt32>()
        for table in 0..<Int(clamping: header.tables) {
            guard let place = state.withLock({ $0.directory[table] }), place != 0 else { continue }
            // A table named twice is read once.
            guard seen.insert(place).inserted, UInt64(place) * 512 < length else {
                result.corruptions += 1
                result.note("ERROR: \(name): grain table \(table) at sector \(place) lies beyond the end of the file, or is another's too")
                continue
            }
            let entries = try state.withLock { (state) throws(BlockError) in try state.tables.table(UInt64(place) * 512) }
            for (slot, entry) in entries.enumerated() {
                guard case .at(let position) = narrowGrain(entry) else { continue }
                let grain = UInt64(table) * header.tableEntries + UInt64(slot)
                let size = header.isCompressed ? 512 : grainSize
                if position >= length || !occupancy.add(position, size, owner: grain) {
                    result.corruptions += 1
                    result.note("ERROR: \(name): grain \(grain) at sector \(entry) lies beyond the end of the file")
                }
            }
        }
        for (one, other) in occupancy.collisions() {
            result.corruptions += 1
            result.note("ERROR: \(name): grains \(one) and \(other) overlap")
        }
    }
}
