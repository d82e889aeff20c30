// vmdk: VMware's disks, all subformats that VMware's and QEMU's tools make: one or many extents, each flat (plain bytes),
// sparse (tables of grains; see VMDKSparse.swift) or zeros. Text that describes them: VMDKDescriptor.swift.
//
// The first write after opening gives the image a new CID, so that images standing on it notice that it has changed.
// Compressed images (streamOptimized) are written compressed, each grain once.

import Block
import Compression
import Core
import Host

/// An extent of an open image.
struct VMDKExtent: Sendable {
    enum Contents: Sendable {
        case flat(Node, UInt64)
        case zero
        case sparse(VMDKSparse)
    }
    var contents: Contents
    /// Guest bytes: where it starts, how many.
    var start: UInt64
    var length: UInt64
    var end: UInt64 { start + length }
    /// As the descriptor calls the kind.
    var type: String
    var node: Node?
}

/// Where the text of the descriptor stands.
struct VMDKDescriptorPlace: Sendable {
    var node: Node
    var offset: UInt64
    /// Bytes there are for it; nil: a file of its own.
    var room: UInt64?
}

/// An open VMDK image.
public class VMDK: WritableImage, ZeroingImage, DescribedImage, CheckableImage, BackedImage, CompressedImage, MultiFileImage, @unchecked Sendable {
    // Invariant of @unchecked: all stored properties are constants of Sendable types (the class has one subclass).
    let extents: [VMDKExtent]
    let descriptor: VMDKDescriptor
    private let descriptorPlace: VMDKDescriptorPlace?
    public let furtherFiles: [Child]
    public let virtualSize: UInt64
    public let allocationUnit: UInt64
    /// The CID, and whether it is new since opening.
    private let cid: Locked<(value: UInt32, isNew: Bool)>

    init(extents: [VMDKExtent], descriptor: VMDKDescriptor, place: VMDKDescriptorPlace?, furtherFiles: [Child]) {
        self.extents = extents
        self.descriptor = descriptor
        descriptorPlace = place
        self.furtherFiles = furtherFiles
        virtualSize = extents.last?.end ?? 0
        allocationUnit = extents.reduce(UInt64(512)) { if case .sparse(let sparse) = $1.contents { max($0, sparse.grainSize) } else { $0 } }
        cid = Locked((descriptor.cid, false))
    }

    public var backing: FileReference? { descriptor.parent.map { FileReference(name: $0, format: "vmdk") } }
    private var hasParent: Bool { descriptor.parent != nil }

