import CHost
import Glibc

/// Waiting for descriptors and events: poll, select, epoll, eventfd, timerfd, signalfd, inotify.
///
/// A signal ends these calls with EINTR whatever `SA_RESTART` says (signal(7)). Signal numbers and masks are passed on
/// as they are: they are the host's on every guest of the generic numbering.
enum PollingCalls {
    static let polling: [SystemCallDescription] = [
        SystemCallDescription("ppoll", [.pointer, .unsigned, .structInOut(.timespec), .pointer, .size]) {
            poll($0, time: .timespec)
        },
        SystemCallDescription("ppoll_time64", [.pointer, .unsigned, .structInOut(.timespec64), .pointer, .size]) {
            poll($0, time: .timespec64)
        },
        SystemCallDescription("poll", [.pointer, .unsigned, .int]) { call in
            withPollFiles(call) { files in
                call.host(.waits, SYS_poll, files, Int(UInt32(truncatingIfNeeded: call[1])), Int(call.int(2)))
            }
        },
        SystemCallDescription("pselect6", [.int, .pointer, .pointer, .pointer, .structInOut(.timespec), .pointer]) {
            select($0, time: .timespec)
        },
        SystemCallDescription("pselect6_time64", [.int, .pointer, .pointer, .pointer, .structInOut(.timespec64), .pointer]) {
            select($0, time: .timespec64)
        },
        .host("epoll_create1", SYS_epoll_create1, [.flags(.epollCreate)]),
        .host("epoll_create", SYS_epoll_create, [.int]),
        .host("epoll_ctl", SYS_epoll_ctl, [.fd, .flags(.epollControl), .fd, .structIn(.epollEvent)]),
        SystemCallDescription("epoll_pwait", [.fd, .pointer, .int, .int, .pointer, .size]) { call in
            waitForEvents(call, SYS_epoll_pwait, timeout: Int(call.int(3)))
        },
        SystemCallDescription("epoll_wait", [.fd, .pointer, .int, .int]) { call in
            waitForEvents(call, SYS_epoll_wait, timeout: Int(call.int(3)))
        },
        SystemCallDescription("epoll_pwait2", [.fd, .pointer, .int, .structIn(.timespec64), .pointer, .size]) { call in
            call.withInput(.timespec64, call[3]) { waitForEvents(call, SYS_epoll_pwait2, timeout: $0) }
        },
        .host("eventfd2", SYS_eventfd2, [.unsigned, .flags(.eventFile)]),
        .host("eventfd", SYS_eventfd, [.unsigned]),
        .host("timerfd_create", SYS_timerfd_create, [.flags(.clock), .flags(.timerFile)]),
        .host("timerfd_settime", SYS_timerfd_settime,
              [.fd, .flags(.timerFileSet), .structIn(.itimerspec), .structOut(.itimerspec)]),
        .host("timerfd_gettime", SYS_timerfd_gettime, [.fd, .structOut(.itimerspec)]),
        .host("timerfd_settime64", SYS_timerfd_settime,
              [.fd, .flags(.timerFileSet), .structIn(.itimerspec64), .structOut(.itimerspec64)]),
        .host("timerfd_gettime64", SYS_timerfd_gettime, [.fd, .structOut(.itimerspec64)]),
        SystemCallDescription("signalfd4", [.fd, .pointer, .size, .flags(.signalFile)], signalFile),
        .host("inotify_init1", SYS_inotify_init1, [.flags(.inotify)]),
        .host("inotify_init", SYS_inotify_init, []),
        .host("inotify_add_watch", SYS_inotify_add_watch, [.fd, .path, .flags(.inotifyMask)]),
        .host("inotify_rm_watch", SYS_inotify_rm_watch, [.fd, .int]),
        .host("fanotify_init", SYS_fanotify_init, [.hex, .flags(.open)]),
        // The mask is one 64-bit register: 32-bit guests would need two.
        .hostUnconverted("fanotify_mark", SYS_fanotify_mark, [.fd, .hex, .hex, .dirfd, .path]),
    ]

    private static func poll(_ call: SystemCall, time: StructLayout) -> SystemCallResult {
        withPollFiles(call) { files in
            call.withTimeout(time, call[2]) { timeout in
                call.withTemporaryMask(call[3], size: call[4]) { mask in
                    call.host(.waits, SYS_ppoll, files, Int(UInt32(truncatingIfNeeded: call[1])), timeout, mask,
                              Int(call.long(4)))
                }
            }
        }
    }

    /// `struct pollfd` has fixed-width fields: only the byte order may differ.
    private static func withPollFiles(_ call: SystemCall, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard call.model.bigEndian, call[0] != 0 else { return body(call.pointer(at: 0)) }
        let count = Int(UInt32(truncatingIfNeeded: call[1]))
        guard count <= 1 << 20 else { return .error(EINVAL) }
        return withUnsafeTemporaryAllocation(byteCount: max(count, 1) * 8, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            for index in 0..<count {
                guard call.readStructure(.pollFile, call[0] &+ UInt64(index * 8), base + index * 8) else {
                    return .error(EFAULT)
                }
            }
            let result = body(Int(bitPattern: base))
            for index in 0..<count {
                guard call.writeStructure(.pollFile, call[0] &+ UInt64(index * 8), base + index * 8) else {
                    return .error(EFAULT)
                }
            }
            return result
        }
    }

    private static func select(_ call: SystemCall, time: StructLayout) -> SystemCallResult {
        let count = call.int(0)
        return withDescriptorSet(call, call[1], count) { readable in
            withDescriptorSet(call, call[2], count) { writable in
                withDescriptorSet(call, call[3], count) { exceptional in
                    call.withTimeout(time, call[4]) { timeout in
                        maskArgument(call) { mask in
                            call.host(.waits, SYS_pselect6, Int(count), readable, writable, exceptional, timeout, mask)
                        }
                    }
                }
            }
        }
    }

