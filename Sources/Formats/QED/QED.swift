// qed: QEMU's "enhanced disk", by docs/interop/qed_spec: header, a first-level table, second-level tables, clusters;
// table entries are byte offsets of 64 bits, 0 for none, and 1 in a second-level table for zeros. Little endian.
//
// Order of writes: data, a flush, second-level tables, a flush, the first-level table. So nothing is ever pointed to
// before it is there, and the mark "needs check" is not set; where another program left it, the image is checked, and
// what is wrong is set to nothing, when it is opened for writing.

import Block
import Host

/// The header, checked.
struct QEDHeader: Sendable {
    static let size = 64
    static let magic = Array("QED\0".utf8)
    enum Features { static let backing: UInt64 = 1, needsCheck: UInt64 = 2, rawBacking: UInt64 = 4, all: UInt64 = 7 }

    var clusterSize: UInt64
    /// In clusters.
    var tableClusters: UInt64
    var features: UInt64
    var autoclear: UInt64
    var firstTable: UInt64
    var imageSize: UInt64
    var backing: FileReference?

    var entries: UInt64 { tableClusters * clusterSize / 8 }
    var largestSize: UInt64 { entries.multipliedReportingOverflow(by: entries * clusterSize).overflow ? UInt64(Int64.max) : min(entries * entries * clusterSize, UInt64(Int64.max)) }

    init(_ bytes: Bytes, _ file: Node) throws(BlockError) {
        guard try bytes.slice(0, 4) == QEDHeader.magic else { throw .corrupt(at: 0, "Image not in QED format") }
        clusterSize = UInt64(try bytes.u32(4))
        tableClusters = UInt64(try bytes.u32(8))
        let headerClusters = UInt64(try bytes.u32(12))
        features = try bytes.u64(16)
        autoclear = try bytes.u64(32)
        firstTable = try bytes.u64(40)
        imageSize = try bytes.u64(48)
        guard features & ~Features.all == 0 else { throw .unsupported("Unsupported QED features: \(String(features & ~Features.all, radix: 16))", at: 16) }
        guard clusterSize >= 4096, clusterSize <= 64 << 20, clusterSize & (clusterSize - 1) == 0 else { throw .corrupt(at: 4, "clusters of \(clusterSize) bytes: expected a power of two from 4 KiB to 64 MiB") }
        guard tableClusters >= 1, tableClusters <= 16, tableClusters & (tableClusters - 1) == 0 else { throw .corrupt(at: 8, "tables of \(tableClusters) clusters: expected 1, 2, 4, 8 or 16") }
        guard tableClusters * clusterSize <= UInt64(Node.largestMetadata) else { throw .unsupported("tables of \(tableClusters * clusterSize) bytes: at most 64 MiB", at: 8) }
        guard headerClusters >= 1, headerClusters * clusterSize <= firstTable, firstTable % clusterSize == 0, firstTable <= UInt64(Int64.max) / 2 else {
            throw .corrupt(at: 40, "a first-level table at \(firstTable), behind a header of \(headerClusters) clusters")
        }
        guard imageSize % 512 == 0, imageSize <= largestSize else { throw .corrupt(at: 48, "a disk of \(imageSize) bytes: expected whole sectors, at most \(largestSize)") }
        if features & Features.backing != 0 {
            let offset = UInt64(try bytes.u32(56)), length = Int(try bytes.u32(60))
            guard length <= 1023, offset + UInt64(length) <= headerClusters * clusterSize else { throw .corrupt(at: 56, "a backing file name of \(length) bytes at \(offset)") }
            let name = String(decoding: try file.bytes(offset, length), as: UTF8.self)
            backing = FileReference(name: name, format: features & Features.rawBacking != 0 ? "raw" : nil)
        }
    }
}

/// An open QED image.
public final class QED: WritableImage, ZeroingImage, DescribedImage, CheckableImage, RebasableImage, ResizableImage {
    private struct State: TwoLevels {
        var header: QEDHeader
        var first: EntryTable<UInt64>
        var tables: TableCache<UInt64>
        var end: UInt64
    }
    private let file: Node
    private let state: Locked<State>
    private let writing = Locked(false)
    private let clusterSize: UInt64
    private let entries: UInt64
    public var backing: FileReference? { state.withLock { $0.header.backing } }

    init(_ file: Node, _ header: QEDHeader) throws(BlockError) {
        self.file = file
        clusterSize = header.clusterSize
        entries = header.entries
        let length = try file.length()
        state = Locked(State(header: header, first: try EntryTable(reading: file, at: header.firstTable, count: header.entries, order: .little),
                             tables: TableCache(file: file, entries: Int(header.entries), order: .little),
                             end: length.roundedUp(to: header.clusterSize) ?? length))
    }

