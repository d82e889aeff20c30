// System calls about signals: actions, masks, waiting, sending, the alternate stack, return from handlers.

import CHost
import Glibc
import Host

extension SystemCallTable {
    static let signals: [SystemCallDescription] = [
        SystemCallDescription("rt_sigaction", [.signal, .pointer, .pointer, .size], SignalCalls.action),
        SystemCallDescription("rt_sigprocmask", [.int, .pointer, .pointer, .size], SignalCalls.mask),
        SystemCallDescription("rt_sigpending", [.pointer, .size], SignalCalls.pending),
        SystemCallDescription("rt_sigsuspend", [.pointer, .size], SignalCalls.suspend),
        SystemCallDescription("pause", [], SignalCalls.pause),
        SystemCallDescription("rt_sigtimedwait", [.pointer, .pointer, .pointer, .size]) { SignalCalls.timedWait($0, .timespec) },
        SystemCallDescription("rt_sigtimedwait_time64", [.pointer, .pointer, .pointer, .size]) { SignalCalls.timedWait($0, .timespec64) },
        SystemCallDescription("rt_sigqueueinfo", [.pid, .signal, .pointer], SignalCalls.queueInfo),
        SystemCallDescription("rt_tgsigqueueinfo", [.pid, .pid, .signal, .pointer], SignalCalls.threadQueueInfo),
        SystemCallDescription("pidfd_send_signal", [.fd, .signal, .pointer, .hex], SignalCalls.pidfdSend),
        SystemCallDescription("kill", [.pid, .signal], SignalCalls.kill),
        SystemCallDescription("tkill", [.pid, .signal], SignalCalls.threadKill),
        SystemCallDescription("tgkill", [.pid, .pid, .signal], SignalCalls.threadGroupKill),
        SystemCallDescription("sigaltstack", [.pointer, .pointer], SignalCalls.alternateStack),
        SystemCallDescription("rt_sigreturn", [], SignalCalls.signalReturn),
        SystemCallDescription("restart_syscall", [], { _ in .error(EINTR) }),
    ]
}

/// Guest words in memory: `long`s, pointers and signal masks.
extension SystemCall {
    /// `count` guest words at `address`; nil if they cannot be read.
    func words(at address: UInt64, _ count: Int) -> [UInt64]? {
        let width = model.wordSize
        guard let bytes = memory.readBytes(address, count * width), bytes.count == count * width else { return nil }
        return (0 ..< count).map { index in
            var value: UInt64 = 0
            for byte in 0 ..< width {
                let position = model.bigEndian ? width - 1 - byte : byte
                value |= UInt64(bytes[index * width + byte]) &<< UInt64(8 * position)
            }
            return value
        }
    }

    /// Writes `values` as guest words. - Returns: whether the memory is there.
    func putWords(_ values: [UInt64], at address: UInt64) -> Bool {
        let width = model.wordSize
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * width)
        for value in values {
            for byte in 0 ..< width {
                let position = model.bigEndian ? width - 1 - byte : byte
                bytes.append(UInt8(truncatingIfNeeded: value &>> UInt64(8 * position)))
            }
        }
        return memory.writeBytes(address, bytes)
    }

    /// A 64-bit signal set: one guest word, or two on 32-bit guests, the lower signals first.
    func signalSet(at address: UInt64) -> UInt64? {
        if model.wordSize == 8 { return words(at: address, 1)?[0] }
        return words(at: address, 2).map { $0[0] | $0[1] &<< 32 }
    }

    func putSignalSet(_ set: UInt64, at address: UInt64) -> Bool {
        model.wordSize == 8 ? putWords([set], at: address) : putWords([set & 0xffff_ffff, set &>> 32], at: address)
    }

    /// A guest `int` written to memory.
    func putInt(_ value: Int32, at address: UInt64) -> Bool {
        memory.write(address, model.bigEndian ? value.bigEndian : value.littleEndian)
    }
}

enum SignalCalls {
    private static let setSize: UInt64 = 8

    // MARK: Actions and masks

    static func action(_ call: SystemCall) -> SystemCallResult {
        guard call[3] == setSize else { return .error(EINVAL) }
        let number = Int(call.int(0))
        guard number >= 1, number <= SignalNumber.count else { return .error(EINVAL) }
        let table = call.process.signals
        var old = table[number]
        if call[1] != 0 {
            guard let new = readAction(call, call[1]) else { return .error(EFAULT) }
            let result = table.set(number, new)
            if result.error < 0 { return .value(result.error) }
            old = result.old
        }
        if call[2] != 0, !writeAction(call, old, call[2]) { return .error(EFAULT) }
        return .value(0)
    }

