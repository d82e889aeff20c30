/// Layouts of `<linux/time.h>`, `<linux/timex.h>`, `<linux/resource.h>`, `<linux/sched.h>` and system information.
package extension StructLayout {
    static let timespec = StructLayout("timespec") { [("tv_sec", .long), ("tv_nsec", .long)] }
    /// `struct __kernel_timespec` of the `_time64` calls of 32-bit guests.
    static let timespec64 = StructLayout("timespec64") { [("tv_sec", .i64), ("tv_nsec", .i64)] }
    static let timeval = StructLayout("timeval") { [("tv_sec", .long), ("tv_usec", .long)] }
    static let timezone = StructLayout("timezone") { [("tz_minuteswest", .i32), ("tz_dsttime", .i32)] }
    static let itimerspec = StructLayout("itimerspec") {
        [("it_interval", .structure(.timespec)), ("it_value", .structure(.timespec))]
    }
    static let itimerspec64 = StructLayout("itimerspec64") {
        [("it_interval", .structure(.timespec64)), ("it_value", .structure(.timespec64))]
    }
    static let itimerval = StructLayout("itimerval") {
        [("it_interval", .structure(.timeval)), ("it_value", .structure(.timeval))]
    }
    static let tms = StructLayout("tms") {
        [("tms_utime", .long), ("tms_stime", .long), ("tms_cutime", .long), ("tms_cstime", .long)]
    }
    static let timex = StructLayout("timex") {
        [("modes", .u32), ("offset", .long), ("freq", .long), ("maxerror", .long), ("esterror", .long),
         ("status", .i32), ("constant", .long), ("precision", .long), ("tolerance", .long),
         ("time", .structure(.timeval)), ("tick", .long), ("ppsfreq", .long), ("jitter", .long), ("shift", .i32),
         ("stabil", .long), ("jitcnt", .long), ("calcnt", .long), ("errcnt", .long), ("stbcnt", .long), ("tai", .i32),
         ("unused", .padding(44))]
    }
    /// `struct __kernel_timex` of the `_time64` calls.
    static let timex64 = StructLayout("timex64") {
        [("modes", .u32), ("offset", .i64), ("freq", .i64), ("maxerror", .i64), ("esterror", .i64),
         ("status", .i32), ("constant", .i64), ("precision", .i64), ("tolerance", .i64), ("tv_sec", .i64), ("tv_usec", .i64),
         ("tick", .i64), ("ppsfreq", .i64), ("jitter", .i64), ("shift", .i32), ("stabil", .i64), ("jitcnt", .i64),
         ("calcnt", .i64), ("errcnt", .i64), ("stbcnt", .i64), ("tai", .i32), ("unused", .padding(44))]
    }
    /// `sigev_value` and the rest; the union holds a thread id or two pointers.
    static let sigevent = StructLayout("sigevent") {
        [("sigev_value", .pointer), ("sigev_signo", .i32), ("sigev_notify", .i32), ("sigev_tid", .i32),
         ("unused", .padding(44))]
    }
    static let resourceLimit = StructLayout("rlimit") { [("rlim_cur", .ulong), ("rlim_max", .ulong)] }
    static let resourceLimit64 = StructLayout("rlimit64") { [("rlim_cur", .u64), ("rlim_max", .u64)] }
    static let resourceUsage = StructLayout("rusage") {
        [("ru_utime", .structure(.timeval)), ("ru_stime", .structure(.timeval)), ("ru", .array(.long, 14))]
    }
    static let schedulingParameters = StructLayout("sched_param") { [("sched_priority", .i32)] }
    static let systemInformation = StructLayout("sysinfo") {
        [("uptime", .long), ("loads", .array(.ulong, 3)), ("totalram", .ulong), ("freeram", .ulong),
         ("sharedram", .ulong), ("bufferram", .ulong), ("totalswap", .ulong), ("freeswap", .ulong), ("procs", .u16),
         ("pad", .u16), ("totalhigh", .ulong), ("freehigh", .ulong), ("mem_unit", .u32)]
    }
    static let kernelNames = StructLayout("utsname") { [("names", .bytes(65 * 6))] }
    static let capabilityHeader = StructLayout("user_cap_header") { [("version", .u32), ("pid", .i32)] }
    static let capabilityData = StructLayout("user_cap_data[2]") { [("data", .array(.u32, 6))] }
    static let identifiers = StructLayout("id") { [("id", .u32)] }
}
