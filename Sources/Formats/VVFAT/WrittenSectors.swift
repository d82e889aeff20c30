// What the guest has written, in a file without a name, until it is seen in the folder and beyond: the disk shows it for as
// long as it is open.

import Block
import Glibc

final class WrittenSectors {
    private let file: Int32
    private var written: [UInt64]
    /// Clusters whose contents the folder may not have yet, by number.
    private var fresh: [UInt64]
    private let layout: FATLayout
    /// Something has been written since the folder was brought up to date.
    var isPending = false

    /// - Throws: there is no place for temporary files.
    init(_ layout: FATLayout) throws(BlockError) {
        self.layout = layout
        written = [UInt64](repeating: 0, count: Int(layout.diskSectors / 64 + 1))
        fresh = [UInt64](repeating: 0, count: Int(layout.clusterEnd / 64 + 1))
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
        let nameless: Int32 = 0o20200000
        var opened = open(folder, nameless | O_RDWR | O_CLOEXEC, 0o600)
        if opened < 0 {
            let name = "\(folder)/apus-vvfat-\(UInt64.random(in: 0...UInt64.max))"
            opened = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            if opened >= 0 { unlink(name) }
        }
        guard opened >= 0 else { throw .host(errno, "Could not make a temporary file in '\(folder)'") }
        file = opened
    }
    deinit { close(file) }

    /// Whether a sector was written, and how many from it, at most `most`, are alike.
    func run(at sector: UInt64, most: UInt64) -> (isWritten: Bool, count: UInt64) {
        let first = Self.bit(written, sector)
        var count: UInt64 = 1
        while count < most, Self.bit(written, sector + count) == first { count += 1 }
        return (first, count)
    }

    /// Reads from written sectors.
    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let count = pread(file, buffer.base + done, buffer.count - done, Int(offset) + done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .host(count == 0 ? EIO : errno, "the temporary file of what was written", offset: offset) }
            done += count
        }
    }

    /// Writes whole sectors.
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let count = pwrite(file, buffer.base + done, buffer.count - done, Int(offset) + done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .host(count == 0 ? ENOSPC : errno, "the temporary file of what was written", offset: offset) }
            done += count
        }
        let first = offset / UInt64(FATLayout.sectorSize)
        for sector in first..<first + UInt64(buffer.count / FATLayout.sectorSize) { written[Int(sector / 64)] |= 1 << (sector % 64) }
    }

    /// Notes that the guest has changed these sectors.
    func note(_ offset: UInt64, _ count: Int) {
        isPending = true
        let size = UInt64(FATLayout.sectorSize), start = UInt64(layout.dataStart)
        for sector in offset / size...(offset + UInt64(max(count, 1)) - 1) / size where sector >= start {
            let cluster = (sector - start) / UInt64(layout.sectorsPerCluster) + 2
            if cluster < UInt64(layout.clusterEnd) { fresh[Int(cluster / 64)] |= 1 << (cluster % 64) }
        }
    }

    func isFresh(_ chain: [Range<UInt32>]) -> Bool { chain.contains { $0.contains { Self.bit(fresh, UInt64($0)) } } }
    func settle(_ chain: [Range<UInt32>]) {
        for run in chain { for cluster in run { fresh[Int(cluster / 64)] &= ~(1 << UInt64(cluster % 64)) } }
    }

    private static func bit(_ bits: [UInt64], _ index: UInt64) -> Bool {
        Int(index / 64) < bits.count && bits[Int(index / 64)] >> (index % 64) & 1 != 0
    }
}
