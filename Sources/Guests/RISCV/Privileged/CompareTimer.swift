// The comparison of `stimecmp` and `vstimecmp` with the time ("Sstc" Extension for Supervisor-mode Timer Interrupts).

import Core
import Host

/// A comparator: its wire is high while the time, plus a delta, is at or past a number. All methods may be called from any thread.
final class CompareTimer: Sendable {
    private struct State: Sendable {
        var isEnabled = false
        var compare = UInt64.max
        var delta: UInt64 = 0
        var timer: MachineTimer?
    }

    private let state = Locked(State())
    private let timebase: Timebase
    private let wire: @Sendable (Bool) -> Void

    init(_ timebase: Timebase, wire: @escaping @Sendable (Bool) -> Void) {
        self.timebase = timebase
        self.wire = wire
        let timer = timebase.clock.timer { [weak self] in self?.update() }
        state.withLock { $0.timer = timer }
    }

    /// Compares with other numbers from now on; a comparator that is off has a low wire.
    func set(isEnabled: Bool, compare: UInt64, delta: UInt64 = 0) {
        state.withLock {
            ($0.isEnabled, $0.compare, $0.delta) = (isEnabled, compare, delta)
            update(&$0)
        }
    }

    /// The time has been set, or has come.
    func update() { state.withLock { update(&$0) } }

    private func update(_ state: inout State) {
        let ticks = timebase.ticks
        let time = ticks &+ state.delta
        let isDue = state.isEnabled && time >= state.compare
        wire(isDue)
        guard state.isEnabled, !isDue else {
            state.timer?.cancel()
            return
        }
        let (deadline, isNever) = ticks.addingReportingOverflow(state.compare &- time)
        if isNever { state.timer?.cancel() } else { state.timer?.arm(at: timebase.time(ofTicks: deadline)) }
    }
}
