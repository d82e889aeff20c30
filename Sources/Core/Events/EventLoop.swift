// One thread that waits for descriptors and deadlines and calls whoever asked: what back ends of devices run on.

import CHost
import Glibc
import Host

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let read = Readiness(rawValue: 1)
    public static let write = Readiness(rawValue: 2)
    /// The other side is gone, or an error is pending. Always reported.
    public static let hangUp = Readiness(rawValue: 4)
}

/// A descriptor that an event loop watches; ends when released or cancelled. The descriptor is not closed.
public final class Watch: Sendable {
    fileprivate let number: UInt64
    private let loop: EventLoop
    public let descriptor: Int32

    fileprivate init(_ loop: EventLoop, _ number: UInt64, _ descriptor: Int32) {
        self.loop = loop
        self.number = number
        self.descriptor = descriptor
    }

    /// Changes what is waited for.
    public func wait(for readiness: Readiness) { loop.change(self, readiness) }
    /// No call of the handler begins after this, unless it comes from another thread while one is under way.
    public func cancel() { loop.forget(number, descriptor) }
    deinit { cancel() }
}

/// An event loop on a thread of its own. All methods may be called from any thread.
public final class EventLoop: @unchecked Sendable {
    private struct State: Sendable {
        var handlers: [UInt64: @Sendable (Readiness) -> Void] = [:]
        var jobs: [@Sendable () -> Void] = []
        /// Deadlines in nanoseconds of the host's monotonic clock, by timer number.
        var deadlines: [UInt64: UInt64] = [:]
        var timers: [UInt64: @Sendable () -> Void] = [:]
        var next: UInt64 = 1
        var isStopped = false
        /// The loop's own thread, once it runs.
        var thread: pthread_t = 0
    }

    private enum Operation {
        static let add: Int32 = 0, change: Int32 = 1, remove: Int32 = 2
    }

    public let name: String
    private let state = Locked(State())
    private let epoll: Int32
    private let wake: Int32

    /// - Returns: nil if the host has no descriptors or threads left.
    public init?(name: String) {
        self.name = name
        epoll = apus_events_open()
        wake = apus_wake_open()
        guard epoll >= 0, wake >= 0, apus_events_control(epoll, Operation.add, wake, Readiness.read.rawValue, 0) == 0 else { return nil }
        let box = Unmanaged.passRetained(self)
        let started = apus_thread_start({ argument in
            guard let argument else { return nil }
            Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        }, box.toOpaque(), 1 << 20)
        if started != 0 {
            box.release()
            return nil
        }
    }

    deinit {
        close(epoll)
        close(wake)
    }

    /// Nanoseconds of the host's monotonic clock.
    public static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// Runs `job` on the loop's thread, soon.
    public func submit(_ job: @escaping @Sendable () -> Void) {
        let isCurrent = state.withLock { state in
            state.jobs.append(job)
            return state.thread == pthread_self()
        }
        // The loop looks for jobs before it waits.
        if !isCurrent { notify() }
    }

    /// Whether the caller runs on the loop's thread.
    public var isCurrent: Bool { state.withLock { $0.thread == pthread_self() } }

    /// Runs `body` on the loop's thread and waits for its result. The caller must hold no lock that a handler takes.
    public func perform<Result: Sendable>(_ body: @escaping @Sendable () -> Result) -> Result {
        if isCurrent { return body() }
        let done = Waiting<Result?>(nil)
        submit {
            let result = body()
            done.change { $0 = result }
        }
        while true { if let result = done.wait({ $0 }) { return result } }
    }

    /// Runs `job` once on the loop's thread, `nanoseconds` from now.
    public func submit(after nanoseconds: UInt64, _ job: @escaping @Sendable () -> Void) {
        let number = state.withLock { state in
            let number = state.next
            state.next += 1
            state.timers[number] = { [weak self] in
                self?.removeTimer(number)
                job()
            }
            return number
        }
        arm(number, at: Self.now &+ nanoseconds)
    }

    /// Ends the thread; handlers are not called any more.
    public func stop() {
        state.withLock { $0.isStopped = true }
        notify()
    }

    // MARK: descriptors

    /// Watches `descriptor` (one watch a descriptor) until the result is released.
    /// - Returns: nil if the descriptor cannot be waited for (a regular file: it is always ready).
    public func watch(_ descriptor: Int32, for readiness: Readiness, _ handler: @escaping @Sendable (Readiness) -> Void) -> Watch? {
        let number = state.withLock { state in
            let number = state.next
            state.next += 1
            state.handlers[number] = handler
            return number
        }
        guard apus_events_control(epoll, Operation.add, descriptor, readiness.rawValue, number) == 0 else {
            state.withLock { state in state.handlers[number] = nil }
            return nil
        }
        return Watch(self, number, descriptor)
    }

    fileprivate func change(_ watch: Watch, _ readiness: Readiness) {
        _ = apus_events_control(epoll, Operation.change, watch.descriptor, readiness.rawValue, watch.number)
    }

    fileprivate func forget(_ number: UInt64, _ descriptor: Int32) {
        let known = state.withLock { $0.handlers.removeValue(forKey: number) != nil }
        if known { _ = apus_events_control(epoll, Operation.remove, descriptor, 0, 0) }
    }

    // MARK: timers

    /// A number for `handler`, which `arm` has called.
    func addTimer(_ handler: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            let number = state.next
            state.next += 1
            state.timers[number] = handler
            return number
        }
    }

    func removeTimer(_ number: UInt64) {
        state.withLock { state in
            state.timers[number] = nil
            state.deadlines[number] = nil
        }
    }

    /// Has the timer called once at `deadline` (nanoseconds of `now`), or never.
    func arm(_ number: UInt64, at deadline: UInt64?) {
        let isSooner = state.withLock { state in
            let soonest = state.deadlines.values.min() ?? .max
            state.deadlines[number] = deadline
            return (deadline ?? .max) < soonest
        }
        if isSooner { notify() }
    }

    // MARK: the thread

    private func notify() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    private func run() {
        state.withLock { $0.thread = pthread_self() }
        var events = [apus_event](repeating: apus_event(), count: 64)
        while true {
            let (isStopped, timeout) = state.withLock { state -> (Bool, Int64) in
                if state.isStopped { return (true, 0) }
                if !state.jobs.isEmpty { return (false, 0) }
                guard let soonest = state.deadlines.values.min() else { return (false, -1) }
                let now = Self.now
                return (false, soonest > now ? Int64(clamping: soonest - now) : 0)
            }
            if isStopped { return }
            let count = apus_events_wait(epoll, &events, timeout)
            for index in 0 ..< max(0, Int(count)) {
                let number = events[index].number
                if number == 0 {
                    var value: UInt64 = 0
                    _ = read(wake, &value, 8)
                } else {
                    state.withLock { $0.handlers[number] }?(Readiness(rawValue: events[index].ready))
                }
            }
            runDue()
        }
    }

    private func runDue() {
        let (jobs, due) = state.withLock { state -> ([@Sendable () -> Void], [@Sendable () -> Void]) in
            let jobs = state.jobs
            state.jobs = []
            let now = Self.now
            let numbers = state.deadlines.filter { $0.value <= now }.sorted { $0.value < $1.value }.map(\.key)
            for number in numbers { state.deadlines[number] = nil }
            return (jobs, numbers.compactMap { state.timers[$0] })
        }
        for job in jobs { job() }
        for handler in due { handler() }
    }
}