    func extent(at offset: UInt64) -> VMDKExtent? {
        // The first that ends beyond the offset.
        var low = 0, high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        return low < extents.count ? extents[low] : nil
    }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        guard let extent = extent(at: offset) else { return Extent(.zero(space: nil), length: count) }
        let inside = offset - extent.start
        let length = min(count, extent.length - inside)
        // Overwriting is allowed once the CID is new.
        let isWritable = cid.withLock { $0.isNew }
        switch extent.contents {
        case .zero: return Extent(.zero(space: nil), length: length)
        case .flat(let node, let base): return Extent(.data(node, base + inside), length: length, isWritable: isWritable, mayHaveHoles: true)
        case .sparse(let sparse):
            let found = try sparse.find(inside, length)
            switch found.grain {
            case .absent: return Extent(.unallocated, length: found.length)
            case .zero: return Extent(.zero(space: nil), length: found.length)
            case .at(let position):
                guard sparse.header.isCompressed else { return Extent(.data(sparse.file, position), length: found.length, isWritable: isWritable) }
                let grain = inside / sparse.grainSize * sparse.grainSize
                return Extent(.compressed(try payload(sparse, position - (inside - grain), extent.start + grain)), length: found.length)
            }
        }
    }

    // MARK: Compressed grains

    public var largestPayload: UInt64 { allocationUnit * 2 + 4096 }

    /// A compressed grain: a marker of 12 bytes (its sector, the payload's size), then the payload.
    private func payload(_ sparse: VMDKSparse, _ position: UInt64, _ start: UInt64) throws(BlockError) -> CompressedUnit {
        guard sparse.header.hasMarkers else {
            let length = try sparse.file.length()
            let rest = length > position ? length - position : 0
            return CompressedUnit(node: sparse.file, offset: position, count: min(rest, sparse.grainSize * 2), start: start, length: sparse.grainSize)
        }
        let marker = try sparse.file.metadata(position, 12, order: .little)
        return CompressedUnit(node: sparse.file, offset: position + 12, count: UInt64(try marker.u32(8)), start: start, length: sparse.grainSize)
    }

    public func expand(_ unit: CompressedUnit, _ payload: BlockBuffer, into output: BlockBuffer) throws(BlockError) {
        let source = UnsafeRawBufferPointer(start: payload.base, count: payload.count)
        let target = UnsafeMutableRawBufferPointer(start: output.base, count: output.count)
        guard let produced = Deflate.expand(source, into: target, .zlib) else { throw .corrupt(at: unit.offset, "a compressed grain is damaged") }
        output.slice(produced, Int.max).fill()
    }

    // MARK: Writing

    /// Once after opening.
    func renew() throws(BlockError) {
        guard !cid.withLock({ $0.isNew }) else { return }
        try cid.withLock { (cid: inout (value: UInt32, isNew: Bool)) throws(BlockError) in
            if cid.isNew { return }
            var value = UInt32.random(in: 1..<VMDKDescriptor.noParent)
            if value == cid.value { value ^= 1 }
            if let place = descriptorPlace, let text = descriptor.text(cid: value) {
                var bytes = Array(text.utf8)
                if let room = place.room {
                    guard UInt64(bytes.count) <= room else { throw BlockError(.noSpace, "the descriptor has no room", offset: place.offset) }
                    bytes += [UInt8](repeating: 0, count: Int(room) - bytes.count)
                }
                try place.node.write(place.offset, bytes: bytes)
            }
            cid = (value, true)
        }
    }

    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        try renew()
        guard let extent = extent(at: offset) else { throw .corrupt("no extent has guest offset \(offset)") }
        let mapped = try map(offset, count)
        if case .data(let node, let at) = mapped.place { return Placement(length: mapped.length, node: node, offset: at) }
        guard case .sparse(let sparse) = extent.contents else { throw .unsupported("an extent of zeros cannot be written") }
        guard !sparse.header.isCompressed else { throw .unsupported("Grains of a streamOptimized image are written compressed, each once") }
        let inside = (offset - extent.start) % sparse.grainSize
        let position = try sparse.take(sparse.grainSize)
        let fresh = FreshSpace(start: offset - inside, length: sparse.grainSize, isZero: true, token: position)
        return Placement(length: min(count, sparse.grainSize - inside, extent.end - offset), node: sparse.file, offset: position + inside, fresh: fresh)
    }

    public func link(_ fresh: FreshSpace) throws(BlockError) {
        guard let extent = extent(at: fresh.start), case .sparse(let sparse) = extent.contents else { return }
        try sparse.set(fresh.start - extent.start, to: fresh.token)
    }

    /// The grain stays at the end of the file, unused.
    public func abandon(_ fresh: FreshSpace) {}

    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        guard let extent = extent(at: offset) else { return 0 }
        let mapped = try map(offset, count)
        switch (mapped.place, extent.contents) {
        case (.zero, _): return mapped.length
        case (.unallocated, _) where !hasParent: return mapped.length
        case (.data(let node, let at), .flat):
            try renew()
            try node.writeZeroes(at, mapped.length, unmap: unmap)
            return mapped.length
        case (.unallocated, .sparse(let sparse)) where sparse.header.hasZeroGrains:
            let inside = offset - extent.start
            let end = min(count, extent.length - inside)
            // The disk's last grain may be cut.
            guard inside % sparse.grainSize == 0, end >= sparse.grainSize || inside + end == extent.length else { return 0 }
            try renew()
            try sparse.set(inside, to: nil)
            return min(end, sparse.grainSize)
        default: return 0
        }
    }

    public func writeBack() throws(BlockError) {
        for extent in extents { if case .sparse(let sparse) = extent.contents { try sparse.writeBack() } }
    }

    // MARK: Information

    public func information() -> ImageInformation {
        let parts = extents.map { extent -> JSONValue in
            var members: [JSONValue.Member] = []
            var format = extent.type
            if case .sparse(let sparse) = extent.contents {
                if sparse.header.isCompressed { members.append(.init("compressed", .flag(true))) }
                if descriptorPlace?.room != nil { format = "" }
            }
            members.append(.init("virtual-size", .number(extent.length)))
            members.append(.init("filename", .text(extent.node?.filename ?? "")))
            if case .sparse(let sparse) = extent.contents { members.append(.init("cluster-size", .number(sparse.grainSize))) }
            members.append(.init("format", .text(format)))
            return .object(members)
        }
        let isSparse = extents.contains { if case .sparse = $0.contents { true } else { false } }
        return ImageInformation(clusterSize: isSparse ? allocationUnit : nil, specific: [
            .init("cid", .number(UInt64(cid.withLock { $0.value }))),
            .init("parent-cid", .number(UInt64(descriptor.parentCID))),
            .init("create-type", .text(descriptor.createType)),
            .init("extents", .array(parts)),
        ])
    }

    public func check(_ repair: Repair) throws(BlockError) -> CheckResult {
        guard repair == .nothing else { throw .unsupported("vmdk images cannot be repaired") }
        var result = CheckResult()
        for extent in extents {
            guard case .sparse(let sparse) = extent.contents else { continue }
            try sparse.check(sparse.file.filename, &result)
        }
        return result
    }
}

/// A streamOptimized image: new grains are compressed.
final class StreamVMDK: VMDK, CompressingImage, CompressedOnlyImage, @unchecked Sendable {
    var compressionUnit: UInt64 { allocationUnit }

    func compress(_ unit: BlockBuffer) throws(BlockError) -> [UInt8]? {
        // Even what does not shrink is stored in this way: there is no other.
        let room = unit.count + unit.count / 100 + 4096
        var payload = [UInt8](repeating: 0, count: room)
        let source = UnsafeRawBufferPointer(start: unit.base, count: unit.count)
        guard let count = payload.withUnsafeMutableBytes({ Deflate.compress(source, into: $0, .zlib) }) else { return nil }
        payload.removeLast(room - count)
        return payload
    }

    func store(compressed payload: [UInt8], at start: UInt64) throws(BlockError) {
        try renew()
        guard let extent = extent(at: start), case .sparse(let sparse) = extent.contents else { throw .unsupported("not a compressed extent") }
        let inside = start - extent.start
        guard case .absent = try sparse.find(inside, 1).grain else { throw .unsupported("Could not write to allocated cluster for streamOptimized") }
        var marker = Bytes([UInt8](repeating: 0, count: 12), order: .little)
        try marker.set(0, start / 512)
        try marker.set(8, UInt32(truncatingIfNeeded: payload.count))
        let position = try sparse.take(UInt64(payload.count) + 12)
        try sparse.file.write(position, bytes: marker.array + payload)
        try sparse.set(inside, to: position)
    }
}
