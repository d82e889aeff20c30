// The counter that the timers of processors go by.

import Host

/// The timebase of a machine: `mtime` counts virtual time at a fixed frequency.
public final class Timebase: Sendable {
    public let frequency: UInt64
    public let clock: MachineClock
    /// What was written to `mtime`, minus what it would have been.
    private let adjustment = Locked<UInt64>(0)

    public init(frequency: UInt64, clock: MachineClock) {
        self.frequency = max(frequency, 1)
        self.clock = clock
    }

    /// `mtime`
    public var ticks: UInt64 { Self.scaled(clock.now, frequency, 1_000_000_000) &+ adjustment.withLock { $0 } }
    public func setTicks(_ value: UInt64) {
        let natural = Self.scaled(clock.now, frequency, 1_000_000_000)
        adjustment.withLock { $0 = value &- natural }
    }

    /// The virtual nanosecond at which `mtime` reaches `ticks`; `UInt64.max`: never.
    public func time(ofTicks ticks: UInt64) -> UInt64 {
        let offset = adjustment.withLock { $0 }
        let natural = ticks &- offset
        guard natural < 1 << 62 else { return ticks >= offset || ticks > 1 << 62 ? .max : 0 }
        let (high, low) = natural.multipliedFullWidth(by: 1_000_000_000)
        guard high < frequency else { return .max }
        let (quotient, remainder) = frequency.dividingFullWidth((high, low))
        return remainder == 0 ? quotient : quotient &+ 1
    }

    private static func scaled(_ value: UInt64, _ numerator: UInt64, _ denominator: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: numerator)
        return high < denominator ? denominator.dividingFullWidth((high, low)).quotient : .max
    }
}
