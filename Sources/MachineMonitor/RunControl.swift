// Starts, stops, resets and ends a machine, whoever asks: a device, a monitor, a signal.
//
// Locks: `changing` is held while the vCPUs are stopped or started; the vCPUs' threads and the holders of device locks never
// take it: their wishes come by the event loop.

import Core
import Host
import Translated

/// The machine's switches.
public final class RunControl: Sendable {
    /// How the machine's other parts take part.
    public struct Parts: Sendable {
        public var loop: EventLoop
        public var clock: MachineClock
        /// What waits for the machine to go on.
        public var gate: RunGate
        public var processors: ProcessorSet
        /// Puts devices and memory back into their state after power-on; the vCPUs stand still.
        public var resetDevices: @Sendable () -> Void
        /// Where vCPUs begin.
        public var start: UInt64
        /// Saves what disks hold back; the vCPUs stand still.
        public var flush: @Sendable () -> Void
        /// Ends the process.
        public var end: @Sendable (Int32) -> Void

        public init(loop: EventLoop, clock: MachineClock, gate: RunGate, processors: ProcessorSet, start: UInt64, resetDevices: @escaping @Sendable () -> Void,
                    flush: @escaping @Sendable () -> Void, end: @escaping @Sendable (Int32) -> Void) {
            self.loop = loop
            self.clock = clock
            self.gate = gate
            self.processors = processors
            self.start = start
            self.resetDevices = resetDevices
            self.flush = flush
            self.end = end
        }
    }
    private struct Status: Sendable {
        var state = RunState.prelaunch
        var policy: RunPolicy
        var isEnding = false
        var hasBegun = false
        var powerButton: (@Sendable () -> Bool)?
        var tell: @Sendable (String, JSONValue?) -> Void = { _, _ in }
    }
    private let parts: Parts
    private let changing = Locked(())
    private let status: Locked<Status>

    public init(_ parts: Parts, policy: RunPolicy) {
        self.parts = parts
        status = Locked(Status(policy: policy))
    }

    /// Who is told of events.
    public func onEvent(_ tell: @escaping @Sendable (String, JSONValue?) -> Void) { status.withLock { $0.tell = tell } }
    /// What presses the machine's power button, if it has one. - Returns: whether the guest was told.
    public func setPowerButton(_ press: @escaping @Sendable () -> Bool) { status.withLock { $0.powerButton = press } }
    public var state: RunState { status.withLock { $0.state } }
    /// The vCPUs have threads.
    public var hasBegun: Bool { status.withLock { $0.hasBegun } }
    public var policy: RunPolicy {
        get { status.withLock { $0.policy } }
        set { status.withLock { $0.policy = newValue } }
    }

    private func emit(_ event: String, _ data: JSONValue? = nil) { status.withLock { $0.tell }(event, data) }
    private static func cause(_ cause: RunCause) -> JSONValue { .object([.init("guest", .flag(cause.isGuest)), .init("reason", .text(cause.rawValue))]) }

    // MARK: starting and stopping

    /// Makes the vCPUs' threads; with `paused` they wait for `resume`.
    public func start(paused: Bool) throws(ConfigurationError) {
        let processors = parts.processors
        processors.reset()
        for number in 0 ..< processors.count { processors[number].vcpu.pc = parts.start }
        if !paused {
            parts.clock.start()
            status.withLock { $0.state = .running }
        }
        guard processors.start(paused: paused) else { throw ConfigurationError("-smp: the host has no threads left for \(processors.count) processors") }
        status.withLock { $0.hasBegun = true }
        if !paused { emit("RESUME") }
    }

    /// Stops vCPUs and virtual time. - Returns: false: they stood still already.
    @discardableResult
    public func stop(_ state: RunState = .paused) -> Bool { changing.withLock { _ in halt(state) } }

    private func halt(_ state: RunState) -> Bool {
        guard self.state == .running else { return false }
        parts.processors.pause()
        parts.clock.stop()
        parts.flush()
        status.withLock { $0.state = state }
        emit("STOP")
        return true
    }

    /// Lets vCPUs and virtual time go on. - Throws: text, if only a reset helps.
    public func resume() throws(ConfigurationError) {
        try changing.withLock { (_) throws(ConfigurationError) in
            switch state {
            case .running: return
            case .shutdown, .internalError, .guestPanicked: throw ConfigurationError("Resetting the Virtual Machine is required")
            default: break
            }
            status.withLock { $0.state = .running }
            parts.clock.start()
            parts.processors.resume()
            emit("RESUME")
            parts.gate.open()
        }
    }

