// A limit on bytes a second: a bucket that fills with time and holds a tenth of a second's worth.

import Glibc
import Host

/// Makes callers wait so that together they do not exceed a rate.
public final class RateLimit: Sendable {
    private struct State { var rate: UInt64; var free: Double }
    private let state: Locked<State>

    /// - Parameter rate: bytes a second; 0: no limit.
    public init(_ rate: UInt64) { state = Locked(State(rate: rate, free: 0)) }

    /// Changes the rate.
    public func set(_ rate: UInt64) { state.withLock { $0 = State(rate: rate, free: 0) } }

    /// Seconds of a clock that only goes forward.
    public static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Accounts for `count` bytes about to be moved, and sleeps until they may be.
    public func pass(_ count: UInt64) {
        let wait = delay(count)
        if wait > 0 { usleep(UInt32(clamping: Int(min(wait, 4000) * 1e6))) }
    }

    /// The rate now.
    public var rate: UInt64 { state.withLock { $0.rate } }

    /// Accounts for `count` bytes about to be moved: how many seconds to wait until they may be.
    func delay(_ count: UInt64) -> Double {
        state.withLock { state -> Double in
            guard state.rate > 0 else { return 0 }
            let now = RateLimit.now()
            let start = max(state.free, now - 0.1)
            state.free = start + Double(count) / Double(state.rate)
            return max(0, start - now)
        }
    }
}
