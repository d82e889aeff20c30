// vdi: VirtualBox disk images, version 1.1, dynamic and static, as QEMU writes them. Layout (all little endian): 64 bytes
// of text; signature 0xbeda107f at 0x40; the header described by `VDIHeader`; a block map of one 32-bit entry a
// block (0xffffffff: never written, 0xfffffffe: discarded); data blocks of 1 MiB, numbered from `dataOffset`.
// Left out: differencing and undo images (types 3 and 4), blocks of another size: refused, as by QEMU.
//
// Order of writes: a block is taken at the end of the file and filled; at a flush the data is made safe, then the
// header's count of blocks, then the map. A crash in between leaves at most blocks that no map entry names: leaks.

import Block
import Host

/// An open VDI image.
public final class VDI: WritableImage, ZeroingImage, DescribedImage, CheckableImage {
    static let blockSize: UInt64 = 1 << 20
    static let noBlock: UInt32 = 0xffff_ffff
    static let discarded: UInt32 = 0xffff_fffe
    fileprivate struct State {
        /// The map as guests see it, one entry a block.
        var map: [UInt32]
        /// Blocks in the file.
        var used: UInt32
        /// 512-byte pieces of the map that the file does not have yet.
        var dirty: Set<Int> = []
        var countIsDirty = false
    }
    private let file: Node
    private let header: VDIHeader
    private let state: Locked<State>

    init(file: Node, header: VDIHeader, map: [UInt32]) {
        self.file = file
        self.header = header
        state = Locked(State(map: map, used: header.allocatedBlocks))
    }

    public var virtualSize: UInt64 { header.diskSize }
    public var allocationUnit: UInt64 { VDI.blockSize }

    private func position(of block: UInt32) -> UInt64 { UInt64(header.dataOffset) + UInt64(block) * VDI.blockSize }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        let index = Int(clamping: offset / VDI.blockSize), inside = offset % VDI.blockSize
        return state.withLock { state in
            guard index < state.map.count else { return Extent(.zero(space: nil), length: count) }
            let entry = state.map[index]
            // Neighbours in the disk that are neighbours in the file are one extent.
            var run: UInt64 = 1
            let blocks = (inside + count).divided(roundingUpBy: VDI.blockSize)
            while run < blocks, index + Int(run) < state.map.count {
                let next = state.map[index + Int(run)]
                guard entry >= VDI.discarded ? next >= VDI.discarded : next < VDI.discarded && next == entry &+ UInt32(run) else { break }
                run += 1
            }
            let length = min(count, run * VDI.blockSize - inside)
            if entry >= VDI.discarded { return Extent(.zero(space: nil), length: length) }
            return Extent(.data(file, position(of: entry) + inside), length: length, isWritable: true, mayHaveHoles: header.isStatic)
        }
    }

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        let extent = try map(offset, count)
        if case .data(let node, let at) = extent.place { return Placement(length: extent.length, node: node, offset: at) }
        let index = offset / VDI.blockSize, inside = offset % VDI.blockSize
        let block = try state.withLock { (state) throws(BlockError) -> UInt32 in
            guard state.used < VDI.discarded else { throw BlockError(.noSpace, "all block numbers are used") }
            state.used += 1
            state.countIsDirty = true
            return state.used - 1
        }
        let fresh = FreshSpace(start: index * VDI.blockSize, length: VDI.blockSize, isZero: try isBeyondEnd(block), token: UInt64(block))
        // The file is made long enough for the whole block, so that the last one is not cut.
        if fresh.isZero { try file.writeZeroes(position(of: block), VDI.blockSize) }
        return Placement(length: min(count, VDI.blockSize - inside), node: file, offset: position(of: block) + inside, fresh: fresh)
    }

    private func isBeyondEnd(_ block: UInt32) throws(BlockError) -> Bool { try file.length() <= position(of: block) }

    public func link(_ fresh: FreshSpace) {
        let index = Int(clamping: fresh.start / VDI.blockSize)
        state.withLock { state in
            guard index < state.map.count else { return }
            state.map[index] = UInt32(truncatingIfNeeded: fresh.token)
            state.dirty.insert(index / 128)
        }
    }

    /// The block stays at the end of the file, used by nobody: a leak that `check` counts.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        // Where nothing is stored, zeros need nothing. There is no entry that means zeros over a stored block.
        let extent = try map(offset, count)
        if case .zero = extent.place { return extent.length }
        return 0
    }

    public func writeBack() throws(BlockError) {
        // Pieces are taken out first: what changes while they are written is for the next flush.
        let (pieces, used) = state.withLock { state in
            defer { state.dirty.removeAll(); state.countIsDirty = false }
            return (state.dirty.sorted().map { ($0, state.encoded(piece: $0)) }, state.countIsDirty ? state.used : nil)
        }
        do {
            if used != nil || !pieces.isEmpty { try file.flush() }
            if let used {
                try file.write(VDIHeader.allocatedOffset, bytes: littleEndian(used))
                try file.flush()
            }
            for (piece, bytes) in pieces { try file.write(UInt64(header.mapOffset) + UInt64(piece) * 512, bytes: bytes) }
        } catch {
            state.withLock { $0.dirty.formUnion(pieces.map(\.0)); $0.countIsDirty = true }
            throw error
        }
    }

    private func littleEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    public func information() -> ImageInformation { ImageInformation(clusterSize: VDI.blockSize) }

    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        guard repair == .nothing else { throw .unsupported("vdi images cannot be repaired") }
        let (map, used) = state.withLock { ($0.map, $0.used) }
        var result = CheckResult()
        var owner = [UInt32](repeating: VDI.noBlock, count: Int(min(UInt64(used), UInt64(map.count))))
        var allocated: UInt64 = 0
        for (index, entry) in map.enumerated() where entry < VDI.discarded {
            guard entry < used else {
                result.note("ERROR: block index \(index) out of range, is \(entry)")
                result.corruptions += 1
                continue
            }
            allocated += 1
            guard Int(entry) < owner.count else { continue }
            if owner[Int(entry)] != VDI.noBlock {
                result.note("ERROR: block index \(entry) also used by \(owner[Int(entry)])")
                result.corruptions += 1
            } else { owner[Int(entry)] = UInt32(truncatingIfNeeded: index) }
        }
        // QEMU counts only this difference as an error; a block that no entry names costs space, nothing else.
        if allocated != UInt64(used) {
            result.note("ERROR: allocated blocks mismatch, is \(used), should be \(allocated)")
            if allocated > UInt64(used) { result.corruptions += 1 } else { result.leaks += UInt64(used) - allocated }
        }
        return result
    }
}

private extension VDI.State {
    /// 512 bytes of the map as the file holds them.
    func encoded(piece: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        for slot in 0..<128 where piece * 128 + slot < map.count {
            for byte in 0..<4 { bytes[slot * 4 + byte] = UInt8(truncatingIfNeeded: map[piece * 128 + slot] >> (8 * UInt32(byte))) }
        }
        return bytes
    }
}