    public var virtualSize: UInt64 { state.withLock { $0.header.imageSize } }
    public var allocationUnit: UInt64 { clusterSize }
    private func index(_ offset: UInt64) -> (first: Int, second: Int) {
        (Int(clamping: offset / clusterSize / entries), Int(offset / clusterSize % entries))
    }
    private func isPlace(_ offset: UInt64) -> Bool { offset % clusterSize == 0 && offset <= UInt64(Int64.max) / 2 }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let (first, second) = index(offset)
        let inside = offset % clusterSize
        return try state.withLock { (state) throws(BlockError) -> Extent in
            let wanted = min((inside + count).divided(roundingUpBy: clusterSize), entries - UInt64(second))
            guard let table = state.first[first], table != 0 else { return Extent(.unallocated, length: min(count, wanted * clusterSize - inside)) }
            guard isPlace(table) else { throw .corrupt(at: state.first.offset + UInt64(first) * 8, "a second-level table at \(table)") }
            let found = try state.tables.table(table)
            let entry = found[second]
            var run: UInt64 = 1
            while run < wanted, found[second + Int(run)] == (entry > 1 ? entry &+ run &* clusterSize : entry) { run += 1 }
            let length = min(count, run * clusterSize - inside)
            if entry == 0 { return Extent(.unallocated, length: length) }
            if entry == 1 { return Extent(.zero(space: nil), length: length) }
            guard isPlace(entry) else { throw .corrupt(at: table + UInt64(second) * 8, "a cluster at \(entry)") }
            return Extent(.data(file, entry + inside), length: length, isWritable: true)
        }
    }

    // MARK: Writing

    private func take(_ clusters: UInt64) throws(BlockError) -> UInt64 {
        let position = try state.withLock { (state) throws(BlockError) -> UInt64 in
            guard state.end <= UInt64(Int64.max) / 4 else { throw BlockError(.noSpace, "the file is too large") }
            defer { state.end += clusters * clusterSize }
            return state.end
        }
        try file.writeZeroes(position, clusters * clusterSize)
        return position
    }

    private func set(_ offset: UInt64, _ value: UInt64) throws(BlockError) {
        let (first, second) = index(offset)
        let isFull = try state.withLock { (state) throws(BlockError) -> Bool in
            if state.first[first] == 0 {
                // Under the lock: two units may need the same table.
                let table = state.end
                guard table <= UInt64(Int64.max) / 4 else { throw BlockError(.noSpace, "the file is too large") }
                state.end += state.header.tableClusters * clusterSize
                try file.writeZeroes(table, state.header.tableClusters * clusterSize)
                state.tables.add(table)
                state.first[first] = table
            }
            guard let table = state.first[first], table != 0 else { throw .corrupt("guest offset \(offset) lies beyond the first-level table") }
            try state.tables.set(table, second, value)
            return state.tables.isFull
        }
        if isFull { try writeBack() }
    }

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        let extent = try map(offset, count)
        if case .data(let node, let at) = extent.place { return Placement(length: extent.length, node: node, offset: at) }
        let inside = offset % clusterSize
        let position = try take(1)
        let fresh = FreshSpace(start: offset - inside, length: clusterSize, isZero: true, token: position)
        return Placement(length: min(count, clusterSize - inside), node: file, offset: position + inside, fresh: fresh)
    }

    public func link(_ fresh: FreshSpace) throws(BlockError) { try set(fresh.start, fresh.token) }

    /// The cluster stays at the end of the file, unused.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        let extent = try map(offset, count)
        switch extent.place {
        case .zero: return extent.length
        case .unallocated where backing == nil: return extent.length
        case .unallocated:
            guard offset % clusterSize == 0, count >= clusterSize || offset + count == virtualSize else { return 0 }
            try set(offset, 1)
            return min(count, clusterSize)
        default: return 0
        }
    }

    public func writeBack() throws(BlockError) {
        try writing.withLock { (_: inout Bool) throws(BlockError) in try state.writeBack(to: file) }
    }

    public func resize(to size: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        guard preallocation == .off else { throw .unsupported("Unsupported preallocation mode '\(preallocation.rawValue)'") }
        try state.withLock { (state) throws(BlockError) in
            guard size % 512 == 0, size <= state.header.largestSize else { throw .invalid("Invalid image size") }
            guard size >= state.header.imageSize else { throw .unsupported("Shrinking images is currently not supported") }
            try file.write(48, bytes: EntryTable<UInt64>.encode([size], .little))
            state.header.imageSize = size
        }
    }

    public func setBacking(_ reference: FileReference?) throws(BlockError) {
        let name = Array((reference?.name ?? "").utf8)
        guard name.count <= 1023 else { throw .invalid("Backing file name too long") }
        try writeBack()
        try state.withLock { (state) throws(BlockError) in
            var header = try file.metadata(0, QEDHeader.size, order: .little)
            // Beside the old name, so that one of them is whole at each moment.
            let place = try header.u32(56) == UInt32(QEDHeader.size) ? UInt32(2048) : UInt32(QEDHeader.size)
            var features = state.header.features & ~(QEDHeader.Features.backing | QEDHeader.Features.rawBacking)
            if let reference {
                features |= QEDHeader.Features.backing | (reference.format == "raw" ? QEDHeader.Features.rawBacking : 0)
                try file.write(UInt64(place), bytes: name)
            }
            try file.flush()
            try header.set(16, features)
            try header.set(56, reference == nil ? 0 : place)
            try header.set(60, UInt32(name.count))
            try file.write(0, bytes: header.array)
            state.header.features = features
            state.header.backing = reference.map { FileReference(name: $0.name, format: $0.format == "raw" ? "raw" : nil) }
        }
    }

    /// Sets feature bits in the file.
    func setFeatures(_ features: UInt64) throws(BlockError) {
        try file.flush()
        try file.write(16, bytes: EntryTable<UInt64>.encode([features], .little))
        // Features of this field that are not known no longer hold once the image is written.
        try file.write(32, bytes: EntryTable<UInt64>.encode([0], .little))
        try state.withLock { (state) throws(BlockError) in state.header.features = features }
    }

    public func information() -> ImageInformation {
        var information = ImageInformation(clusterSize: clusterSize)
        information.isDirty = state.withLock { $0.header.features & QEDHeader.Features.needsCheck != 0 }
        return information
    }

    // MARK: Checking

    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        var result = CheckResult()
        let (header, first) = state.withLock { ($0.header, $0.first.entries) }
        let length = (try file.length()).roundedUp(to: clusterSize) ?? 0
        var occupancy = Occupancy(end: length)
        _ = occupancy.add(0, clusterSize, owner: UInt64.max)
        _ = occupancy.add(header.firstTable, header.tableClusters * clusterSize, owner: UInt64.max - 1)
        var units: (total: UInt64, allocated: UInt64, fragmented: UInt64, compressed: UInt64) = (header.imageSize.divided(roundingUpBy: clusterSize), 0, 0, 0)
        var last: UInt64 = 0
        func broken(_ line: String, _ fix: () throws(BlockError) -> Void) throws(BlockError) {
            result.note(line)
            if repair == .all { try fix(); result.corruptionsFixed += 1 } else { result.corruptions += 1 }
        }
        var seen = Set<UInt64>()
        for (index, table) in first.enumerated() where table != 0 {
            // A table named twice is read once.
            guard seen.insert(table).inserted, isPlace(table), table >= header.firstTable, occupancy.add(table, header.tableClusters * clusterSize, owner: UInt64.max / 2 + UInt64(index)) else {
                try broken("ERROR: second-level table \(index) at offset \(table) is none, or another's") { () throws(BlockError) in state.withLock { $0.first[index] = 0 } }
                continue
            }
            let found = try state.withLock { (state) throws(BlockError) in try state.tables.table(table) }
            for (slot, entry) in found.enumerated() where entry > 1 {
                let cluster = UInt64(index) * entries + UInt64(slot)
                guard isPlace(entry), entry >= header.firstTable, occupancy.add(entry, clusterSize, owner: cluster) else {
                    try broken("ERROR: cluster \(cluster) at offset \(entry) is none") { () throws(BlockError) in
                        try state.withLock { (state) throws(BlockError) in try state.tables.set(table, slot, 0) }
                    }
                    continue
                }
                if units.allocated > 0, entry != last + clusterSize { units.fragmented += 1 }
                units.allocated += 1
                last = entry
            }
        }
        for (one, other) in occupancy.collisions() {
            result.corruptions += 1
            result.note("ERROR: clusters \(one) and \(other) overlap")
        }
        let used = units.allocated + 1 + (UInt64(first.count { $0 != 0 }) + 1) * header.tableClusters
        if length / clusterSize > used, result.corruptions == 0, result.corruptionsFixed == 0 { result.leaks = length / clusterSize - used }
        result.units = units
        if repair == .all {
            try writeBack()
            if result.corruptions == 0, header.features & QEDHeader.Features.needsCheck != 0 { try setFeatures(header.features & ~QEDHeader.Features.needsCheck) }
        }
        return result
    }
}
