// What the guest's file system holds now, read with distrust: only if all of it fits together is it believed. In the middle
// of its work a guest's file system does not; then the folder waits.

import Block

/// A file or folder as the guest has it.
struct GuestItem {
    var name: [UInt8]
    var isDirectory: Bool
    var isReadOnly = false
    var size: UInt32 = 0
    var chain: [Range<UInt32>] = []
    /// Seconds since 1970.
    var modified: Int?
    var children: [GuestItem] = []
    var firstCluster: UInt32 { chain.first?.lowerBound ?? 0 }
}

struct FATReader {
    private let layout: FATLayout
    /// `count` bytes of the disk from an offset.
    private let read: (UInt64, Int) throws(BlockError) -> [UInt8]
    private let fat: [UInt8]
    private var used: [Bool]
    private var items = 0
    private static let mostItems = 1 << 20

    private static func broken(_ what: String) -> BlockError { BlockError(.corrupt, what) }

    /// - Parameter head: the sectors before the FAT as they were made. - Throws: `corrupt`: the layout is another now, or the
    ///   two FATs differ.
    init(_ layout: FATLayout, head: [UInt8], read: @escaping (UInt64, Int) throws(BlockError) -> [UInt8]) throws(BlockError) {
        self.layout = layout
        self.read = read
        let bootStart = Int(layout.volumeStart) * FATLayout.sectorSize, described = 11..<(layout.kind == .fat32 ? 48 : 36)
        let boot = try read(UInt64(bootStart), FATLayout.sectorSize)
        guard boot[described].elementsEqual(head[bootStart + described.lowerBound..<bootStart + described.upperBound]) else {
            throw Self.broken("the boot sector describes another file system than the disk was made with")
        }
        let size = Int(layout.sectorsPerFAT) * FATLayout.sectorSize
        fat = try read(UInt64(layout.fatStart) * 512, size)
        guard try read(UInt64(layout.fatStart + layout.sectorsPerFAT) * 512, size) == fat else { throw Self.broken("the two file allocation tables differ") }
        used = [Bool](repeating: false, count: Int(layout.clusterEnd))
    }

    /// Whether a cluster belongs to a file that no directory names: one between two places. Asked after `tree`.
    func isLost(_ cluster: UInt32) -> Bool { cluster >= 2 && cluster < layout.clusterEnd && !used[Int(cluster)] && layout.entry(cluster, in: fat) != 0 }

    /// The whole tree. - Throws: `corrupt`: something does not fit.
    mutating func tree() throws(BlockError) -> GuestItem {
        var top = GuestItem(name: [], isDirectory: true)
        let entries: [UInt8]
        if layout.kind == .fat32 {
            top.chain = try chain(2, "the root directory")
            entries = try contents(top.chain)
        } else { entries = try read(UInt64(layout.rootStart) * 512, Int(layout.rootSectors) * 512) }
        top.children = try children(entries, of: top, parent: nil, depth: 0)
        return top
    }

    private mutating func chain(_ first: UInt32, _ what: String) throws(BlockError) -> [Range<UInt32>] {
        var runs: [Range<UInt32>] = []
        var cluster = first
        while true {
            guard cluster >= 2, cluster < layout.clusterEnd else { throw Self.broken("\(what): cluster \(cluster) is none of the disk's, which end at \(layout.clusterEnd - 1)") }
            guard !used[Int(cluster)] else { throw Self.broken("\(what): cluster \(cluster) belongs to another file, too, or comes twice") }
            used[Int(cluster)] = true
            if let last = runs.last, last.upperBound == cluster { runs[runs.count - 1] = last.lowerBound..<cluster + 1 } else { runs.append(cluster..<cluster + 1) }
            let next = layout.entry(cluster, in: fat)
            if next > layout.kind.firstReserved { return runs }
            guard next != 0 else { throw Self.broken("\(what): its chain leads from cluster \(cluster) into free space") }
            cluster = next
        }
    }

