// A disk as devices see it: a node of the block graph with the guest's pieces of memory for buffers, requests checked and
// counted. virtio-blk, SCSI disks, NVMe and AHCI share it.

import Block
import Core
import Host

/// How a request ended.
public enum DiskResult: Sendable, Equatable {
    case done
    case failed(BlockError.Kind)
    public var isDone: Bool { self == .done }
}

/// What `query-blockstats` and `info blockstats` show.
public struct DiskStatistics: Sendable, Equatable {
    public var readBytes: UInt64 = 0, writtenBytes: UInt64 = 0
    public var reads: UInt64 = 0, writes: UInt64 = 0, flushes: UInt64 = 0
    public var failures: UInt64 = 0
}

/// A disk. All methods may be called from any thread and may block.
public final class BlockDevice: Sendable {
    public static let sectorBytes: UInt64 = 512
    /// Where the disk's node is: jobs and snapshots put another one there.
    public let root: Root
    public let isReadOnly: Bool
    private let counts = Locked(DiskStatistics())
    private let bytes: Locked<UInt64>
    private let cached = AtomicInt(1)
    private let failures = Locked<FailureHandling?>(nil)
    /// When a failure that does not stop the machine was told last, in nanoseconds; 0: never.
    private let told = Locked<UInt64>(0)

    /// - Parameter mayBeEmpty: there need be no medium.
    /// - Throws: the length cannot be had, or a writable disk was asked for and the node is not.
    public init(_ node: Node, isReadOnly: Bool, mayBeEmpty: Bool = false) throws(ConfigurationError) {
        guard mayBeEmpty || !node.isEmpty else { throw ConfigurationError("Device needs media, but drive is empty") }
        root = Root(node)
        self.isReadOnly = isReadOnly
        guard isReadOnly || node.isWritable || node.isEmpty else { throw ConfigurationError("Block node is read-only: '\(node.filename)'") }
        do throws(BlockError) { bytes = Locked(try node.length()) } catch { throw ConfigurationError(error.description) }
    }

    public var node: Node { root.node }

    /// Bytes.
    public var size: UInt64 { bytes.withLock { $0 } }
    public var statistics: DiskStatistics { counts.withLock { $0 } }
    /// The length was changed (`block_resize`).
    public func refreshSize() throws(BlockError) {
        let length = try node.length()
        bytes.withLock { $0 = length }
    }

    /// What becomes of requests that fail; without it the guest is told.
    public func onFailure(_ handling: FailureHandling) { failures.withLock { $0 = handling } }

    public var isEmpty: Bool { node.isEmpty }
    /// Exchanges the medium. - Returns: the old one, whose use the caller gives up.
    public func exchange(_ medium: Node) throws(BlockError) -> Node {
        let length = try medium.length()
        root.enter()
        let old = root.replace(medium)
        bytes.withLock { $0 = length }
        root.leave()
        return old
    }
    /// Requests may be held back for long: a vCPU must not do them itself.
    public var isThrottled: Bool { node.driver == "throttle" }

    /// Off: each write is flushed before it counts as done.
    public var isWriteCacheEnabled: Bool {
        get { cached.load() != 0 }
        set { cached.store(newValue ? 1 : 0) }
    }

    /// Whether `count` bytes from `offset` are on the disk.
    public func contains(_ offset: UInt64, _ count: UInt64) -> Bool {
        let size = size
        return offset <= size && count <= size - offset
    }

    private static func buffers(_ pieces: GuestPieces) -> [BlockBuffer] { pieces.pieces.map { BlockBuffer(base: $0.host, count: $0.count) } }

    /// Reads into the guest's memory.
    public func read(_ offset: UInt64, into pieces: GuestPieces) -> DiskResult {
        guard contains(offset, UInt64(pieces.count)) else { return .failed(.invalid) }
        guard pieces.count > 0 else { return .done }
        pieces.willWrite()
        defer { pieces.willWrite() }
        return run(isWrite: false) { (node) throws(BlockError) in try node.read(offset, scattered: Self.buffers(pieces)) } count: { statistics in
            statistics.reads += 1
            statistics.readBytes += UInt64(pieces.count)
        }
    }