    /// `struct sigaction` of the kernel: handler, flags, restorer (if the architecture has it), mask.
    private static func readAction(_ call: SystemCall, _ address: UInt64) -> SignalAction? {
        let restorer = call.process.abi.signalActionHasRestorer
        let word = UInt64(call.model.wordSize)
        guard let words = call.words(at: address, restorer ? 3 : 2),
              let mask = call.signalSet(at: address &+ word &* (restorer ? 3 : 2)) else { return nil }
        return SignalAction(handler: words[0], flags: words[1] & 0xffff_ffff, restorer: restorer ? words[2] : 0, mask: mask)
    }

    private static func writeAction(_ call: SystemCall, _ action: SignalAction, _ address: UInt64) -> Bool {
        let restorer = call.process.abi.signalActionHasRestorer
        let words = restorer ? [action.handler, action.flags, action.restorer] : [action.handler, action.flags]
        return call.putWords(words, at: address)
            && call.putSignalSet(action.mask, at: address &+ UInt64(call.model.wordSize * words.count))
    }

    static func mask(_ call: SystemCall) -> SystemCallResult {
        guard call[3] == setSize else { return .error(EINVAL) }
        let thread = call.thread, old = thread.signalMask
        if call[1] != 0 {
            guard let set = call.signalSet(at: call[1]) else { return .error(EFAULT) }
            var new: UInt64
            switch call.int(0) {
            case 0: new = old | set
            case 1: new = old & ~set
            case 2: new = set
            default: return .error(EINVAL)
            }
            new &= ~SignalNumber.uncatchable
            if new != old {
                // A signal that was received before must not be blocked any more: it is delivered first.
                GuestThread.blockAll()
                if thread.inbox.isOccupied {
                    thread.callNotEntered = true
                    return .restart
                }
                thread.replaceMask(new)
                thread.applyMask()
                if thread.inbox.sentMask & ~new != 0 { apus_atomic_store_i32(thread.pending, 1) }
            }
        }
        if call[2] != 0, !call.putSignalSet(old, at: call[2]) { return .error(EFAULT) }
        return .value(0)
    }

    static func pending(_ call: SystemCall) -> SystemCallResult {
        guard call[1] <= setSize else { return .error(EINVAL) }
        var set: UInt64 = 0
        let result = withUnsafeMutablePointer(to: &set) { directCall(SYS_rt_sigpending, $0, 8) }
        if result < 0 { return .value(result) }
        set = (set | call.thread.inbox.sentMask) & call.thread.signalMask
        return call.putSignalSet(set, at: call[0]) ? .value(0) : .error(EFAULT)
    }

    // MARK: Waiting

    static func suspend(_ call: SystemCall) -> SystemCallResult {
        guard call[1] == setSize else { return .error(EINVAL) }
        guard let mask = call.signalSet(at: call[0]) else { return .error(EFAULT) }
        let thread = call.thread
        var host = thread.beginTemporaryMask(mask)
        if thread.inbox.sentMask & ~thread.signalMask != 0 {
            apus_atomic_store_i32(thread.pending, 1)
            return .interrupted
        }
        let result = withUnsafePointer(to: &host) { hostCall(thread, SYS_rt_sigsuspend, $0, 8) }
        return SystemCallResult(hostCall: result)
    }

    static func pause(_ call: SystemCall) -> SystemCallResult {
        var host = call.thread.beginTemporaryMask(call.thread.signalMask)
        let result = withUnsafePointer(to: &host) { hostCall(call.thread, SYS_rt_sigsuspend, $0, 8) }
        return SystemCallResult(hostCall: result)
    }

    static func timedWait(_ call: SystemCall, _ time: StructLayout) -> SystemCallResult {
        guard call[3] == setSize else { return .error(EINVAL) }
        guard var set = call.signalSet(at: call[0]) else { return .error(EFAULT) }
        var timeout = timespec()
        if call[2] != 0 {
            guard withUnsafeMutableBytes(of: &timeout, { bytes in
                bytes.baseAddress.map { call.readStructure(time, call[2], $0) } ?? false
            }) else { return .error(EFAULT) }
        }
        let thread = call.thread
        if let (signal, info) = thread.inbox.takeSent(set) { return finishWait(call, signal, info) }
        var buffer = [UInt8](repeating: 0, count: SignalInformation.size)
        let hasTimeout = call[2] != 0
        let result = buffer.withUnsafeMutableBytes { info in
            withUnsafePointer(to: &set) { set in
                withUnsafePointer(to: &timeout) { timeout in
                    hostCall(thread, SYS_rt_sigtimedwait, set, info.baseAddress, hasTimeout ? timeout : nil, 8)
                }
            }
        }
        guard result > 0 else {
            // The kernel answers EINTR here without restarting the call.
            return result == -512 ? .restart : .value(result)
        }
        let info = buffer.withUnsafeBytes { bytes in bytes.baseAddress.map { SignalInformation(copying: $0) } }
        guard let info else { return .error(EFAULT) }
        return finishWait(call, Int(result), info)
    }

