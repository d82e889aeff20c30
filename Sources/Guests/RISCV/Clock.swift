// The counters of Zicntr: cycle, time and instret all read the host's monotonic clock in nanoseconds.
//
// The manual leaves their rates to the machine. A program that wants the rate of `time` asks the operating system, which
// answers `Clock.frequency`.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import IR
import Translation

/// The clock that a guest program reads by `rdtime`.
public enum Clock {
    /// Ticks of `time` in a second.
    public static let frequency: UInt64 = 1_000_000_000

    public static var now: UInt64 {
        var time = timespec()
        guard clock_gettime(CLOCK_MONOTONIC, &time) == 0 else { return 0 }
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }

    static let helper = HelperTable.register { _, _, _, _ in Clock.now }
}