    /// Writes from the guest's memory.
    public func write(_ offset: UInt64, from pieces: GuestPieces) -> DiskResult {
        guard !isReadOnly else { return .failed(.readOnly) }
        guard contains(offset, UInt64(pieces.count)) else { return .failed(.invalid) }
        guard pieces.count > 0 else { return .done }
        return run { (node) throws(BlockError) in
            try node.write(offset, scattered: Self.buffers(pieces))
            if !isWriteCacheEnabled { try node.flush() }
        } count: { statistics in
            statistics.writes += 1
            statistics.writtenBytes += UInt64(pieces.count)
        }
    }

    public func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) -> DiskResult {
        guard !isReadOnly else { return .failed(.readOnly) }
        guard contains(offset, count) else { return .failed(.invalid) }
        return run { (node) throws(BlockError) in
            try node.writeZeroes(offset, count, unmap: unmap)
            if !isWriteCacheEnabled { try node.flush() }
        } count: { $0.writes += 1 }
    }

    public func discard(_ offset: UInt64, _ count: UInt64) -> DiskResult {
        guard !isReadOnly else { return .failed(.readOnly) }
        guard contains(offset, count) else { return .failed(.invalid) }
        return run { (node) throws(BlockError) in try node.discard(offset, count) } count: { _ in }
    }

    /// `count` bytes, at most 64 MiB, to be looked at; nil: they cannot be read.
    func bytes(_ offset: UInt64, _ count: Int) -> [UInt8]? {
        guard contains(offset, UInt64(max(0, count))) else { return nil }
        do throws(BlockError) { return try node.bytes(offset, count) } catch { return nil }
    }

    /// Writes a block `count` times.
    func write(_ offset: UInt64, repeating block: [UInt8], count: Int) -> DiskResult {
        guard !isReadOnly else { return .failed(.readOnly) }
        let step = max(1, min(count, (1 << 20) / max(1, block.count)))
        guard contains(offset, UInt64(count) &* UInt64(block.count)) else { return .failed(.invalid) }
        return run { (node) throws(BlockError) in
            let chunk = [[UInt8]](repeating: block, count: step).flatMap(\.self)
            var done = 0
            while done < count {
                let now = min(step, count - done)
                try node.write(offset + UInt64(done * block.count), bytes: now == step ? chunk : Array(chunk.prefix(now * block.count)))
                done += now
            }
            if !isWriteCacheEnabled { try node.flush() }
        } count: { $0.writes += 1 }
    }

    public func flush() -> DiskResult { run { (node) throws(BlockError) in try node.flush() } count: { $0.flushes += 1 } }

    /// Once a second at most: a guest may repeat what fails as often as it likes. QEMU holds events back as much.
    private func takeTimeToTell() -> Bool {
        let now = EventLoop.now
        return told.withLock { last in
            guard last == 0 || now &- last > 1_000_000_000 else { return false }
            last = now
            return true
        }
    }

    private func run(isWrite: Bool = true, _ body: (Node) throws(BlockError) -> Void, count: (inout DiskStatistics) -> Void) -> DiskResult {
        let dismissals = RequestThread.dismissals
        while true {
            do throws(BlockError) {
                try root.use(body)
                counts.withLock { count(&$0) }
                return .done
            } catch {
                counts.withLock { $0.failures += 1 }
                guard let handling = failures.withLock({ $0 }) else { return .failed(error.kind) }
                var action = handling.action(error, isWrite: isWrite)
                let thread = RequestThread.current
                if action == .stop, thread == .handingOver || thread == .handedOver {
                    RequestThread.current = .handedOver
                    return .failed(error.kind)
                }
                if action == .stop, thread != .worker { action = .report }
                let ticket = handling.gate.ticket
                if action == .stop || takeTimeToTell() { handling.tell(error, action, isWrite: isWrite, node: node.name) }
                switch action {
                case .ignore: return .done
                case .stop where handling.gate.wait(ticket, { RequestThread.dismissals != dismissals }): continue
                case .report, .stop: return .failed(error.kind)
                }
            }
        }
    }
}

/// A device with disks, which a monitor shows and whose nodes it exchanges.
public protocol DiskOwner {
    var disks: [BlockDevice] { get }
    /// A disk has another length: the guest is told. Under the device's lock.
    func sizeChanged()
}
