// A lock of one word, which a forked child can open although the thread that closed it is its parent's.
import Glibc
import Synchronization

/// Held for the translation of a block at most.
struct SpinLock: ~Copyable {
    private let held = Atomic<Bool>(false)

    borrowing func lock() {
        var tries = 0
        while held.exchange(true, ordering: .acquiring) {
            tries &+= 1
            if tries & 63 == 0 { sched_yield() }
        }
    }

    borrowing func unlock() { held.store(false, ordering: .releasing) }

    borrowing func withLock<T>(_ body: () -> T) -> T {
        lock()
        defer { unlock() }
        return body()
    }
}
