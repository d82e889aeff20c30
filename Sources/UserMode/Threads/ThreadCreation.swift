// New guest threads: each is a host thread with its own vCPU.

import CHost
import Glibc
import Host
import Translation

/// What a new host thread needs to become a guest thread, and how it tells its creator that it has.
private final class ThreadStart: @unchecked Sendable {
    let thread: GuestThread
    let request: CloneRequest
    /// 0 until the thread has its id, then 1; a futex.
    let ready: UnsafeMutablePointer<Int32>

    init(thread: GuestThread, request: CloneRequest) {
        self.thread = thread
        self.request = request
        ready = .allocate(capacity: 1)
        ready.initialize(to: 0)
    }

    deinit { ready.deallocate() }

    /// The body of the host thread, which starts with all signals blocked.
    func run() {
        let memory = thread.process.memory
        thread.tid = Int32(truncatingIfNeeded: directCall(SYS_gettid))
        thread.process.threads.insert(thread)
        thread.process.debugger?.register(thread)
        if request.has(CloneFlags.parentSetTID) { _ = thread.write(tid: thread.tid, at: request.parentTID, memory) }
        if request.has(CloneFlags.childSetTID) { _ = thread.write(tid: thread.tid, at: request.childTID, memory) }
        if request.has(CloneFlags.childClearTID) { thread.clearChildTID = request.childTID }
        apus_atomic_store_i32(ready, 1)
        directCall(SYS_futex, ready, FutexOperation.wakePrivate, 1)
        thread.enter()
        RunLoop.run(thread)
        thread.process.abi.threadEnds(thread.vcpu, memory: memory)
    }

    /// Waits until the host thread has its id. - Returns: the id.
    func wait() -> Int32 {
        while apus_atomic_load_i32(ready) == 0 { directCall(SYS_futex, ready, FutexOperation.waitPrivate, 0) }
        return thread.tid
    }
}

enum FutexOperation {
    static let wait: Int32 = 0, wake: Int32 = 1, waitPrivate: Int32 = 128, wakePrivate: Int32 = 129
}

enum ThreadCreation {
    /// Bytes of a host thread's stack, on which the translator runs; pages never touched cost nothing.
    static let hostStackSize = 1 << 20

    /// clone with CLONE_THREAD: the new thread's id, or a negated errno.
    static func create(_ call: SystemCall, _ request: CloneRequest) -> SystemCallResult {
        guard request.has(CloneFlags.vm), request.has(CloneFlags.signalHandlers),
              request.flags & CloneFlags.namespaces == 0, !request.has(CloneFlags.pidfd), !request.has(CloneFlags.vfork),
              !request.has(CloneFlags.clearSignalHandlers) else { return .error(EINVAL) }
        let process = call.process, parent = call.thread
        let vcpu = process.engine.makeVCPU()
        vcpu.copyGuestState(from: parent.vcpu)
        process.abi.startChild(vcpu, stack: request.stack, tls: request.newTLS)
        guard process.abi.threadBegins(vcpu, memory: process.memory) else { return .error(ENOMEM) }
        let start = ThreadStart(thread: GuestThread(process: process, vcpu: vcpu, signalMask: parent.signalMask), request: request)
        // The host thread inherits the mask: no signal reaches it before it can take one.
        GuestThread.blockAll()
        defer { parent.applyMask() }
        let argument = Unmanaged.passRetained(start)
        let error = apus_thread_start({ argument in
            guard let argument else { return nil }
            Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        }, argument.toOpaque(), hostStackSize)
        process.signals.reclaimIdentitySignal()
        if error != 0 {
            argument.release()
            process.abi.threadEnds(vcpu, memory: process.memory)
            return .error(error)
        }
        return .value(Int64(start.wait()))
    }
}

extension GuestThread {
    /// Writes a thread id to guest memory as a C `int`.
    func write(tid: Int32, at address: UInt64, _ memory: GuestMemory) -> Bool {
        memory.write(address, process.abi.dataModel.bigEndian ? tid.bigEndian : tid)
    }

    /// Ends this guest thread: robust mutexes, the word that joiners wait for, its place in the table. Its host
    /// thread goes on with all signals blocked.
    func end() {
        leave()
        if let (signal, info) = inbox.take(blocked: ~0) {
            // Received for the process and not delivered: another thread's now.
            info.bytes.withUnsafeBytes { _ = directCall(SYS_rt_sigqueueinfo, getpid(), signal, $0.baseAddress) }
        }
        RobustList.release(self)
        if clearChildTID != 0, write(tid: 0, at: clearChildTID, process.memory) {
            directCall(SYS_futex, process.memory.host(clearChildTID), FutexOperation.wake, 1)
        }
        process.threads.remove(self)
        process.debugger?.forget(self)
        if !isVforkChild { HostFaults.releaseThread() }
    }
}
