// A program under a debugger: all of its threads stop together (all-stop). A guest thread that has something to tell
// parks and asks the others to park; when the last one has, the debugger's own thread reports it. That thread never runs
// guest code; guest threads never talk to the socket.
//
// A stopped thread stands at an instruction boundary: before a system call that is to be made again, in the middle of
// delivering a signal that the debugger may change, or behind an instruction.

import CHost
import Debugger
import Glibc
import Host
import Translation

/// What a run under a debugger needs beside the process.
struct DebuggerTools: Sendable {
    let breakpoints = BreakpointTable()
    let watches = WatchTable()
}

final class GuestDebugger: @unchecked Sendable {
    /// What the debugger knows of one guest thread.
    struct ThreadEntry {
        var isParked = false
        var action = ResumeAction.run(signal: 0)
        /// What it has to tell and has not told yet.
        var event: StopEvent?
        /// How often it has told something.
        var reports = 0
        /// gdb's number of a signal to deliver when it goes on.
        var injected: UInt8 = 0
        /// The signal that it is about to deliver, and its `siginfo_t`.
        var signalUnderWay: UInt8 = 0
        var information: [UInt8]?
        /// A caught system call was interrupted and is about to be made again: it has been told of.
        var isInCaughtCall = false
        /// The child that its last call made.
        var child: ForkedChild?
    }

    struct State {
        var isAttached = false
        var isStopRequested = false
        var isInterruptWanted = false
        /// The stop that the debugger's thread is to report; it is asked for once.
        var stop: Stop?
        var hasReported = false
        var isEnding = false
        var threads: [Int32: ThreadEntry] = [:]
        var breakpoints: [DebugBreakpoint] = []
        var passed: Set<UInt8> = []
        var caught: Set<Int>?
        var events: RemoteEvents = []
        /// Children that wait for the debugger to say what becomes of them.
        var children: [Int32: ForkedChild] = [:]
        /// The debugger let this process go, but not yet a child of it.
        var isReleased = false
        /// The parent that waits for the debugger's word, when a forked child took the session over.
        var parent: (process: Int32, gate: Int32)?
    }

    let abi: any GuestABI
    let memory: GuestMemory
    let engine: any Engine
    let stepper: any SingleStepper
    let tools: DebuggerTools
    let table: ThreadTable
    let paths: PathTranslation
    let image: ProgramImage
    let state = Locked(State())
    /// The descriptors of the connected debugger and of the socket that listens; -1: none.
    let connection = Locked<(Int32, Int32)>((-1, -1))
    let watchedMemory = Locked<[WatchedBytes]>([])
    /// Grows whenever threads may go on; a futex.
    private let generation: UnsafeMutablePointer<Int32>
    /// Not 0 while threads have to park: what they look at without a lock.
    private let gate: UnsafeMutablePointer<Int32>
    /// Becomes 1 when the debugger was told of the program's end; a futex.
    let endIsTold: UnsafeMutablePointer<Int32>
    /// Written to when there is something for the debugger's thread.
    let news: Int32
    private let exitNumbers: (exit: Int, exitGroup: Int)

    init(abi: any GuestABI, memory: GuestMemory, engine: any Engine, stepper: any SingleStepper, tools: DebuggerTools,
         table: ThreadTable, paths: PathTranslation, image: ProgramImage) {
        self.abi = abi
        self.memory = memory
        self.engine = engine
        self.stepper = stepper
        self.tools = tools
        self.table = table
        self.paths = paths
        self.image = image
        func cell() -> UnsafeMutablePointer<Int32> {
            let cell = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
            cell.initialize(to: 0)
            return cell
        }
        generation = cell()
        gate = cell()
        endIsTold = cell()
        news = PrivateDescriptors.adopt(Int32(truncatingIfNeeded: directCall(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK)))
        let numbers = abi.systemCallNumbers
        func number(_ name: String) -> Int { numbers.first { $0.value == name }?.key ?? -1 }
        exitNumbers = (number("exit"), number("exit_group"))
    }

    deinit {
        generation.deallocate()
        gate.deallocate()
        endIsTold.deallocate()
    }

    var isAttached: Bool { state.withLock { $0.isAttached } }
    var isStopRequested: Bool { apus_atomic_load_i32(gate) != 0 }

    // MARK: guest threads

    func register(_ thread: GuestThread) {
        state.withLock { state in if state.threads[thread.tid] == nil { state.threads[thread.tid] = ThreadEntry() } }
    }

    func forget(_ thread: GuestThread) {
        let isReady = state.withLock { state in
            state.threads[thread.tid] = nil
            return Self.choose(&state)
        }
        if isReady { tell() }
    }

    /// Parks `thread` if the program is to stop.
    func checkpoint(_ thread: GuestThread) {
        guard isStopRequested || state.withLock({ $0.threads[thread.tid]?.action == .hold }) else { return }
        park(thread)
    }

