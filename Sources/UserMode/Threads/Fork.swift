// New processes: fork, and vfork in its true form.
//
// Fork. The host's C library forks, so that its own locks are consistent in the child; requests that it has no words
// for (namespaces, other exit signals) use the raw system call. Whoever forks holds every lock of Apus, in this order:
// ThreadTable, SignalTable, the engine's, the debugger's, GuestMemory (engines read guest code while they hold theirs), VirtualLimits,
// PrivateDescriptors. Nobody may take them in another order.
//
// Vfork. The child runs on Apus's memory while its parent's thread sleeps in the host kernel: it has a host stack and a
// vCPU of its own, but the parent's thread-local storage, so that for the host's C library it *is* that thread. What is
// per process and kept in Apus's memory it gets as a copy: signal dispositions and the table of threads (through a
// Process of its own). What the kernel keeps per process it has anyway. It leaves only by exec or exit; if it is killed
// while it holds a lock of Apus, other threads of the parent may wait for that lock forever (the window is a few
// instructions of a system call handler).
//
// A process that shares memory and runs beside its parent (CLONE_VM alone) is a vfork child of a host thread made for it,
// which sleeps in its parent's place and lends it its thread-local storage.

import CHost
import Glibc
import Host
import Translation

extension Process {
    /// Takes all locks that a forked child needs to find consistent.
    func willFork() {
        threads.willFork()
        signals.willFork()
        engine.prepareToFork()
        debugger?.willFork()
        tools?.willFork()
        memory.willFork()
        VirtualLimits.willFork()
        PrivateDescriptors.willFork()
    }

    /// Releases them in the parent (`pid` is the child's, or negative if there is none) or in the child (0).
    func didFork(_ pid: Int64) {
        PrivateDescriptors.didFork()
        VirtualLimits.didFork()
        memory.didFork()
        tools?.didFork(inChild: pid == 0)
        debugger?.didFork()
        if pid == 0 { engine.didForkInChild() } else { engine.didForkInParent(childExists: pid > 0) }
        signals.didFork()
        threads.didFork()
    }
}

enum Fork {
    /// clone without CLONE_VM.
    /// - Parameter isVfork: it stands for a vfork, under a debugger.
    static func fork(_ call: SystemCall, _ request: CloneRequest, isVfork: Bool = false) -> SystemCallResult {
        let process = call.process, thread = call.thread
        GuestThread.blockAll()
        if thread.inbox.isOccupied {
            // Delivered first, or it would come to both.
            thread.callNotEntered = true
            return .restart
        }
        let plain = request.flags & ~CloneFlags.emulated == 0 && request.exitSignal == SIGCHLD
        let gate = process.debugger?.prepareFork(isVfork: isVfork)
        process.willFork()
        let pid: Int64
        if plain {
            let result = Glibc.fork()
            pid = result < 0 ? -Int64(errno) : Int64(result)
        } else {
            let flags = request.flags & ~CloneFlags.emulated & 0xffff_ffff | UInt64(UInt32(bitPattern: request.exitSignal))
            pid = Int64(apus_fork(flags, nil, nil))
        }
        if pid == 0 {
            becomeChild(process, thread, request)
            process.debugger?.becomeChild(thread, gate)
            return .registersReplaced
        }
        process.didFork(pid)
        thread.applyMask()
        if let gate { process.debugger?.didFork(thread, child: Int32(truncatingIfNeeded: pid), gate, request) }
        guard pid > 0 else { return .value(pid) }
        if request.has(CloneFlags.parentSetTID) {
            _ = thread.write(tid: Int32(truncatingIfNeeded: pid), at: request.parentTID, process.memory)
        }
        if request.has(CloneFlags.pidfd) { storePidfd(thread, pid, request) }
        return .value(pid)
    }

    private static func storePidfd(_ thread: GuestThread, _ pid: Int64, _ request: CloneRequest) {
        let descriptor = directCall(SYS_pidfd_open, pid, 0)
        _ = thread.write(tid: Int32(truncatingIfNeeded: descriptor), at: request.pidfd, thread.process.memory)
    }

