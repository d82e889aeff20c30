import CHost
import Glibc

/// System V and POSIX inter-process communication, keys, Landlock, descriptors of processes.
enum IPCCalls {
    static let ipc: [SystemCallDescription] = [
        .host("shmget", SYS_shmget, [.hex, .size, .hex]),
        SystemCallDescription("shmat", [.int, .pointer, .hex]) { call in
            .value(call.memory.attach(call.int(0), call[1], call.int(2)))
        },
        SystemCallDescription("shmdt", [.pointer]) { .value($0.memory.detach($0[0])) },
        SystemCallDescription("shmctl", [.int, .int, .pointer], controlSharedMemory),
        .host("semget", SYS_semget, [.hex, .int, .hex]),
        SystemCallDescription("semop", [.int, .pointer, .size]) { semaphoreOperation($0, timeout: nil) },
        SystemCallDescription("semtimedop", [.int, .pointer, .size, .structIn(.timespec)]) {
            semaphoreOperation($0, timeout: .timespec)
        },
        SystemCallDescription("semtimedop_time64", [.int, .pointer, .size, .structIn(.timespec64)]) {
            semaphoreOperation($0, timeout: .timespec64)
        },
        SystemCallDescription("semctl", [.int, .int, .int, .pointer], controlSemaphores),
        .host("msgget", SYS_msgget, [.hex, .hex]),
        SystemCallDescription("msgctl", [.int, .int, .pointer], controlMessages),
        SystemCallDescription("msgsnd", [.int, .pointer, .size, .hex], sendMessage),
        SystemCallDescription("msgrcv", [.int, .pointer, .size, .long, .hex], receiveMessage),
        .host("mq_open", SYS_mq_open, [.string, .flags(.open), .mode, .structIn(.queueAttributes)]),
        .host("mq_unlink", SYS_mq_unlink, [.string]),
        .host("mq_timedsend", SYS_mq_timedsend, [.fd, .bufferIn(length: 2), .size, .unsigned, .structIn(.timespec)], .waits),
        .host("mq_timedreceive", SYS_mq_timedreceive,
              [.fd, .bufferOut, .size, .structOut(.identifiers), .structIn(.timespec)], .waits),
        .host("mq_timedsend_time64", SYS_mq_timedsend,
              [.fd, .bufferIn(length: 2), .size, .unsigned, .structIn(.timespec64)], .waits),
        .host("mq_timedreceive_time64", SYS_mq_timedreceive,
              [.fd, .bufferOut, .size, .structOut(.identifiers), .structIn(.timespec64)], .waits),
        .host("mq_notify", SYS_mq_notify, [.fd, .structIn(.sigevent)]),
        .host("mq_getsetattr", SYS_mq_getsetattr, [.fd, .structIn(.queueAttributes), .structOut(.queueAttributes)]),
        .host("add_key", SYS_add_key, [.string, .string, .bufferIn(length: 3), .size, .int]),
        .host("request_key", SYS_request_key, [.string, .string, .string, .int], .waits),
        .host("keyctl", SYS_keyctl, [.int, .pointer, .pointer, .pointer, .pointer]),
        .host("landlock_create_ruleset", SYS_landlock_create_ruleset, [.pointer, .size, .hex]),
        .host("landlock_add_rule", SYS_landlock_add_rule, [.fd, .int, .pointer, .hex]),
        .host("landlock_restrict_self", SYS_landlock_restrict_self, [.fd, .hex]),
        .host("lsm_get_self_attr", 459, [.unsigned, .pointer, .pointer, .hex]),
        .host("lsm_set_self_attr", 460, [.unsigned, .pointer, .unsigned, .hex]),
        .host("lsm_list_modules", 461, [.pointer, .pointer, .hex]),
        .host("pidfd_open", SYS_pidfd_open, [.pid, .hex]),
        .host("pidfd_getfd", SYS_pidfd_getfd, [.fd, .fd, .hex]),
        .host("kcmp", SYS_kcmp, [.pid, .pid, .int, .hex, .hex]),
        .host("process_mrelease", SYS_process_mrelease, [.fd, .hex]),
    ]