    /// Stops the program because of `event` in `thread`; returns when the thread goes on.
    func report(_ event: StopEvent, _ thread: GuestThread, information: [UInt8]? = nil) {
        let others: [Int32]? = state.withLock { state in
            guard state.isAttached, !state.isEnding else { return nil }
            state.threads[thread.tid, default: ThreadEntry()].event = event
            state.threads[thread.tid]?.reports &+= 1
            state.threads[thread.tid]?.information = information
            return requestStop(&state)
        }
        guard let others else { return }
        kick(others.filter { $0 != thread.tid })
        park(thread)
    }

    func reports(of thread: GuestThread) -> Int { state.withLock { $0.threads[thread.tid]?.reports ?? 0 } }
    func action(of thread: GuestThread) -> ResumeAction { state.withLock { $0.threads[thread.tid]?.action ?? .run(signal: 0) } }

    private func park(_ thread: GuestThread) {
        let tid = thread.tid
        let isReady = state.withLock { state in
            state.threads[tid, default: ThreadEntry()].isParked = true
            return Self.choose(&state)
        }
        if isReady { tell() }
        while true {
            let seen = apus_atomic_load_i32(generation)
            let goes = state.withLock { state in
                guard !state.isStopRequested, state.threads[tid]?.action != .hold else { return false }
                state.threads[tid]?.isParked = false
                return true
            }
            if goes { return }
            directCall(SYS_futex, generation, FutexOperation.waitPrivate, seen)
        }
    }

    // MARK: stopping and going on

    /// The ids of the threads that must be kicked, or none if the stop is under way already.
    private func requestStop(_ state: inout State) -> [Int32] {
        guard !state.isStopRequested else { return [] }
        state.isStopRequested = true
        state.hasReported = false
        apus_atomic_store_i32(gate, 1)
        return state.threads.filter { !$0.value.isParked }.map(\.key)
    }

    /// Makes threads leave guest code and system calls: by a signal that is never blocked, and that the handler knows.
    private func kick(_ tids: [Int32]) {
        for tid in tids {
            if let thread = table[tid] { apus_atomic_store_i32(thread.pending, 1) }
            SignalInbox.kick(tid)
        }
    }

    /// Chooses what to report once all threads are parked. - Returns: whether there is something new.
    private static func choose(_ state: inout State) -> Bool {
        guard state.isAttached, state.isStopRequested, !state.hasReported, state.stop == nil,
              state.threads.values.allSatisfy(\.isParked) else { return false }
        let process = getpid()
        if let (tid, entry) = state.threads.filter({ $0.value.event != nil }).min(by: { $0.key < $1.key }), let event = entry.event {
            if let child = entry.child { state.children[child.thread.process] = child }
            state.threads[tid]?.event = nil
            state.threads[tid]?.child = nil
            state.stop = Stop(thread: DebugThread(process: process, thread: tid), event: event)
        } else {
            guard let tid = state.threads.keys.min() else { return false }
            state.stop = Stop(thread: DebugThread(process: process, thread: tid),
                              event: .signal(state.isInterruptWanted ? DebugSignals.remote(Int(SIGINT)) : 5))
            state.isInterruptWanted = false
        }
        state.hasReported = true
        return true
    }

    private func tell() {
        var one: UInt64 = 1
        _ = write(news, &one, 8)
    }

    func takeStop() -> Stop? {
        state.withLock { state in
            defer { state.stop = nil }
            return state.stop
        }
    }

    /// Lets the threads go on by `action`; if one still has something to tell that must not be lost, that is told instead.
    func letGo(_ action: (DebugThread) -> ResumeAction) {
        let process = getpid()
        let isReady = state.withLock { state in
            for tid in Array(state.threads.keys) {
                let chosen = action(DebugThread(process: process, thread: tid))
                state.threads[tid]?.action = chosen
                switch chosen {
                case .run(let signal), .step(let signal): state.threads[tid]?.injected = signal
                default: state.threads[tid]?.injected = 0
                }
                switch state.threads[tid]?.event {
                // These come again by themselves.
                case .breakpoint, .step, .watchpoint: state.threads[tid]?.event = nil
                default: break
                }
            }
            state.hasReported = false
            if state.threads.values.contains(where: { $0.event != nil }) { return Self.choose(&state) }
            release(&state)
            return false
        }
        if isReady { tell() } else { wake() }
    }

    private func release(_ state: inout State) {
        state.isStopRequested = false
        apus_atomic_store_i32(gate, 0)
        apus_atomic_store_i32(generation, apus_atomic_load_i32(generation) &+ 1)
    }

    private func wake() { directCall(SYS_futex, generation, FutexOperation.wakePrivate, Int32.max) }

