// The debugger's own thread: it accepts debuggers and serves one session after another.

import CHost
import Debugger
import Glibc
import Host

/// How a session begins.
enum SessionStart: Sendable {
    /// A debugger connects to this listening socket.
    case listen(Int32)
    /// The session of the program that executed this one goes on, or that of the parent that forked it.
    case inherited(SessionInheritance, packet: [UInt8])
}

enum DebuggerThread {
    private final class Argument: Sendable {
        let debugger: GuestDebugger
        let start: SessionStart
        init(debugger: GuestDebugger, start: SessionStart) {
            self.debugger = debugger
            self.start = start
        }
    }

    /// Starts it. - Returns: 0 or an errno.
    static func start(_ debugger: GuestDebugger, _ start: SessionStart) -> Int32 {
        let argument = Unmanaged.passRetained(Argument(debugger: debugger, start: start))
        // It takes no signal: they are for guest threads.
        var mask: UInt64 = 0
        apus_signal_mask(0, 0, &mask)
        GuestThread.blockAll()
        defer { apus_signal_mask(2, mask, nil) }
        let error = apus_thread_start({ argument in
            guard let argument else { return nil }
            let taken = Unmanaged<Argument>.fromOpaque(argument).takeRetainedValue()
            DebuggerThread.run(taken.debugger, taken.start)
            return nil
        }, argument.toOpaque(), 1 << 20)
        if error != 0 { argument.release() }
        return error
    }

    private static func run(_ debugger: GuestDebugger, _ start: SessionStart) {
        var listener: Int32
        switch start {
        case .listen(let descriptor): listener = descriptor
        case .inherited(let session, let packet):
            listener = session.listener
            guard serve(debugger, session.connection, listener, session.events, packet) else { return }
        }
        while listener >= 0 {
            let accepted = Int32(truncatingIfNeeded: directCall(SYS_accept4, listener, 0, 0, SOCK_CLOEXEC.rawValue))
            if accepted < 0 {
                if accepted == -EINTR || accepted == -ECONNABORTED { continue }
                return
            }
            guard serve(debugger, PrivateDescriptors.adopt(accepted), listener, [], []) else { return }
        }
        listener = -1
    }

    /// Serves one debugger. - Parameter packet: if it is not empty, one to answer before all others.
    /// - Returns: false if there will be no more sessions.
    private static func serve(_ debugger: GuestDebugger, _ descriptor: Int32, _ listener: Int32, _ events: RemoteEvents,
                              _ packet: [UInt8]) -> Bool {
        let connection = RemoteConnection(descriptor: descriptor)
        debugger.connection.withLock { $0 = (descriptor, listener) }
        debugger.attach(events: events)
        let session = RemoteSession(target: debugger, events: events)
        // What the program was stopped for is the answer to the debugger's first question.
        var stop = debugger.takeStop()
        while stop == nil {
            var wanted = pollfd(fd: debugger.news, events: Int16(POLLIN), revents: 0)
            guard poll(&wanted, 1, -1) >= 0 || errno == EINTR else { return false }
            var count: UInt64 = 0
            _ = read(debugger.news, &count, 8)
            stop = debugger.takeStop()
        }
        guard let stop else { return false }
        var ending: RemoteSession.Ending?
        if case .execution = stop.event, events.contains(.execution) {
            // The debugger waits for news of the program that was executed.
            session.continueSilently()
            ending = connection.serve(session, news: debugger.news, first: stop) { debugger.takeStop() }
        } else {
            session.begin(with: stop)
            if !packet.isEmpty { _ = session.respond(to: packet) }
            ending = connection.serve(session, news: debugger.news, first: nil) { debugger.takeStop() }
        }
        debugger.connection.withLock { $0 = (-1, listener) }
        close(descriptor)
        PrivateDescriptors.remove(descriptor)
        switch ending {
        case .programGone:
            apus_atomic_store_i32(debugger.endIsTold, 1)
            directCall(SYS_futex, debugger.endIsTold, FutexOperation.wakePrivate, Int32.max)
            return false
        case .killed:
            debugger.kill()
            return false
        case .handedOver:
            close(listener)
            debugger.waitForRelease()
            return false
        case .detached, nil:
            debugger.detachSelf()
            return true
        }
    }
}

extension GuestDebugger {
    /// Before the first instruction: opens the socket, or goes on with the session of the program before this one.
    func begin(_ options: UserOptions, _ thread: GuestThread) throws(UserModeError) {
        register(thread)
        let start: SessionStart
        if let text = options.inheritedSession {
            guard let session = SessionInheritance(parsing: text) else { throw UserModeError("--debugger: '\(text)' is no session") }
            adopt(session)
            beginStopped(thread, event: .execution(path: image.executable))
            start = .inherited(session, packet: [])
        } else {
            guard let address = options.debugger else { return }
            let listener: Int32
            do { listener = PrivateDescriptors.adopt(try RemoteSocket.listen(at: address)) } catch { throw UserModeError("-g: \(error.text)") }
            if options.waitsForDebugger { beginStopped(thread, event: .signal(5)) }
            start = .listen(listener)
        }
        guard DebuggerThread.start(self, start) == 0 else { throw UserModeError("no thread for the debugger") }
    }
}
