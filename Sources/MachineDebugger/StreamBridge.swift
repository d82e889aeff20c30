// A character back end as a descriptor, which is what sessions are served on: a pair of sockets, with the stream's handlers at
// the far side for one direction and a thread for the other.

import CHost
import Core
import Glibc
import Host

final class StreamBridge: Sendable {
    private let stream: any CharacterStream
    private struct State {
        var far: Int32 = -1
        var isOpen = false
        /// What came while no session was there: it begins the next one.
        var early: [UInt8] = []
    }
    private let state = Locked(State())
    /// Written to when somebody has connected, and when the stream takes bytes again.
    private let opened: Int32, writable: Int32

    init?(_ stream: any CharacterStream) {
        self.stream = stream
        opened = apus_wake_open()
        writable = apus_wake_open()
        guard opened >= 0, writable >= 0 else { return nil }
        stream.attach(CharacterHandlers(receive: { [self] bytes in receive(bytes) }, event: { [self] event in
            switch event {
            case .opened:
                state.withLock { $0.isOpen = true }
                Self.signal(opened)
            case .closed: state.withLock { state in
                state.isOpen = false
                if state.far >= 0 { shutdown(state.far, Int32(SHUT_RDWR)) }
            }
            case .writable: Self.signal(writable)
            case .interrupted: break
            }
        }))
    }

    private static func signal(_ descriptor: Int32) {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    private static func await(_ descriptor: Int32) {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&wanted, 1, -1) < 0, errno == EINTR {}
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }

    private func receive(_ bytes: [UInt8]) {
        let far = state.withLock { state in
            if state.far < 0, state.early.count < 1 << 16 {
                state.early += bytes
                state.isOpen = true
            }
            return state.far
        }
        guard far >= 0 else { return Self.signal(opened) }
        bytes.withUnsafeBytes { _ = Glibc.send(far, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Waits for somebody at the other side. - Returns: the near end, or nil if the host has no descriptors left.
    func connect() -> Int32? {
        while !state.withLock({ $0.isOpen }) { Self.await(opened) }
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else { return nil }
        let far = pair[1]
        state.withLock { state in
            state.far = far
            state.early.withUnsafeBytes { _ = Glibc.send(far, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            state.early = []
        }
        let pump = Unmanaged.passRetained(Pump(self, far))
        guard apus_thread_start({ argument in
            guard let argument else { return nil }
            let pump = Unmanaged<Pump>.fromOpaque(argument).takeRetainedValue()
            pump.bridge.send(from: pump.far)
            return nil
        }, pump.toOpaque(), 1 << 18) == 0 else {
            pump.release()
            close(pair[0])
            close(far)
            return nil
        }
        return pair[0]
    }

    func disconnect(_ near: Int32) {
        state.withLock { state in
            state.far = -1
            // A stream that has not hung up begins another session with its next bytes.
            state.isOpen = false
        }
        close(near)
    }

    private final class Pump: Sendable {
        let bridge: StreamBridge
        let far: Int32
        init(_ bridge: StreamBridge, _ far: Int32) {
            self.bridge = bridge
            self.far = far
        }
    }

    /// Carries what the session writes, until its end is closed.
    private func send(from far: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(far, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            var rest = buffer[..<count]
            while !rest.isEmpty {
                rest = rest.dropFirst(stream.send(rest))
                if !rest.isEmpty { Self.await(writable) }
            }
        }
        close(far)
    }
}