    private func contents(_ chain: [Range<UInt32>]) throws(BlockError) -> [UInt8] {
        var bytes: [UInt8] = []
        // A directory has at most 65536 entries.
        let most = 65536 * FATNames.entrySize
        for run in chain {
            guard bytes.count + run.count * layout.clusterSize <= most + layout.clusterSize else { throw Self.broken("a directory of more than 65536 entries") }
            bytes += try read(UInt64(layout.sector(ofCluster: run.lowerBound)) * 512, run.count * layout.clusterSize)
        }
        return bytes
    }

    private mutating func children(_ entries: [UInt8], of folder: GuestItem, parent: GuestItem?, depth: Int) throws(BlockError) -> [GuestItem] {
        guard depth < FolderItem.deepest else { throw Self.broken("folders more than \(FolderItem.deepest) deep") }
        var found: [GuestItem] = [], names: Set<[UInt8]> = []
        var long = FATNames.LongName()
        var dots = 0
        for start in stride(from: 0, to: entries.count, by: FATNames.entrySize) {
            let entry = Array(entries[start..<start + FATNames.entrySize])
            if entry[0] == 0 { break }
            if entry[0] == 0xe5 { long = FATNames.LongName(); continue }
            let attributes = entry[11] & 0x3f
            if attributes == FATDirectory.longName { long.add(entry); continue }
            defer { long = FATNames.LongName() }
            if attributes & FATDirectory.volumeLabel != 0 { continue }
            func number(_ place: Int) -> UInt32 { UInt32(entry[place]) | UInt32(entry[place + 1]) << 8 }
            let first = number(26) | (layout.kind == .fat32 ? number(20) << 16 : 0)
            if entry[0] == UInt8(ascii: ".") {
                // "." and "..", in this order, say where they are.
                let isParent = entry[1] == UInt8(ascii: ".")
                guard parent != nil, dots == (isParent ? 1 : 0), found.isEmpty, entry[11] & FATDirectory.directory != 0 else { throw Self.broken("a stray entry '.' or '..'") }
                let expected = isParent ? (depth == 1 ? 0 : parent?.firstCluster ?? 0) : folder.firstCluster
                guard first == expected else { throw Self.broken("an entry '\(isParent ? ".." : ".")' leads to cluster \(first), not \(expected)") }
                dots += 1
                continue
            }
            items += 1
            guard items <= Self.mostItems else { throw Self.broken("more than \(Self.mostItems) files") }
            var item = GuestItem(name: long.name(entry) ?? FATNames.text(entry, caseBits: entry[12]), isDirectory: attributes & FATDirectory.directory != 0)
            let shown = "'\(String(decoding: item.name, as: UTF8.self))'"
            guard !item.name.isEmpty, item.name.count <= 255, !item.name.contains(0), !item.name.contains(UInt8(ascii: "/")), item.name != [0x2e], item.name != [0x2e, 0x2e] else {
                throw Self.broken("the name \(shown) cannot be a file's on the host")
            }
            guard names.insert(item.name).inserted else { throw Self.broken("two files are called \(shown)") }
            item.isReadOnly = attributes & FATDirectory.readOnly != 0
            item.modified = FATDirectory.seconds(date: UInt16(number(24)), time: UInt16(number(22)))
            if item.isDirectory || first != 0 { item.chain = try chain(first, shown) }
            if !item.isDirectory {
                item.size = number(28) | number(30) << 16
                let room = item.chain.reduce(UInt64(0)) { $0 + UInt64($1.count) } * UInt64(layout.clusterSize)
                guard UInt64(item.size) <= room else { throw Self.broken("\(shown) has \(item.size) bytes, and clusters for \(room)") }
            }
            found.append(item)
        }
        guard parent == nil || dots == 2 else { throw Self.broken("a directory without '.' and '..'") }
        for index in found.indices where found[index].isDirectory {
            found[index].children = try children(try contents(found[index].chain), of: found[index], parent: folder, depth: depth + 1)
        }
        return found
    }
}
