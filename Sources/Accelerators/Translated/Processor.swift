// One virtual processor of a machine and the host thread that runs it: the loop around `Engine.run` that delivers
// exceptions and interrupts, sleeps where the guest waits for an interrupt, and stands still where a monitor or a debugger
// wants it to.
//
// Unsafe: `lock` and `condition` are raw pthread objects. Everything below "guarded" is touched between lock and unlock
// only; the state block is touched by the vCPU's thread, and by jobs, which run on it or while it is parked.

import CHost
import Core
import Glibc
import Host
import Translation

/// A virtual processor with its thread.
public final class Processor: @unchecked Sendable {
    /// Its number, from 0 on.
    public let index: Int
    public let vcpu: VCPU
    public let mmu: SoftMMU
    private let engine: any Engine
    private let guest: any SystemGuest
    private let turns: Turns?

    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private let request: UnsafeMutablePointer<Int32>
    /// What the thread is doing: see `Activity`.
    private let activity: UnsafeMutablePointer<Int32>

    /// Set before the thread starts.
    var debugger: (any ProcessorDebugger)?
    /// Whether the guest waits for an interrupt; for a vCPU that stands still.
    public private(set) var isHalted = false

    // Guarded.
    private var jobs: [@Sendable (VCPU) -> Void] = []
    private var holds = 0
    private var isStopping = false
    private var isParked = false
    private var isGone = false
    private var thread: pthread_t?
    private var number: Int32 = 0

    private enum Activity {
        static let elsewhere: Int32 = 0, running: Int32 = 1, sleeping: Int32 = 2
    }

    /// The signal that takes a vCPU out of translated code; free for programs by its kind.
    static let kickSignal = Int32(40)

    init(index: Int, engine: any Engine, guest: any SystemGuest, memory: AddressSpace, turns: Turns?) {
        self.index = index
        self.engine = engine
        self.guest = guest
        self.turns = turns
        vcpu = engine.makeVCPU()
        mmu = SoftMMU(vcpu: vcpu, guest: guest, memory: memory)
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        pthread_cond_init(condition, nil)
        request = (vcpu.state + Int(StateHeader.interruptRequest)).assumingMemoryBound(to: Int32.self)
        activity = .allocate(capacity: 1)
        activity.initialize(to: Activity.elsewhere)
        mmu.kick = { [weak self] in self?.requestInterrupt() }
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(lock)
        lock.deallocate()
        activity.deallocate()
    }

    // MARK: requests, from any thread

    /// Has the vCPU look at its interrupts: it leaves translated code at the next instruction boundary, or wakes up. What
    /// has become pending must be in its state before.
    public func requestInterrupt() {
        let wasRequested = apus_atomic_exchange_i32(request, 1) != 0
        apus_full_fence()
        switch apus_atomic_load_i32(activity) {
        case Activity.sleeping: wake()
        case Activity.running:
            // A vCPU that asks itself is in a helper or in a device: the engine looks when it comes back.
            guard !wasRequested, !isCurrent else { return }
            pthread_mutex_lock(lock)
            if let thread, !isGone { pthread_kill(thread, Self.kickSignal) }
            pthread_mutex_unlock(lock)
        default: break
        }
    }

    /// Whether the calling thread is the vCPU's.
    public var isCurrent: Bool { apus_thread_get(1) == vcpu.state && apus_thread_get(4) == UnsafeMutableRawPointer(activity) }

    /// Has `job` called on the vCPU's thread, at an instruction boundary, whether it runs, sleeps or is paused. Before
    /// `start` and after `stop` nothing comes of it.
    public func perform(_ job: @escaping @Sendable (VCPU) -> Void) {
        pthread_mutex_lock(lock)
        jobs.append(job)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
        requestInterrupt()
    }

    /// As `perform`, and waits until it is done; at once if the caller is the vCPU's thread.
    public func performAndWait(_ job: @escaping @Sendable (VCPU) -> Void) {
        if isCurrent { return job(vcpu) }
        let done = DispatchGate()
        perform { vcpu in
            job(vcpu)
            done.open()
        }
        done.wait()
    }

    private func wake() {
        pthread_mutex_lock(lock)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
    }

    /// Stops the vCPU at an instruction boundary, once more for each call.
    func hold() {
        pthread_mutex_lock(lock)
        holds += 1
        pthread_mutex_unlock(lock)
        requestInterrupt()
    }

    /// Waits until a held vCPU stands still. Not for its own thread, which stops when it gets there.
    func waitUntilParked() {
        guard !isCurrent else { return }
        pthread_mutex_lock(lock)
        while !isParked, !isGone, thread != nil { pthread_cond_wait(condition, lock) }
        pthread_mutex_unlock(lock)
    }

