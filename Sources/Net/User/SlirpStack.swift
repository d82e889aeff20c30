// One TCP/IP stack of libslirp on an event loop: its descriptors are watched, its timers run, its frames handed on.
//
// libslirp asks for all its descriptors before each wait. Here that is asked once after all that happened in one turn of the
// loop, and only what has changed since is told to the kernel.

import CSlirp
import Core
import Glibc
import Host

/// Invariant: all but `init` happens on the loop's thread, where libslirp's callbacks come from, too.
final class SlirpStack: @unchecked Sendable {
    let library: SlirpLibrary
    private let loop: EventLoop
    /// Host time, from which libslirp's timers go: a guest's connections to the world do not stand still with the guest.
    private let clock: MachineClock
    private let deliver: (UnsafeRawBufferPointer) -> Void
    private(set) var slirp: OpaquePointer?
    private let callbacks: UnsafeMutablePointer<SlirpCb>
    private var watches: [Int32: Watched] = [:]
    /// Descriptors and wishes in the order libslirp named them.
    private var wanted: [(descriptor: Int32, events: Int32)] = []
    private var ready: [Int32: Int32] = [:]
    private var timeout: MachineTimer?
    private var isTurnDue = false
    private var hasEvents = false

    private struct Watched {
        var watch: Watch
        var events: Int32
        var turn: Int
    }
    private var turn = 0

    private enum Event {
        static let read: Int32 = 1, write: Int32 = 2, urgent: Int32 = 4, error: Int32 = 8, hangUp: Int32 = 16
    }

    /// - Parameter deliver: called with a frame for the guest.
    init?(_ library: SlirpLibrary, loop: EventLoop, configuration: SlirpConfig, deliver: @escaping (UnsafeRawBufferPointer) -> Void) {
        self.library = library
        self.loop = loop
        self.deliver = deliver
        clock = MachineClock(loop: loop)
        clock.set(EventLoop.now)
        clock.start()
        callbacks = .allocate(capacity: 1)
        callbacks.initialize(to: Self.makeCallbacks())
        var configuration = configuration
        slirp = library.make(&configuration, callbacks, Unmanaged.passUnretained(self).toOpaque())
        guard slirp != nil else { return nil }
        timeout = clock.timer { [weak self] in
            self?.hasEvents = true
            self?.wantTurn()
        }
    }

    deinit { callbacks.deallocate() }

    /// Ends all connections. The stack is kept alive by whoever calls.
    func close() {
        if let slirp { library.end(slirp) }
        slirp = nil
        watches = [:]
        timeout = nil
    }

    func input(_ frame: UnsafeRawBufferPointer) {
        guard let slirp, let base = frame.baseAddress, frame.count >= 14 else { return }
        library.input(slirp, base.assumingMemoryBound(to: UInt8.self), Int32(clamping: frame.count))
        wantTurn()
    }

    /// Has `takeTurn` called once, at the end of this turn of the loop.
    func wantTurn() {
        guard !isTurnDue else { return }
        isTurnDue = true
        loop.submit { [weak self] in self?.takeTurn() }
    }

    // MARK: descriptors

    private func takeTurn() {
        isTurnDue = false
        guard let slirp else { return }
        let me = Unmanaged.passUnretained(self).toOpaque()
        if hasEvents {
            hasEvents = false
            library.poll(slirp, 0, { index, me in SlirpStack.of(me)?.readiness(index) ?? 0 }, me)
            ready = [:]
        }
        wanted = []
        var milliseconds: UInt32 = .max
        library.fill(slirp, &milliseconds, { descriptor, events, me in SlirpStack.of(me)?.want(descriptor, events) ?? -1 }, me)
        updateWatches()
        if milliseconds == .max { timeout?.cancel() } else { timeout?.arm(at: clock.now &+ UInt64(milliseconds) * 1_000_000) }
    }

    private func want(_ descriptor: Int32, _ events: Int32) -> Int32 {
        wanted.append((descriptor, events))
        return Int32(clamping: wanted.count - 1)
    }

