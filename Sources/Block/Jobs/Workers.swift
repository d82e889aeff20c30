// Threads that run one job together. Each request in flight is one of them: the calls of the block layer block.

import Glibc
import Host

/// Runs work on several threads.
public enum Workers {
    private final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on `count` threads, this one included, and returns when all are done.
    public static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) {
        var threads: [pthread_t] = []
        for _ in 1..<max(1, count) {
            var thread = pthread_t()
            let start = Unmanaged.passRetained(Start(body))
            let result = pthread_create(&thread, nil, { argument in
                if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, start.toOpaque())
            // With fewer threads it takes longer, no more.
            if result == 0 { threads.append(thread) } else { start.release() }
        }
        body()
        for thread in threads { pthread_join(thread, nil) }
    }
}

/// Lets numbered pieces of work pass in the order of their numbers.
/// Invariant: `next` is only touched between lock and unlock of `mutex`.
final class Turnstile: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let passed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var next = 0

    init() {
        mutex.initialize(to: pthread_mutex_t())
        passed.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(passed, nil)
    }
    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(passed)
        mutex.deallocate()
        passed.deallocate()
    }

    /// Waits until all smaller numbers have passed.
    func wait(_ number: Int) {
        pthread_mutex_lock(mutex)
        while next < number { pthread_cond_wait(passed, mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// Lets the next number pass. Each number calls this once, after `wait`.
    func pass() {
        pthread_mutex_lock(mutex)
        next += 1
        pthread_cond_broadcast(passed)
        pthread_mutex_unlock(mutex)
    }
}
