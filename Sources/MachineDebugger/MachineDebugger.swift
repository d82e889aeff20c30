// A machine under a debugger: all vCPUs stop together. The vCPU that has something to tell asks all to stand still and wakes
// the debugger's own thread, which waits until they do and reports it. vCPU N is thread N + 1 of process 1, as in QEMU.

import CHost
import Core
import Debugger
import Glibc
import Host
import Translated
import Translation

/// What a debugger asks of the machine around its vCPUs.
public struct MachineControls: Sendable {
    /// Ends the machine.
    public var quit: @Sendable () -> Void
    /// The answer to a monitor's command line; nil: it is unknown here.
    public var monitor: @Sendable (String) -> String?
    /// The machine has been stopped; whether at a breakpoint, watchpoint or after a step.
    public var stopped: @Sendable (_ isBreak: Bool) -> Void
    /// It is about to go on.
    public var continues: @Sendable () -> Void

    public init(quit: @escaping @Sendable () -> Void, monitor: @escaping @Sendable (String) -> String?,
                stopped: @escaping @Sendable (_ isBreak: Bool) -> Void, continues: @escaping @Sendable () -> Void) {
        self.stopped = stopped
        self.continues = continues
        self.quit = quit
        self.monitor = monitor
    }
}

/// The hooks that a machine's engine needs for breakpoints and watchpoints: made before the engine.
public struct MachineDebugTools: Sendable {
    let breakpoints = BreakpointTable()
    let watches = WatchTable()

    public init() {}

    /// The guest that the engine is to run.
    public func instrument(_ guest: any SystemGuest) -> any SystemGuest { InstrumentedSystemGuest(guest, hooks: [breakpoints, watches]) }
    /// The guest of the stepper: it does not stop at breakpoints.
    public func instrumentSteps(_ guest: any SystemGuest) -> any SystemGuest { InstrumentedSystemGuest(guest, hooks: [watches]) }
}

public final class MachineDebugger: @unchecked Sendable {
    struct State {
        var isAttached = false
        var stop: Stop?
        /// By vCPU.
        var actions: [ResumeAction] = []
        var breakpoints: [MachineBreakpoint] = []
        /// Bits of `qqemu.sstepbits`.
        var stepBits: UInt64 = StepBits.all
        var readsPhysical = false
    }

    enum StepBits {
        static let enable: UInt64 = 1, noInterrupts: UInt64 = 2, noTimers: UInt64 = 4
        static let all = enable | noInterrupts | noTimers
    }

    let processors: ProcessorSet
    let guest: any DebuggableSystemGuest
    let memory: AddressSpace
    let clock: MachineClock
    let tools: MachineDebugTools
    let stepper: any SingleStepper
    let controls: MachineControls
    let state: Locked<State>
    /// Written to when there is something for the debugger's thread.
    let news: Int32
    /// Not 0 while a vCPU has another action than to run: what vCPUs look at without a lock.
    private let isSpecial: UnsafeMutablePointer<Int32>

    /// - Parameters:
    ///   - stepper: of `tools.instrumentSteps(guest)`.
    ///   - clock: stands still while the machine does.
    public init(processors: ProcessorSet, guest: any DebuggableSystemGuest, memory: AddressSpace, clock: MachineClock, tools: MachineDebugTools,
                stepper: any SingleStepper, controls: MachineControls) {
        self.processors = processors
        self.guest = guest
        self.memory = memory
        self.clock = clock
        self.tools = tools
        self.stepper = stepper
        self.controls = controls
        state = Locked(State(actions: [ResumeAction](repeating: .run(signal: 0), count: processors.count)))
        news = apus_wake_open()
        isSpecial = .allocate(capacity: 1)
        isSpecial.initialize(to: 0)
        processors.setDebugger(self)
    }

    deinit {
        close(news)
        isSpecial.deallocate()
    }

    static func thread(_ processor: Int) -> DebugThread { DebugThread(process: 1, thread: Int32(truncatingIfNeeded: processor &+ 1)) }

    /// Nil for a thread that there is not.
    func processor(of thread: DebugThread) -> Processor? {
        let index = Int(thread.thread) &- 1
        return processors.processors.indices.contains(index) ? processors[index] : nil
    }

