// vpc: Microsoft's Virtual Hard Disks (.vhd), fixed, dynamic and differencing, by the Virtual Hard Disk Image Format
// Specification 1.0. A dynamic image: copy of the footer, dynamic header, block table (32-bit sector numbers, all ones:
// no block), blocks (a sector bitmap, then the data), footer. In a differencing image a 0 in the bitmap sends the reader
// to the parent. In a dynamic one it would mean zeros, which the data is then anyway: the bitmap is not looked at, as in
// QEMU, and set to ones.
//
// Order of writes: data; then bitmaps and the footer behind the last block; then the block table. A power cut leaves at
// most blocks that no entry names, over which the next ones are written.

import Block
import Host

/// An open image that grows.
public final class VPC: WritableImage, ZeroingImage, DescribedImage, CheckableImage, BackedImage {
    static let noBlock: UInt32 = 0xffff_ffff
    private struct State {
        var table: EntryTable<UInt32>
        /// Where the next block goes: a multiple of 512.
        var end: UInt64
        var endIsNew = false
        /// Bitmaps of differencing images, by block. Those in `changed` are kept until they are written.
        var bitmaps: [Int: [UInt8]] = [:]
        var changed: Set<Int> = []
        /// Blocks taken for requests that have not ended yet, by block.
        var taken: [Int: UInt32] = [:]
    }
    private let file: Node
    private let footer: VPCFooter
    private let header: VPCDynamicHeader
    private let state: Locked<State>
    /// Only one write-back at a time: an older one must not overtake a newer.
    private let writing = Locked(false)
    private let blockSize: UInt64
    private let bitmapSize: UInt64
    public let virtualSize: UInt64
    /// Bitmaps kept in memory beyond those that changed.
    private static let bitmapsKept = 512

    init(file: Node, footer: VPCFooter, header: VPCDynamicHeader, table: EntryTable<UInt32>, size: UInt64) {
        self.file = file
        self.footer = footer
        self.header = header
        virtualSize = size
        blockSize = UInt64(header.blockSize)
        bitmapSize = (blockSize / 512 / 8).roundedUp(to: 512) ?? 512
        let whole = blockSize + bitmapSize
        var end = max(header.tableOffset + UInt64(table.count) * 4, header.namesEnd, UInt64(VPCFooter.size + VPCDynamicHeader.size))
        for entry in table.entries where entry != VPC.noBlock { end = max(end, UInt64(entry) * 512 + whole) }
        state = Locked(State(table: table, end: end.roundedUp(to: 512) ?? end))
    }

