import CHost
import Debugger
import Glibc
import Translation

/// The run loop of a thread under a debugger; see `RunLoop`.
enum DebuggedRunLoop {
    /// Returns when the thread has ended.
    static func run(_ thread: GuestThread, _ debugger: GuestDebugger) {
        let vcpu = thread.vcpu
        debugger.register(thread)
        while true {
            debugger.checkpoint(thread)
            let injected = debugger.takeInjected(thread)
            if injected != 0 { SignalDelivery.inject(injected, thread) }
            SignalDelivery.deliverPending(thread)
            // A request may have come before the flag that carries it was cleared.
            if debugger.isStopRequested { continue }
            if case .run = debugger.action(of: thread) {
                let reason = thread.process.engine.run(vcpu)
                if reason == .breakpoint || reason == .fetchFault, debugger.stopsAtBreakpoint(thread) { continue }
                if !act(reason, thread, debugger) { return }
                _ = debugger.reportWatchHit(thread)
            } else if !step(thread, debugger) {
                return
            }
        }
    }

    /// One instruction. False if the thread has ended.
    private static func step(_ thread: GuestThread, _ debugger: GuestDebugger) -> Bool {
        let vcpu = thread.vcpu
        let reports = debugger.reports(of: thread)
        if let reason = debugger.stepper.step(vcpu) {
            if reason == .breakpoint || reason == .fetchFault, debugger.stopsAtBreakpoint(thread) { return true }
            if !act(reason, thread, debugger) { return false }
            // A call that is to be made again has not been stepped over.
            if thread.interruption != nil { return true }
        }
        if debugger.reportWatchHit(thread) { return true }
        // A stop on the way was this step's end.
        guard debugger.reports(of: thread) == reports else { return true }
        if case .stepRange(let range) = debugger.action(of: thread), range.contains(vcpu.pc), !debugger.hasBreakpoint(at: vcpu.pc) {
            return true
        }
        debugger.report(.step, thread)
        return true
    }

    private static func act(_ reason: ExitReason, _ thread: GuestThread, _ debugger: GuestDebugger) -> Bool {
        guard reason == .systemCall else { return RunLoop.act(on: reason, thread) }
        let number = thread.process.abi.systemCall(of: thread.vcpu).number
        let isCaught = debugger.entersCall(number, thread)
        // The debugger may have changed the registers.
        let (actual, arguments) = thread.process.abi.systemCall(of: thread.vcpu)
        debugger.mayEnd(actual, status: Int32(truncatingIfNeeded: arguments.0), thread)
        guard RunLoop.act(on: reason, thread) else { return false }
        debugger.checkWatchedMemory(thread)
        if isCaught, thread.interruption == nil { debugger.leavesCall(number, thread) }
        debugger.reportFork(thread)
        return true
    }
}
