// "Hardware Performance Monitor", and the "Sscofpmf" Extension for Count Overflow and Mode-Based Filtering: which counters run, and
// what comes of it when one overflows. Cycles and instructions both go by the machine's time in nanoseconds; misses of the
// translation cache are counted one by one.

import CHost
import Core
import Translation

/// `mhpmevent`'s fields, and the events that there are, by the numbers of the SBI specification's PMU extension, which QEMU takes as well.
enum CounterEvent {
    static let overflow: UInt64 = 1 << 63
    /// MINH, SINH, UINH, VSINH, VUINH: the counter stands still in that mode.
    static let machine: UInt64 = 1 << 62, supervisor: UInt64 = 1 << 61, user: UInt64 = 1 << 60
    static let virtualSupervisor: UInt64 = 1 << 59, virtualUser: UInt64 = 1 << 58
    static let filters: UInt64 = machine | supervisor | user | virtualSupervisor | virtualUser
    static let selector: UInt64 = virtualUser - 1

    static let cycles: UInt64 = 1, instructions: UInt64 = 2
    static let loadMisses: UInt64 = 0x1_0019, storeMisses: UInt64 = 0x1_001b, fetchMisses: UInt64 = 0x1_0021

    static func goesByTime(_ event: UInt64) -> Bool { event & selector == cycles || event & selector == instructions }
    static func isMiss(_ event: UInt64) -> Bool { [loadMisses, storeMisses, fetchMisses].contains(event & selector) }
}

/// The counters of one hart; touched by its thread alone.
struct PerformanceCounters {
    /// What a counter shows; of one that runs by the time, less the time.
    var values = [UInt64](repeating: 0, count: 32)
    /// `mhpmevent3` and up.
    var events = [UInt64](repeating: 0, count: 32)
    /// Bits: the counters that run by the time.
    var running: UInt32 = 0b101
    /// Bits: those that count misses.
    var misses: UInt32 = 0
    /// Whether the mode decides which of them run.
    var isFiltered = false
    /// When each of those that run overflows, in nanoseconds of the machine's time.
    var overflowTimes = [UInt64](repeating: .max, count: 32)
}

extension Hart {
    /// Counters 3 and up; of those that there are not, the event selectors read as 0.
    func hasEventCounter(_ number: Int) -> Bool { number < 3 + configuration.hartCounters }

    func counter(_ number: Int) -> UInt64 {
        counters.running >> UInt32(number) & 1 != 0 ? timebase.clock.now &+ counters.values[number] : counters.values[number]
    }

    func setCounter(_ number: Int, _ value: UInt64) {
        let now = timebase.clock.now
        collectOverflows(now)
        start(number, value, at: now)
        armOverflow()
    }

    /// `mhpmevent`, with its OF as of now.
    func event(_ number: Int) -> UInt64 {
        collectOverflows(timebase.clock.now)
        return counters.events[number]
    }

    func setEvent(_ number: Int, _ value: UInt64) {
        guard hasEventCounter(number) else { return }
        var mask = CounterEvent.selector
        if configuration.hasSscofpmf {
            mask |= CounterEvent.overflow | CounterEvent.machine
            if configuration.hasSupervisor { mask |= CounterEvent.supervisor }
            if configuration.hasUser { mask |= CounterEvent.user }
            if configuration.hasHypervisor { mask |= CounterEvent.virtualSupervisor | CounterEvent.virtualUser }
        }
        collectOverflows(timebase.clock.now)
        counters.events[number] = value & mask
        chooseCounters()
    }

    func setInhibit(_ value: UInt64) {
        mcountinhibit = value & ~2 & counterMask
        chooseCounters()
    }

    /// The selectors or the inhibition have changed.
    private func chooseCounters() {
        (counters.misses, counters.isFiltered) = (0, false)
        for number in 3 ..< 32 where mcountinhibit >> UInt64(number) & 1 == 0 && hasEventCounter(number) {
            let event = counters.events[number]
            if CounterEvent.isMiss(event) { counters.misses |= 1 << UInt32(number) }
            if CounterEvent.goesByTime(event), event & CounterEvent.filters != 0 { counters.isFiltered = true }
        }
        switchCounters()
    }

    /// Starts and stops what runs by the time, for the inhibition and the mode as they are now.
    func switchCounters() {
        var wanted: UInt32 = 0b101
        for number in 3 ..< 32 where CounterEvent.goesByTime(counters.events[number]) && counters.events[number] & filter == 0 { wanted |= 1 << UInt32(number) }
        wanted &= ~UInt32(truncatingIfNeeded: mcountinhibit)
        var changed = wanted ^ counters.running
        guard changed != 0 else { return }
        let now = timebase.clock.now
        collectOverflows(now)
        while changed != 0 {
            let number = changed.trailingZeroBitCount
            changed &= changed &- 1
            let value = counter(number)
            counters.running ^= 1 << UInt32(number)
            start(number, value, at: now)
        }
        armOverflow()
    }

    private func start(_ number: Int, _ value: UInt64, at now: UInt64) {
        guard counters.running >> UInt32(number) & 1 != 0 else {
            counters.values[number] = value
            counters.overflowTimes[number] = .max
            return
        }
        counters.values[number] = value &- now
        let (time, isNever) = now.addingReportingOverflow(0 &- value)
        counters.overflowTimes[number] = isNever || value == 0 || number < 3 ? .max : time
    }

    /// The filter of the current mode.
    private var filter: UInt64 {
        switch privilege {
        case .machine: CounterEvent.machine
        case .supervisor: hypervisor.isVirtual ? CounterEvent.virtualSupervisor : CounterEvent.supervisor
        case .user: hypervisor.isVirtual ? CounterEvent.virtualUser : CounterEvent.user
        }
    }

    /// A translation was not in the cache.
    func countMiss(_ kind: AccessKind) {
        let event = kind == .fetch ? CounterEvent.fetchMisses : kind == .load ? CounterEvent.loadMisses : CounterEvent.storeMisses
        var left = counters.misses
        while left != 0 {
            let number = left.trailingZeroBitCount
            left &= left &- 1
            guard counters.events[number] & CounterEvent.selector == event, counters.events[number] & filter == 0 else { continue }
            counters.values[number] &+= 1
            if counters.values[number] == 0 { overflow(number) }
        }
    }

    // MARK: overflow

    private func armOverflow() {
        guard configuration.hasSscofpmf else { return }
        let first = counters.overflowTimes.min() ?? .max
        if first == .max { overflowTimer?.cancel() } else { overflowTimer?.arm(at: first) }
    }

    /// What has overflowed until `now`.
    func collectOverflows(_ now: UInt64) {
        guard configuration.hasSscofpmf else { return }
        for number in 3 ..< 32 where counters.overflowTimes[number] <= now {
            counters.overflowTimes[number] = .max
            overflow(number)
        }
    }

    private func overflow(_ number: Int) {
        guard configuration.hasSscofpmf, counters.events[number] & CounterEvent.overflow == 0 else { return }
        counters.events[number] |= CounterEvent.overflow
        setSoftwareBits(HartInterrupt.counterOverflow.bit, HartInterrupt.counterOverflow.bit)
    }

    /// `scountovf`: of the counters that the current mode may read.
    var overflowBits: UInt64 {
        collectOverflows(timebase.clock.now)
        var bits: UInt64 = 0
        for number in 3 ..< 32 where counters.events[number] & CounterEvent.overflow != 0 { bits |= 1 << UInt64(number) }
        if privilege != .machine { bits &= mcounteren }
        if hypervisor.isVirtual { bits &= hypervisor.hcounteren }
        return bits
    }
}
