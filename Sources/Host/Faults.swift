// Synchronous faults of host code that runs on a guest's behalf: guarded memory accesses (CHost) and generated code.
// Everything reached from a signal handler here touches raw memory only: no allocation, no locks, no class references.

import CHost
import Glibc

/// Handles a host signal that found the program counter in a region of generated code.
/// - Parameters: the signal number, the `siginfo_t`, the `ucontext_t`.
/// - Returns: whether the context now resumes properly.
public typealias FaultHandler = @convention(c) (_ signal: Int32, _ info: UnsafeMutableRawPointer, _ ucontext: UnsafeMutableRawPointer) -> Bool

/// Faults inside Apus that are expected, and how they are turned into results.
public enum HostFaults {
    private struct Region {
        var base: UInt = 0
        var size: UInt = 0
        var fault: FaultHandler
        var interrupt: FaultHandler
    }

    private static let regionCapacity = 16
    // Invariant: entries below `regionCount` are complete and never change again, so handlers may read them any time.
    private nonisolated(unsafe) static let regions = UnsafeMutablePointer<Region>.allocate(capacity: regionCapacity)
    private nonisolated(unsafe) static let regionCount: UnsafeMutablePointer<Int> = {
        let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        count.initialize(to: 0)
        return count
    }()

    /// Signals that the processor raises for the instruction it is executing. Apus owns them on the host.
    public static let synchronousSignals: [Int32] = [SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV]
    /// The same as a mask, bit n-1 for signal n.
    public static let synchronousMask: UInt64 = 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10

    /// Announces a region of generated host code; up to sixteen, while the process is single-threaded. Registering the
    /// same base again replaces the entry.
    /// - Parameters:
    ///   - fault: handles a synchronous signal whose program counter is inside.
    ///   - interrupt: called when an asynchronous signal found the program counter inside, after `interruptRequest`
    ///     was set.
    public static func registerCode(base: UnsafeRawPointer, size: Int, fault: @escaping FaultHandler, interrupt: @escaping FaultHandler) {
        let region = Region(base: UInt(bitPattern: base), size: UInt(bitPattern: size), fault: fault, interrupt: interrupt)
        for index in 0 ..< regionCount.pointee where regions[index].base == region.base {
            regions[index] = region
            return
        }
        guard regionCount.pointee < regionCapacity else { return }
        (regions + regionCount.pointee).initialize(to: region)
        regionCount.pointee += 1
    }

    /// For SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP: true if the fault was expected and the context now resumes
    /// properly. Async-signal-safe.
    public static func recover(_ signal: Int32, _ info: UnsafeMutableRawPointer, _ ucontext: UnsafeMutableRawPointer) -> Bool {
        let pc = apus_uc_pc(ucontext)
        let target = apus_guarded_fixup(pc)
        if target != 0 {
            apus_last_fault_set(apus_si_address(info), signal, apus_si_code(info))
            apus_uc_set_pc(ucontext, target)
            return true
        }
        var index = 0
        let count = regionCount.pointee
        while index < count {
            let region = regions + index
            if UInt(pc) &- region.pointee.base < region.pointee.size, region.pointee.fault(signal, info, ucontext) {
                return true
            }
            index &+= 1
        }
        // A single step may end outside the code it began in.
        if signal == SIGTRAP {
            index = 0
            while index < count {
                if regions[index].fault(signal, info, ucontext) { return true }
                index &+= 1
            }
        }
        return false
    }

    /// Called by handlers of asynchronous signals after `interruptRequest` was set: makes generated code leave at the
    /// next guest instruction boundary. Async-signal-safe.
    public static func interrupt(_ ucontext: UnsafeMutableRawPointer) {
        let pc = UInt(apus_uc_pc(ucontext))
        var index = 0
        let count = regionCount.pointee
        while index < count {
            let region = regions + index
            if pc &- region.pointee.base < region.pointee.size {
                _ = region.pointee.interrupt(0, ucontext, ucontext)
                return
            }
            index &+= 1
        }
    }

    /// Installs handlers for the synchronous signals that only recover and otherwise restore the default action:
    /// enough for tests and engines without user mode.
    public static func install() {
        _ = regionCount.pointee
        _ = regions
        for signal in synchronousSignals {
            installHandler(signal) { signal, info, ucontext in
                guard let info, let ucontext else { return }
                if !HostFaults.recover(signal, info, ucontext) {
                    // The instruction faults again, now fatally.
                    apus_signal_action_special(signal, 0, 0)
                }
            }
        }
    }

    /// Installs `handler` for `signal` on the alternate stack, with all signals blocked meanwhile but the synchronous
    /// ones: code that handlers run may itself fault expectedly.
    /// - Parameter flags: further `SA_` flags.
    @discardableResult
    public static func installHandler(_ signal: Int32, flags: UInt64 = 0, _ handler: @escaping apus_signal_handler) -> Int {
        apus_signal_action(signal, handler, UInt64(SA_SIGINFO) | UInt64(SA_ONSTACK) | flags, ~synchronousMask)
    }

    /// Bytes of a thread's alternate signal stack: host frames hold up to 11 KiB of vector state, and handlers nest.
    public static let alternateStackSize = 128 << 10

    /// Gives the calling thread an alternate signal stack. Needed before `Engine.run`.
    /// - Returns: false if there is no memory for one.
    @discardableResult
    public static func prepareThread() -> Bool {
        // Handlers must not be the first to touch what is made on first use.
        _ = regionCount.pointee
        _ = regions
        var current = stack_t()
        if sigaltstack(nil, &current) == 0, current.ss_flags & Int32(SS_DISABLE) == 0, current.ss_size >= alternateStackSize {
            return true
        }
        guard let stack = HostMemory.map(alternateStackSize, PROT_READ | PROT_WRITE) else { return false }
        var new = stack_t(ss_sp: stack, ss_flags: 0, ss_size: alternateStackSize)
        return sigaltstack(&new, nil) == 0
    }

    /// Takes away and frees what `prepareThread` gave. The calling thread must not run guest code any more.
    public static func releaseThread() {
        var current = stack_t()
        guard sigaltstack(nil, &current) == 0, current.ss_flags & Int32(SS_DISABLE) == 0, let stack = current.ss_sp else { return }
        var none = stack_t(ss_sp: nil, ss_flags: Int32(SS_DISABLE), ss_size: 0)
        if sigaltstack(&none, nil) == 0, current.ss_size == alternateStackSize { HostMemory.unmap(stack, alternateStackSize) }
    }
}
