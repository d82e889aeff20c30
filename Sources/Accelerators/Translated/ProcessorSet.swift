// All virtual processors of a machine that is run by translation. The engine is given, so that this knows no back end.

import CHost
import Core
import Glibc
import Host
import Translation

/// The vCPUs of a machine. All methods may be called from any thread, a vCPU's own (in a device's code) among them.
public final class ProcessorSet: @unchecked Sendable {
    public let processors: [Processor]
    public let engine: any Engine
    private let guest: any SystemGuest
    private let state = Locked(State())

    private struct State: Sendable {
        var isStarted = false
        var isPaused = false
        var isStopped = false
        /// Those that stay held while the others run.
        var kept: Set<Int> = []
    }

    public var count: Int { processors.count }
    public subscript(index: Int) -> Processor { processors[index] }

    /// - Parameters:
    ///   - engine: made for machines, with the same guest.
    ///   - isThreaded: false has one vCPU run at a time, in turns, as `-accel tcg,thread=single` asks for.
    public init(engine: any Engine, guest: any SystemGuest, memory: AddressSpace, count: Int, isThreaded: Bool = true) {
        self.engine = engine
        self.guest = guest
        let turns = isThreaded || count < 2 ? nil : Turns()
        processors = (0 ..< count).map { Processor(index: $0, engine: engine, guest: guest, memory: memory, turns: turns) }
        for processor in processors { guest.reset(processor.vcpu) }
        HostFaults.install()
        HostFaults.installHandler(Processor.kickSignal, flags: UInt64(SA_RESTART)) { _, _, context in
            if let context { HostFaults.interrupt(context) }
        }
    }

    /// Starts the threads. - Parameter paused: whether the vCPUs wait for `resume` before their first instruction.
    /// - Returns: false if the host has no threads left.
    public func start(paused: Bool = false) -> Bool {
        let isFirst = state.withLock { state in
            guard !state.isStarted else { return false }
            state.isStarted = true
            state.isPaused = paused
            return true
        }
        guard isFirst else { return true }
        if paused { for processor in processors { processor.hold() } }
        for processor in processors { guard processor.start() else { return false } }
        if paused { for processor in processors { processor.waitUntilParked() } }
        return true
    }

    public var isPaused: Bool { state.withLock { $0.isPaused } }

    /// Stops all vCPUs at instruction boundaries, and waits until they stand still; the caller's own stops when the caller
    /// returns to it.
    public func pause() {
        requestPause()
        waitUntilPaused()
    }

    /// As `pause`, but without waiting.
    public func requestPause() {
        let kept: Set<Int>? = state.withLock { state in
            guard state.isStarted, !state.isPaused, !state.isStopped else { return nil }
            state.isPaused = true
            return state.kept
        }
        guard let kept else { return }
        for processor in processors where !kept.contains(processor.index) { processor.hold() }
    }

    /// Waits until all vCPUs but the caller's own stand still, after a pause was asked for.
    public func waitUntilPaused() {
        guard state.withLock({ $0.isStarted && $0.isPaused && !$0.isStopped }) else { return }
        for processor in processors { processor.waitUntilParked() }
    }

    /// - Parameter keeping: the numbers of vCPUs that go on standing still.
    public func resume(keeping kept: Set<Int> = []) {
        guard state.withLock({ state in
            guard state.isPaused, !state.isStopped else { return false }
            state.isPaused = false
            state.kept = kept
            return true
        }) else { return }
        for processor in processors where !kept.contains(processor.index) { processor.release() }
    }

    /// Has a debugger look after all vCPUs. Before `start`.
    public func setDebugger(_ debugger: any ProcessorDebugger) { for processor in processors { processor.debugger = debugger } }

    /// Puts all vCPUs into their state after a reset: those that run begin anew.
    public func reset() {
        let isStarted = state.withLock { $0.isStarted && !$0.isStopped }
        let guest = guest
        for processor in processors {
            let mmu = processor.mmu
            guard isStarted else {
                guest.reset(processor.vcpu)
                continue
            }
            processor.perform { vcpu in
                guest.reset(vcpu)
                mmu.flush()
            }
        }
    }

    /// Ends the threads; does not wait for the caller's own.
    public func stop() {
        guard state.withLock({ state in
            defer { state.isStopped = true }
            return state.isStarted && !state.isStopped
        }) else { return }
        for processor in processors { processor.stop() }
        for processor in processors { processor.waitUntilGone() }
    }
}
