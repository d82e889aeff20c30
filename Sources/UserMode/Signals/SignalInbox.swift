// Where the host's signal handler leaves what it received, one raw block a thread, and that handler.
//
// The handler keeps every further asynchronous signal blocked (in the mask that returns with the interrupted context)
// until the thread has delivered the one it received: so one place is enough, and all others stay pending in the host
// kernel, which knows their order, collapses and queues them, and shows them to signalfd, sigtimedwait and other
// threads. The five synchronous signals are never blocked on the host; when somebody *sends* one (kill), it waits in a
// place of its own.
//
// Safe because the block is raw memory that outlives its thread's use of guest code, is written only by the handler on
// the very thread that reads it, and the reader takes the asynchronous place only while those signals are blocked.

import CHost
import Glibc
import Host

struct SignalInbox {
    /// Offsets: Int32 received signal or 0 · UInt32 bits of sent synchronous signals · pointer to the vCPU's interrupt
    /// request · siginfo of the received · siginfo of five sent.
    static let signalOffset = 0, sentOffset = 4, requestOffset = 8, infoOffset = 16
    static let sentInfoOffset = infoOffset + SignalInformation.size
    private static let byteCount = sentInfoOffset + 5 * SignalInformation.size
    /// The thread slot that holds the block's address.
    static let slot: Int32 = 3

    let block: UnsafeMutableRawPointer

    init(interruptRequest: UnsafeMutablePointer<Int32>) {
        block = .allocate(byteCount: Self.byteCount, alignment: 16)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
        block.storeBytes(of: interruptRequest, toByteOffset: Self.requestOffset, as: UnsafeMutablePointer<Int32>.self)
    }

    func deallocate() { block.deallocate() }

    private var signal: UnsafeMutablePointer<Int32> { (block + Self.signalOffset).assumingMemoryBound(to: Int32.self) }
    private var sent: UnsafeMutablePointer<UInt32> { (block + Self.sentOffset).assumingMemoryBound(to: UInt32.self) }

    /// Whether an asynchronous signal has been received and not taken.
    var isOccupied: Bool { apus_atomic_load_i32(signal) != 0 }

    /// Sent synchronous signals that have not been taken, as a mask.
    var sentMask: UInt64 {
        let bits = apus_atomic_and_u32(sent, ~0)
        var mask: UInt64 = 0
        for (index, number) in HostFaults.synchronousSignals.enumerated() where bits & (1 &<< UInt32(index)) != 0 {
            mask |= SignalNumber.bit(Int(number))
        }
        return mask
    }

    /// Takes a signal that `mask` does not block: the sent synchronous ones first, as the kernel does.
    /// The asynchronous signals must be blocked on the host if one is there (the handler saw to it).
    func take(blocked mask: UInt64) -> (signal: Int, info: SignalInformation)? {
        let bits = apus_atomic_and_u32(sent, ~0)
        if bits != 0, let found = takeSent(~mask) { return found }
        let number = Int(apus_atomic_load_i32(signal))
        guard number != 0 else { return nil }
        let info = SignalInformation(copying: block + Self.infoOffset)
        apus_atomic_store_i32(signal, 0)
        return (number, info)
    }

    /// Takes a sent synchronous signal that is in `wanted`.
    func takeSent(_ wanted: UInt64) -> (signal: Int, info: SignalInformation)? {
        for (index, number) in HostFaults.synchronousSignals.enumerated() {
            let bit = UInt32(1) &<< UInt32(index)
            guard apus_atomic_and_u32(sent, ~0) & bit != 0, wanted & SignalNumber.bit(Int(number)) != 0 else { continue }
            let info = SignalInformation(copying: block + Self.sentInfoOffset + index * SignalInformation.size)
            apus_atomic_and_u32(sent, ~bit)
            return (Int(number), info)
        }
        return nil
    }

    /// The value of a SIGTRAP that only makes a thread leave what it is doing.
    static let kickValue: UInt64 = 0x6b69_636b_6170_7573

