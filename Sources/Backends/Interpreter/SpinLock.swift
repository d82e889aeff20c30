// A lock that a forked child can take over: unlike a library mutex, its owner may have vanished with the fork, and then
// the child simply opens it. Held for the translation of a block at most.
import Glibc
import Synchronization

struct SpinLock: ~Copyable {
    private let held = Atomic<Bool>(false)

    borrowing func withLock<T>(_ body: () -> T) -> T {
        var tries = 0
        while held.exchange(true, ordering: .acquiring) {
            tries &+= 1
            if tries & 63 == 0 { sched_yield() }
        }
        defer { held.store(false, ordering: .releasing) }
        return body()
    }

    /// Opens the lock whoever held it.
    /// - Returns: whether it was held.
    borrowing func reset() -> Bool { held.exchange(false, ordering: .sequentiallyConsistent) }
}
