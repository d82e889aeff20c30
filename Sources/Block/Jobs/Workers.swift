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

/// Lets numbered pieces of work pass in the order of their numbers. At most `places` of them are under way at once.
/// Invariant: `next` is only touched between lock and unlock of `mutex`.
final class Turnstile: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// Who waits for number n waits here at n modulo `places`: each turn wakes one thread, not all.
    private let turns: UnsafeMutablePointer<pthread_cond_t>
    private let places: Int
    private var next = 0

    init(places: Int) {
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        self.places = max(1, places)
        turns = .allocate(capacity: self.places)
        turns.initialize(repeating: pthread_cond_t(), count: self.places)
        for place in 0..<self.places { pthread_cond_init(turns + place, nil) }
    }
    deinit {
        pthread_mutex_destroy(mutex)
        for place in 0..<places { pthread_cond_destroy(turns + place) }
        mutex.deallocate()
        turns.deallocate()
    }

    private func turn(_ number: Int) -> UnsafeMutablePointer<pthread_cond_t> { turns + number % places }

    /// Waits until all smaller numbers have passed.
    func wait(_ number: Int) {
        pthread_mutex_lock(mutex)
        while next < number { pthread_cond_wait(turn(number), mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// Lets the next number pass. Each number calls this once, after `wait`.
    func pass() {
        pthread_mutex_lock(mutex)
        next += 1
        pthread_cond_signal(turn(next))
        pthread_mutex_unlock(mutex)
    }
}
