// The disk as it is made from a folder: everything but the files' contents, which are read from the files when the guest
// reads them.

import Block

struct FATImage {
    /// What stands in a run of clusters.
    enum Content {
        case entries([UInt8])
        case file(FolderItem)
    }
    struct Run {
        let clusters: Range<UInt32>
        let content: Content
    }
    let layout: FATLayout
    /// From the first sector to the first FAT.
    let head: [UInt8]
    let fat: [UInt8]
    /// The root directory, where it has a place of its own.
    let root: [UInt8]
    /// Ascending.
    let runs: [Run]

    /// Gives every file and folder its clusters. - Parameter label: of the volume, at most 11 characters.
    init(_ top: FolderItem, kind: FATKind?, isFloppy: Bool, label: String, named name: String) throws(BlockError) {
        var bytes: UInt64 = 0
        top.visit { bytes += (UInt64($0.isDirectory ? FATDirectory.entryCount($0, isTop: false) * 32 : Int($0.size)) + 32767) / 32768 * 32768 }
        let layout = try FATLayout(kind, isFloppy: isFloppy, rootItems: FATDirectory.entryCount(top, isTop: true), bytes: bytes)
        self.layout = layout
        let label = Array(label.utf8) + [UInt8](repeating: 0x20, count: max(0, 11 - label.utf8.count))

        var entries: [UInt32] = [layout.kind.endOfChain & ~0xff | UInt32(layout.mediaDescriptor), layout.kind.endOfChain]
        entries.reserveCapacity(Int(layout.clusterEnd))
        func take(_ size: UInt64, _ item: FolderItem) throws(BlockError) {
            let count = size.divided(roundingUpBy: UInt64(layout.clusterSize))
            guard count > 0 else { return }
            guard count <= UInt64(layout.clusterEnd) - UInt64(entries.count) else {
                let larger = layout.kind == .fat32 ? "" : "; fat-type=32 makes the disk as large as it must be"
                throw .invalid("'\(name)' does not fit in a FAT\(layout.kind.rawValue) disk of \(UInt64(layout.clusters) * UInt64(layout.clusterSize)) bytes\(isFloppy ? "" : larger)")
            }
            let start = UInt32(entries.count), end = start + UInt32(count)
            if count > 1 { for next in (start + 1)..<end { entries.append(next) } }
            entries.append(layout.kind.endOfChain)
            item.chain = [start..<end]
            if !item.isDirectory { item.origin = start..<end }
        }
        var order: [FolderItem] = []
        func place(_ folder: FolderItem) throws(BlockError) {
            let isTop = folder === top
            let count = FATDirectory.entryCount(folder, isTop: isTop)
            guard count <= 65536 else { throw .invalid("'\(name)/\(String(decoding: folder.path, as: UTF8.self))' holds too many files: a FAT directory has at most 65536 entries") }
            if !isTop || layout.kind == .fat32 {
                try take(UInt64(count * FATNames.entrySize), folder)
                order.append(folder)
            }
            for child in folder.sorted {
                if child.isDirectory { try place(child); continue }
                try take(UInt64(child.size), child)
                if !child.chain.isEmpty { order.append(child) }
            }
        }
        try place(top)
        runs = order.compactMap { item in
            guard let clusters = item.chain.first else { return nil }
            return Run(clusters: clusters, content: item.isDirectory ? .entries(FATDirectory.encoded(item, label: item === top ? label : nil)) : .file(item))
        }
        root = layout.kind == .fat32 ? [] : FATDirectory.encoded(top, label: label)
        fat = layout.encoded(entries)
        let reserved = try layout.reserved(label: label, free: layout.clusterEnd - UInt32(entries.count), next: UInt32(entries.count))
        if layout.volumeStart > 0 {
            head = try layout.partitionTable + [UInt8](repeating: 0, count: (Int(layout.volumeStart) - 1) * FATLayout.sectorSize) + reserved
        } else { head = reserved }
    }

    /// The run that holds a cluster, or else the next one's start.
    func run(at cluster: UInt32) -> (run: Run?, next: UInt32) {
        var low = 0, high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].clusters.upperBound <= cluster { low = middle + 1 } else { high = middle }
        }
        guard low < runs.count else { return (nil, layout.clusterEnd) }
        return runs[low].clusters.contains(cluster) ? (runs[low], runs[low].clusters.upperBound) : (nil, runs[low].clusters.lowerBound)
    }

    /// Fills the buffer with what the disk was made with. - Parameter file: fills a buffer from an offset of a file.
    func read(_ offset: UInt64, _ buffer: BlockBuffer, file: (FolderItem, UInt64, BlockBuffer) throws(BlockError) -> Void) throws(BlockError) {
        let sector = UInt64(FATLayout.sectorSize)
        var done = 0
        /// Copies from an area that starts at a sector and is as long as `bytes`, zeros up to `end`.
        func copy(_ bytes: [UInt8], from start: UInt64, to end: UInt64) {
            let position = offset + UInt64(done)
            let part = buffer.slice(done, end - position)
            let inside = Int(position - start)
            part.fill()
            if inside < bytes.count {
                bytes.withUnsafeBytes { source in
                    let count = min(part.count, bytes.count - inside)
                    UnsafeMutableRawBufferPointer(start: part.base, count: count).copyMemory(from: UnsafeRawBufferPointer(rebasing: source[inside..<inside + count]))
                }
            }
            done += part.count
        }
        let fatStart = UInt64(layout.fatStart) * sector, secondFAT = fatStart + UInt64(layout.sectorsPerFAT) * sector
        let rootStart = UInt64(layout.rootStart) * sector, dataStart = UInt64(layout.dataStart) * sector
        let clusterSize = UInt64(layout.clusterSize)
        while done < buffer.count {
            let position = offset + UInt64(done)
            if position < fatStart { copy(head, from: 0, to: fatStart) }
            else if position < secondFAT { copy(fat, from: fatStart, to: secondFAT) }
            else if position < rootStart { copy(fat, from: secondFAT, to: rootStart) }
            else if position < dataStart { copy(root, from: rootStart, to: dataStart) }
            else {
                let number = (position - dataStart) / clusterSize + 2
                guard number < UInt64(layout.clusterEnd) else { copy([], from: position, to: UInt64.max); continue }
                let (run, next) = run(at: UInt32(number))
                let end = dataStart + UInt64(next - 2) * clusterSize
                guard let run else { copy([], from: position, to: end); continue }
                let start = dataStart + UInt64(run.clusters.lowerBound - 2) * clusterSize
                switch run.content {
                case .entries(let bytes): copy(bytes, from: start, to: end)
                case .file(let item):
                    let part = buffer.slice(done, end - position)
                    try file(item, position - start, part)
                    done += part.count
                }
            }
        }
    }
}
