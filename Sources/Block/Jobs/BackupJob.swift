// Backup: a copy of a node as it was when the job began, while it is in use (drive-backup, blockdev-backup). What a guest
// is about to overwrite is copied first. With a bitmap, only what was written since the last backup.

import Host

/// Copies a node as it is now.
public final class BackupJob: Sendable, WriteObserver {
    public let source: Node
    public let target: Node
    public let control: JobControl
    /// What still has to be copied.
    private let left: DirtyTracker
    /// One granule is copied by one thread at a time.
    private let copying = RangeLock()
    private let failure = Locked<BlockError?>(nil)
    private let hasBegun = Locked(false)

    /// - Parameter changes: for an incremental backup, what was written since the last one; all of it is copied, and
    ///   only that.
    public init(source: Node, target: Node, changes: DirtyTracker? = nil, granularity: UInt64 = 65536, control: JobControl) throws(BlockError) {
        self.source = source
        self.target = target
        self.control = control
        let length = try source.length()
        guard try target.length() >= length else { throw .invalid("the target of a backup is smaller than its source") }
        left = try DirtyTracker(length: length, granularity: max(granularity, changes?.granularity ?? 512))
        if let changes {
            var position: UInt64 = 0
            while let range = changes.next(from: position, limit: 1 << 30) {
                left.mark(range.lowerBound, range.upperBound - range.lowerBound)
                position = range.upperBound
            }
        } else { left.mark(0, length) }
    }

    /// From now on, what is overwritten is copied first: the copy will be of this moment. `run` does it if nobody has.
    public func begin() {
        let isNew = hasBegun.withLock { begun in
            defer { begun = true }
            return !begun
        }
        if isNew { source.attach(self) }
    }
    /// Ends what `begin` began, where `run` is not called.
    public func abandon() { source.detach(self) }

    public func run() throws(BlockError) {
        begin()
        defer { source.detach(self) }
        control.begin(left.dirtyBytes)
        let buffer = try OwnedBuffer(Int(max(jobPiece, left.granularity)))
        var position: UInt64 = 0
        while let range = left.next(from: position, limit: jobPiece) {
            try control.checkpoint(moving: range.upperBound - range.lowerBound)
            try copy(range, buffer.buffer)
            if let failure = failure.withLock({ $0 }) { throw failure }
            position = range.upperBound
        }
        try target.flush()
        withExtendedLifetime(buffer) {}
    }

    /// Copies what of the range has not been copied yet.
    private func copy(_ range: Range<UInt64>, _ buffer: BlockBuffer) throws(BlockError) {
        let hold = copying.acquire(range.lowerBound, range.upperBound, exclusive: true)
        defer { copying.release(hold) }
        var position = range.lowerBound
        while let part = left.next(from: position, limit: UInt64(buffer.count)), part.lowerBound < range.upperBound {
            let end = min(part.upperBound, range.upperBound)
            try copyRange(source, target, part.lowerBound..<end, buffer)
            left.clear(part.lowerBound, end - part.lowerBound)
            control.advance(end - part.lowerBound)
            position = end
        }
    }

    /// The old contents go to the target first. A target that fails fails the job, not the guest.
    public func willWrite(_ offset: UInt64, _ count: UInt64) {
        let start = offset.roundedDown(to: left.granularity)
        let end = min((offset &+ count).roundedUp(to: left.granularity) ?? left.length, left.length)
        guard start < end, failure.withLock({ $0 == nil }) else { return }
        do throws(BlockError) {
            let buffer = try OwnedBuffer(Int(max(jobPiece, left.granularity)))
            try copy(start..<end, buffer.buffer)
            withExtendedLifetime(buffer) {}
        } catch { failure.withLock { $0 = $0 ?? error } }
    }
    public func didWrite(_ offset: UInt64, _ count: UInt64) {}
}
