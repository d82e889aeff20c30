import CHost
import Glibc

/// Clocks, sleeping, timers: time(7).
enum TimeCalls {
    static let time: [SystemCallDescription] = [
        .host("clock_gettime", SYS_clock_gettime, [.flags(.clock), .structOut(.timespec)]),
        .host("clock_gettime64", SYS_clock_gettime, [.flags(.clock), .structOut(.timespec64)]),
        .host("clock_settime", SYS_clock_settime, [.flags(.clock), .structIn(.timespec)]),
        .host("clock_settime64", SYS_clock_settime, [.flags(.clock), .structIn(.timespec64)]),
        .host("clock_getres", SYS_clock_getres, [.flags(.clock), .structOut(.timespec)]),
        .host("clock_getres_time64", SYS_clock_getres, [.flags(.clock), .structOut(.timespec64)]),
        .host("clock_adjtime64", SYS_clock_adjtime, [.flags(.clock), .structInOut(.timex64)]),
        .host("clock_adjtime", SYS_clock_adjtime, [.flags(.clock), .structInOut(.timex)]),
        SystemCallDescription("nanosleep", [.structIn(.timespec), .structOut(.timespec)]) { call in
            sleep(call, .timespec, clock: Int(CLOCK_MONOTONIC), flags: 0, wanted: call[0], left: call[1])
        },
        SystemCallDescription("clock_nanosleep",
                              [.flags(.clock), .flags(.timer), .structIn(.timespec), .structOut(.timespec)]) { call in
            sleep(call, .timespec, clock: Int(call.int(0)), flags: Int(call.int(1)), wanted: call[2], left: call[3])
        },
        SystemCallDescription("clock_nanosleep_time64",
                              [.flags(.clock), .flags(.timer), .structIn(.timespec64), .structOut(.timespec64)]) { call in
            sleep(call, .timespec64, clock: Int(call.int(0)), flags: Int(call.int(1)), wanted: call[2], left: call[3])
        },
        .host("gettimeofday", SYS_gettimeofday, [.structOut(.timeval), .structOut(.timezone)]),
        .host("settimeofday", SYS_settimeofday, [.structIn(.timeval), .structIn(.timezone)]),
        .host("adjtimex", SYS_adjtimex, [.structInOut(.timex)]),
        .host("times", SYS_times, [.structOut(.tms)]),
        .host("time", SYS_time, [.structOut(.cLong)]),
        .host("getitimer", SYS_getitimer, [.flags(.intervalTimer), .structOut(.itimerval)]),
        .host("setitimer", SYS_setitimer, [.flags(.intervalTimer), .structIn(.itimerval), .structOut(.itimerval)]),
        .host("alarm", SYS_alarm, [.unsigned]),
        .host("timer_create", SYS_timer_create, [.flags(.clock), .structIn(.sigevent), .structOut(.cInt)]),
        .host("timer_settime", SYS_timer_settime, [.int, .flags(.timer), .structIn(.itimerspec), .structOut(.itimerspec)]),
        .host("timer_gettime", SYS_timer_gettime, [.int, .structOut(.itimerspec)]),
        .host("timer_settime64", SYS_timer_settime, [.int, .flags(.timer), .structIn(.itimerspec64), .structOut(.itimerspec64)]),
        .host("timer_gettime64", SYS_timer_gettime, [.int, .structOut(.itimerspec64)]),
        .host("timer_getoverrun", SYS_timer_getoverrun, [.int]),
        .host("timer_delete", SYS_timer_delete, [.int]),
    ]

    /// Sleeps; when a signal ends it, what is left goes to `left` (unless the time was absolute).
    ///
    /// The kernel's restart block, which goes on sleeping after a signal that had no handler, has no equal here: such
    /// a sleep ends with EINTR unless the signal's delivery starts the call anew, and then waits for the whole time.
    private static func sleep(_ call: SystemCall, _ layout: StructLayout, clock: Int, flags: Int, wanted: UInt64,
                              left: UInt64) -> SystemCallResult {
        var request = (0, 0), rest = (0, 0)
        guard withUnsafeMutableBytes(of: &request, { bytes in
            bytes.baseAddress.map { call.readStructure(layout, wanted, $0) } ?? false
        }) else { return .error(EFAULT) }
        let result = withUnsafeMutableBytes(of: &request) { request in
            withUnsafeMutableBytes(of: &rest) { rest in
                call.host(.waits, SYS_clock_nanosleep, clock, flags, Int(bitPattern: request.baseAddress),
                          Int(bitPattern: rest.baseAddress))
            }
        }
        guard case .interrupted = result, left != 0, flags & 1 == 0 else { return result }
        // A call that never began has all its time left.
        if rest == (0, 0) { rest = request }
        let written = withUnsafeBytes(of: &rest) { bytes in
            bytes.baseAddress.map { call.writeStructure(layout, left, $0) } ?? false
        }
        return written ? result : .error(EFAULT)
    }
}