    // MARK: stopping

    /// Stops the machine because of `event`.
    func report(_ event: StopEvent, _ index: Int) {
        let isNew = state.withLock { state in
            guard state.isAttached, state.stop == nil else { return false }
            state.stop = Stop(thread: Self.thread(index), event: event)
            return true
        }
        processors.requestPause()
        guard isNew else { return }
        var one: UInt64 = 1
        _ = write(news, &one, 8)
    }

    /// Why the machine stopped, once; it stands still then.
    func takeStop() -> Stop? {
        guard let stop = state.withLock({ $0.stop }) else { return nil }
        processors.waitUntilPaused()
        clock.stop()
        state.withLock { $0.stop = nil }
        let isBreak = if case .signal = stop.event { false } else { true }
        controls.stopped(isBreak)
        return stop
    }

    /// A debugger has connected: the machine stops.
    func attach() -> Stop {
        processors.pause()
        clock.stop()
        controls.stopped(false)
        return state.withLock { state in
            state.isAttached = true
            state.stop = nil
            return Stop(thread: Self.thread(0), event: .signal(5))
        }
    }

    /// Everything goes on as if there had never been a debugger.
    func detach() {
        processors.pause()
        tools.breakpoints.removeAll()
        tools.watches.removeAll()
        state.withLock { state in
            state.isAttached = false
            state.stop = nil
            state.breakpoints = []
            state.readsPhysical = false
            for index in state.actions.indices { state.actions[index] = .run(signal: 0) }
        }
        apus_atomic_store_i32(isSpecial, 0)
        processors.engine.invalidate(0 ..< .max)
        controls.continues()
        clock.start()
        processors.resume()
    }

    func letGo(_ action: (DebugThread) -> ResumeAction) {
        let chosen = (0 ..< processors.count).map { action(Self.thread($0)) }
        state.withLock { $0.actions = chosen }
        let runsAll = chosen.allSatisfy { if case .run = $0 { true } else { false } }
        apus_atomic_store_i32(isSpecial, runsAll ? 0 : 1)
        controls.continues()
        clock.start()
        processors.resume(keeping: Set(chosen.indices.filter { chosen[$0] == .hold }))
    }

    fileprivate func action(of processor: Processor) -> ResumeAction {
        if apus_atomic_load_i32(isSpecial) == 0 { return .run(signal: 0) }
        return state.withLock { $0.actions.indices.contains(processor.index) ? $0.actions[processor.index] : .run(signal: 0) }
    }
}

// On the vCPUs' threads.
extension MachineDebugger: ProcessorDebugger {
    public func masksInterrupts(_ processor: Processor) -> Bool {
        switch action(of: processor) {
        case .step, .stepRange: state.withLock { $0.stepBits & StepBits.noInterrupts != 0 }
        default: false
        }
    }

    public func run(_ processor: Processor, _ engine: any Engine) -> ExitReason? {
        switch action(of: processor) {
        case .step, .stepRange: stepper.step(processor.vcpu) ?? .interrupted
        default: nil
        }
    }

    public func stops(_ processor: Processor, _ reason: ExitReason) -> Bool {
        switch reason {
        // A breakpoint may be where nothing can be fetched.
        case .breakpoint, .fetchFault:
            let pc = processor.vcpu.pc
            guard tools.breakpoints.contains(pc) else { return false }
            if case .run = action(of: processor) {} else { return false }
            let isHardware = state.withLock { state in !state.breakpoints.contains { $0.address == pc && $0.kind == .software } }
            report(.breakpoint(hardware: isHardware), processor.index)
            return true
        default: return false
        }
    }

    public func didRun(_ processor: Processor) {
        if WatchTable.isActive, let (watch, address) = tools.watches.takeHit(of: processor.vcpu) {
            return report(.watchpoint(watch.reads ? (watch.writes ? .access : .read) : .write, address: address), processor.index)
        }
        switch action(of: processor) {
        case .step: report(.step, processor.index)
        case .stepRange(let range):
            let pc = processor.vcpu.pc
            if tools.breakpoints.contains(pc) {
                report(.breakpoint(hardware: false), processor.index)
            } else if !range.contains(pc) {
                report(.step, processor.index)
            }
        default: break
        }
    }
}