    private func readiness(_ index: Int32) -> Int32 {
        guard wanted.indices.contains(Int(index)) else { return 0 }
        let (descriptor, events) = wanted[Int(index)]
        return (ready[descriptor] ?? 0) & (events | Event.error | Event.hangUp)
    }

    private func updateWatches() {
        turn &+= 1
        for (descriptor, events) in wanted {
            if watches[descriptor] != nil {
                watches[descriptor]?.turn = turn
                if watches[descriptor]?.events != events {
                    watches[descriptor]?.events = events
                    watches[descriptor]?.watch.wait(for: Self.readiness(of: events))
                }
            } else if let watch = loop.watch(descriptor, for: Self.readiness(of: events), { [weak self] in self?.happened(descriptor, $0) }) {
                watches[descriptor] = Watched(watch: watch, events: events, turn: turn)
            }
        }
        if watches.count > wanted.count {
            for (descriptor, watched) in watches where watched.turn != turn { watches[descriptor] = nil }
        }
    }

    private static func readiness(of events: Int32) -> Readiness {
        var readiness: Readiness = []
        if events & (Event.read | Event.urgent) != 0 { readiness.insert(.read) }
        if events & Event.write != 0 { readiness.insert(.write) }
        return readiness
    }

    private func happened(_ descriptor: Int32, _ readiness: Readiness) {
        var events: Int32 = 0
        if readiness.contains(.read) { events |= Event.read }
        if readiness.contains(.write) { events |= Event.write }
        // As poll(2) has it, what has ended can be read to its end.
        if readiness.contains(.hangUp) { events |= Event.hangUp | Event.read }
        ready[descriptor, default: 0] |= events
        hasEvents = true
        wantTurn()
    }

    /// libslirp is about to close a descriptor, or has a new one by an old number.
    private func forget(_ descriptor: Int32) {
        watches[descriptor] = nil
        ready[descriptor] = nil
    }

    // MARK: callbacks

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> SlirpStack? {
        pointer.map { Unmanaged<SlirpStack>.fromOpaque($0).takeUnretainedValue() }
    }

    private final class Timer {
        var timer: MachineTimer?
    }

    private func makeTimer(_ identifier: SlirpTimerId, _ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        let timer = Timer(), argument = UInt(bitPattern: argument)
        timer.timer = clock.timer { [weak self] in
            guard let self, let slirp else { return }
            library.handleTimer(slirp, identifier, UnsafeMutableRawPointer(bitPattern: argument))
            wantTurn()
        }
        return Unmanaged.passRetained(timer).toOpaque()
    }

    private static func makeCallbacks() -> SlirpCb {
        var callbacks = SlirpCb()
        callbacks.send_packet = { bytes, count, me in
            SlirpStack.of(me)?.deliver(UnsafeRawBufferPointer(start: bytes, count: count))
            return count
        }
        callbacks.guest_error = { _, _ in }
        callbacks.clock_get_ns = { me in Int64(truncatingIfNeeded: SlirpStack.of(me)?.clock.now ?? 0) }
        callbacks.timer_new_opaque = { identifier, argument, me in SlirpStack.of(me)?.makeTimer(identifier, argument) }
        callbacks.timer_free = { timer, _ in
            if let timer { Unmanaged<Timer>.fromOpaque(timer).release() }
        }
        callbacks.timer_mod = { timer, milliseconds, _ in
            guard let timer else { return }
            Unmanaged<Timer>.fromOpaque(timer).takeUnretainedValue().timer?.arm(at: UInt64(clamping: milliseconds) &* 1_000_000)
        }
        callbacks.register_poll_fd = { descriptor, me in SlirpStack.of(me)?.forget(descriptor) }
        callbacks.unregister_poll_fd = { descriptor, me in SlirpStack.of(me)?.forget(descriptor) }
        callbacks.notify = { me in SlirpStack.of(me)?.wantTurn() }
        return callbacks
    }
}
