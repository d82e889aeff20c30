// parallels: Parallels' expandable disks (.hdd, .hds), by "Parallels Expandable Image File Format". A header of 64 bytes,
// then a table with an entry of 32 bits a cluster: where it stands, in sectors (old magic) or clusters (new magic), 0 for
// none. All numbers are little endian.
//
// Order of writes: "in use" is marked before the first change and cleared at closing; data, a flush, the table. So a
// power cut leaves clusters that no entry names, and the mark: then the image is checked when it is opened for writing.
// Left out: format extensions (dirty bitmaps) are not read; an image with one is not written.

import Block
import Host

/// The header, checked.
struct ParallelsHeader: Sendable {
    static let size = 64
    static let oldMagic = Array("WithoutFreeSpace".utf8)
    static let newMagic = Array("WithouFreSpacExt".utf8)
    static let inUse: UInt32 = 0x746f_6e59
    static let inUseOffset: UInt64 = 44
    /// 128 MiB of table.
    static let mostEntries: UInt64 = 32 << 20

    let clusterSize: UInt64
    let entries: UInt64
    let sectors: UInt64
    let wasInUse: Bool
    /// First byte of data; 0 if the header does not say.
    let dataStart: UInt64
    let hasExtension: Bool
    /// Bytes that 1 in a table entry stands for.
    let unit: UInt64

    init(_ bytes: Bytes) throws(BlockError) {
        let magic = try bytes.slice(0, 16)
        guard magic == ParallelsHeader.oldMagic || magic == ParallelsHeader.newMagic else { throw .corrupt(at: 0, "Image not in Parallels format") }
        let isNew = magic == ParallelsHeader.newMagic
        guard try bytes.u32(16) == 2 else { throw .unsupported("Parallels version \(try bytes.u32(16)): expected 2", at: 16) }
        let tracks = UInt64(try bytes.u32(28))
        guard tracks > 0, tracks <= 1 << 17 else { throw .corrupt(at: 28, "Invalid image: clusters of \(tracks) sectors, expected 1 to 131072") }
        clusterSize = tracks * 512
        entries = UInt64(try bytes.u32(32))
        // Old images use half of the field.
        sectors = isNew ? try bytes.u64(36) : UInt64(try bytes.u32(36))
        wasInUse = try bytes.u32(44) == ParallelsHeader.inUse
        dataStart = UInt64(try bytes.u32(48)) * 512
        hasExtension = try bytes.u64(56) != 0
        unit = isNew ? clusterSize : 512
        guard entries <= ParallelsHeader.mostEntries else { throw .corrupt(at: 32, "Catalog too large: \(entries) entries, expected at most \(ParallelsHeader.mostEntries)") }
        guard sectors <= entries * tracks else { throw .corrupt(at: 36, "\(entries) clusters of \(tracks) sectors cannot hold \(sectors)") }
    }
}

/// An open Parallels image.
public final class Parallels: WritableImage, ZeroingImage, CheckableImage, ClosingImage {
    private struct State {
        var table: EntryTable<UInt32>
        var end: UInt64
        var isMarked = false
    }
    private let file: Node
    private let header: ParallelsHeader
    private let state: Locked<State>
    private let writing = Locked(false)

    init(_ file: Node, _ header: ParallelsHeader) throws(BlockError) {
        self.file = file
        self.header = header
        let table = try EntryTable<UInt32>(reading: file, at: UInt64(ParallelsHeader.size), count: header.entries, order: .little)
        let tableEnd = UInt64(ParallelsHeader.size) + header.entries * 4
        var end = max(header.dataStart, tableEnd)
        for entry in table.entries where entry != 0 { end = max(end, UInt64(entry) * header.unit + header.clusterSize) }
        // Clusters are counted from the start of the file, or from that of the data.
        let base = header.dataStart % header.clusterSize
        end = max(end, base)
        let rounded = (end - base).roundedUp(to: header.clusterSize) ?? end
        state = Locked(State(table: table, end: header.unit == 512 ? rounded + base : end.roundedUp(to: header.clusterSize) ?? end))
    }

