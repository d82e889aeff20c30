// The disk: what was made from the folder, under what the guest has written. Not for several threads at once.

import Block
import Glibc

final class VVFATDisk {
    let folder: HostFolder
    let image: FATImage
    let top: FolderItem
    /// Nil: the disk cannot be written.
    let written: WrittenSectors?
    private var openFiles: [(item: FolderItem, descriptor: Int32)] = []
    private static let mostOpenFiles = 16

    init(_ path: String, kind: FATKind?, isFloppy: Bool, label: String, isWritable: Bool) throws(BlockError) {
        folder = try HostFolder(path)
        top = try FolderItem.scan(folder)
        image = try FATImage(top, kind: kind, isFloppy: isFloppy, label: label, named: path)
        written = isWritable ? try WrittenSectors(image.layout) : nil
    }
    deinit { for file in openFiles { close(file.descriptor) } }

    var layout: FATLayout { image.layout }
    var length: UInt64 { UInt64(layout.diskSectors) * UInt64(FATLayout.sectorSize) }

    // MARK: reading

    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard let written else { return try readMade(offset, buffer) }
        let size = UInt64(FATLayout.sectorSize)
        var done = 0
        while done < buffer.count {
            let position = offset + UInt64(done)
            let sectors = UInt64(buffer.count - done).divided(roundingUpBy: size) + 1
            let run = written.run(at: position / size, most: sectors)
            let part = buffer.slice(done, (position / size + run.count) * size - position)
            if run.isWritten { try written.read(position, part) } else { try readMade(position, part) }
            done += part.count
        }
    }

    private func readMade(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try image.read(offset, buffer) { (item, inside, part) throws(BlockError) in
            let file = try descriptor(of: item)
            var done = 0
            while done < part.count {
                let count = pread(file, part.base + done, part.count - done, Int(inside) + done)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw .host(errno, "'\(folder.name)/\(String(decoding: item.path, as: UTF8.self))'", offset: inside) }
                // Beyond the file's end, its last cluster is zeros.
                guard count > 0 else { part.slice(done, Int.max).fill(); break }
                done += count
            }
            // What a file has grown by since is not the guest's.
            if inside + UInt64(part.count) > UInt64(item.originalSize) { part.slice(Int(clamping: Int64(item.originalSize) - Int64(inside)), Int.max).fill() }
        }
    }

    private func descriptor(of item: FolderItem) throws(BlockError) -> Int32 {
        if let open = openFiles.first(where: { $0.item === item }) { return open.descriptor }
        let opened = try folder.openFile(item.path)
        if openFiles.count == Self.mostOpenFiles { close(openFiles.removeFirst().descriptor) }
        openFiles.append((item, opened))
        return opened
    }

    func bytes(_ offset: UInt64, _ count: Int) throws(BlockError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try BlockBuffer.with(&bytes) { (buffer) throws(BlockError) in try read(offset, buffer) }
        return bytes
    }

    /// Whether the bytes are known to be zeros: unwritten clusters of nobody.
    func status(_ offset: UInt64, _ count: UInt64) -> BlockStatus {
        let size = UInt64(FATLayout.sectorSize), cluster = UInt64(layout.clusterSize)
        let end = min(length, offset + count), start = UInt64(layout.dataStart) * size
        func answer(_ isData: Bool, to limit: UInt64) -> BlockStatus { BlockStatus(length: max(1, min(limit, end) - offset), isData: isData, isZero: !isData) }
        guard offset >= start else { return answer(true, to: start) }
        var limit = end
        if let written {
            let run = written.run(at: offset / size, most: (end - offset).divided(roundingUpBy: size) + 1)
            limit = (offset / size + run.count) * size
            if run.isWritten { return answer(true, to: limit) }
        }
        let number = (offset - start) / cluster + 2
        guard number < UInt64(layout.clusterEnd) else { return answer(false, to: limit) }
        let (run, next) = image.run(at: UInt32(number))
        return answer(run != nil, to: min(limit, start + UInt64(next - 2) * cluster))
    }

    // MARK: writing

    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard let written else { throw BlockError(.readOnly, "the folder is shown read-only: fat:rw: lets it be written") }
        guard buffer.count > 0 else { return }
        let size = UInt64(FATLayout.sectorSize)
        if offset % size == 0, UInt64(buffer.count) % size == 0 {
            try written.write(offset, buffer)
        } else {
            // The sectors at the ends keep what is not overwritten.
            let start = offset.roundedDown(to: size), end = (offset + UInt64(buffer.count)).divided(roundingUpBy: size) * size
            let whole = try OwnedBuffer(Int(end - start))
            try read(start, whole.buffer)
            whole.buffer.slice(Int(offset - start), buffer.count).copy(from: buffer)
            try written.write(start, whole.buffer)
            withExtendedLifetime(whole) {}
        }
        written.note(offset, buffer.count)
    }

    /// From now on, a file's clusters are read from what was kept of them: the file is about to change.
    func detach(_ item: FolderItem) throws(BlockError) {
        guard let clusters = item.origin, let written else { return }
        let start = UInt64(layout.sector(ofCluster: clusters.lowerBound)) * 512, end = start + UInt64(clusters.count) * UInt64(layout.clusterSize)
        let piece = try OwnedBuffer(1 << 20)
        var position = start
        while position < end {
            let run = written.run(at: position / 512, most: (end - position) / 512)
            let part = piece.buffer.slice(0, run.count * 512)
            if run.isWritten { position += run.count * 512; continue }
            try readMade(position, part)
            try written.write(position, part)
            position += UInt64(part.count)
        }
        withExtendedLifetime(piece) {}
        item.origin = nil
        if let index = openFiles.firstIndex(where: { $0.item === item }) { close(openFiles.remove(at: index).descriptor) }
    }

    /// Fills a buffer from a place in a chain of clusters.
    func read(_ chain: [Range<UInt32>], _ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var skipped = offset, done = 0
        for run in chain where done < buffer.count {
            let size = UInt64(run.count) * UInt64(layout.clusterSize)
            if skipped >= size { skipped -= size; continue }
            let part = buffer.slice(done, size - skipped)
            try read(UInt64(layout.sector(ofCluster: run.lowerBound)) * 512 + skipped, part)
            done += part.count
            skipped = 0
        }
        buffer.slice(done, Int.max).fill()
    }
}