    func stopAll() {
        let others = state.withLock { state in
            state.isInterruptWanted = true
            return requestStop(&state)
        }
        kick(others)
    }

    // MARK: sessions

    /// A debugger has connected. The program stops if it has not begun stopped.
    func attach(events: RemoteEvents) {
        let (others, isReady) = state.withLock { state in
            state.isAttached = true
            state.events = events
            let others = requestStop(&state)
            return (others, Self.choose(&state))
        }
        kick(others)
        if isReady { tell() }
    }

    /// Before the first thread runs: it waits for a debugger, to which it will report `event`.
    func beginStopped(_ thread: GuestThread, event: StopEvent) {
        state.withLock { state in
            state.threads[thread.tid] = ThreadEntry(event: event)
            _ = requestStop(&state)
        }
    }

    /// Everything goes on as if there had never been a debugger.
    func detachSelf() {
        tools.breakpoints.removeAll()
        tools.watches.removeAll()
        let children = state.withLock { state in
            state.isAttached = false
            state.breakpoints = []
            state.passed = []
            state.caught = nil
            state.stop = nil
            for tid in Array(state.threads.keys) {
                state.threads[tid]?.action = .run(signal: 0)
                state.threads[tid]?.event = nil
                // What was being delivered is delivered.
                let underWay = state.threads[tid]?.signalUnderWay ?? 0
                state.threads[tid]?.injected = underWay
            }
            let children = state.children.values + state.threads.values.compactMap(\.child)
            state.children = [:]
            release(&state)
            return children
        }
        engine.invalidate(0 ..< .max)
        for child in children { child.free() }
        wake()
    }

    // MARK: signals

    /// A signal is about to be delivered. - Returns: the one to deliver instead, perhaps the same; 0: none.
    func intercept(_ signal: Int, _ information: SignalInformation, _ thread: GuestThread) -> Int {
        let number = DebugSignals.remote(signal)
        let isTold = state.withLock { state in
            guard state.isAttached, !state.isEnding, !state.passed.contains(number) else { return false }
            state.threads[thread.tid, default: ThreadEntry()].signalUnderWay = number
            return true
        }
        guard isTold else { return signal }
        report(.signal(number), thread, information: information.guestBytes(abi.dataModel))
        return state.withLock { state in
            defer {
                state.threads[thread.tid]?.signalUnderWay = 0
                state.threads[thread.tid]?.injected = 0
            }
            return DebugSignals.linux(state.threads[thread.tid]?.injected ?? number)
        }
    }

    /// A signal that the debugger wants delivered to a thread that was not stopped by it.
    func takeInjected(_ thread: GuestThread) -> Int {
        state.withLock { state in
            defer { state.threads[thread.tid]?.injected = 0 }
            return DebugSignals.linux(state.threads[thread.tid]?.injected ?? 0)
        }
    }

    // MARK: system calls

    /// Before call `number`: stops if the debugger wants to see it. - Returns: whether it does.
    func entersCall(_ number: Int, _ thread: GuestThread) -> Bool {
        let (catches, isNew) = state.withLock { state in
            guard state.isAttached, let caught = state.caught, caught.isEmpty || caught.contains(number) else { return (false, false) }
            let isNew = !(state.threads[thread.tid]?.isInCaughtCall ?? false)
            state.threads[thread.tid]?.isInCaughtCall = true
            return (true, isNew)
        }
        if catches, isNew { report(.systemCallEntry(number), thread) }
        return catches
    }

    func leavesCall(_ number: Int, _ thread: GuestThread) {
        state.withLock { $0.threads[thread.tid]?.isInCaughtCall = false }
        report(.systemCallReturn(number), thread)
    }

    /// Before call `number` of `thread`, which may be the last of the program.
    func mayEnd(_ number: Int, status: Int32, _ thread: GuestThread) {
        guard number == exitNumbers.exitGroup || number == exitNumbers.exit && table.count == 1 else { return }
        ends(.exited(UInt8(truncatingIfNeeded: status)), thread)
    }

    /// Tells the debugger that the program ends, and waits until it has been told.
    func ends(_ event: StopEvent, _ thread: GuestThread) {
        checkpoint(thread)
        let isTold = state.withLock { state in
            guard state.isAttached, !state.isEnding else { return false }
            state.isEnding = true
            state.stop = Stop(thread: DebugThread(process: getpid(), thread: thread.tid), event: event)
            return true
        }
        guard isTold else { return }
        tell()
        var timeout = timespec(tv_sec: 2, tv_nsec: 0)
        if apus_atomic_load_i32(endIsTold) == 0 {
            _ = withUnsafePointer(to: &timeout) { directCall(SYS_futex, endIsTold, FutexOperation.waitPrivate, 0, $0) }
        }
    }
}
