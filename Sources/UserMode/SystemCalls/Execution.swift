// System calls about programs and processes: execve, exit_group, wait.

import CHost
import Glibc
import Host

extension SystemCallTable {
    static let execution: [SystemCallDescription] = [
        SystemCallDescription("execve", [.string, .pointer, .pointer], ExecutionCalls.execve),
        SystemCallDescription("execveat", [.dirfd, .string, .pointer, .pointer, .hex], ExecutionCalls.execveAt),
        SystemCallDescription("exit_group", [.int], ExecutionCalls.exitGroup),
        SystemCallDescription("wait4", [.pid, .pointer, .hex, .pointer], ExecutionCalls.wait4),
        SystemCallDescription("waitid", [.int, .pid, .pointer, .hex, .pointer], ExecutionCalls.waitID),
    ]
}

enum ExecutionCalls {
    static func execve(_ call: SystemCall) -> SystemCallResult {
        execute(call, directory: AT_FDCWD, path: call[0], arguments: call[1], environment: call[2], flags: 0)
    }

    static func execveAt(_ call: SystemCall) -> SystemCallResult {
        execute(call, directory: call.int(0), path: call[1], arguments: call[2], environment: call[3], flags: call.int(4))
    }

    private static func execute(_ call: SystemCall, directory: Int32, path: UInt64, arguments: UInt64, environment: UInt64,
                                flags: Int32) -> SystemCallResult {
        guard flags & ~(ExecutionRequest.emptyPath | AT_SYMLINK_NOFOLLOW) == 0 else { return .error(EINVAL) }
        GuestThread.blockAll()
        defer { call.thread.applyMask() }
        if call.thread.inbox.isOccupied {
            // Delivered first, or it would be lost.
            call.thread.callNotEntered = true
            return .restart
        }
        do {
            let request = ExecutionRequest(
                directory: directory, path: try string(call, path, limit: Int(PATH_MAX), tooLong: ENAMETOOLONG),
                arguments: try vector(call, arguments), environment: try vector(call, environment), flags: flags)
            return Execution(call, request).run()
        } catch {
            return .error(error.code)
        }
    }

    /// A string with its NUL.
    private static func string(_ call: SystemCall, _ address: UInt64, limit: Int, tooLong: Int32) throws(Errno) -> [CChar] {
        let host = UnsafeRawPointer(call.memory.host(address)).assumingMemoryBound(to: CChar.self)
        let length = Int(apus_guarded_string(host, limit))
        guard length >= 0, address != 0 else { throw Errno(EFAULT) }
        guard length < limit else { throw Errno(tooLong) }
        var copied = 0
        let result = [CChar](unsafeUninitializedCapacity: length + 1) { buffer, count in
            guard let base = buffer.baseAddress else { return }
            copied = Int(apus_guarded_copy(base, host, length))
            // Another thread may change the string meanwhile; it stays terminated.
            buffer[length] = 0
            count = length + 1
        }
        guard copied == length else { throw Errno(EFAULT) }
        return result
    }

    /// A null-terminated vector of strings; none for a null pointer.
    private static func vector(_ call: SystemCall, _ address: UInt64) throws(Errno) -> [[CChar]] {
        var result: [[CChar]] = []
        guard address != 0 else { return result }
        var total = 0
        while true {
            guard let pointer = call.words(at: address &+ UInt64(result.count * call.model.wordSize), 1)?[0] else {
                throw Errno(EFAULT)
            }
            if pointer == 0 { return result }
            result.append(try string(call, pointer, limit: Execution.stringLimit, tooLong: E2BIG))
            total += (result.last?.count ?? 0) + 8
            if total > Execution.totalLimit { throw Errno(E2BIG) }
        }
    }

    static func exitGroup(_ call: SystemCall) -> SystemCallResult {
        call.process.tools?.finish()
        if call.thread.isVforkChild {
            call.thread.ending = .exit(call: SYS_exit_group, status: call.int(0))
            return .threadExit
        }
        directCall(SYS_exit_group, call.int(0))
        return .threadExit
    }

    // MARK: Waiting

    static func wait4(_ call: SystemCall) -> SystemCallResult {
        var status: Int32 = 0
        var usage = rusage()
        let result = withUnsafeMutablePointer(to: &status) { status in
            withUnsafeMutablePointer(to: &usage) { usage in
                hostCall(call.thread, SYS_wait4, call.int(0), status, call.int(2), usage)
            }
        }
        guard result > 0 else { return SystemCallResult(hostCall: result) }
        if call[1] != 0, !call.putInt(status, at: call[1]) { return .error(EFAULT) }
        if call[3] != 0, !put(call, usage, at: call[3]) { return .error(EFAULT) }
        return .value(result)
    }

    static func waitID(_ call: SystemCall) -> SystemCallResult {
        var info = [UInt8](repeating: 0, count: SignalInformation.size)
        var usage = rusage()
        let result = info.withUnsafeMutableBytes { info in
            withUnsafeMutablePointer(to: &usage) { usage in
                hostCall(call.thread, SYS_waitid, call.int(0), call.int(1), info.baseAddress, call.int(3), usage)
            }
        }
        guard result >= 0 else { return SystemCallResult(hostCall: result) }
        let information = info.withUnsafeBytes { bytes in bytes.baseAddress.map { SignalInformation(copying: $0) } }
        if call[2] != 0, let information, !call.memory.writeBytes(call[2], information.guestBytes(call.model)) {
            return .error(EFAULT)
        }
        if call[4] != 0, !put(call, usage, at: call[4]) { return .error(EFAULT) }
        return .value(result)
    }

    /// `struct rusage` is two `timeval`s and fourteen `long`s: eighteen guest words.
    private static func put(_ call: SystemCall, _ usage: rusage, at address: UInt64) -> Bool {
        withUnsafeBytes(of: usage) { bytes in
            call.putWords((0 ..< 18).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) }, at: address)
        }
    }
}
