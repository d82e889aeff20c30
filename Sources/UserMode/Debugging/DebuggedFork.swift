// fork and vfork under a debugger. The child waits at a gate until the debugger has said what becomes of it: it is let go
// (and forgets that there was a debugger), or the session goes on in it and lets the parent go. gdb says so by detaching
// from one of the two and letting the other go on; the rules are in "Forks" of gdb's manual.
//
// vfork is done as fork, so that breakpoints of one side are not in the code of the other; the parent still waits until
// the child has executed a program or ended. What differs: memory that the child writes stays its own.

import CHost
import Debugger
import Glibc
import Host
import Translation

/// A child that waits at its gate, as the parent knows it.
struct ForkedChild: Sendable {
    var thread: DebugThread
    /// Its registers.
    var vcpu: VCPU
    /// A socket: what is written to it decides.
    var gate: Int32
    /// For vfork: closed by the child when it executes a program or ends.
    var ending: Int32
    /// What the debugger has set in it.
    var breakpoints: [DebugBreakpoint]

    func free() { ForkGate.free(gate) }
}

/// The two ends of a gate, and the pipe of a vfork.
struct ForkGate: Sendable {
    let parentEnd: Int32, childEnd: Int32
    let pipe: (read: Int32, write: Int32)

    init?(isVfork: Bool) {
        var pair: [Int32] = [-1, -1], pipe: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else { return nil }
        let made = isVfork ? pipe.withUnsafeMutableBytes { directCall(SYS_pipe2, $0.baseAddress, O_CLOEXEC) } : 0
        if made != 0 {
            Glibc.close(pair[0])
            Glibc.close(pair[1])
            return nil
        }
        parentEnd = PrivateDescriptors.adopt(pair[0])
        childEnd = PrivateDescriptors.adopt(pair[1])
        self.pipe = isVfork ? (PrivateDescriptors.adopt(pipe[0]), PrivateDescriptors.adopt(pipe[1])) : (-1, -1)
    }

    static func close(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        PrivateDescriptors.remove(descriptor)
    }

    static let freeWord = UInt8(ascii: "F"), takeWord = UInt8(ascii: "T")

    /// Lets whoever waits at the other end go.
    static func free(_ gate: Int32) {
        var word = freeWord
        _ = send(gate, &word, 1, Int32(MSG_NOSIGNAL))
        close(gate)
    }

    /// Waits for a message: its first byte, then the rest of what was sent. Nil if the other end is gone.
    static func wait(_ gate: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Int(directCall(SYS_read, gate, buffer.withUnsafeMutableBytes { $0.baseAddress }, buffer.count))
            if count == -Int(EINTR) { continue }
            guard count > 0 else { return bytes.isEmpty ? nil : bytes }
            bytes += buffer[..<count]
            // A long message ends with a line feed.
            if bytes[0] == freeWord || bytes.last == 10 { return bytes }
        }
    }
}

extension GuestDebugger {
    /// Before a fork; nil: there is no debugger that wants to know.
    func prepareFork(isVfork: Bool) -> ForkGate? {
        let wanted = state.withLock { $0.isAttached && $0.events.contains(isVfork ? .vfork : .fork) }
        return wanted ? ForkGate(isVfork: isVfork) : nil
    }

    /// Takes what a forked child needs to find consistent; `didFork` gives it back.
    func willFork() {
        stepper.willFork()
        WatchTable.willFork()
        state.lock()
        connection.lock()
    }

    func didFork() {
        connection.unlock()
        state.unlock()
        WatchTable.didFork()
        stepper.didFork()
    }

    /// In the parent: remembers the child, which is told of when the call is over.
    func didFork(_ thread: GuestThread, child: Int32, _ gate: ForkGate, _ request: CloneRequest) {
        ForkGate.close(gate.childEnd)
        ForkGate.close(gate.pipe.write)
        let vcpu = engine.makeVCPU()
        vcpu.copyGuestState(from: thread.vcpu)
        abi.startChild(vcpu, stack: request.stack, tls: request.newTLS)
        let identity = DebugThread(process: child, thread: child)
        state.withLock { state in
            // The debugger sees the child with the breakpoints of its parent.
            state.threads[thread.tid]?.child = ForkedChild(thread: identity, vcpu: vcpu, gate: gate.parentEnd, ending: gate.pipe.read,
                                                           breakpoints: state.breakpoints)
        }
    }

