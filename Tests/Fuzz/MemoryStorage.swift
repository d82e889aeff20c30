// A file in memory, as long as 64 MiB: what grows beyond that meets a full disk.

import Block
import Host

final class MemoryStorage: WritableStorage, ResizableStorage {
    private let bytes: Locked<[UInt8]>
    private static let longest = 64 << 20

    init(_ contents: [UInt8]) { bytes = Locked(contents) }

    var growsOnWrite: Bool { true }
    func length() -> UInt64 { bytes.withLock { UInt64($0.count) } }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) {
        buffer.fill()
        bytes.withLock { bytes in
            guard offset < UInt64(bytes.count) else { return }
            let start = Int(offset)
            buffer.copy(from: Array(bytes[start..<min(bytes.count, start + buffer.count)]))
        }
    }
    private func grow(_ bytes: inout [UInt8], _ offset: UInt64, _ count: UInt64) throws(BlockError) {
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard !overflow, end <= UInt64(MemoryStorage.longest) else { throw BlockError(.noSpace, "the disk is full") }
        if end > UInt64(bytes.count) { bytes += repeatElement(0, count: Int(end) - bytes.count) }
    }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try bytes.withLock { (bytes) throws(BlockError) in
            try grow(&bytes, offset, UInt64(buffer.count))
            bytes.replaceSubrange(Int(offset)..<Int(offset) + buffer.count, with: buffer.bytes)
        }
    }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        try bytes.withLock { (bytes) throws(BlockError) in
            try grow(&bytes, offset, count)
            for index in Int(offset)..<Int(offset + count) { bytes[index] = 0 }
        }
    }
    func discard(_ offset: UInt64, _ count: UInt64) {}
    func setLength(_ length: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        try bytes.withLock { (bytes) throws(BlockError) in
            try grow(&bytes, length, 0)
            if length < UInt64(bytes.count) { bytes.removeLast(bytes.count - Int(length)) }
        }
    }
    func flush() {}
    func status(_ offset: UInt64, _ count: UInt64) -> BlockStatus { BlockStatus(length: count, isData: true, isZero: false, offset: offset) }
    func close() {}
}