    /// IPC_64, which 32-bit guests add to a command, means nothing to a 64-bit host.
    private static func command(_ call: SystemCall, _ index: Int) -> Int32 { call.int(index) & ~0x100 }

    private static func controlSharedMemory(_ call: SystemCall) -> SystemCallResult {
        let id = Int(call.int(0)), command = command(call, 1)
        func perform(_ pointer: Int) -> SystemCallResult { .value(call.host(SYS_shmctl, id, Int(command), pointer)) }
        switch command {
        case 2, 13, 15: return call.withOutput(.sharedMemory, call[2]) { perform($0) }  // IPC_STAT, SHM_STAT, SHM_STAT_ANY
        case 1: return call.withInput(.sharedMemory, call[2]) { perform($0) }  // IPC_SET
        case 3: return call.withOutput(.sharedMemoryLimits, call[2]) { perform($0) }  // IPC_INFO
        case 14: return call.withOutput(.sharedMemoryInfo, call[2]) { perform($0) }  // SHM_INFO
        case 0, 11, 12: return perform(0)  // IPC_RMID, SHM_LOCK, SHM_UNLOCK
        default: return .error(EINVAL)
        }
    }

    private static func controlMessages(_ call: SystemCall) -> SystemCallResult {
        let id = Int(call.int(0)), command = command(call, 1)
        func perform(_ pointer: Int) -> SystemCallResult { .value(call.host(SYS_msgctl, id, Int(command), pointer)) }
        switch command {
        case 2, 11, 13: return call.withOutput(.messageQueue, call[2]) { perform($0) }  // IPC_STAT, MSG_STAT, MSG_STAT_ANY
        case 1: return call.withInput(.messageQueue, call[2]) { perform($0) }
        case 3, 12: return call.withOutput(.messageInfo, call[2]) { perform($0) }  // IPC_INFO, MSG_INFO
        case 0: return perform(0)
        default: return .error(EINVAL)
        }
    }

    private static func controlSemaphores(_ call: SystemCall) -> SystemCallResult {
        let id = Int(call.int(0)), number = Int(call.int(1)), command = command(call, 2)
        func perform(_ argument: Int) -> SystemCallResult {
            .value(call.host(SYS_semctl, id, number, Int(command), argument))
        }
        switch command {
        case 0, 11, 12, 14, 15: return perform(0)  // IPC_RMID, GETPID, GETVAL, GETNCNT, GETZCNT
        case 16: return perform(Int(call.int(3)))  // SETVAL
        case 2, 18, 20: return call.withOutput(.semaphoreSet, call[3]) { perform($0) }  // IPC_STAT, SEM_STAT, SEM_STAT_ANY
        case 1: return call.withInput(.semaphoreSet, call[3]) { perform($0) }  // IPC_SET
        case 3, 19: return call.withOutput(.semaphoreInfo, call[3]) { perform($0) }  // IPC_INFO, SEM_INFO
        case 13, 17: return semaphoreValues(call, id: id, all: command, perform)  // GETALL, SETALL
        default: return .error(EINVAL)
        }
    }

    /// GETALL and SETALL: an array of shorts, one a semaphore.
    private static func semaphoreValues(_ call: SystemCall, id: Int, all: Int32,
                                        _ perform: (Int) -> SystemCallResult) -> SystemCallResult {
        guard call.model.bigEndian else { return perform(call.pointer(at: 3)) }
        var state = semid_ds()
        let found = withUnsafeMutableBytes(of: &state) {
            call.host(SYS_semctl, id, 0, 2, Int(bitPattern: $0.baseAddress))
        }
        guard found >= 0 else { return .value(found) }
        let count = Int(state.sem_nsems)
        guard count <= 65536 else { return .error(EINVAL) }
        return withUnsafeTemporaryAllocation(byteCount: max(count, 1) * 2, alignment: 2) { buffer in
            guard let base = buffer.baseAddress, call.copyIn(call[3], base, count * 2) else { return .error(EFAULT) }
            func swap() {
                for offset in stride(from: 0, to: count * 2, by: 2) {
                    base.storeBytes(of: base.load(fromByteOffset: offset, as: UInt16.self).byteSwapped,
                                    toByteOffset: offset, as: UInt16.self)
                }
            }
            if all == 17 { swap() }
            let result = perform(Int(bitPattern: base))
            guard all == 13, case .value(let value) = result, value >= 0 else { return result }
            swap()
            return call.copyOut(call[3], base, count * 2) ? result : .error(EFAULT)
        }
    }