    private var isDifferencing: Bool { footer.kind == .differencing }
    public var allocationUnit: UInt64 { blockSize }
    public var backing: FileReference? { header.parent.map { FileReference(name: $0, format: "vpc") } }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let index = Int(clamping: offset / blockSize), inside = offset % blockSize
        let length = min(count, blockSize - inside)
        return try state.withLock { (state) throws(BlockError) -> Extent in
            let entry = state.table[index] ?? VPC.noBlock
            guard entry != VPC.noBlock else { return emptyRun(state, index, inside, count) }
            let at = UInt64(entry) * 512 + bitmapSize + inside
            guard isDifferencing else { return Extent(.data(file, at), length: length, isWritable: true) }
            let bitmap = try self.bitmap(&state, index, entry)
            // Runs of sectors that are here, or not.
            let first = Int(inside / 512), last = Int((inside + length - 1) / 512)
            let isHere = VPC.bit(bitmap, first)
            var end = first + 1
            while end <= last, VPC.bit(bitmap, end) == isHere { end += 1 }
            let run = min(length, UInt64(end) * 512 - inside)
            return isHere ? Extent(.data(file, at), length: run, isWritable: true) : Extent(.unallocated, length: run)
        }
    }

    private func emptyRun(_ state: borrowing State, _ index: Int, _ inside: UInt64, _ count: UInt64) -> Extent {
        var run: UInt64 = 1
        let blocks = (inside + count).divided(roundingUpBy: blockSize)
        while run < blocks, (state.table[index + Int(run)] ?? VPC.noBlock) == VPC.noBlock { run += 1 }
        return Extent(isDifferencing ? .unallocated : .zero(space: nil), length: min(count, run * blockSize - inside))
    }

    // MARK: Bitmaps

    /// Sector 0 is the highest bit of the first byte.
    private static func bit(_ bitmap: [UInt8], _ sector: Int) -> Bool {
        sector / 8 < bitmap.count && bitmap[sector / 8] & (0x80 >> UInt8(sector % 8)) != 0
    }

    private func bitmap(_ state: inout State, _ index: Int, _ entry: UInt32) throws(BlockError) -> [UInt8] {
        if let known = state.bitmaps[index] { return known }
        if state.bitmaps.count >= VPC.bitmapsKept + state.changed.count {
            let changed = state.changed
            state.bitmaps = state.bitmaps.filter { changed.contains($0.key) }
        }
        let bytes = try file.bytes(UInt64(entry) * 512, Int(bitmapSize))
        state.bitmaps[index] = bytes
        return bytes
    }

    // MARK: Writing

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        let index = Int(clamping: offset / blockSize), inside = offset % blockSize
        let extent = try map(offset, count)
        if case .data(let node, let at) = extent.place { return Placement(length: extent.length, node: node, offset: at) }
        let known = state.withLock { $0.table[index] } ?? VPC.noBlock
        let block = known == VPC.noBlock ? try takeBlock(index) : known
        let base = UInt64(block) * 512 + bitmapSize
        // A differencing image takes just the sectors touched; a dynamic one has all of the block.
        var fresh = FreshSpace(start: offset - inside, length: blockSize, isZero: true, token: UInt64(block))
        var length = min(count, blockSize - inside)
        if isDifferencing {
            length = min(length, extent.length)
            let first = inside / 512 * 512
            let last = (inside + length).roundedUp(to: 512) ?? blockSize
            fresh = FreshSpace(start: offset - inside + first, length: last - first, isZero: known == VPC.noBlock, token: UInt64(block))
        }
        return Placement(length: length, node: file, offset: base + inside, fresh: fresh)
    }

    private func takeBlock(_ index: Int) throws(BlockError) -> UInt32 {
        let (block, isNew) = try state.withLock { (state) throws(BlockError) -> (UInt32, Bool) in
            if let taken = state.taken[index] { return (taken, false) }
            guard index < state.table.count else { throw BlockError(.noSpace, "the block table has \(state.table.count) entries, block \(index) has none") }
            guard let block = UInt32(exactly: state.end / 512), block != VPC.noBlock else { throw BlockError(.noSpace, "the file is too large for sector numbers of 32 bits") }
            state.end += blockSize + bitmapSize
            state.endIsNew = true
            state.taken[index] = block
            return (block, true)
        }
        // The old footer stands there, or what a crash left.
        if isNew { try file.writeZeroes(UInt64(block) * 512, blockSize + bitmapSize) }
        return block
    }

    public func link(_ fresh: FreshSpace) throws(BlockError) {
        let index = Int(clamping: fresh.start / blockSize)
        try state.withLock { (state) throws(BlockError) in
            let block = UInt32(truncatingIfNeeded: fresh.token)
            let isNew = state.table[index] == VPC.noBlock
            if isDifferencing {
                var bitmap = isNew ? [UInt8](repeating: 0, count: Int(bitmapSize)) : try self.bitmap(&state, index, block)
                let first = Int(fresh.start % blockSize / 512)
                for sector in first..<first + Int(fresh.length / 512) where sector / 8 < bitmap.count { bitmap[sector / 8] |= 0x80 >> UInt8(sector % 8) }
                state.bitmaps[index] = bitmap
                state.changed.insert(index)
            } else { state.changed.insert(index) }
            state.taken[index] = nil
            if isNew { state.table[index] = block }
        }
    }

    /// A block stays taken: the next request for it uses it.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        let extent = try map(offset, count)
        if case .zero = extent.place { return extent.length }
        return 0
    }

    public func writeBack() throws(BlockError) {
        try writing.withLock { (_: inout Bool) throws(BlockError) in
            let (bitmaps, changes, end) = state.withLock { VPC.takeChanges(&$0) }
            if bitmaps.isEmpty, changes.isEmpty, end == nil { return }
            do throws(BlockError) {
                try file.flush()
                let ones = [UInt8](repeating: 0xff, count: Int(bitmapSize))
                for (_, block, bitmap) in bitmaps { try file.write(UInt64(block) * 512, bytes: bitmap ?? ones) }
                if let end { try file.write(end, bytes: footer.bytes.array) }
                if !changes.isEmpty {
                    try file.flush()
                    try file.write(changes)
                }
            } catch {
                state.withLock { state in
                    state.changed.formUnion(bitmaps.map(\.0))
                    state.table.putBack(changes)
                    state.endIsNew = state.endIsNew || end != nil
                }
                throw error
            }
        }
    }

    private static func takeChanges(_ state: inout State) -> (bitmaps: [(Int, UInt32, [UInt8]?)], table: [TableChange], end: UInt64?) {
        var bitmaps: [(Int, UInt32, [UInt8]?)] = []
        for index in state.changed.sorted() {
            if let block = state.table[index] { bitmaps.append((index, block, state.bitmaps[index])) }
        }
        state.changed.removeAll()
        defer { state.endIsNew = false }
        return (bitmaps, state.table.takeChanges(), state.endIsNew ? state.end : nil)
    }

    public func information() -> ImageInformation { ImageInformation(clusterSize: blockSize) }

    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        guard repair == .nothing else { throw .unsupported("vpc images cannot be repaired") }
        var result = CheckResult()
        // The file ends with the footer, or, after a crash, with blocks that nobody names.
        let entries = state.withLock { $0.table.entries }
        var occupancy = Occupancy(end: try file.length())
        for (index, entry) in entries.enumerated() where entry != VPC.noBlock {
            guard !occupancy.add(UInt64(entry) * 512, blockSize + bitmapSize, owner: UInt64(index)) else { continue }
            result.corruptions += 1
            result.note("ERROR: block \(index) at sector \(entry) lies beyond the end of the file")
        }
        for (one, other) in occupancy.collisions() {
            result.corruptions += 1
            result.note("ERROR: blocks \(one) and \(other) overlap")
        }
        return result
    }
}

/// An open fixed image: the disk, then the footer.
public final class FixedVPC: WritableImage, ZeroingImage, DiscardingImage, DescribedImage {
    private let file: Node
    public let virtualSize: UInt64

    init(file: Node, size: UInt64) {
        self.file = file
        virtualSize = size
    }
    public func map(_ offset: UInt64, _ count: UInt64) -> Extent { Extent(.data(file, offset), length: count, isWritable: true, mayHaveHoles: true) }
    public func information() -> ImageInformation { ImageInformation() }
    public var allocationUnit: UInt64 { 512 }
    public func place(_ offset: UInt64, _ count: UInt64) -> Placement { Placement(length: count, node: file, offset: offset) }
    public func link(_ fresh: FreshSpace) {}
    public func abandon(_ fresh: FreshSpace) {}
    public func writeBack() {}
    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        try file.writeZeroes(offset, count, unmap: unmap)
        return count
    }
    public func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) { try file.discard(offset, count) }
}
