// System calls about threads: clone, identities, futexes, robust lists, the end of a thread.

import CHost
import Glibc
import Host

extension SystemCallTable {
    static let threads: [SystemCallDescription] = [
        SystemCallDescription("clone", [.hex, .pointer, .pointer, .pointer, .pointer], ThreadCalls.clone),
        SystemCallDescription("clone3", [.pointer, .size], ThreadCalls.clone3),
        SystemCallDescription("fork", []) { Fork.fork($0, CloneRequest(flags: 0)) },
        SystemCallDescription("vfork", []) { Vfork.vfork($0, CloneRequest(flags: CloneFlags.vm | CloneFlags.vfork)) },
        SystemCallDescription("gettid", []) { .value(Int64($0.thread.tid)) },
        SystemCallDescription("set_tid_address", [.pointer], ThreadCalls.setTIDAddress),
        SystemCallDescription("set_robust_list", [.pointer, .size], ThreadCalls.setRobustList),
        SystemCallDescription("get_robust_list", [.pid, .pointer, .pointer], ThreadCalls.getRobustList),
        SystemCallDescription("futex", [.pointer, .int, .int, .pointer, .pointer, .int]) { ThreadCalls.futex($0, .timespec) },
        SystemCallDescription("futex_time64", [.pointer, .int, .int, .pointer, .pointer, .int]) { ThreadCalls.futex($0, .timespec64) },
        SystemCallDescription("futex_waitv", [.pointer, .unsigned, .hex, .pointer, .int], ThreadCalls.futexWaitVector),
        .hostUnconverted("futex_wake", 454, [.pointer, .hex, .int, .unsigned]),
        .hostUnconverted("futex_wait", 455, [.pointer, .hex, .hex, .unsigned, .structIn(.timespec64), .int], .waits),
        .hostUnconverted("futex_requeue", 456, [.pointer, .unsigned, .int, .int]),
        SystemCallDescription("sched_yield", []) { _ in .value(directCall(SYS_sched_yield)) },
        SystemCallDescription("exit", [.int], ThreadCalls.exit),
    ]
}

enum ThreadCalls {
    static func clone(_ call: SystemCall) -> SystemCallResult { create(call, CloneRequest(clone: call)) }

    static func clone3(_ call: SystemCall) -> SystemCallResult {
        switch CloneRequest.clone3(call) {
        case .success(let request): create(call, request)
        case .failure(let error): .error(error.code)
        }
    }

    private static func create(_ call: SystemCall, _ request: CloneRequest) -> SystemCallResult {
        if request.has(CloneFlags.thread) { return ThreadCreation.create(call, request) }
        if request.has(CloneFlags.signalHandlers), !request.has(CloneFlags.vm) { return .error(EINVAL) }
        if request.has(CloneFlags.vm) {
            let isWaitedFor = request.has(CloneFlags.vfork)
            // A debugger has no words for two processes in one memory; see DebuggedFork for what it gets for vfork.
            if !isWaitedFor, call.process.debugger != nil { return .error(EINVAL) }
            if !isWaitedFor { return Vfork.beside(call, request) }
            if call.process.debugger?.isAttached ?? false { return Fork.fork(call, request.withoutSharing, isVfork: true) }
            return Vfork.vfork(call, request)
        }
        return Fork.fork(call, request)
    }

    static func setTIDAddress(_ call: SystemCall) -> SystemCallResult {
        call.thread.clearChildTID = call[0]
        return .value(Int64(call.thread.tid))
    }

    static func setRobustList(_ call: SystemCall) -> SystemCallResult {
        let error = RobustList.set(call.thread, head: call[0], length: call[1])
        return error == 0 ? .value(0) : .error(error)
    }

    static func getRobustList(_ call: SystemCall) -> SystemCallResult {
        let tid = call.int(0)
        guard let thread = tid == 0 ? call.thread : call.process.threads[tid] else { return .error(ESRCH) }
        guard call.putWords([thread.robustList], at: call[1]),
              call.putWords([UInt64(3 * call.model.wordSize)], at: call[2]) else { return .error(EFAULT) }
        return .value(0)
    }

    // MARK: Futexes

    /// Operations whose fourth argument is a timeout: wait, lock_pi, wait_bitset, wait_requeue_pi, lock_pi2.
    private static let timed: UInt64 = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 13

    static func futex(_ call: SystemCall, _ time: StructLayout) -> SystemCallResult {
        let base = call.memory.base
        if base == 0, call.model.wordSize == 8, !call.model.bigEndian {
            return SystemCallResult(hostCall: hostCall(call.thread, SYS_futex, call[0], call[1], call[2], call[3], call[4], call[5]))
        }
        func host(_ address: UInt64) -> UInt64 { address == 0 ? 0 : address &+ base }
        let operation = call[1] & 127
        guard operation < 64, timed & (1 &<< operation) != 0, call[3] != 0 else {
            return SystemCallResult(hostCall: hostCall(call.thread, SYS_futex, host(call[0]), call[1], call[2], call[3], host(call[4]), call[5]))
        }
        var timeout = timespec()
        guard withUnsafeMutableBytes(of: &timeout, { bytes in
            bytes.baseAddress.map { call.readStructure(time, call[3], $0) } ?? false
        }) else { return .error(EFAULT) }
        return SystemCallResult(hostCall: withUnsafePointer(to: &timeout) {
            hostCall(call.thread, SYS_futex, host(call[0]), call[1], call[2], $0, host(call[4]), call[5])
        })
    }

    static func futexWaitVector(_ call: SystemCall) -> SystemCallResult {
        guard call.memory.base == 0, call.model.wordSize == 8, !call.model.bigEndian else { return .error(ENOSYS) }
        return SystemCallResult(hostCall: hostCall(call.thread, SYS_futex_waitv, call[0], call[1], call[2], call[3], call[4]))
    }

    // MARK: The end

    static func exit(_ call: SystemCall) -> SystemCallResult {
        let thread = call.thread
        if call.process.threads.count == 1 { call.process.tools?.finish() }
        thread.end()
        if thread.isVforkChild {
            thread.ending = .exit(call: SYS_exit, status: call.int(0))
            return .threadExit
        }
        // The first thread of a process has no caller to return to; its exit code may become the process's.
        if thread.tid == getpid() || call.process.threads.count == 0 { directCall(SYS_exit, call.int(0)) }
        return .threadExit
    }
}
