// Delivery of signals to the guest, at instruction boundaries, by the rules of the kernel's get_signal,
// handle_signal and force_sig_info.

import CHost
import Glibc
import Host
import Translation

enum SignalDelivery {
    /// Ends a system call: stores its result, or remembers that it waits for signals to be delivered. The run loop
    /// calls `deliverPending` next.
    static func finish(_ result: SystemCallResult, _ thread: GuestThread) {
        let notEntered = thread.callNotEntered
        thread.callNotEntered = false
        switch result {
        case .value(let value):
            thread.process.abi.finishSystemCall(thread.vcpu, result: value)
            restoreMask(thread)
        case .restart, .interrupted:
            // pc stays at the system call. One that has not begun begins after the signals, whatever their flags.
            if notEntered {
                restoreMask(thread)
            } else if case .restart = result {
                thread.interruption = .restart
            } else {
                thread.interruption = .interrupted
            }
        case .registersReplaced:
            restoreMask(thread)
        case .threadExit:
            break
        }
    }

    /// Delivers every received signal that is not blocked. Called before guest code is (re-)entered; cheap when nothing
    /// is pending.
    static func deliverPending(_ thread: GuestThread) {
        guard apus_atomic_load_i32(thread.pending) != 0 || thread.interruption != nil || thread.savedMask != nil else { return }
        if thread.process.death.isUnderWay { thread.process.death.park() }
        repeat {
            apus_atomic_store_i32(thread.pending, 0)
            while let (signal, info) = thread.inbox.take(blocked: thread.signalMask) {
                if thread.signalMask & SignalNumber.bit(signal) != 0 {
                    // Blocked since it was received: back to the host kernel.
                    requeue(signal, info, thread)
                } else {
                    deliver(signal, info, thread)
                }
                // Lets in the next one, which is pushed on top: the kernel runs handlers in that order too.
                GuestThread.blockAll()
                thread.applyMask()
            }
            if thread.interruption != nil || thread.savedMask != nil {
                // No handler ran: the call begins again under the mask it was made with.
                thread.interruption = nil
                if thread.savedMask != nil {
                    GuestThread.blockAll()
                    restoreMask(thread)
                    thread.applyMask()
                }
            }
        } while apus_atomic_load_i32(thread.pending) != 0
            && (thread.inbox.isOccupied || thread.inbox.sentMask & ~thread.signalMask != 0)
    }

    /// Raises `signal` for the instruction at the vCPU's pc. It cannot be ignored or blocked: then the program ends.
    /// - Parameters:
    ///   - code: `si_code`; - address: `si_addr`.
    static func deliverSynchronous(_ thread: GuestThread, _ signal: Int32, _ code: Int32, _ address: UInt64) {
        force(Int(signal), SignalInformation(fault: Int(signal), code: code, address: address), thread)
    }

    // MARK: One signal

    /// Delivers `signal` on behalf of a debugger, as if it had come from outside.
    static func inject(_ signal: Int, _ thread: GuestThread) {
        act(signal, SignalInformation(fault: signal, code: 0, address: 0), thread)
        GuestThread.blockAll()
        thread.applyMask()
    }

    private static func force(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) {
        guard let (signal, info) = intercepted(signal, info, thread) else { return }
        let action = thread.process.signals[signal]
        if thread.signalMask & SignalNumber.bit(signal) != 0 || action.handler <= 1 {
            thread.process.systemCalls.noteSignal(signal, info)
            terminateByFault(signal, info, thread)
        }
        act(signal, info, thread)
        GuestThread.blockAll()
        thread.applyMask()
    }

    private static func deliver(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) {
        guard let (signal, info) = intercepted(signal, info, thread) else { return }
        act(signal, info, thread)
    }

    /// What a debugger lets become of a signal; nil: nothing.
    private static func intercepted(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) -> (Int, SignalInformation)? {
        guard let debugger = thread.process.debugger else { return (signal, info) }
        let chosen = debugger.intercept(signal, info, thread)
        if chosen == signal { return (signal, info) }
        return chosen == 0 ? nil : (chosen, SignalInformation(fault: chosen, code: 0, address: 0))
    }

    private static func act(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) {
        thread.process.systemCalls.noteSignal(signal, info)
        let action = thread.process.signals.take(signal)
        if action.isIgnored { return }
        if action.isDefault {
            defaultAction(signal, info, thread)
            return
        }
        let vcpu = thread.vcpu, abi = thread.process.abi
        if let interruption = thread.interruption {
            thread.interruption = nil
            if interruption == .interrupted || action.flags & SignalAction.restart == 0 {
                abi.finishSystemCall(vcpu, result: -Int64(EINTR))
            }
        }
        let alternate = thread.alternateStack
        var stack = abi.stackPointer(of: vcpu)
        if action.flags & SignalAction.onStack != 0, alternate.size != 0, !alternate.contains(stack) {
            stack = alternate.address &+ alternate.size
        }
        let request = SignalFrameRequest(
            signal: signal, handler: action.handler,
            restorer: action.flags & SignalAction.restorerGiven != 0 ? action.restorer : 0,
            info: info.guestBytes(abi.dataModel), mask: thread.savedMask ?? thread.signalMask, stack: stack,
            alternateStack: (alternate.address, alternate.size, alternate.flags))
        guard abi.pushSignalFrame(vcpu, memory: thread.process.memory, frame: request) else {
            // The kernel's force_sigsegv: a SIGSEGV that cannot be delivered is fatal.
            if signal == Int(SIGSEGV) { terminateByFault(signal, info, thread) }
            return force(Int(SIGSEGV), SignalInformation(fault: Int(SIGSEGV), code: SignalCode.kernel, address: 0), thread)
        }
        if alternate.flags & AlternateStack.autoDisarm != 0 { thread.alternateStack = AlternateStack() }
        var mask = thread.signalMask | action.mask
        if action.flags & SignalAction.noDefer == 0 { mask |= SignalNumber.bit(signal) }
        thread.savedMask = nil
        thread.replaceMask(mask)
    }

    private static func restoreMask(_ thread: GuestThread) {
        guard let saved = thread.savedMask else { return }
        thread.savedMask = nil
        thread.replaceMask(saved)
    }

    private static func requeue(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) {
        info.bytes.withUnsafeBytes {
            _ = directCall(SYS_rt_tgsigqueueinfo, getpid(), thread.tid, signal, $0.baseAddress)
        }
    }

    private static func defaultAction(_ signal: Int, _ info: SignalInformation, _ thread: GuestThread) {
        if SignalNumber.isIgnoredByDefault(signal) { return }
        switch Int32(truncatingIfNeeded: signal) {
        case SIGTSTP, SIGTTIN, SIGTTOU:
            // Only if the handler was taken away after the signal had been received; the host kernel stops us.
            directCall(SYS_kill, getpid(), signal)
        default:
            terminate(signal, info, thread)
        }
    }
}
