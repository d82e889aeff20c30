// Second-level tables of a file: read when first needed, kept while there is room, written when asked. For formats with
// two levels (vmdk, qed, qcow).

import Block

/// Tables of the same length, by where they stand in the file.
struct TableCache<Entry: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    let file: Node
    /// Entries of a table.
    let entries: Int
    let order: ByteOrder
    private var tables: [UInt64: EntryTable<Entry>] = [:]
    private var changed: Set<UInt64> = []
    /// Tables kept that are as in the file: 32 MiB of them.
    private let most: Int

    init(file: Node, entries: Int, order: ByteOrder) {
        self.file = file
        self.entries = max(1, entries)
        self.order = order
        most = max(8, (32 << 20) / (self.entries * MemoryLayout<Entry>.size))
    }

    private mutating func load(_ offset: UInt64) throws(BlockError) -> EntryTable<Entry> {
        if let known = tables[offset] { return known }
        if tables.count >= most + changed.count {
            let changed = changed
            tables = tables.filter { changed.contains($0.key) }
        }
        let table = try EntryTable<Entry>(reading: file, at: offset, count: UInt64(entries), order: order)
        tables[offset] = table
        return table
    }

    /// The entries of the table at `offset`.
    mutating func table(_ offset: UInt64) throws(BlockError) -> [Entry] { try load(offset).entries }

    /// Sets an entry of the table at `offset`.
    mutating func set(_ offset: UInt64, _ index: Int, _ value: Entry) throws(BlockError) {
        _ = try load(offset)
        tables[offset]?[index] = value
        changed.insert(offset)
    }

    /// A table that the file does not have yet.
    mutating func add(_ offset: UInt64, filledWith value: Entry = 0) {
        tables[offset] = EntryTable(new: entries, filledWith: value, at: offset, order: order)
        changed.insert(offset)
    }

    /// So many changes wait that they should be written.
    var isFull: Bool { changed.count > most }
    var isDirty: Bool { !changed.isEmpty }

    /// The changes, which from now on count as written.
    mutating func takeChanges() -> [(table: UInt64, changes: [TableChange])] {
        defer { changed.removeAll() }
        return changed.sorted().map { ($0, tables[$0]?.takeChanges() ?? []) }
    }

    /// Changes that could not be written.
    mutating func putBack(_ list: [(table: UInt64, changes: [TableChange])]) {
        for (table, changes) in list {
            tables[table]?.putBack(changes)
            changed.insert(table)
        }
    }

    /// Forgets a table.
    mutating func drop(_ offset: UInt64) {
        tables[offset] = nil
        changed.remove(offset)
    }
}
