import Glibc

/// A value behind a lock that survives `fork`.
///
/// `Synchronization.Mutex` must not be used where a forked child runs on: on Linux it is a priority-inheriting futex
/// that stores a *cached* thread id, which is stale in the child, so the first contended lock there kills the process.
/// This one is a plain `pthread_mutex_t`: whoever forks takes it first (`lock`), and both sides release it (`unlock`).
///
/// Invariant: `value` is only touched between `pthread_mutex_lock` and `pthread_mutex_unlock`.
public final class Locked<Value: Sendable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    public init(_ value: Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the value. Not recursive.
    @inlinable
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return try access(body)
    }

    @usableFromInline
    func access<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(&value)
    }

    /// Takes the lock without the value, so that `fork` finds it consistent.
    public func lock() { pthread_mutex_lock(mutex) }
    /// Releases what `lock` took, in the parent or in the child.
    public func unlock() { pthread_mutex_unlock(mutex) }
}
