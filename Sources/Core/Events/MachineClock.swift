// The virtual time of a machine: nanoseconds that pass while it runs and stand still while it is stopped.

import Host

/// A machine's clock and the timers that go by it. All methods may be called from any thread.
public final class MachineClock: @unchecked Sendable {
    private struct State: Sendable {
        /// Virtual time minus host time while the clock runs.
        var offset: UInt64
        /// Virtual time while it stands still.
        var stopped: UInt64?
        var timers: [UInt64: UInt64] = [:]
    }

    private let state: Locked<State>
    let loop: EventLoop

    /// A clock that stands still at 0.
    public init(loop: EventLoop) {
        self.loop = loop
        state = Locked(State(offset: 0, stopped: 0))
    }

    /// Virtual nanoseconds.
    public var now: UInt64 { state.withLock { $0.stopped ?? EventLoop.now &+ $0.offset } }

    public var isRunning: Bool { state.withLock { $0.stopped == nil } }

    public func start() {
        state.withLock { state in
            guard let stopped = state.stopped else { return }
            state.offset = stopped &- EventLoop.now
            state.stopped = nil
            for (number, deadline) in state.timers { loop.arm(number, at: Self.hostTime(deadline, state.offset)) }
        }
    }

    public func stop() {
        state.withLock { state in
            guard state.stopped == nil else { return }
            state.stopped = EventLoop.now &+ state.offset
            for number in state.timers.keys { loop.arm(number, at: nil) }
        }
    }

    /// Sets the time, which must stand still: a snapshot was loaded.
    public func set(_ now: UInt64) { state.withLock { if $0.stopped != nil { $0.stopped = now } } }

    /// A timer that calls `handler` on the loop's thread.
    public func timer(_ handler: @escaping @Sendable () -> Void) -> MachineTimer { MachineTimer(self, handler) }

    /// nil: so far away that it never comes.
    private static func hostTime(_ virtual: UInt64, _ offset: UInt64) -> UInt64? { virtual < 1 << 62 ? virtual &- offset : nil }

    fileprivate func arm(_ number: UInt64, _ deadline: UInt64?) {
        state.withLock { state in
            state.timers[number] = deadline
            if state.stopped == nil { loop.arm(number, at: deadline.flatMap { Self.hostTime($0, state.offset) }) }
        }
    }

    fileprivate func fired(_ number: UInt64) { state.withLock { $0.timers[number] = nil } }
}

/// One timer; ends when released.
public final class MachineTimer: Sendable {
    private let clock: MachineClock
    private let number: UInt64

    fileprivate init(_ clock: MachineClock, _ handler: @escaping @Sendable () -> Void) {
        self.clock = clock
        let cell = Locked<UInt64>(0)
        number = clock.loop.addTimer { [weak clock] in
            clock?.fired(cell.withLock { $0 })
            handler()
        }
        cell.withLock { $0 = number }
    }

    /// Has the handler called once when the clock reaches `deadline` (virtual nanoseconds), instead of any earlier wish.
    public func arm(at deadline: UInt64) { clock.arm(number, deadline) }
    public func cancel() { clock.arm(number, nil) }

    deinit {
        clock.arm(number, nil)
        clock.loop.removeTimer(number)
    }
}