    private static func semaphoreOperation(_ call: SystemCall, timeout: StructLayout?) -> SystemCallResult {
        let count = call[2]
        func perform(_ operations: Int) -> SystemCallResult {
            guard let timeout else {
                return call.host(.waits, SYS_semtimedop, Int(call.int(0)), operations, Int(truncatingIfNeeded: count), 0)
            }
            return call.withInput(timeout, call[3]) {
                call.host(.waits, SYS_semtimedop, Int(call.int(0)), operations, Int(truncatingIfNeeded: count), $0)
            }
        }
        guard call.model.bigEndian else { return perform(call.pointer(at: 1)) }
        guard count <= 500 else { return .error(E2BIG) }
        // struct sembuf: three shorts
        let bytes = Int(count) * 6
        return withUnsafeTemporaryAllocation(byteCount: max(bytes, 2), alignment: 2) { buffer in
            guard let base = buffer.baseAddress, call.copyIn(call[1], base, bytes) else { return .error(EFAULT) }
            for offset in stride(from: 0, to: bytes, by: 2) {
                base.storeBytes(of: base.load(fromByteOffset: offset, as: UInt16.self).byteSwapped, toByteOffset: offset,
                                as: UInt16.self)
            }
            return perform(Int(bitPattern: base))
        }
    }

    /// A message begins with a long, its type.
    private static func sendMessage(_ call: SystemCall) -> SystemCallResult {
        let word = call.model.wordSize, size = Int(truncatingIfNeeded: call[2])
        if word == 8 && !call.model.bigEndian {
            return call.host(.waits, SYS_msgsnd, Int(call.int(0)), call.pointer(at: 1), size, Int(call.int(3)))
        }
        guard size >= 0, size <= 1 << 24 else { return .error(EINVAL) }
        guard let type = call.readLong(call[1]) else { return .error(EFAULT) }
        return withUnsafeTemporaryAllocation(byteCount: size + 8, alignment: 8) { buffer in
            guard let base = buffer.baseAddress, call.copyIn(call[1] &+ UInt64(word), base + 8, size) else {
                return .error(EFAULT)
            }
            base.storeBytes(of: type, as: Int64.self)
            return call.host(.waits, SYS_msgsnd, Int(call.int(0)), Int(bitPattern: base), size, Int(call.int(3)))
        }
    }

    private static func receiveMessage(_ call: SystemCall) -> SystemCallResult {
        let word = call.model.wordSize, size = Int(truncatingIfNeeded: call[2])
        let type = Int(call.long(3)), flags = Int(call.int(4))
        if word == 8 && !call.model.bigEndian {
            return call.host(.waits, SYS_msgrcv, Int(call.int(0)), call.pointer(at: 1), size, type, flags)
        }
        guard size >= 0, size <= 1 << 24 else { return .error(EINVAL) }
        return withUnsafeTemporaryAllocation(byteCount: size + 8, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            let result = call.host(.waits, SYS_msgrcv, Int(call.int(0)), Int(bitPattern: base), size, type, flags)
            guard case .value(let length) = result, length >= 0 else { return result }
            guard call.writeInteger(call[1], base.load(as: UInt64.self), size: word),
                  call.copyOut(call[1] &+ UInt64(word), base + 8, min(Int(length), size)) else { return .error(EFAULT) }
            return result
        }
    }
}