    func release() {
        pthread_mutex_lock(lock)
        holds = max(holds - 1, 0)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
    }

    /// Ends the thread.
    func stop() {
        pthread_mutex_lock(lock)
        isStopping = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
        requestInterrupt()
    }

    func waitUntilGone() {
        guard !isCurrent else { return }
        pthread_mutex_lock(lock)
        while thread != nil, !isGone { pthread_cond_wait(condition, lock) }
        pthread_mutex_unlock(lock)
    }

    /// - Returns: false if the host has no thread left.
    func start() -> Bool {
        let context = Unmanaged.passRetained(self)
        let error = apus_thread_start({ argument in
            guard let argument else { return nil }
            let processor = Unmanaged<Processor>.fromOpaque(argument).takeRetainedValue()
            processor.live()
            return nil
        }, context.toOpaque(), 1 << 20)
        guard error == 0 else {
            context.release()
            return false
        }
        pthread_mutex_lock(lock)
        while thread == nil { pthread_cond_wait(condition, lock) }
        pthread_mutex_unlock(lock)
        return true
    }

    /// The host's number of its thread; 0 before `start`.
    public var threadNumber: Int32 {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return number
    }

    // MARK: the thread

    private func live() {
        HostFaults.prepareThread()
        // The creator's signal mask was inherited.
        apus_signal_mask(1, 1 &<< UInt64(Self.kickSignal - 1), nil)
        apus_thread_set(4, activity)
        apus_thread_set(1, vcpu.state)
        pthread_mutex_lock(lock)
        thread = pthread_self()
        number = apus_thread_number()
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
        while attend() { runOnce() }
        turns?.leave(self)
        pthread_mutex_lock(lock)
        isGone = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
        HostFaults.releaseThread()
    }

    /// Does what was asked for; parks while the vCPU is held. - Returns: false if the thread is to end.
    private func attend() -> Bool {
        // Cleared first: whoever asks from now on asks again.
        if apus_atomic_load_i32(request) != 0 {
            _ = apus_atomic_exchange_i32(request, 0)
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            while true {
                while !jobs.isEmpty {
                    let job = jobs.removeFirst()
                    pthread_mutex_unlock(lock)
                    job(vcpu)
                    pthread_mutex_lock(lock)
                }
                if isStopping { return false }
                guard holds > 0 else { break }
                turns?.leave(self)
                isParked = true
                pthread_cond_broadcast(condition)
                pthread_cond_wait(condition, lock)
                isParked = holds > 0 && isParked
            }
            isParked = false
        }
        return true
    }

    private func runOnce() {
        mmu.applyRequests()
        isHalted = false
        if debugger?.masksInterrupts(self) != true { _ = guest.takeInterrupt(vcpu) }
        turns?.enter(self)
        apus_atomic_store_i32(activity, Activity.running)
        apus_full_fence()
        let reason = debugger?.run(self, engine) ?? engine.run(vcpu)
        apus_atomic_store_i32(activity, Activity.elsewhere)
        if let debugger {
            if debugger.stops(self, reason) { return }
            defer { debugger.didRun(self) }
            return finish(debugger.masksInterrupts(self) && reason == .waitForInterrupt ? .interrupted : reason)
        }
        finish(reason)
    }

    private func finish(_ reason: ExitReason) {
        switch reason {
        case .interrupted, .instructionFence: break
        case .waitForInterrupt: sleep()
        case .idle:
            turns?.leave(self)
            sched_yield()
        default: guest.deliver(reason, to: vcpu)
        }
    }

    /// Sleeps until there is something to do.
    private func sleep() {
        turns?.leave(self)
        while !guest.hasWakeUp(vcpu) {
            pthread_mutex_lock(lock)
            apus_atomic_store_i32(activity, Activity.sleeping)
            apus_full_fence()
            while apus_atomic_load_i32(request) == 0 { pthread_cond_wait(condition, lock) }
            apus_atomic_store_i32(activity, Activity.elsewhere)
            let mustAttend = !jobs.isEmpty || holds > 0 || isStopping
            pthread_mutex_unlock(lock)
            if mustAttend {
                isHalted = true
                return
            }
            _ = apus_atomic_exchange_i32(request, 0)
            mmu.applyRequests()
        }
    }
}

/// Opens once.
final class DispatchGate: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var isOpen = false

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

    func open() {
        pthread_mutex_lock(lock)
        isOpen = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
    }

    func wait() {
        pthread_mutex_lock(lock)
        while !isOpen { pthread_cond_wait(condition, lock) }
        pthread_mutex_unlock(lock)
    }
}