    /// Makes thread `tid` leave guest code, or a system call that waits, as a signal would that nobody handles.
    static func kick(_ tid: Int32) {
        var info = [UInt8](repeating: 0, count: SignalInformation.size)
        info.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: SIGTRAP, as: Int32.self)
            bytes.storeBytes(of: -1 /* SI_QUEUE */, toByteOffset: 8, as: Int32.self)
            bytes.storeBytes(of: kickValue, toByteOffset: 24, as: UInt64.self)
            _ = directCall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGTRAP, UnsafeRawPointer(bytes.baseAddress))
        }
    }

    /// Forgets everything: in a forked child, which inherits no pending signals.
    func clear() {
        apus_atomic_store_i32(signal, 0)
        apus_atomic_and_u32(sent, 0)
    }
}

/// The host handler of every signal that has a guest handler, and of the synchronous ones. Touches raw memory only.
let hostSignalHandler: apus_signal_handler = { signal, info, ucontext in
    guard let info, let ucontext else { return }
    let synchronous = signal == SIGSEGV || signal == SIGBUS || signal == SIGTRAP || signal == SIGILL || signal == SIGFPE
    // A positive code says that the processor raised it, not that somebody sent it.
    if synchronous, apus_si_code(info) > 0 {
        if HostFaults.recover(signal, info, ucontext) { return }
        reportHostFault(signal, info, ucontext)
        // The instruction faults again, now fatally.
        apus_signal_action_special(signal, 0, 0)
        return
    }
    guard let block = apus_thread_get(SignalInbox.slot) else {
        // Not a guest thread: leave the signal to one.
        if !synchronous {
            apus_uc_set_mask(ucontext, ~HostFaults.synchronousMask)
            _ = apus_syscall(Int(SYS_rt_sigqueueinfo), Int(getpid()), Int(signal), Int(bitPattern: info), 0, 0, 0)
        }
        return
    }
    if synchronous, signal == SIGTRAP, apus_si_code(info) == -1,
       info.load(fromByteOffset: 24, as: UInt64.self) == SignalInbox.kickValue {
        // Only the request below.
    } else if synchronous {
        let index = signal == SIGILL ? 0 : signal == SIGTRAP ? 1 : signal == SIGBUS ? 2 : signal == SIGFPE ? 3 : 4
        let sent = (block + SignalInbox.sentOffset).assumingMemoryBound(to: UInt32.self)
        let bit = UInt32(1) &<< UInt32(truncatingIfNeeded: index)
        if apus_atomic_and_u32(sent, ~0) & bit == 0 {
            memcpy(block + SignalInbox.sentInfoOffset + index &* SignalInformation.size, info, SignalInformation.size)
            _ = apus_atomic_or_u32(sent, bit)
        }
    } else {
        memcpy(block + SignalInbox.infoOffset, info, SignalInformation.size)
        apus_atomic_store_i32((block + SignalInbox.signalOffset).assumingMemoryBound(to: Int32.self), signal)
        apus_uc_set_mask(ucontext, ~HostFaults.synchronousMask)
    }
    let request = block.load(fromByteOffset: SignalInbox.requestOffset, as: UnsafeMutablePointer<Int32>.self)
    apus_atomic_store_i32(request, 1)
    apus_safe_syscall_rewind(ucontext)
    HostFaults.interrupt(ucontext)
}

/// One line on a fault of Apus itself, written without allocating.
private func reportHostFault(_ signal: Int32, _ info: UnsafeMutableRawPointer, _ ucontext: UnsafeMutableRawPointer) {
    withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
        var length = 0
        func put(_ text: StaticString) {
            for index in 0 ..< text.utf8CodeUnitCount where length < buffer.count {
                buffer[length] = text.utf8Start[index]
                length &+= 1
            }
        }
        func put(hex value: UInt64) {
            for digit in stride(from: 15, through: 0, by: -1) where length < buffer.count {
                let nibble = UInt8(truncatingIfNeeded: value &>> UInt64(truncatingIfNeeded: 4 &* digit)) & 15
                buffer[length] = nibble < 10 ? 48 &+ nibble : 87 &+ nibble
                length &+= 1
            }
        }
        put("apus: internal fault: signal 0x")
        put(hex: UInt64(truncatingIfNeeded: signal))
        put(" at 0x")
        put(hex: apus_uc_pc(ucontext))
        put(", address 0x")
        put(hex: apus_si_address(info))
        put("\n")
        _ = write(2, buffer.baseAddress, length)
    }
}
