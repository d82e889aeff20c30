// The folder as the guest sees it: what is in it, under which names, and in which clusters.

import Block

/// A file or folder that host and guest both have.
final class FolderItem {
    let isDirectory: Bool
    var hostName: [UInt8]
    /// Unique in its folder, also without regard to case.
    var fatName: [UInt8]
    var isReadOnly = false
    var size: UInt32 = 0
    /// Its clusters in order, as runs that do not touch. A folder's entries are in them, too.
    var chain: [Range<UInt32>] = []
    /// The clusters that are read from the file itself, while they are, and how many bytes of it.
    var origin: Range<UInt32>?
    private(set) var originalSize: UInt32 = 0
    private(set) weak var parent: FolderItem?
    /// By FAT name.
    private(set) var children: [[UInt8]: FolderItem] = [:]
    /// The scan's, until the directories are written.
    var shortName: [UInt8] = []
    var modified = 0

    init(hostName: [UInt8], fatName: [UInt8], isDirectory: Bool) {
        self.hostName = hostName
        self.fatName = fatName
        self.isDirectory = isDirectory
    }

    var firstCluster: UInt32 { chain.first?.lowerBound ?? 0 }
    /// From the top folder, which has an empty one.
    var path: [UInt8] {
        guard let parent else { return [] }
        let above = parent.path
        return above.isEmpty ? hostName : above + [UInt8(ascii: "/")] + hostName
    }
    /// In the order in which their entries stand.
    var sorted: [FolderItem] { children.values.sorted { $0.hostName.lexicographicallyPrecedes($1.hostName) } }

    func add(_ child: FolderItem) {
        children[child.fatName] = child
        child.parent = self
    }
    func remove(_ child: FolderItem) {
        if children[child.fatName] === child { children[child.fatName] = nil }
        child.parent = nil
    }
    /// Itself and everything below, folders before what they hold.
    func visit(_ body: (FolderItem) -> Void) {
        body(self)
        for child in children.values { child.visit(body) }
    }

    // MARK: reading a folder of the host

    /// Deeper folders are refused; so is a folder that leads into itself by a mount.
    static let deepest = 64
    private static let mostItems = 1 << 20

    /// - Throws: a file is too large for FAT, or there are too many; or the host's error.
    static func scan(_ folder: HostFolder) throws(BlockError) -> FolderItem {
        let top = FolderItem(hostName: [], fatName: [], isDirectory: true)
        var count = 0
        try top.scan(folder, depth: 0, &count)
        return top
    }

    private func scan(_ folder: HostFolder, depth: Int, _ count: inout Int) throws(BlockError) {
        let own = path
        func refuse(_ entry: HostEntry?, _ why: String) -> BlockError {
            let name = (own.isEmpty ? [] : own + [UInt8(ascii: "/")]) + (entry?.name ?? [])
            return .invalid("'\(folder.name)/\(String(decoding: name, as: UTF8.self))' \(why)")
        }
        guard depth < Self.deepest else { throw refuse(nil, "is a folder too deep: at most \(Self.deepest) inside one another") }
        var folded: Set<String> = [], shorts = FATNames.ShortNames()
        for entry in try folder.list(own) {
            guard entry.size <= UInt64(UInt32.max) || entry.isDirectory else { throw refuse(entry, "has \(entry.size) bytes: a file on a FAT disk has at most 4 GiB - 1") }
            count += 1
            guard count <= Self.mostItems else { throw .invalid("'\(folder.name)' holds more than \(Self.mostItems) files and folders") }
            let name = Self.unique(FATNames.representable(entry.name), &folded)
            let item = FolderItem(hostName: entry.name, fatName: name, isDirectory: entry.isDirectory)
            item.shortName = shorts.take(for: name)
            item.isReadOnly = entry.isReadOnly
            item.modified = entry.modified
            if !entry.isDirectory { 
                item.size = UInt32(entry.size)
                item.originalSize = item.size
            }
            add(item)
            if entry.isDirectory { try item.scan(folder, depth: depth + 1, &count) }
        }
    }

    /// The name, or one like it that no other of the folder has.
    private static func unique(_ name: [UInt8], _ folded: inout Set<String>) -> [UInt8] {
        var candidate = name, number = 1
        while !folded.insert(String(decoding: candidate, as: UTF8.self).lowercased()).inserted {
            number += 1
            let tail = "~\(number)"
            var text = String(decoding: name, as: UTF8.self)
            while text.utf16.count + tail.utf16.count > FATNames.longestName { text.unicodeScalars.removeLast() }
            candidate = Array((text + tail).utf8)
        }
        return candidate
    }
}
