import Glibc

/// A value behind a lock, and threads that wait for it to change.
///
/// Invariant: `value` is only touched between `pthread_mutex_lock` and `pthread_mutex_unlock`.
public final class Waiting<Value: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var value: Value

    public init(_ value: Value) {
        self.value = value
        mutex.initialize(to: pthread_mutex_t())
        changed.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }
    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Changes the value and wakes all who wait.
    public func change<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_cond_broadcast(changed); pthread_mutex_unlock(mutex) }
        return body(&value)
    }
    /// Looks at the value, or changes it in a way that nobody waits for.
    public func look<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }
    /// Calls `body` now and after each change until it gives a result; nil once `seconds` have passed without one.
    public func wait<Result>(seconds: Double = .infinity, _ body: (inout Value) -> Result?) -> Result? {
        var deadline = timespec()
        if seconds.isFinite {
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            let nanoseconds = deadline.tv_nsec + Int(max(0, min(seconds, 1e9)) * 1e9)
            deadline.tv_sec += nanoseconds / 1_000_000_000
            deadline.tv_nsec = nanoseconds % 1_000_000_000
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            if seconds.isFinite {
                if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return body(&value) }
            } else { pthread_cond_wait(changed, mutex) }
        }
    }
}