    public var virtualSize: UInt64 { header.sectors * 512 }
    public var allocationUnit: UInt64 {
        // Clusters need not be powers of two; requests are kept apart in units that hold whole ones.
        header.clusterSize & (header.clusterSize - 1) == 0 ? header.clusterSize : UInt64(1) << 62
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let index = Int(clamping: offset / header.clusterSize), inside = offset % header.clusterSize
        return state.withLock { state in
            let entry = state.table[index] ?? 0
            let step = UInt32(truncatingIfNeeded: header.clusterSize / header.unit)
            let clusters = (inside + count).divided(roundingUpBy: header.clusterSize)
            var run: UInt64 = 1
            while run < clusters, let next = state.table[index + Int(run)] {
                guard entry == 0 ? next == 0 : next == entry &+ UInt32(truncatingIfNeeded: run) &* step && next != 0 else { break }
                run += 1
            }
            let length = min(count, run * header.clusterSize - inside)
            if entry == 0 { return Extent(.unallocated, length: length) }
            return Extent(.data(file, UInt64(entry) * header.unit + inside), length: length, isWritable: state.isMarked)
        }
    }

    /// Marks the image as in use, once after opening.
    private func mark() throws(BlockError) {
        try state.withLock { (state) throws(BlockError) in
            if state.isMarked { return }
            try file.write(ParallelsHeader.inUseOffset, bytes: EntryTable<UInt32>.encode([ParallelsHeader.inUse], .little))
            try file.flush()
            state.isMarked = true
        }
    }

    /// After a crash: if nothing but the mark is wrong, work goes on; closing clears the mark. Else `check -r all`, which
    /// comes this way too, decides.
    func resume() throws(BlockError) {
        if try check(.nothing).corruptions <= 1 { state.withLock { $0.isMarked = true } }
    }

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        guard !header.wasInUse || state.withLock({ $0.isMarked }) else {
            throw .corrupt(at: ParallelsHeader.inUseOffset, "the image was not closed correctly, and needs 'check -r all' before it can be written")
        }
        try mark()
        let extent = try map(offset, count)
        if case .data(let node, let at) = extent.place { return Placement(length: extent.length, node: node, offset: at) }
        let inside = offset % header.clusterSize
        let position = try state.withLock { (state) throws(BlockError) -> UInt64 in
            guard state.end / header.unit < UInt64(UInt32.max) else { throw BlockError(.noSpace, "the file is too large for the table's numbers") }
            defer { state.end += header.clusterSize }
            return state.end
        }
        try file.writeZeroes(position, header.clusterSize)
        let fresh = FreshSpace(start: offset - inside, length: header.clusterSize, isZero: true, token: position)
        return Placement(length: min(count, header.clusterSize - inside), node: file, offset: position + inside, fresh: fresh)
    }

    public func link(_ fresh: FreshSpace) {
        state.withLock { $0.table[Int(clamping: fresh.start / header.clusterSize)] = UInt32(truncatingIfNeeded: fresh.token / header.unit) }
    }

    /// The cluster stays at the end of the file, unused.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        let extent = try map(offset, count)
        if case .unallocated = extent.place { return extent.length }
        return 0
    }

    public func writeBack() throws(BlockError) {
        try writing.withLock { (_: inout Bool) throws(BlockError) in
            let changes = state.withLock { $0.table.takeChanges() }
            if changes.isEmpty { return }
            do throws(BlockError) {
                try file.flush()
                try file.write(changes)
            } catch {
                state.withLock { $0.table.putBack(changes) }
                throw error
            }
        }
    }

    public func close() throws(BlockError) {
        guard state.withLock({ $0.isMarked }) else { return }
        try file.flush()
        try file.write(ParallelsHeader.inUseOffset, bytes: [0, 0, 0, 0])
    }

    // MARK: Checking

    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        var result = CheckResult()
        if header.wasInUse, !state.withLock({ $0.isMarked }) {
            result.corruptions += 1
            result.note((repair == .nothing ? "ERROR" : "Repairing") + " image was not closed correctly")
            if repair != .nothing {
                try mark()
                result.corruptions -= 1
                result.corruptionsFixed += 1
            }
        }
        try checkTable(repair, &result)
        try writeBack()
        return result
    }

    private func checkTable(_ repair: Repair, _ result: inout CheckResult) throws(BlockError) {
        let entries = state.withLock { $0.table.entries }
        let length = try file.length()
        let first = max(header.dataStart, UInt64(ParallelsHeader.size) + header.entries * 4)
        var occupancy = Occupancy(end: length.roundedUp(to: header.clusterSize) ?? length)
        var units: (total: UInt64, allocated: UInt64, fragmented: UInt64, compressed: UInt64) = (header.entries, 0, 0, 0)
        var last: UInt64 = 0
        for (index, entry) in entries.enumerated() where entry != 0 {
            let position = UInt64(entry) * header.unit
            if position < first || !occupancy.add(position, header.clusterSize, owner: UInt64(index)) {
                result.note("\(repair == .all ? "Repairing" : "ERROR") cluster \(index) is outside image")
                if repair == .all {
                    state.withLock { $0.table[index] = 0 }
                    result.corruptionsFixed += 1
                } else { result.corruptions += 1 }
                continue
            }
            if units.allocated > 0, position != last + header.clusterSize { units.fragmented += 1 }
            units.allocated += 1
            last = position
        }
        for (one, other) in occupancy.collisions() {
            result.corruptions += 1
            result.note("ERROR clusters \(one) and \(other) overlap")
        }
        let used = max(occupancy.used, first)
        result.imageEnd = used
        result.units = units
        if length > used {
            let leaked = (length - used).divided(roundingUpBy: header.clusterSize)
            result.note("\(repair == .nothing ? "ERROR" : "Repairing") space leaked at the end of the image \(length - used)")
            if repair == .nothing { result.leaks += leaked } else {
                try file.setLength(used)
                state.withLock { $0.end = min($0.end, used.roundedUp(to: header.clusterSize) ?? used) }
                result.leaksFixed += leaked
            }
        }
    }
}