    private static func finishWait(_ call: SystemCall, _ signal: Int, _ info: SignalInformation) -> SystemCallResult {
        if call[1] != 0, !call.memory.writeBytes(call[1], info.guestBytes(call.model)) { return .error(EFAULT) }
        return .value(Int64(signal))
    }

    // MARK: Sending

    static func kill(_ call: SystemCall) -> SystemCallResult {
        .value(directCall(SYS_kill, call.int(0), call.int(1)))
    }

    static func threadKill(_ call: SystemCall) -> SystemCallResult {
        .value(directCall(SYS_tkill, call.int(0), call.int(1)))
    }

    static func threadGroupKill(_ call: SystemCall) -> SystemCallResult {
        .value(directCall(SYS_tgkill, call.int(0), call.int(1), call.int(2)))
    }

    static func queueInfo(_ call: SystemCall) -> SystemCallResult {
        withInfo(call, call[2], signal: call.int(1)) {
            directCall(SYS_rt_sigqueueinfo, call.int(0), call.int(1), $0)
        }
    }

    static func threadQueueInfo(_ call: SystemCall) -> SystemCallResult {
        withInfo(call, call[3], signal: call.int(2)) {
            directCall(SYS_rt_tgsigqueueinfo, call.int(0), call.int(1), call.int(2), $0)
        }
    }

    static func pidfdSend(_ call: SystemCall) -> SystemCallResult {
        if call[2] == 0 {
            return .value(directCall(SYS_pidfd_send_signal, call.int(0), call.int(1), 0, call[3]))
        }
        return withInfo(call, call[2], signal: nil) {
            directCall(SYS_pidfd_send_signal, call.int(0), call.int(1), $0, call[3])
        }
    }

    private static func withInfo(_ call: SystemCall, _ address: UInt64, signal: Int32?,
                                 _ body: (UnsafeRawPointer?) -> Int64) -> SystemCallResult {
        guard let bytes = call.memory.readBytes(address, SignalInformation.size),
              var info = SignalInformation(guest: bytes, model: call.model) else { return .error(EFAULT) }
        if let signal {
            withUnsafeBytes(of: signal) { info.bytes.replaceSubrange(0 ..< 4, with: $0) }
        }
        return .value(info.bytes.withUnsafeBytes { body($0.baseAddress) })
    }

    // MARK: The alternate stack, and return

    static func alternateStack(_ call: SystemCall) -> SystemCallResult {
        let thread = call.thread, old = thread.alternateStack
        let onStack = old.contains(call.process.abi.stackPointer(of: thread.vcpu))
        if call[0] != 0 {
            guard let words = call.words(at: call[0], 3) else { return .error(EFAULT) }
            if onStack { return .error(EPERM) }
            let wordIsFlags = call.model.wordSize == 8 && call.model.bigEndian ? words[1] &>> 32 : words[1]
            let error = set(thread, words[0], words[2], UInt32(truncatingIfNeeded: wordIsFlags))
            if error != 0 { return .error(error) }
        }
        if call[1] != 0 {
            var flags = UInt64(old.flags & AlternateStack.autoDisarm)
            flags |= old.size == 0 ? UInt64(AlternateStack.disabled) : onStack ? UInt64(AlternateStack.onStack) : 0
            if call.model.wordSize == 8, call.model.bigEndian { flags = flags &<< 32 }
            guard call.putWords([old.address, flags, old.size], at: call[1]) else { return .error(EFAULT) }
        }
        return .value(0)
    }

    /// The kernel's do_sigaltstack. - Returns: 0 or an errno.
    private static func set(_ thread: GuestThread, _ address: UInt64, _ size: UInt64, _ flags: UInt32) -> Int32 {
        switch flags & ~AlternateStack.autoDisarm {
        case AlternateStack.disabled:
            thread.alternateStack = AlternateStack(flags: flags)
        case 0, AlternateStack.onStack:
            if size < AlternateStack.minimumSize { return ENOMEM }
            thread.alternateStack = AlternateStack(address: address, size: size, flags: flags)
        default:
            return EINVAL
        }
        return 0
    }

    static func signalReturn(_ call: SystemCall) -> SystemCallResult {
        let thread = call.thread
        guard let frame = call.process.abi.popSignalFrame(thread.vcpu, memory: call.memory) else {
            SignalDelivery.deliverSynchronous(thread, SIGSEGV, SignalCode.kernel, 0)
            return .registersReplaced
        }
        let (address, size, flags) = frame.alternateStack
        // As the kernel: errors of restoring the stack are not reported.
        if !thread.alternateStack.contains(call.process.abi.stackPointer(of: thread.vcpu)) {
            _ = set(thread, address, size, flags)
        }
        GuestThread.blockAll()
        thread.replaceMask(frame.mask)
        thread.applyMask()
        if thread.inbox.sentMask & ~thread.signalMask != 0 { apus_atomic_store_i32(thread.pending, 1) }
        return .registersReplaced
    }
}
