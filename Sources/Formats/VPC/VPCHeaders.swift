// vpc: the footer and the dynamic disk header (Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer
// Format", "Dynamic Disk Header Format", "CHS Calculation"). All numbers are big endian.

import Block
import Glibc

/// Cylinders, heads and sectors of a track.
struct VPCGeometry: Sendable, Equatable {
    var cylinders: UInt16
    var heads: UInt8
    var sectorsPerTrack: UInt8

    /// The most that the three numbers can say.
    static let largest = VPCGeometry(cylinders: 65535, heads: 16, sectorsPerTrack: 255)
    var sectors: UInt64 { UInt64(cylinders) * UInt64(heads) * UInt64(sectorsPerTrack) }

    init(cylinders: UInt16, heads: UInt8, sectorsPerTrack: UInt8) {
        self.cylinders = cylinders
        self.heads = heads
        self.sectorsPerTrack = sectorsPerTrack
    }

    /// The specification's appendix: the geometry whose disk has at most `total` sectors.
    init(atMost total: UInt64) {
        let total = min(total, VPCGeometry.largest.sectors)
        var track: UInt64, heads: UInt64, tracks: UInt64
        if total >= 65535 * 16 * 63 {
            (track, heads) = (255, 16)
            tracks = total / track
        } else {
            track = 17
            tracks = total / track
            heads = max(4, (tracks + 1023) / 1024)
            if tracks >= heads * 1024 || heads > 16 {
                (track, heads) = (31, 16)
                tracks = total / track
            }
            if tracks >= heads * 1024 {
                (track, heads) = (63, 16)
                tracks = total / track
            }
        }
        self.init(cylinders: UInt16(clamping: tracks / heads), heads: UInt8(clamping: heads), sectorsPerTrack: UInt8(clamping: track))
    }

    /// The smallest geometry by that rule with at least `total` sectors; nil if there is none.
    static func holding(_ total: UInt64) -> VPCGeometry? {
        guard total <= largest.sectors else { return nil }
        // Each rule loses less than a cylinder.
        for candidate in total...total + 16 * 255 {
            let geometry = VPCGeometry(atMost: candidate)
            if geometry.sectors >= total, geometry.sectors > 0 { return geometry }
        }
        return nil
    }
}

/// The footer: the last 512 bytes of each image, also at the start of those that grow.
struct VPCFooter: Sendable {
    static let size = 512
    static let cookie = Array("conectix".utf8)
    enum Kind: UInt32, Sendable { case fixed = 2, dynamic = 3, differencing = 4 }

    var bytes: Bytes
    let kind: Kind
    /// Where the dynamic header stands; all ones in a fixed image.
    let headerOffset: UInt64
    let creator: [UInt8]
    let currentSize: UInt64
    let geometry: VPCGeometry

    static func isFooter(_ bytes: Bytes) -> Bool {
        guard (try? bytes.slice(0, 8)) == cookie, let sum = try? bytes.u32(64) else { return false }
        return sum == checksum(bytes.array, at: 64)
    }

    /// The ones' complement of the sum of all bytes but the four of the checksum itself.
    static func checksum(_ bytes: [UInt8], at field: Int) -> UInt32 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() where index < field || index >= field + 4 { sum &+= UInt32(byte) }
        return ~sum
    }

    init(_ bytes: Bytes) throws(BlockError) {
        self.bytes = bytes
        let version = try bytes.u32(12)
        guard version >> 16 == 1 else { throw .unsupported("vpc version \(version >> 16): expected 1", at: bytes.origin + 12) }
        let type = try bytes.u32(60)
        guard let kind = Kind(rawValue: type) else { throw .unsupported("vpc disk type \(type): expected 2 (fixed), 3 (dynamic) or 4 (differencing)", at: bytes.origin + 60) }
        self.kind = kind
        headerOffset = try bytes.u64(16)
        creator = try bytes.slice(28, 4)
        currentSize = try bytes.u64(48)
        geometry = VPCGeometry(cylinders: try bytes.u16(56), heads: try bytes.u8(58), sectorsPerTrack: try bytes.u8(59))
    }

    /// A new image's footer. Creators are QEMU's names, because readers (QEMU too) take the size from the geometry or
    /// from the size field according to them: `qemu` means the geometry, `qem2` the size.
    init(kind: Kind, sectors: UInt64, geometry: VPCGeometry, isExact: Bool) throws(BlockError) {
        var bytes = Bytes([UInt8](repeating: 0, count: VPCFooter.size), order: .big)
        try bytes.set(0, bytes: VPCFooter.cookie)
        try bytes.set(8, UInt32(2))
        try bytes.set(12, UInt32(0x0001_0000))
        try bytes.set(16, kind == .fixed ? UInt64.max : UInt64(VPCFooter.size))
        // Seconds since the first of January 2000.
        try bytes.set(24, UInt32(truncatingIfNeeded: max(0, time(nil) - 946_684_800)))
        try bytes.set(28, bytes: Array((isExact ? "qem2" : "qemu").utf8))
        try bytes.set(32, UInt32(0x0005_0003))
        try bytes.set(36, bytes: Array("Wi2k".utf8))
        try bytes.set(40, sectors * 512)
        try bytes.set(48, sectors * 512)
        try bytes.set(56, geometry.cylinders)
        try bytes.set(58, geometry.heads)
        try bytes.set(59, geometry.sectorsPerTrack)
        try bytes.set(60, kind.rawValue)
        try bytes.set(68, bytes: randomUUID())
        try bytes.set(64, VPCFooter.checksum(bytes.array, at: 64))
        try self.init(bytes)
    }

    /// Creators whose images are as large as their geometry; those of all others as the size field says.
    private static let geometryCreators: Set<String> = ["vpc ", "qemu"]

    /// Bytes of the disk. - Parameter rule: the open option `force_size_calc`.
    func diskSize(_ rule: String?) -> UInt64 {
        let name = String(decoding: creator, as: UTF8.self)
        var byGeometry = VPCFooter.geometryCreators.contains(name)
        if rule == "current_size" { byGeometry = false }
        if rule == "chs" { byGeometry = true }
        // At its largest, the geometry says only that the disk is at least that large.
        if byGeometry, geometry != .largest { return geometry.sectors * 512 }
        return currentSize / 512 * 512
    }
}

