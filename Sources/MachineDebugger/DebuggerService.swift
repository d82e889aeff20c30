// Where debuggers of a machine connect, and the thread that serves them one after another.

import CHost
import Core
import Debugger
import Glibc

/// The machine's end of `-gdb`.
public enum DebuggerPlace: Sendable {
    /// A listening socket.
    case listener(Int32)
    /// A character back end: whoever is behind it is the debugger, always.
    case stream(any CharacterStream)

    /// A socket that listens at `address`, which is as `RemoteAddress` parses it.
    /// - Returns: a reason, if there can be none.
    public static func listen(_ address: RemoteAddress) throws(ConfigurationError) -> DebuggerPlace {
        do throws(RemoteError) { return .listener(try RemoteSocket.listen(at: address)) } catch { throw ConfigurationError("-gdb: \(error.text)") }
    }
}

public enum DebuggerService {
    private final class Argument: Sendable {
        let debugger: MachineDebugger
        let place: DebuggerPlace
        init(_ debugger: MachineDebugger, _ place: DebuggerPlace) {
            self.debugger = debugger
            self.place = place
        }
    }

    /// - Returns: false if the host has no thread left.
    public static func start(_ debugger: MachineDebugger, at place: DebuggerPlace) -> Bool {
        let argument = Unmanaged.passRetained(Argument(debugger, place))
        let error = apus_thread_start({ argument in
            guard let argument else { return nil }
            let taken = Unmanaged<Argument>.fromOpaque(argument).takeRetainedValue()
            DebuggerService.run(taken.debugger, taken.place)
            return nil
        }, argument.toOpaque(), 1 << 20)
        if error != 0 { argument.release() }
        return error == 0
    }

    private static func run(_ debugger: MachineDebugger, _ place: DebuggerPlace) {
        switch place {
        case .listener(let listener):
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                let goesOn = serve(debugger, descriptor)
                close(descriptor)
                guard goesOn else { return }
            }
        case .stream(let stream):
            guard let bridge = StreamBridge(stream) else { return }
            while let descriptor = bridge.connect() {
                let goesOn = serve(debugger, descriptor)
                bridge.disconnect(descriptor)
                guard goesOn else { return }
            }
        }
    }

    /// Serves one debugger. - Returns: false if the machine ends.
    private static func serve(_ debugger: MachineDebugger, _ descriptor: Int32) -> Bool {
        let connection = RemoteConnection(descriptor: descriptor)
        let session = RemoteSession(target: debugger)
        session.begin(with: debugger.attach())
        let ending = connection.serve(session, news: debugger.news, first: nil) { debugger.takeStop() }
        if ending == .killed {
            debugger.kill()
            return false
        }
        debugger.detach()
        return true
    }
}