    private static func becomeChild(_ process: Process, _ thread: GuestThread, _ request: CloneRequest) {
        thread.tid = Int32(truncatingIfNeeded: directCall(SYS_gettid))
        thread.inbox.clear()
        thread.robustList = 0
        thread.clearChildTID = request.has(CloneFlags.childClearTID) ? request.childTID : 0
        process.didFork(0)
        process.threads.reset(to: thread)
        if request.has(CloneFlags.childSetTID) { _ = thread.write(tid: thread.tid, at: request.childTID, process.memory) }
        if request.has(CloneFlags.clearSignalHandlers) { process.signals.clearHandlers() }
        process.abi.startChild(thread.vcpu, stack: request.stack, tls: request.newTLS)
        apus_atomic_store_i32(thread.pending, 0)
        thread.applyMask()
    }
}

/// What a vfork child needs on its new host stack.
private final class VforkStart {
    let thread: GuestThread
    let request: CloneRequest
    /// Where the child's id is put when it runs, if somebody waits for that; a futex.
    var announcement: UnsafeMutablePointer<Int32>?

    init(thread: GuestThread, request: CloneRequest) {
        self.thread = thread
        self.request = request
    }

    func announce(_ result: Int32) {
        guard let announcement else { return }
        apus_atomic_store_i32(announcement, result)
        directCall(SYS_futex, announcement, FutexOperation.wakePrivate, 1)
    }

    /// The child's first steps; all signals are blocked.
    func begin() {
        thread.enter()
        thread.process.threads.insert(thread)
        if request.has(CloneFlags.clearSignalHandlers) { thread.process.signals.clearHandlers() }
        announce(thread.tid)
    }

    /// The child's life until it is to leave.
    func live() -> VforkEnding {
        while true {
            RunLoop.run(thread)
            GuestThread.blockAll()
            let ending = thread.ending ?? .exit(call: SYS_exit_group, status: 127)
            thread.ending = nil
            if case .execution = ending {
                if thread.inbox.isOccupied {
                    // Delivered first, or it would be lost.
                    thread.executionBuffers.free()
                    beginAgain()
                    continue
                }
                thread.process.signals.prepareExecution()
            }
            // The table and the thread hold each other.
            thread.process.threads.remove(thread)
            return ending
        }
    }

    /// - Parameter result: what the host's execve returned.
    func executionFailed(_ result: Int) {
        thread.process.threads.insert(thread)
        thread.process.signals.executionFailed()
        thread.executionBuffers.free()
        // The kernel's entry for programs of this guest may be gone by now: then Apus runs them itself.
        thread.isRefusedByKernel = result == -Int(ENOEXEC) && thread.process.options.isStartedByKernel && !thread.isRefusedByKernel
        if thread.isRefusedByKernel { beginAgain() } else { SignalDelivery.finish(.value(Int64(result)), thread) }
        thread.applyMask()
    }

    private func beginAgain() {
        thread.callNotEntered = true
        SignalDelivery.finish(.restart, thread)
    }
}

/// How a vfork child leaves. It does so when its frames are gone, as what they hold would stay in its parent's memory.
enum VforkEnding {
    /// By `exit` or `exit_group`.
    case exit(call: Int32, status: Int32)
    /// By the program in the thread's `executionBuffers`, under this signal mask.
    case execution(mask: UInt64)
}

enum Vfork {
    fileprivate static let hostStackSize = 1 << 20
    private static let slots: Range<Int32> = 0 ..< 8

    /// clone with CLONE_VM and CLONE_VFORK: returns in the parent when the child has executed a program or ended.
    static func vfork(_ call: SystemCall, _ request: CloneRequest) -> SystemCallResult {
        let parent = call.thread
        GuestThread.blockAll()
        if parent.inbox.isOccupied {
            parent.callNotEntered = true
            return .restart
        }
        defer { parent.applyMask() }
        let start = prepare(parent, request)
        // The thread-local slots are the child's until it is gone.
        let saved = slots.map { apus_thread_get($0) }
        let limits = VirtualLimits.all
        let pid = start.runInChild(hostStackSize)
        for (slot, value) in zip(slots, saved) { apus_thread_set(slot, value) }
        VirtualLimits.replace(limits)
        return .value(pid)
    }

