// blklogwrites: writes go to the node behind and, in order, into a log in the format of Linux's dm-log-writes
// (Documentation/admin-guide/device-mapper/log-writes.rst): a superblock of one sector, then for each entry a sector with
// its header and its data. Little endian. Tools that replay such logs can then show the disk at any moment.

import Host

final class LoggedStorage: FilterStorage {
    private static let magic: UInt64 = 0x6a73_6677_7368_72
    private enum Flag { static let flush: UInt64 = 1, discard: UInt64 = 4 }
    private struct State { var position: UInt64; var entries: UInt64 = 0 }
    let file: Node
    private let log: Node
    private let sector: UInt64
    private let state: Locked<State>

    init(file: Node, log: Node, sector: UInt64) throws(BlockError) {
        self.file = file
        self.log = log
        self.sector = sector
        state = Locked(State(position: sector))
        try writeSuperblock(entries: 0)
    }

    private func writeSuperblock(entries: UInt64) throws(BlockError) {
        var block = Bytes([UInt8](repeating: 0, count: Int(sector)), order: .little)
        try block.set(0, LoggedStorage.magic)
        try block.set(8, UInt64(1))
        try block.set(16, entries)
        try block.set(24, UInt32(truncatingIfNeeded: sector))
        try log.write(0, bytes: block.array)
    }

    /// Does the request and notes it, one at a time: the log's order is the disk's.
    private func note(_ offset: UInt64, _ count: UInt64, _ flags: UInt64, _ data: BlockBuffer?, _ request: () throws(BlockError) -> Void) throws(BlockError) {
        guard offset % sector == 0, count % sector == 0 else {
            throw .invalid("a logged write of \(count) bytes at \(offset): expected multiples of \(sector)")
        }
        try state.withLock { (state) throws(BlockError) in
            try request()
            var entry = Bytes([UInt8](repeating: 0, count: Int(sector)), order: .little)
            try entry.set(0, offset / sector)
            try entry.set(8, count / sector)
            try entry.set(16, flags)
            try log.write(state.position, bytes: entry.array)
            state.position += sector
            if let data {
                try log.write(state.position, data)
                state.position += count
            }
            state.entries += 1
            if flags & Flag.flush != 0 {
                try writeSuperblock(entries: state.entries)
                try log.flush()
            }
        }
    }

    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try note(offset, UInt64(buffer.count), 0, buffer) { () throws(BlockError) in try file.write(offset, buffer) }
    }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) { try writeZeroesAsData(offset, count) }
    func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        try note(offset, count, Flag.discard, nil) { () throws(BlockError) in try file.discard(offset, count) }
    }
    func flush() throws(BlockError) {
        try note(0, 0, Flag.flush, nil) { () throws(BlockError) in try file.flush() }
    }
    func close() throws(BlockError) {
        try writeSuperblock(entries: state.withLock { $0.entries })
        try log.close()
    }
}

/// The filter `blklogwrites`.
public enum WriteLogDriver: FilterDriver {
    public static let name = "blklogwrites"
    public static let options = [
        OptionDeclaration("log.filename", .text, "the file to log to; made anew"),
        OptionDeclaration("log-sector-size", .size, default: "512", "bytes of a sector of the log"),
    ]
    public static func open(_ file: Node, _ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        guard let path = options.text("log.filename") else { throw .invalid("blklogwrites needs log.filename") }
        let sector = options.number("log-sector-size") ?? 512
        guard sector >= 512, sector <= 8 << 20, sector & (sector - 1) == 0 else { throw .invalid("log-sector-size \(sector): expected a power of two from 512 to 8 MiB") }
        try FileDriver.create(path, size: 0, OptionValues(FileDriver.createOptions))
        let storage = try FileStorage(path: path, .readWrite)
        return try LoggedStorage(file: file, log: Node(name: "log", driver: "file", filename: path, storage: storage, access: .readWrite), sector: sector)
    }
}