    /// The sixth argument of pselect6 points to a pair (mask address, size).
    private static func maskArgument(_ call: SystemCall, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard call[5] != 0 else { return body(0) }
        guard let address = call.readPointer(call[5]),
              let size = call.readPointer(call[5] &+ UInt64(call.model.wordSize)) else { return .error(EFAULT) }
        return call.withTemporaryMask(address, size: size) { mask in
            var pair = (mask, 8)
            return withUnsafeMutableBytes(of: &pair) { body(Int(bitPattern: $0.baseAddress)) }
        }
    }

    /// `fd_set` is an array of longs: on big-endian and 32-bit guests its bits stand elsewhere.
    private static func withDescriptorSet(_ call: SystemCall, _ address: UInt64, _ count: Int32,
                                          _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard call.model.bigEndian, address != 0 else { return body(call.pointer(address)) }
        guard count >= 0, count <= 1 << 20 else { return .error(EINVAL) }
        let word = call.model.wordSize, bytes = (Int(count) + 63) / 64 * 8
        func convert(_ base: UnsafeMutableRawPointer) {
            for offset in stride(from: 0, to: bytes, by: word) {
                let value = IntegerBytes.load(base + offset, word, bigEndian: true, signed: false)
                IntegerBytes.store(value, base + offset, word, bigEndian: false)
            }
        }
        return withUnsafeTemporaryAllocation(byteCount: max(bytes, 8), alignment: 8) { buffer in
            guard let base = buffer.baseAddress, call.copyIn(address, base, bytes) else { return .error(EFAULT) }
            convert(base)
            let result = body(Int(bitPattern: base))
            convert(base)
            guard call.copyOut(address, base, bytes) else { return .error(EFAULT) }
            return result
        }
    }

    private static func waitForEvents(_ call: SystemCall, _ number: Int32, timeout: Int) -> SystemCallResult {
        let count = call.int(2)
        // The kernel's own limit (EP_MAX_EVENTS) is larger; nobody asks for more than this at once.
        guard count > 0, count <= 1 << 20 else { return .error(EINVAL) }
        let pair = StructLayout.epollEvent.conversions(call.shape)
        return call.withTemporaryMask(number == SYS_epoll_wait ? 0 : call[4], size: call[5]) { mask in
            if pair.identical {
                return call.host(.waits, number, Int(call.int(0)), call.pointer(at: 1), Int(count), timeout, mask, 8)
            }
            let hostSize = pair.host.size
            // Fewer events than asked for are always a right answer, and keep the copy on the stack.
            let room = min(Int(count), 256)
            return withUnsafeTemporaryAllocation(byteCount: room * hostSize, alignment: 8) { buffer in
                guard let base = buffer.baseAddress else { return .error(EFAULT) }
                let result = call.host(.waits, number, Int(call.int(0)), Int(bitPattern: base), room, timeout, mask, 8)
                guard case .value(let ready) = result, ready > 0 else { return result }
                for index in 0..<min(Int(ready), room) {
                    guard call.writeStructure(.epollEvent, call[1] &+ UInt64(index * pair.guest.size),
                                              base + index * hostSize) else { return .error(EFAULT) }
                }
                return result
            }
        }
    }

    private static func signalFile(_ call: SystemCall) -> SystemCallResult {
        guard call[2] == 8 else { return .error(EINVAL) }
        return call.withSignalMask(call[1]) {
            .value(call.host(SYS_signalfd4, Int(call.int(0)), $0, 8, Int(call.int(3))))
        }
    }
}

extension SystemCall {
    /// Runs `body` with a host pointer to the signal set at `address`.
    func withSignalMask(_ address: UInt64, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard model.bigEndian || model.wordSize == 4, address != 0 else { return body(pointer(address)) }
        guard var mask = signalSet(at: address) else { return .error(EFAULT) }
        return withUnsafeMutableBytes(of: &mask) { body(Int(bitPattern: $0.baseAddress)) }
    }

    /// Runs `body`, which waits, with the guest's mask replaced by the one at `address`, if there is one. The thread
    /// puts the old one back when the call has ended and its signals are delivered.
    func withTemporaryMask(_ address: UInt64, size: UInt64, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard address != 0 else { return body(0) }
        guard size == 8 else { return .error(EINVAL) }
        guard let mask = signalSet(at: address) else { return .error(EFAULT) }
        var host = thread.beginTemporaryMask(mask)
        if thread.inbox.sentMask & ~thread.signalMask != 0 {
            apus_atomic_store_i32(thread.pending, 1)
            return .interrupted
        }
        return withUnsafeMutableBytes(of: &host) { body(Int(bitPattern: $0.baseAddress)) }
    }

    /// A timeout the host kernel may update with the time left: the guest's is updated also when a signal ended the
    /// call, so that a call done again waits only for the rest.
    func withTimeout(_ layout: StructLayout, _ address: UInt64, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        let pair = layout.conversions(shape)
        if address == 0 || pair.identical { return body(pointer(address)) }
        return withUnsafeTemporaryAllocation(byteCount: pair.host.size, alignment: 8) { buffer in
            guard let base = buffer.baseAddress, readStructure(layout, address, base) else { return .error(EFAULT) }
            let result = body(Int(bitPattern: base))
            // The kernel, too, ignores a timeout that it cannot write back.
            _ = writeStructure(layout, address, base)
            return result
        }
    }
}