/// The format `parallels`.
public enum ParallelsFormat: CreatableFormat {
    public static let name = "parallels"
    public static let openOptions: [OptionDeclaration] = []
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("cluster_size", .size, default: "1048576", "Parallels image cluster size"),
    ]
    public static let holdsMetadata = true

    public static func probe(_ start: [UInt8], name: String) -> Int {
        guard start.starts(with: ParallelsHeader.oldMagic) || start.starts(with: ParallelsHeader.newMagic) else { return 0 }
        return (try? Bytes(start, order: .little).u32(16)) == 2 ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let header = try ParallelsHeader(try context.header(ParallelsHeader.size, order: .little))
        if context.access.writable, header.hasExtension { throw .unsupported("Parallels images with a format extension are only read", at: 56) }
        let image = try Parallels(context.file, header)
        if context.access.writable, header.wasInUse { try image.resume() }
        return image
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        let cluster = context.options.number("cluster_size") ?? 1 << 20
        guard cluster >= 512, cluster % 512 == 0, cluster <= 64 << 20 else { throw .invalid("Cluster size must be a multiple of 512 up to 64 MiB") }
        guard let size = context.size.roundedUp(to: 512) else { throw .invalid("Image size is too large") }
        let entries = size.divided(roundingUpBy: cluster)
        guard entries <= ParallelsHeader.mostEntries else { throw .invalid("Image size is too large for this cluster size") }
        guard let dataStart = (UInt64(ParallelsHeader.size) + entries * 4).roundedUp(to: cluster) else { return }
        var header = Bytes([UInt8](repeating: 0, count: ParallelsHeader.size), order: .little)
        try header.set(0, bytes: ParallelsHeader.newMagic)
        try header.set(16, UInt32(2))
        // Nothing depends on the geometry.
        try header.set(20, UInt32(16))
        try header.set(24, UInt32(clamping: size / 512 / 16 / 32))
        try header.set(28, UInt32(truncatingIfNeeded: cluster / 512))
        try header.set(32, UInt32(truncatingIfNeeded: entries))
        try header.set(36, size / 512)
        try header.set(48, UInt32(truncatingIfNeeded: dataStart / 512))
        try context.file.setLength(dataStart)
        try context.file.write(0, bytes: header.array)
    }
}
