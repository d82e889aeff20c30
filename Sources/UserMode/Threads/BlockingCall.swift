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
func hostCall(_ thread: GuestThread, _ number: some HostWord, _ a: some HostWord = 0, _ b: some HostWord = 0, _ c: some HostWord = 0,
              _ d: some HostWord = 0, _ e: some HostWord = 0, _ f: some HostWord = 0) -> Int64 {
    let result = apus_safe_syscall(thread.pending, number.hostWord, a.hostWord, b.hostWord, c.hostWord, d.hostWord, e.hostWord, f.hostWord)
    if result == -513 {
        thread.callNotEntered = true
        return -512
    }
    return Int64(result)
}

/// A host system call that does not block; the raw result.
@discardableResult @inline(__always)
func directCall(_ number: some HostWord, _ a: some HostWord = 0, _ b: some HostWord = 0, _ c: some HostWord = 0,
                _ d: some HostWord = 0, _ e: some HostWord = 0, _ f: some HostWord = 0) -> Int64 {
    Int64(apus_syscall(number.hostWord, a.hostWord, b.hostWord, c.hostWord, d.hostWord, e.hostWord, f.hostWord))
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
