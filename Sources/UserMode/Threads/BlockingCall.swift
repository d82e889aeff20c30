// System calls of the host on behalf of a guest thread.

import CHost
import Glibc
import Host

/// A value that can stand in a host system call register.
protocol HostWord {
    var hostWord: Int { get }
}
extension Int: HostWord { var hostWord: Int { self } }
extension UInt: HostWord { var hostWord: Int { Int(bitPattern: self) } }
extension Int32: HostWord { var hostWord: Int { Int(self) } }
extension UInt32: HostWord { var hostWord: Int { Int(self) } }
extension Int64: HostWord { var hostWord: Int { Int(truncatingIfNeeded: self) } }
extension UInt64: HostWord { var hostWord: Int { Int(truncatingIfNeeded: self) } }
extension UnsafeMutableRawPointer: HostWord { var hostWord: Int { Int(bitPattern: self) } }
extension UnsafeRawPointer: HostWord { var hostWord: Int { Int(bitPattern: self) } }
extension UnsafeMutablePointer: HostWord { var hostWord: Int { Int(bitPattern: self) } }
extension UnsafePointer: HostWord { var hostWord: Int { Int(bitPattern: self) } }
extension Optional: HostWord where Wrapped: HostWord { var hostWord: Int { self?.hostWord ?? 0 } }

/// A host system call that may block.
///
/// - Returns: the kernel's result, a negated errno, or -512 if a signal came before the call or interrupted it where it
///   may be restarted. The handler answers -512 with `.restart`. A negated EINTR is a call that is never restarted
///   after a handler ran: the handler answers it with `.interrupted`.
@discardableResult @inline(__always)
func hostCall(_ thread: GuestThread, _ number: Int, _ a: some HostWord = 0, _ b: some HostWord = 0, _ c: some HostWord = 0,
              _ d: some HostWord = 0, _ e: some HostWord = 0, _ f: some HostWord = 0) -> Int64 {
    let result = apus_safe_syscall(thread.pending, number, a.hostWord, b.hostWord, c.hostWord, d.hostWord, e.hostWord, f.hostWord)
    if result == -513 {
        thread.callNotEntered = true
        return -512
    }
    return Int64(result)
}

/// A host system call that does not block; the raw result.
@discardableResult @inline(__always)
func directCall(_ number: Int, _ a: some HostWord = 0, _ b: some HostWord = 0, _ c: some HostWord = 0,
                _ d: some HostWord = 0, _ e: some HostWord = 0, _ f: some HostWord = 0) -> Int64 {
    Int64(apus_syscall(number, a.hostWord, b.hostWord, c.hostWord, d.hostWord, e.hostWord, f.hostWord))
}

extension SystemCallResult {
    /// How a handler ends after `hostCall`: -512 restarts, EINTR interrupts, everything else is the value.
    init(hostCall result: Int64) {
        switch result {
        case -512: self = .restart
        case -Int64(EINTR): self = .interrupted
        default: self = .value(result)
        }
    }
}

/// Host system call numbers that this room uses.
enum HostCallNumber {
    #if arch(x86_64)
    static let rt_sigpending = 127, rt_sigtimedwait = 128, rt_sigqueueinfo = 129, rt_sigsuspend = 130, rt_tgsigqueueinfo = 297
    static let kill = 62, tkill = 200, tgkill = 234, gettid = 186, futex = 202, exit = 60, exit_group = 231
    static let set_robust_list = 273, wait4 = 61, waitid = 247, execve = 59, execveat = 322, sched_yield = 24, pidfd_send_signal = 424
    static let pidfd_open = 434, faccessat2 = 439, pause = 34, futex_waitv = 449, getpid = 39
    #else
    static let rt_sigpending = 136, rt_sigtimedwait = 137, rt_sigqueueinfo = 138, rt_sigsuspend = 133, rt_tgsigqueueinfo = 240
    static let kill = 129, tkill = 130, tgkill = 131, gettid = 178, futex = 98, exit = 93, exit_group = 94
    static let set_robust_list = 99, wait4 = 260, waitid = 95, execve = 221, execveat = 281, sched_yield = 124, pidfd_send_signal = 424
    static let pidfd_open = 434, faccessat2 = 439, pause = -1, futex_waitv = 449, getpid = 172
    #endif
}
