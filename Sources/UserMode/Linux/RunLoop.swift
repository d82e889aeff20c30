import CHost
import Glibc
import Translation

/// What a guest thread does all its life: run guest code, and act on the reason it stopped, as the kernel's trap
/// handlers would.
enum RunLoop {
    /// Returns when the thread has ended.
    static func run(_ thread: GuestThread) {
        let process = thread.process
        if let debugger = process.debugger { return DebuggedRunLoop.run(thread, debugger) }
        let vcpu = thread.vcpu
        let engine = process.engine
        while true {
            SignalDelivery.deliverPending(thread)
            if !act(on: engine.run(vcpu), thread) { return }
        }
    }

    /// Does what guest code stopped for. False if the thread has ended.
    @inline(__always)
    static func act(on reason: ExitReason, _ thread: GuestThread) -> Bool {
        let process = thread.process
        let vcpu = thread.vcpu
        switch reason {
        case .systemCall:
            return systemCall(thread, process, vcpu)
        case .interrupted:
            break
        case .breakpoint:
            SignalDelivery.deliverSynchronous(thread, SIGTRAP, 1 /* TRAP_BRKPT */, vcpu.pc)
        case .illegalInstruction:
            SignalDelivery.deliverSynchronous(thread, SIGILL, 1 /* ILL_ILLOPC */, vcpu.pc)
        case .memoryFault:
            memoryFault(thread, process.memory, vcpu)
        case .misaligned:
            SignalDelivery.deliverSynchronous(thread, SIGBUS, 1 /* BUS_ADRALN */, vcpu[UInt64.self, StateHeader.faultAddress])
        case .fetchFault:
            fetchFault(thread, process.memory, vcpu)
        case .instructionFence:
            process.memory.codeWasFenced(0..<UInt64.max)
            process.engine.synchronize(0..<UInt64.max)
        case .idle:
            sched_yield()
        case .guestException:
            if case .signal(let number, let code, let address) = process.abi.emulate(vcpu, memory: process.memory) {
                SignalDelivery.deliverSynchronous(thread, number, code, address)
            }
        case .waitForInterrupt:
            // Only machines have this: a program that asks for it is refused before.
            SignalDelivery.deliverSynchronous(thread, SIGILL, 1 /* ILL_ILLOPC */, vcpu.pc)
        }
        return true
    }

    /// False if the thread has ended.
    @inline(__always)
    private static func systemCall(_ thread: GuestThread, _ process: Process, _ vcpu: VCPU) -> Bool {
        let (number, arguments) = process.abi.systemCall(of: vcpu)
        let call = SystemCall(process: process, thread: thread, number: number, arguments: arguments)
        let result = SystemCallDispatcher.run(call)
        if case .threadExit = result { return false }
        SignalDelivery.finish(result, thread)
        return true
    }

    /// A data access failed on the host. What the host calls a missing permission may be one that only the guest's map
    /// knows, so that decides between the two SIGSEGV codes.
    private static func memoryFault(_ thread: GuestThread, _ memory: GuestMemory, _ vcpu: VCPU) {
        let address = vcpu[UInt64.self, StateHeader.faultAddress]
        let signal = Int32(bitPattern: vcpu[UInt32.self, StateHeader.faultSignal])
        let code = Int32(bitPattern: vcpu[UInt32.self, StateHeader.faultCode])
        if signal == SIGBUS {
            SignalDelivery.deliverSynchronous(thread, SIGBUS, code > 0 ? code : 2 /* BUS_ADRERR */, address)
        } else if code == 2, memory.liftWatch(at: address, store: vcpu.fingerprint) {
            return
        } else {
            SignalDelivery.deliverSynchronous(thread, SIGSEGV, memory.isMapped(address) ? 2 /* SEGV_ACCERR */ : 1, address)
        }
    }

    /// No instruction could be fetched: a hole, a page without PROT_EXEC, or one beyond the end of its file.
    private static func fetchFault(_ thread: GuestThread, _ memory: GuestMemory, _ vcpu: VCPU) {
        let address = vcpu[UInt64.self, StateHeader.faultAddress]
        if memory.isExecutable(address) {
            SignalDelivery.deliverSynchronous(thread, SIGBUS, 2 /* BUS_ADRERR */, address)
        } else {
            SignalDelivery.deliverSynchronous(thread, SIGSEGV, memory.isMapped(address) ? 2 : 1, address)
        }
    }
}