    /// clone with CLONE_VM alone: returns when the child runs.
    static func beside(_ call: SystemCall, _ request: CloneRequest) -> SystemCallResult {
        let parent = call.thread
        GuestThread.blockAll()
        if parent.inbox.isOccupied {
            parent.callNotEntered = true
            return .restart
        }
        defer { parent.applyMask() }
        let start = prepare(parent, request)
        let announcement = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        announcement.initialize(to: 0)
        start.announcement = announcement
        defer { announcement.deallocate() }
        let argument = Unmanaged.passRetained(start)
        let error = apus_thread_start({ argument in
            guard let argument else { return nil }
            let start = Unmanaged<VforkStart>.fromOpaque(argument).takeRetainedValue()
            // The child uses this thread's alternate stack.
            HostFaults.prepareThread()
            let result = start.runInChild(Vfork.hostStackSize)
            // There never was a child: else it told its id itself, and who waited for that has gone on.
            if result < 0 { start.announce(Int32(truncatingIfNeeded: result)) }
            HostFaults.releaseThread()
            return nil
        }, argument.toOpaque(), hostStackSize)
        call.process.signals.reclaimIdentitySignal()
        if error != 0 {
            argument.release()
            return .error(error)
        }
        while apus_atomic_load_i32(announcement) == 0 { directCall(SYS_futex, announcement, FutexOperation.waitPrivate, 0) }
        return .value(Int64(apus_atomic_load_i32(announcement)))
    }

    /// The child's vCPU, thread and process, from its parent's.
    private static func prepare(_ parent: GuestThread, _ request: CloneRequest) -> VforkStart {
        let process = parent.process
        let sharesHandlers = request.has(CloneFlags.signalHandlers)
        let childProcess = process.sharingMemory(signals: sharesHandlers ? process.signals : SignalTable(copying: process.signals))
        let vcpu = process.engine.makeVCPU()
        vcpu.copyGuestState(from: parent.vcpu)
        process.abi.startChild(vcpu, stack: request.stack, tls: request.newTLS)
        let child = GuestThread(process: childProcess, vcpu: vcpu, signalMask: parent.signalMask, isVforkChild: true)
        child.alternateStack = parent.alternateStack
        return VforkStart(thread: child, request: request)
    }
}

extension VforkStart {
    /// Runs the child on a host stack of its own; returns when it has executed a program or ended: its id, or a negated
    /// errno if there is none.
    fileprivate func runInChild(_ hostStackSize: Int) -> Int64 {
        guard let stack = HostMemory.map(hostStackSize, PROT_READ | PROT_WRITE, reserve: false) else { return -Int64(EAGAIN) }
        defer { HostMemory.unmap(stack, hostStackSize) }
        HostMemory.protect(stack, HostMemory.pageSize, PROT_NONE)
        let memory = thread.process.memory
        let dropped = CloneFlags.setTLS | CloneFlags.detached | CloneFlags.signalHandlers | CloneFlags.clearSignalHandlers
        let flags = request.flags & ~dropped & 0xffff_ffff | UInt64(UInt32(bitPattern: request.exitSignal))
        func pointer(_ address: UInt64) -> UnsafeMutablePointer<Int32>? {
            address == 0 ? nil : memory.host(address).assumingMemoryBound(to: Int32.self)
        }
        let pid = withExtendedLifetime(self) {
            apus_vfork(flags | CloneFlags.vfork, stack + hostStackSize, { argument in
                guard let argument else { return }
                // Nothing is retained across what does not return.
                let start = Unmanaged<VforkStart>.fromOpaque(argument)
                start.takeUnretainedValue().begin()
                while true {
                    switch start.takeUnretainedValue().live() {
                    case .exit(let call, let status):
                        directCall(call, status)
                    case .execution(let mask):
                        let (path, line, variables) = start.takeUnretainedValue().thread.executionBuffers.pointers
                        // The whole mask, the synchronous signals too, is what the new program inherits.
                        apus_signal_mask(2, mask, nil)
                        let result = directCall(SYS_execve, path, line, variables)
                        GuestThread.blockAll()
                        start.takeUnretainedValue().executionFailed(Int(result))
                    }
                }
            }, Unmanaged.passUnretained(self).toOpaque(),
            pointer(request.has(CloneFlags.pidfd) ? request.pidfd : request.parentTID), pointer(request.childTID))
        }
        thread.executionBuffers.free()
        return Int64(pid)
    }
}

extension Process {
    /// A process that shares everything but signal dispositions and threads: a vfork child.
    func sharingMemory(signals: SignalTable) -> Process {
        Process(options: options, abi: abi, engine: engine, memory: memory, signals: signals, threads: ThreadTable(),
                paths: paths, image: image, systemCalls: systemCalls)
    }
}
