// One vCPU at a time, in turns: what `-accel tcg,thread=single` asks for.

import Glibc
import Host

/// Who may run. A vCPU that has run for a while is asked to leave when another waits.
final class Turns: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    // Guarded by `lock`.
    private var owner: Processor?
    private var waiting: [ObjectIdentifier] = []

    private static let milliseconds = 5

    init() {
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// Waits until it is the processor's turn. If it has it already, others that wait come first.
    func enter(_ processor: Processor) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        if owner === processor {
            guard !waiting.isEmpty else { return }
            owner = nil
            pthread_cond_broadcast(condition)
        }
        let me = ObjectIdentifier(processor)
        waiting.append(me)
        while owner != nil || waiting.first != me {
            var deadline = timespec()
            clock_gettime(CLOCK_REALTIME, &deadline)
            deadline.tv_nsec += Self.milliseconds * 1_000_000
            if deadline.tv_nsec >= 1_000_000_000 {
                deadline.tv_nsec -= 1_000_000_000
                deadline.tv_sec += 1
            }
            if pthread_cond_timedwait(condition, lock, &deadline) != 0, let owner, waiting.first == me { owner.requestInterrupt() }
        }
        waiting.removeFirst()
        owner = processor
    }

    /// Gives the turn up, if the processor has it.
    func leave(_ processor: Processor) {
        pthread_mutex_lock(lock)
        if owner === processor {
            owner = nil
            pthread_cond_broadcast(condition)
        }
        pthread_mutex_unlock(lock)
    }
}