    /// In the parent, when the call that made a child is over.
    func reportFork(_ thread: GuestThread) {
        guard let child = state.withLock({ $0.threads[thread.tid]?.child }) else { return }
        guard child.ending >= 0 else {
            report(.fork(child.thread), thread)
            return
        }
        report(.vfork(child.thread), thread)
        var byte: UInt8 = 0
        while true {
            let result = withUnsafeMutablePointer(to: &byte) { hostCall(thread, SYS_read, child.ending, $0, 1) }
            guard result == -512 || result == -Int64(EINTR) else { break }
            thread.callNotEntered = false
            checkpoint(thread)
            // A signal waits for the end of the call; it must not keep it from being made again.
            if !isStopRequested { apus_atomic_store_i32(thread.pending, 0) }
        }
        apus_atomic_store_i32(thread.pending, 1)
        ForkGate.close(child.ending)
        report(.vforkDone, thread)
    }

    /// In the child: waits for the debugger's word.
    func becomeChild(_ thread: GuestThread, _ gate: ForkGate?) {
        let (descriptor, listener) = connection.withLock { $0 }
        state.withLock { state in
            for child in state.children.values { ForkGate.close(child.gate) }
            state.children = [:]
            state.threads = [thread.tid: ThreadEntry()]
            if let parent = state.parent { ForkGate.close(parent.gate) }
            state.parent = nil
            state.stop = nil
        }
        apus_atomic_store_i32(endIsTold, 0)
        guard let gate else { return leave(descriptor, listener) }
        ForkGate.close(gate.parentEnd)
        ForkGate.close(gate.pipe.read)
        let message = ForkGate.wait(gate.childEnd)
        guard let message, message[0] == ForkGate.takeWord else {
            ForkGate.close(gate.childEnd)
            return leave(descriptor, listener)
        }
        // T, the session, a space, whether the parent waits, a space, the packet in hexadecimal, a line feed.
        let fields = message.dropFirst().dropLast().split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard fields.count == 3, var session = SessionInheritance(parsing: String(decoding: fields[0], as: UTF8.self)),
              let packet = Hexadecimal.decode(fields[2]) else { return leave(descriptor, listener) }
        session.connection = descriptor
        session.listener = listener
        if fields[1].first == UInt8(ascii: "1") {
            session.parent = (getppid(), gate.childEnd)
        } else {
            ForkGate.close(gate.childEnd)
            session.parent = nil
        }
        tools.breakpoints.removeAll()
        tools.watches.removeAll()
        engine.invalidate(0 ..< .max)
        adopt(session)
        for breakpoint in session.breakpoints { apply(breakpoint) }
        stopAll()
        if DebuggerThread.start(self, .inherited(session, packet: packet)) != 0 { leave(descriptor, listener) }
    }

    /// In a child that the debugger does not follow.
    private func leave(_ connection: Int32, _ listener: Int32) {
        self.connection.withLock { $0 = (-1, -1) }
        ForkGate.close(connection)
        ForkGate.close(listener)
        detachSelf()
    }

    // MARK: the debugger's thread

    /// If `action` lets only a waiting child go on, it gets the session. - Returns: whether it did.
    func handsOver(packet: [UInt8], _ action: (DebugThread) -> ResumeAction) -> Bool {
        let process = getpid()
        let (child, text): (ForkedChild?, String) = state.withLock { state in
            guard let child = state.children.values.first(where: { action($0.thread) != .hold }) else { return (nil, "") }
            let keepsParent = !state.isReleased
            if keepsParent, state.threads.keys.contains(where: { action(DebugThread(process: process, thread: $0)) != .hold }) {
                return (nil, "")
            }
            state.children[child.thread.process] = nil
            let session = SessionInheritance(connection: 0, listener: -1, events: state.events, passed: state.passed, caught: state.caught,
                                             parent: nil, breakpoints: child.breakpoints)
            if keepsParent { state.parent = (child.thread.process, child.gate) }
            return (child, "T\(session.text) \(keepsParent ? 1 : 0) ")
        }
        guard let child else { return false }
        let message = Array(text.utf8) + Hexadecimal.encode(packet) + [10]
        _ = message.withUnsafeBytes { send(child.gate, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if state.withLock({ $0.isReleased }) { ForkGate.close(child.gate) }
        return true
    }

    /// After a session went over to a child: waits, if need be, until the debugger lets this process go.
    func waitForRelease() {
        let gate = state.withLock { state -> Int32 in
            defer { state.parent = nil }
            return state.parent?.gate ?? -1
        }
        if gate >= 0 {
            _ = ForkGate.wait(gate)
            ForkGate.close(gate)
        }
        connection.withLock { $0 = (-1, -1) }
        detachSelf()
    }
}
