// Several front ends on one stream, as `-serial mon:stdio` and `mux=on` mean it: Ctrl-A is the escape. C switches to the next
// front end, X ends the emulator, B sends a break, S saves the disks, T switches time stamps, H tells this, Ctrl-A twice
// sends one.

import Core
import Host

/// What the escape keys do beside switching.
public struct MultiplexerActions: Sendable {
    public var quit: @Sendable () -> Void
    public var flushDisks: @Sendable () -> Void
    public init(quit: @escaping @Sendable () -> Void, flushDisks: @escaping @Sendable () -> Void = {}) {
        self.quit = quit
        self.flushDisks = flushDisks
    }
}

/// A stream shared by up to eight front ends: each has a port, one of which has the focus.
public final class Multiplexer: Sendable {
    private struct State: Sendable {
        var handlers: [CharacterHandlers?] = []
        var focus = 0
        var sawEscape = false
        var stampsTime = false
        var isAtLineStart = true
        var start: UInt64 = 0
    }

    private let stream: any CharacterStream
    private let actions: MultiplexerActions
    private let escape: UInt8
    private let state = Locked(State())

    /// - Parameter escape: the byte that begins a command; 1 is Ctrl-A.
    public init(_ stream: any CharacterStream, escape: UInt8 = 1, actions: MultiplexerActions) {
        self.stream = stream
        self.escape = escape
        self.actions = actions
    }

    /// A stream for one more front end.
    public func addPort() -> any CharacterStream {
        let number = state.withLock { state in
            state.handlers.append(nil)
            return state.handlers.count - 1
        }
        if number == 0 {
            stream.attach(CharacterHandlers(
                capacity: { [weak self] in self?.capacity() ?? 0 }, receive: { [weak self] in self?.receive($0) },
                event: { [weak self] event in self?.event(event) }))
        }
        return Port(self, number)
    }

    private func capacity() -> Int { focused()?.capacity() ?? 64 }
    private func focused() -> CharacterHandlers? {
        state.withLock { $0.handlers.indices.contains($0.focus) ? $0.handlers[$0.focus] : nil }
    }

    /// A break for the front end that has the focus.
    func comeBreak() { focused()?.event(.interrupted) }

    private func event(_ event: CharacterEvent) {
        for handlers in state.withLock({ $0.handlers }) { handlers?.event(event) }
    }

    private func receive(_ bytes: [UInt8]) {
        var plain: [UInt8] = []
        func pass() {
            if !plain.isEmpty { focused()?.receive(plain) }
            plain = []
        }
        for byte in bytes {
            let wasEscaped = state.withLock { state in
                defer { state.sawEscape = !state.sawEscape && byte == escape }
                return state.sawEscape
            }
            if wasEscaped {
                if byte == escape { plain.append(byte) } else {
                    pass()
                    command(byte)
                }
            } else if byte != escape {
                plain.append(byte)
            }
        }
        pass()
    }

    private func command(_ key: UInt8) {
        switch key | 0x20 {
        case UInt8(ascii: "x"):
            print("QEMU: Terminated\r\n")
            actions.quit()
        case UInt8(ascii: "c"):
            let number = state.withLock { state in
                if !state.handlers.isEmpty { state.focus = (state.focus + 1) % state.handlers.count }
                return state.focus
            }
            _ = number
            stream.resume()
            focused()?.event(.opened)
        case UInt8(ascii: "b"): comeBreak()
        case UInt8(ascii: "s"): actions.flushDisks()
        case UInt8(ascii: "t"): state.withLock { state in
            state.stampsTime.toggle()
            state.start = EventLoop.now
        }
        case UInt8(ascii: "h"), UInt8(ascii: "?") | 0x20: print(Self.help)
        default: break
        }
    }

    private static let help = """
    \r\nC-a h    print this help\r
    C-a x    exit emulator\r
    C-a s    save disk data back to file (if -snapshot)\r
    C-a t    toggle console timestamps\r
    C-a b    send break (magic sysrq)\r
    C-a c    switch between console and monitor\r
    C-a C-a  sends C-a\r\n
    """

    private func print(_ text: String) { _ = stream.send(Array(text.utf8)[...]) }

    private func send(_ bytes: ArraySlice<UInt8>) -> Int {
        let stamp = state.withLock { $0.stampsTime }
        guard stamp else { return stream.send(bytes) }
        for byte in bytes {
            let prefix = state.withLock { state -> String? in
                defer { state.isAtLineStart = byte == 10 }
                guard state.isAtLineStart else { return nil }
                let milliseconds = (EventLoop.now &- state.start) / 1_000_000
                let text = String(milliseconds)
                return "[" + text + "] "
            }
            if let prefix { print(prefix) }
            _ = stream.send([byte])
        }
        return bytes.count
    }

    /// As `info chardev` shows it.
    public var description: String { stream.description }

    private final class Port: FocusedStream, BreakableStream {
        private let owner: Multiplexer
        private let number: Int

        init(_ owner: Multiplexer, _ number: Int) {
            self.owner = owner
            self.number = number
        }

        var description: String { owner.stream.description }
        var hasFocus: Bool { owner.state.withLock { $0.focus == number } }
        func send(_ bytes: ArraySlice<UInt8>) -> Int { owner.send(bytes) }
        func comeBreak() { owner.state.withLock { $0.handlers.indices.contains(number) ? $0.handlers[number] : nil }?.event(.interrupted) }
        func attach(_ handlers: CharacterHandlers?) {
            owner.state.withLock { $0.handlers[number] = handlers }
            owner.stream.resume()
            handlers?.event(.opened)
        }
        func resume() { owner.stream.resume() }
    }
}
