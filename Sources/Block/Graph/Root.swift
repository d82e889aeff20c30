// What a user of the graph holds on to: the top of a chain. Snapshots and jobs put another node there while the user goes on;
// its requests wait meanwhile.
// Invariant: `current` is read with the lock shared, and written with it exclusive.

import Glibc

/// The place at the top of a chain, in which one node is at a time.
public final class Root: @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
    private var current: Node

    /// Takes over the caller's use of the node.
    public init(_ node: Node) {
        current = node
        lock.initialize(to: pthread_rwlock_t())
        var attributes = pthread_rwlockattr_t()
        pthread_rwlockattr_init(&attributes)
        // Whoever wants to change the node gets his turn, however many requests there are.
        pthread_rwlockattr_setkind_np(&attributes, Int32(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP))
        pthread_rwlock_init(lock, &attributes)
        pthread_rwlockattr_destroy(&attributes)
    }
    deinit {
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    /// The node there now; it may be another one soon.
    public var node: Node {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return current
    }

    /// Runs a request on the node. Not to be nested.
    public func use<Result>(_ body: (Node) throws(BlockError) -> Result) throws(BlockError) -> Result {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body(current)
    }

    /// Keeps requests out until `leave`; those in flight are over when this returns.
    public func enter() { pthread_rwlock_wrlock(lock) }
    /// Between `enter` and `leave`: puts another node there, whose use is taken over, and returns the old one with its.
    public func replace(_ node: Node) -> Node {
        let old = current
        current = node
        return old
    }
    /// Between `enter` and `leave`.
    public var held: Node { current }
    public func leave() { pthread_rwlock_unlock(lock) }
}
