// A lock over ranges of guest bytes: many shared holders, or one exclusive holder, per byte. Keeps what `map` answered
// true while a request uses it. Waiting is first come, first served only per range, which is enough for disks.
// Invariant: `held` is only touched between lock and unlock of `mutex`.

import Glibc

final class RangeLock: @unchecked Sendable {
    struct Hold {
        var start: UInt64
        var end: UInt64
        var exclusive: Bool
        var number: UInt64
    }
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let released = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var held: [Hold] = []
    private var waiting = 0
    private var next: UInt64 = 0

    init() {
        mutex.initialize(to: pthread_mutex_t())
        released.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(released, nil)
        held.reserveCapacity(16)
    }
    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(released)
        mutex.deallocate()
        released.deallocate()
    }

    /// Waits until the range is free for this use; returns the number to `release` it by.
    func acquire(_ start: UInt64, _ end: UInt64, exclusive: Bool) -> UInt64 {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while held.contains(where: { $0.start < end && start < $0.end && (exclusive || $0.exclusive) }) {
            waiting += 1
            pthread_cond_wait(released, mutex)
            waiting -= 1
        }
        next &+= 1
        held.append(Hold(start: start, end: end, exclusive: exclusive, number: next))
        return next
    }

    func release(_ number: UInt64) {
        pthread_mutex_lock(mutex)
        if let index = held.firstIndex(where: { $0.number == number }) { held.swapAt(index, held.count - 1); held.removeLast() }
        if waiting > 0 { pthread_cond_broadcast(released) }
        pthread_mutex_unlock(mutex)
    }
}
