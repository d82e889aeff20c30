// A disk that can lose its power: writes go to memory, and count only after a flush. When the power fails, each sector
// written since the last flush is there or not, as chance has it; changes of the length too.

import Block
import Foundation

final class PowerLossStorage: WritableStorage, ResizableStorage, @unchecked Sendable {
    private enum Change { case write(Int, [UInt8]), zero(Int, Int), length(Int) }
    private let lock = NSLock()
    private var safe: [UInt8]
    private var now: [UInt8]
    private var pending: [Change] = []

    init(_ contents: [UInt8]) {
        safe = contents
        now = contents
    }

    var growsOnWrite: Bool { true }
    func length() -> UInt64 { lock.withLock { UInt64(now.count) } }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) {
        lock.withLock {
            buffer.fill()
            let start = Int(clamping: offset)
            if start < now.count { buffer.copy(from: Array(now[start..<min(now.count, start + buffer.count)])) }
        }
    }
    private func change(_ change: Change) {
        PowerLossStorage.apply(change, to: &now)
        pending.append(change)
    }
    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        func grow(_ end: Int) { if end > bytes.count { bytes += repeatElement(0, count: end - bytes.count) } }
        switch change {
        case .write(let start, let data):
            grow(start + data.count)
            bytes.replaceSubrange(start..<start + data.count, with: data)
        case .zero(let start, let count):
            grow(start + count)
            bytes.replaceSubrange(start..<start + count, with: repeatElement(0, count: count))
        case .length(let length):
            if length < bytes.count { bytes.removeLast(bytes.count - length) }
            grow(length)
        }
    }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) { lock.withLock { change(.write(Int(offset), buffer.bytes)) } }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) { lock.withLock { change(.zero(Int(offset), Int(count))) } }
    func discard(_ offset: UInt64, _ count: UInt64) {}
    func setLength(_ length: UInt64, _ preallocation: Preallocation) { lock.withLock { change(.length(Int(length))) } }
    func flush() { lock.withLock { safe = now; pending = [] } }
    func status(_ offset: UInt64, _ count: UInt64) -> BlockStatus { BlockStatus(length: count, isData: true, isZero: false, offset: offset) }
    func close() {}

    /// What the disk holds after a loss of power now.
    func contentsAfterLoss(_ random: inout Seeded) -> [UInt8] {
        lock.withLock {
            var bytes = safe
            let chance = random.below(5)
            for change in pending {
                switch change {
                case .write(let start, let data):
                    // Torn at 512-byte sectors.
                    var at = 0
                    while at < data.count {
                        let end = min(data.count, (start + at) / 512 * 512 + 512 - start)
                        if random.below(4) < chance { PowerLossStorage.apply(.write(start + at, Array(data[at..<end])), to: &bytes) }
                        at = end
                    }
                case .zero(let start, let count):
                    if random.below(4) < chance { PowerLossStorage.apply(.zero(start, Int(random.below(UInt64(count) + 1))), to: &bytes) }
                case .length: if random.below(4) < chance { PowerLossStorage.apply(change, to: &bytes) }
                }
            }
            return bytes
        }
    }
}