    // MARK: debuggers

    /// A debugger has stopped vCPUs and clock by itself. - Parameter isBreak: at a breakpoint, a watchpoint or after a step.
    public func debuggerStopped(atBreak isBreak: Bool) {
        let wasRunning = status.withLock { status in
            defer { if status.state == .running { status.state = isBreak ? .debug : .paused } }
            return status.state == .running
        }
        if wasRunning { emit("STOP") }
    }

    /// It is about to let them go on.
    public func debuggerContinues() {
        let stoodStill = status.withLock { status in
            defer { status.state = .running }
            return status.state != .running
        }
        if stoodStill { emit("RESUME") }
        parts.gate.open()
    }

    // MARK: resetting

    /// Back to the state after power-on; a machine that stands still goes on doing so.
    public func reset(_ cause: RunCause) {
        changing.withLock { _ in
            let wasRunning = state == .running
            if wasRunning { parts.processors.pause() }
            parts.gate.dismiss()
            parts.resetDevices()
            let processors = parts.processors, start = parts.start
            processors.reset()
            for number in 0 ..< processors.count { processors[number].perform { $0.pc = start } }
            emit("RESET", Self.cause(cause))
            if wasRunning { processors.resume() } else { status.withLock { $0.state = .prelaunch } }
        }
    }

    /// Presses the power button.
    public func powerDown() {
        emit("POWERDOWN")
        _ = status.withLock { $0.powerButton }?()
    }

    // MARK: ending

    /// Ends the process, or keeps the machine switched off if that was asked for and the guest is the cause.
    public func shutDown(_ cause: RunCause, status code: Int32 = 0) {
        if cause.isGuest, policy.shutdown == .pause {
            emit("SHUTDOWN", Self.cause(cause))
            if !stop(.shutdown) { status.withLock { $0.state = .shutdown } }
            return
        }
        let isFirst = status.withLock { status in
            defer { status.isEnding = true }
            return !status.isEnding
        }
        guard isFirst else { return }
        parts.gate.dismiss()
        emit("SHUTDOWN", Self.cause(cause))
        _ = BackgroundThread.start { [parts] in parts.end(code) }
    }

    // MARK: wishes of devices

    /// From any thread.
    public func take(_ request: MachineRequest) { parts.loop.submit { [self] in answer(request) } }

    private func answer(_ request: MachineRequest) {
        guard !status.withLock({ $0.isEnding }) else { return }
        switch request {
        case .powerOff(let code): shutDown(.guestShutdown, status: code ?? 0)
        case .reset: if policy.reboot == .reset { reset(.guestReset) } else { shutDown(.guestReset) }
        case .guestShutDown:
            emit("GUEST_PVSHUTDOWN")
            shutDown(.guestShutdown)
        case .panicked(let crashLoaded):
            guard !crashLoaded else { return emit("GUEST_CRASHLOADED", .object([.init("action", .text("run"))])) }
            panicked()
        case .watchdog: watchdogExpired()
        case .diskFailure(let failure): failed(failure)
        }
    }

    private func failed(_ failure: DiskFailure) {
        emit("BLOCK_IO_ERROR", .object([
            .init("qom-path", .text(failure.path)), .init("device", .text(failure.drive)), .init("node-name", .text(failure.node)), .init("operation", .text(failure.isWrite ? "write" : "read")),
            .init("action", .text(failure.action.rawValue)), .init("nospace", .flag(failure.isNoSpace)), .init("reason", .text(failure.reason)),
        ]))
        if failure.action == .stop { stop(.ioError) }
    }

    private func panicked() {
        func tell(_ action: String) { emit("GUEST_PANICKED", .object([.init("action", .text(action))])) }
        switch policy.panic {
        case .none: tell("run")
        case .pause:
            tell("pause")
            stop(.guestPanicked)
        case .shutdown, .exitFailure:
            tell("poweroff")
            stop(.guestPanicked)
            shutDown(.guestPanic, status: policy.panic == .exitFailure ? 1 : 0)
        }
    }

    private func watchdogExpired() {
        let action = policy.watchdog
        emit("WATCHDOG", .object([.init("action", .text(action.rawValue))]))
        switch action {
        case .reset: if policy.reboot == .reset { reset(.guestReset) } else { shutDown(.guestReset) }
        case .shutdown: powerDown()
        case .poweroff: shutDown(.guestShutdown)
        case .pause: stop(.watchdog)
        case .debug, .none: break
        }
    }
}
