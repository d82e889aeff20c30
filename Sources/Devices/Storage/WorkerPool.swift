// Threads that do what blocks: requests to images. Made when there is work, gone when the pool is.

import CHost
import Glibc
import Host

/// A pool of at most `maximum` threads. All methods may be called from any thread.
///
/// Invariant: `state` is only touched between lock and unlock of `mutex`.
public final class WorkerPool: @unchecked Sendable {
    private let core: Core
    public let maximum: Int

    private final class Core: @unchecked Sendable {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var jobs: [@Sendable () -> Void] = []
        var first = 0
        var threads = 0
        var idle = 0
        var isEnding = false

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

        func run() {
            pthread_mutex_lock(mutex)
            while true {
                if first < jobs.count {
                    let job = jobs[first]
                    first += 1
                    if first == jobs.count {
                        jobs.removeAll(keepingCapacity: true)
                        first = 0
                    }
                    pthread_mutex_unlock(mutex)
                    job()
                    pthread_mutex_lock(mutex)
                } else if isEnding {
                    break
                } else {
                    idle += 1
                    pthread_cond_wait(changed, mutex)
                    idle -= 1
                }
            }
            threads -= 1
            pthread_mutex_unlock(mutex)
        }
    }

    public init(maximum: Int) {
        core = Core()
        self.maximum = max(1, maximum)
    }

    deinit {
        pthread_mutex_lock(core.mutex)
        core.isEnding = true
        pthread_cond_broadcast(core.changed)
        pthread_mutex_unlock(core.mutex)
    }

    /// Has `job` run soon; jobs begin in the order they come.
    public func submit(_ job: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(core.mutex)
        core.jobs.append(job)
        let waiting = core.jobs.count - core.first
        if core.idle >= waiting {
            pthread_cond_signal(core.changed)
        } else if core.threads < maximum {
            core.threads += 1
            let box = Unmanaged.passRetained(core)
            let result = apus_thread_start({ argument in
                if let argument { Unmanaged<Core>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque(), 1 << 20)
            if result != 0 {
                box.release()
                core.threads -= 1
            }
        } else if core.idle > 0 {
            pthread_cond_signal(core.changed)
        }
        let isStranded = core.threads == 0
        pthread_mutex_unlock(core.mutex)
        // The host gives no thread: the caller has to wait for it.
        if isStranded { runHere() }
    }

    private func runHere() {
        while true {
            pthread_mutex_lock(core.mutex)
            guard core.first < core.jobs.count else { return _ = pthread_mutex_unlock(core.mutex) }
            let job = core.jobs.removeFirst()
            pthread_mutex_unlock(core.mutex)
            job()
        }
    }
}

/// Counts what is under way, and waits until nothing is.
///
/// Invariant: `count` is only touched between lock and unlock of `mutex`.
public final class InFlight: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let ended = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var count = 0

    public init() {
        mutex.initialize(to: pthread_mutex_t())
        ended.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(ended, nil)
    }
    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(ended)
        mutex.deallocate()
        ended.deallocate()
    }

    public func begin(_ number: Int = 1) {
        pthread_mutex_lock(mutex)
        count += number
        pthread_mutex_unlock(mutex)
    }
    public func end(_ number: Int = 1) {
        pthread_mutex_lock(mutex)
        count -= number
        if count == 0 { pthread_cond_broadcast(ended) }
        pthread_mutex_unlock(mutex)
    }
    public func wait() {
        pthread_mutex_lock(mutex)
        while count > 0 { pthread_cond_wait(ended, mutex) }
        pthread_mutex_unlock(mutex)
    }
}
