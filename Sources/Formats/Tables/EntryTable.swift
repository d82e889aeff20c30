// A table of numbers of one width that stands in a file: kept in memory whole, it knows which pieces the file does not
// have yet. What formats with one table (vpc, vhdx, parallels …) and the first levels of those with two are made of.

import Block

/// Bytes of a table to be written.
struct TableChange: Sendable {
    var offset: UInt64
    var bytes: [UInt8]
    fileprivate var piece: Int
}

/// What a header can make a table take.
enum EntryTableBounds {
    /// Bytes: 128 MiB.
    static let largestTable: UInt64 = 128 << 20
}

/// Numbers in a file, with the pieces that changed.
struct EntryTable<Entry: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    private(set) var entries: [Entry]
    /// Where the table stands in its file.
    let offset: UInt64
    let order: ByteOrder
    /// Pieces of 512 bytes.
    private var dirty: Set<Int> = []
    private static var width: Int { MemoryLayout<Entry>.size }
    private static var perPiece: Int { 512 / width }

    /// A table that the file does not have yet.
    init(new count: Int, filledWith value: Entry, at offset: UInt64, order: ByteOrder) {
        entries = [Entry](repeating: value, count: max(0, count))
        self.offset = offset
        self.order = order
        if count > 0 { dirty = Set(0...(count - 1) / EntryTable.perPiece) }
    }

    /// Reads `count` entries. What lies beyond the end of the file is 0.
    /// - Throws: `corrupt` if a table of that size cannot be in a file of this length, or is above `EntryTableBounds.largestTable`.
    init(reading file: Node, at offset: UInt64, count: UInt64, order: ByteOrder) throws(BlockError) {
        self.offset = offset
        self.order = order
        let width = UInt64(EntryTable.width)
        let length = try file.length()
        guard count <= EntryTableBounds.largestTable / width, offset <= length, count * width <= (length - offset).roundedUp(to: 512) ?? 0 else {
            throw .corrupt(at: offset, "a table of \(count) entries ends beyond the file's \(length) bytes, or is too large")
        }
        entries = []
        entries.reserveCapacity(Int(count))
        var position: UInt64 = 0
        while position < count {
            let piece = Int(min(count - position, 1 << 20))
            let bytes = try file.bytes(offset + position * width, piece * EntryTable.width)
            entries.append(contentsOf: EntryTable.decode(bytes, order))
            position += UInt64(piece)
        }
    }

    /// The numbers that `bytes` hold.
    static func decode(_ bytes: [UInt8], _ order: ByteOrder) -> [Entry] {
        bytes.withUnsafeBytes { raw in
            (0..<raw.count / width).map { index in
                let value = raw.loadUnaligned(fromByteOffset: index * width, as: Entry.self)
                return order == .little ? Entry(littleEndian: value) : Entry(bigEndian: value)
            }
        }
    }

    /// The bytes of some numbers.
    static func encode(_ values: ArraySlice<Entry>, _ order: ByteOrder) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * width)
        for value in values {
            withUnsafeBytes(of: order == .little ? value.littleEndian : value.bigEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    var count: Int { entries.count }
    var isDirty: Bool { !dirty.isEmpty }

    /// An entry; nil outside the table. Setting one marks its piece as changed.
    subscript(index: Int) -> Entry? {
        get { entries.indices.contains(index) ? entries[index] : nil }
        set {
            guard let newValue, entries.indices.contains(index) else { return }
            entries[index] = newValue
            dirty.insert(index / EntryTable.perPiece)
        }
    }

    /// The pieces that changed, which from now on count as written.
    mutating func takeChanges() -> [TableChange] {
        defer { dirty.removeAll() }
        return dirty.sorted().map { piece in
            let first = piece * EntryTable.perPiece
            let end = min(entries.count, first + EntryTable.perPiece)
            return TableChange(offset: offset + UInt64(first * EntryTable.width), bytes: EntryTable.encode(entries[first..<end], order), piece: piece)
        }
    }

    /// Changes that could not be written: they are to be tried again.
    mutating func putBack(_ changes: [TableChange]) { dirty.formUnion(changes.map(\.piece)) }
}

extension Node {
    /// Writes pieces of tables.
    func write(_ changes: [TableChange]) throws(BlockError) {
        for change in changes { try write(change.offset, bytes: change.bytes) }
    }
}
