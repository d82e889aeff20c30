// The end of a program by a signal: what is said of it, the core file, and the host process's own end by the same signal,
// which must not leave a core file of Apus itself.

import CHost
import Glibc
import Host

/// Lets the threads of a dying program stand still while its memory is written.
final class ProgramDeath: @unchecked Sendable {
    /// Becomes 1 when a thread begins to write a core file.
    private let begun: UnsafeMutablePointer<Int32>
    private let parked = Locked<Int>(0)

    init() {
        begun = .allocate(capacity: 1)
        begun.initialize(to: 0)
    }

    deinit { begun.deallocate() }

    var isUnderWay: Bool { apus_atomic_load_i32(begun) != 0 }

    /// Waits for the end of the process.
    func park() -> Never {
        parked.withLock { $0 += 1 }
        GuestThread.blockAll()
        while true { directCall(SYS_futex, begun, FutexOperation.waitPrivate, 1) }
    }

    /// Makes all threads but `thread` park, or waits itself if another one was first. A thread that cannot come within a
    /// second is left where it is.
    func begin(_ thread: GuestThread) {
        if apus_atomic_exchange_i32(begun, 1) != 0 { park() }
        let others = thread.process.threads.tids.filter { $0 != thread.tid }
        for tid in others {
            if let other = thread.process.threads[tid] { apus_atomic_store_i32(other.pending, 1) }
            SignalInbox.kick(tid)
        }
        for _ in 0 ..< 1000 where parked.withLock({ $0 }) < others.count { usleep(1000) }
    }
}

extension SignalNumber {
    /// Whether the default action leaves a core file.
    static func dumpsCore(_ number: Int) -> Bool {
        switch Int32(truncatingIfNeeded: number) {
        case SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS: true
        default: false
        }
    }
}

extension SignalDelivery {
    /// Ends the process by the `signal` of a fault, and says so: no shell tells a fault of the guest from one of Apus.
    static func terminateByFault(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) -> Never {
        let name = strsignal(Int32(truncatingIfNeeded: signal)).map { String(cString: $0) } ?? "unknown"
        UserLog.writer(nil)("apus: the program was ended by signal \(signal) (\(name))\n")
        terminate(signal, info, thread)
    }

    /// Ends the process by `signal`, as its parent sees it.
    static func terminate(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) -> Never {
        thread.process.debugger?.ends(.killed(DebugSignals.remote(signal)), thread)
        thread.process.tools?.finish()
        var isDumped = false
        if SignalNumber.dumpsCore(signal), CoreFile.isWanted {
            thread.process.death.begin(thread)
            isDumped = CoreFile(thread, signal, info).write()
        }
        thread.process.systemCalls.noteDeath(signal, isDumped: isDumped)
        // Neither a core file of Apus nor a report to whoever collects them.
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        if getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 {
            none.rlim_cur = 0
            setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        }
        directCall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 0)
        GuestThread.blockAll()
        let number = Int32(truncatingIfNeeded: signal)
        apus_signal_action_special(number, 0, 0)
        apus_signal_mask(1, SignalNumber.bit(signal), nil)
        directCall(SYS_tgkill, getpid(), directCall(SYS_gettid), number)
        // Not reached: every signal that gets here is fatal by default.
        directCall(SYS_exit_group, 128 &+ signal)
        while true {}
    }
}