/// The header of images that grow.
struct VPCDynamicHeader: Sendable {
    static let size = 1024
    static let cookie = Array("cxsparse".utf8)
    var tableOffset: UInt64
    var entries: UInt32
    var blockSize: UInt32
    /// The image below a differencing one.
    var parent: String?
    /// One past the last byte of the parent's names.
    var namesEnd: UInt64 = 0
    /// Its identifier.
    let parentIdentifier: [UInt8]

    static let standardBlock: UInt32 = 2 << 20
    static let largestBlock: UInt32 = 64 << 20

    init(_ bytes: Bytes, file: Node, differencing: Bool) throws(BlockError) {
        guard try bytes.slice(0, 8) == VPCDynamicHeader.cookie else { throw .corrupt(at: bytes.origin, "no dynamic disk header (cxsparse)") }
        guard try bytes.u32(36) == VPCFooter.checksum(bytes.array, at: 36) else { throw .corrupt(at: bytes.origin + 36, "wrong checksum of the dynamic disk header") }
        tableOffset = try bytes.u64(16)
        entries = try bytes.u32(28)
        blockSize = try bytes.u32(32)
        parentIdentifier = try bytes.slice(40, 16)
        guard blockSize >= 4096, blockSize <= VPCDynamicHeader.largestBlock, blockSize & (blockSize - 1) == 0 else {
            throw .corrupt(at: bytes.origin + 32, "Invalid block size \(blockSize): expected a power of two from 4 KiB to 64 MiB")
        }
        guard tableOffset % 512 == 0, tableOffset <= UInt64(Int64.max) / 2 else { throw .corrupt(at: bytes.origin + 16, "a block table at \(tableOffset)") }
        if differencing { (parent, namesEnd) = try VPCDynamicHeader.parent(bytes, file) }
    }

    /// Locators say where the parent's name stands: relative names (W2ru) before absolute ones (W2ku), and the header's
    /// own plain name last.
    private static func parent(_ bytes: Bytes, _ file: Node) throws(BlockError) -> (String, UInt64) {
        var names: [UInt32: String] = [:]
        var end: UInt64 = 0
        for index in 0..<8 {
            let entry = 576 + index * 24
            let code = try bytes.u32(entry), length = try bytes.u32(entry + 8), offset = try bytes.u64(entry + 16)
            guard code != 0, length > 0 else { continue }
            guard length <= 65536, offset <= UInt64(Int64.max) / 2 else { throw .corrupt(at: bytes.origin + UInt64(entry), "a parent locator of \(length) bytes at \(offset)") }
            end = max(end, offset + UInt64(length))
            guard code == relativeLocator || code == absoluteLocator else { continue }
            names[code] = decodeUTF16(try file.bytes(offset, Int(length)), bigEndian: false)
        }
        let own = decodeUTF16(try bytes.slice(64, 512), bigEndian: true)
        for name in [names[relativeLocator], names[absoluteLocator], own] {
            if let name, let path = hostPath(windows: name) { return (path, end) }
        }
        throw .corrupt(at: bytes.origin + 64, "a differencing image names no parent that this host can open")
    }

    /// `W2ru` and `W2ku`.
    static let relativeLocator: UInt32 = 0x5732_7275
    static let absoluteLocator: UInt32 = 0x5732_6b75
}
