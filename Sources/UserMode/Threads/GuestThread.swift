// One thread of the guest: a host thread, a vCPU, and what Linux keeps per thread.

import CHost
import Glibc
import Host
import Translation

/// `stack_t`: where signal handlers run that ask for it.
struct AlternateStack: Sendable {
    var address: UInt64 = 0
    var size: UInt64 = 0
    var flags: UInt32 = disabled

    static let onStack: UInt32 = 1, disabled: UInt32 = 2, autoDisarm: UInt32 = 1 << 31
    /// The smallest size `sigaltstack` takes (the kernel's generic MINSIGSTKSZ).
    static let minimumSize: UInt64 = 2048

    /// Whether a thread with stack pointer `stack` runs on it.
    func contains(_ stack: UInt64) -> Bool {
        flags & Self.autoDisarm == 0 && size != 0 && stack > address && stack &- address <= size
    }
}

/// A guest thread. Its fields are used by its own host thread; `tid` and `robustList` may be read by others.
final class GuestThread: @unchecked Sendable {
    let process: Process
    let vcpu: VCPU
    /// Equal to the host's thread id.
    var tid: Int32

    /// Blocked signals, bit n-1 for signal n. Change it by `setMask`.
    private(set) var signalMask: UInt64
    /// The mask to return to after a call that has its own (`sigsuspend`, `ppoll`…), while it is replaced.
    var savedMask: UInt64?
    var alternateStack = AlternateStack()
    /// Head of the guest's list of robust mutexes, and the length it announced.
    var robustList: UInt64 = 0
    /// Cleared and woken when the thread ends (`set_tid_address`).
    var clearChildTID: UInt64 = 0

    /// Not 0 when the thread must leave guest code or an interruptible system call: the vCPU's `interruptRequest`.
    let pending: UnsafeMutablePointer<Int32>
    let inbox: SignalInbox
    /// Whether the system call under way was held back because `pending` was set.
    var callNotEntered = false
    /// Memory that an exec under way uses; a vfork child leaves it to its parent to free.
    let executionBuffers = ExecutionBuffers()
    /// Whether it is a vfork child, which lives on its parent's thread-local storage and alternate signal stack.
    let isVforkChild: Bool
    /// How a vfork child leaves when its run loop returns.
    var ending: VforkEnding?
    /// Whether the kernel has just said that it does not run programs of this guest by itself.
    var isRefusedByKernel = false
    /// How the last system call wants to be finished after signals have been delivered.
    var interruption: Interruption?

    enum Interruption { case restart, interrupted }

    /// A thread that begins with the mask `signalMask` on the host thread that calls `enter`.
    init(process: Process, vcpu: VCPU, signalMask: UInt64, isVforkChild: Bool = false) {
        self.isVforkChild = isVforkChild
        self.process = process
        self.vcpu = vcpu
        self.signalMask = signalMask & ~SignalNumber.uncatchable
        tid = Int32(truncatingIfNeeded: directCall(SYS_gettid))
        pending = (vcpu.state + Int(StateHeader.interruptRequest)).assumingMemoryBound(to: Int32.self)
        inbox = SignalInbox(interruptRequest: pending)
    }

    deinit { inbox.deallocate() }

    /// The first thread of a program: takes over the host's mask, and the synchronous signals.
    static func main(process: Process, vcpu: VCPU) -> GuestThread {
        var mask: UInt64 = 0
        apus_signal_mask(0, 0, &mask)
        let thread = GuestThread(process: process, vcpu: vcpu, signalMask: mask)
        thread.enter()
        process.signals.install()
        process.threads.insert(thread)
        return thread
    }

    /// The guest thread that runs on the calling host thread.
    static func current() -> GuestThread? {
        apus_thread_get(0).map { Unmanaged<GuestThread>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Makes this the guest thread of the calling host thread. The caller keeps the object alive until `leave`.
    func enter() {
        HostFaults.prepareThread()
        tid = Int32(truncatingIfNeeded: directCall(SYS_gettid))
        apus_thread_set(0, Unmanaged.passUnretained(self).toOpaque())
        apus_thread_set(SignalInbox.slot, inbox.block)
        applyMask()
    }

    /// Blocks all signals and gives up the host thread.
    func leave() {
        Self.blockAll()
        apus_thread_set(SignalInbox.slot, nil)
        apus_thread_set(0, nil)
    }

    // MARK: Signal mask

    /// Blocks every asynchronous signal on the calling host thread, until `applyMask`.
    static func blockAll() { apus_signal_mask(2, ~HostFaults.synchronousMask, nil) }

    /// Sets the guest's mask. A signal that was received before is still delivered first: see `inbox.isOccupied`.
    func setMask(_ mask: UInt64) {
        Self.blockAll()
        signalMask = mask & ~SignalNumber.uncatchable
        applyMask()
    }

    /// Changes the guest's mask only; `applyMask` follows before guest code runs.
    func replaceMask(_ mask: UInt64) { signalMask = mask & ~SignalNumber.uncatchable }

    /// Lets the host kernel block what the guest blocks, unless a received signal waits to be delivered, until when
    /// everything stays blocked.
    func applyMask() {
        if inbox.isOccupied {
            apus_atomic_store_i32(pending, 1)
            return
        }
        apus_signal_mask(2, hostMask(signalMask), nil)
    }

    /// The host's form of a guest mask: the synchronous signals are never blocked. For calls that take a mask.
    func hostMask(_ mask: UInt64) -> UInt64 { mask & ~HostFaults.synchronousMask & ~SignalNumber.uncatchable }

    /// For calls that replace the mask while they wait (`ppoll`, `pselect6`, `epoll_pwait`…), before the host call:
    /// signals that end it are chosen by `mask`, and the old one comes back afterwards by itself.
    /// - Returns: what to pass to the host.
    func beginTemporaryMask(_ mask: UInt64) -> UInt64 {
        savedMask = signalMask
        signalMask = mask & ~SignalNumber.uncatchable
        return hostMask(mask)
    }
}
