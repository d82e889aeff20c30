// Mirror: copies a node while it is in use, then keeps the copy equal until it takes over (drive-mirror, blockdev-mirror).
// A tracker says what was written meanwhile; passes over the dirty ranges go on until none are left.

import Glibc
import Host

/// Copies a node in use.
public final class MirrorJob: Sendable {
    /// What is copied to begin with.
    public enum Scope: Sendable {
        /// Everything the guest sees.
        case full
        /// What the top image decides: the target stands on the same backing file.
        case top
        /// What the images above this one decide: it is the target.
        case above(Node)
        /// Nothing but what is written from now on.
        case none
    }

    public let source: Node
    public let target: Node
    public let control: JobControl
    private let scope: Scope
    private let tracker: DirtyTracker
    private let gate = WriteGate()
    private struct State { var isReady = false; var wantsEnd = false }
    private let state = Locked(State())

    public init(source: Node, target: Node, scope: Scope = .full, granularity: UInt64 = 65536, control: JobControl) throws(BlockError) {
        self.source = source
        self.target = target
        self.scope = scope
        self.control = control
        tracker = try DirtyTracker(length: try source.length(), granularity: granularity)
        guard try target.length() >= source.length() else { throw .invalid("the target of a mirror is smaller than its source") }
    }

    /// Both have been equal at least once.
    public var isReady: Bool { state.withLock { $0.isReady } }
    /// Lets `run` return as soon as both are equal.
    public func complete() { state.withLock { $0.wantsEnd = true } }

    /// Copies until `complete` is called and both are equal; writes to the source wait during the last pass.
    /// - Parameter pivot: called while they wait: make the guest use the target now.
    public func run(pivot: () throws(BlockError) -> Void = {}) throws(BlockError) {
        source.attach(gate)
        source.attach(tracker)
        defer {
            source.detach(tracker)
            source.detach(gate)
            gate.open()
        }
        let length = try source.length()
        control.begin(length)
        let buffer = try OwnedBuffer(Int(jobPiece))
        if case .none = scope {} else { try markContents(length) }
        control.begin(tracker.dirtyBytes)
        while true {
            try copyDirty(buffer.buffer)
            state.withLock { $0.isReady = true }
            if state.withLock({ $0.wantsEnd }) { break }
            try control.checkpoint(moving: 0)
            if tracker.dirtyBytes == 0 { usleep(5_000) }
        }
        gate.close()
        try copyDirty(buffer.buffer)
        try target.flush()
        try pivot()
        withExtendedLifetime(buffer) {}
    }

    private func markContents(_ length: UInt64) throws(BlockError) {
        var position: UInt64 = 0
        while position < length {
            let status: BlockStatus
            switch scope {
            case .top: status = try source.chainStatus(position, length - position, above: source.backing)
            case .above(let base): status = try source.chainStatus(position, length - position, above: base)
            case .full, .none:
                status = try source.wholeStatus(position, length - position)
                tracker.mark(position, status.length)
            }
            if status.isAllocated { tracker.mark(position, status.length) }
            position += status.length
        }
    }

    private func copyDirty(_ buffer: BlockBuffer) throws(BlockError) {
        var position: UInt64 = 0
        while let range = tracker.next(from: position, limit: jobPiece) {
            let count = range.upperBound - range.lowerBound
            try control.checkpoint(moving: count)
            // Cleared first: a write during the copy marks it again.
            tracker.clear(range.lowerBound, count)
            do { try copyRange(source, target, range, buffer) } catch {
                tracker.mark(range.lowerBound, count)
                throw error
            }
            control.advance(count)
            position = range.upperBound
        }
    }
}

/// Holds writes back.
/// Invariant: the fields are only touched between lock and unlock of `mutex`.
final class WriteGate: WriteObserver, @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var inside = 0
    private var isClosed = false

    init() {
        mutex.initialize(to: pthread_mutex_t())
        changed.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }
    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
    }

    func willWrite(_ offset: UInt64, _ count: UInt64) {
        pthread_mutex_lock(mutex)
        while isClosed { pthread_cond_wait(changed, mutex) }
        inside += 1
        pthread_mutex_unlock(mutex)
    }
    func didWrite(_ offset: UInt64, _ count: UInt64) {
        pthread_mutex_lock(mutex)
        inside = max(0, inside - 1)
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }
    /// Returns when no write is inside; new ones wait.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        while inside > 0 { pthread_cond_wait(changed, mutex) }
        pthread_mutex_unlock(mutex)
    }
    func open() {
        pthread_mutex_lock(mutex)
        isClosed = false
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }
}
