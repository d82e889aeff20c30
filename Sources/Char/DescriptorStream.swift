// A stream over descriptors: standard input and output, files, pipes, terminals, the connected end of a socket.

import Core
import Glibc
import Host

/// What a stream over descriptors does at the end of its input.
public enum EndOfInput: Sendable {
    /// The other side is gone for good (a file, a pipe).
    case stop
    /// Told to whoever owns the stream, which may connect another descriptor.
    case report
}

/// A stream over a descriptor to read from and one to write to.
public final class DescriptorStream: BreakableStream, @unchecked Sendable {
    private struct State: Sendable {
        var input: Int32 = -1
        var output: Int32 = -1
        var watch: Watch?
        var handlers: CharacterHandlers?
        var isWaitingForRoom = false
        var isWaitingToSend = false
        var ownsDescriptors = false
    }

    public let description: String
    private let loop: EventLoop
    private let state: Locked<State>
    /// Called on the loop's thread when the other side is gone.
    private let ended: @Sendable () -> Void

    /// - Parameters:
    ///   - input, output: -1: none. They may be the same.
    ///   - ownsDescriptors: they are closed with the stream.
    public init(_ description: String, loop: EventLoop, input: Int32, output: Int32, ownsDescriptors: Bool,
                ended: @escaping @Sendable () -> Void = {}) {
        self.description = description
        self.loop = loop
        self.ended = ended
        state = Locked(State())
        connect(input: input, output: output, ownsDescriptors: ownsDescriptors)
    }

    deinit { disconnect() }

    /// Replaces the descriptors.
    public func connect(input: Int32, output: Int32, ownsDescriptors: Bool) {
        disconnect()
        for descriptor in [input, output] where descriptor >= 0 {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        let handlers = state.withLock { state in
            state.input = input
            state.output = output
            state.ownsDescriptors = ownsDescriptors
            return state.handlers
        }
        rewatch()
        handlers?.event(.opened)
    }

    /// Forgets the descriptors.
    public func disconnect() {
        let old = state.withLock { state in
            let old = state
            state.watch = nil
            state.input = -1
            state.output = -1
            state.isWaitingToSend = false
            return old
        }
        old.watch?.cancel()
        if old.ownsDescriptors {
            if old.input >= 0 { close(old.input) }
            if old.output >= 0, old.output != old.input { close(old.output) }
        }
    }

    public var isConnected: Bool { state.withLock { $0.input >= 0 || $0.output >= 0 } }

    // MARK: CharacterStream

    public func send(_ bytes: ArraySlice<UInt8>) -> Int {
        let (sent, mustWait) = state.withLock { state -> (Int, Bool) in
            guard state.output >= 0 else { return (bytes.count, false) }
            var done = 0
            while done < bytes.count {
                let count = bytes.withUnsafeBytes { Glibc.write(state.output, $0.baseAddress.map { $0 + done }, bytes.count - done) }
                if count > 0 {
                    done += count
                } else if count < 0, errno == EINTR {
                    continue
                } else if count < 0, errno == EAGAIN {
                    state.isWaitingToSend = true
                    return (done, true)
                } else {
                    // The other side is gone: what is sent is lost.
                    return (bytes.count, false)
                }
            }
            return (done, false)
        }
        if mustWait { rewatch() }
        return sent
    }

    public func comeBreak() { state.withLock { $0.handlers }?.event(.interrupted) }

    public func attach(_ handlers: CharacterHandlers?) {
        let isOpen = state.withLock { state in
            state.handlers = handlers
            state.isWaitingForRoom = false
            return state.input >= 0 || state.output >= 0
        }
        rewatch()
        if isOpen { handlers?.event(.opened) }
    }

    public func resume() {
        let wasWaiting = state.withLock { state in
            defer { state.isWaitingForRoom = false }
            return state.isWaitingForRoom
        }
        if wasWaiting { rewatch() }
    }

    // MARK: the loop

    /// Waits for what can be used now. A regular file is always ready and cannot be waited for: it is read by jobs.
    private func rewatch() {
        let job = state.withLock { state -> (@Sendable () -> Void)? in
            var wanted: Readiness = []
            if state.input >= 0, state.handlers != nil, !state.isWaitingForRoom { wanted.insert(.read) }
            if state.isWaitingToSend { wanted.insert(.write) }
            let descriptor = state.input >= 0 ? state.input : state.output
            guard descriptor >= 0 else { return nil }
            if let watch = state.watch {
                watch.wait(for: wanted)
                return nil
            }
            state.watch = loop.watch(descriptor, for: wanted) { [weak self] in self?.ready($0) }
            if state.watch != nil || wanted.isEmpty { return nil }
            let now = wanted
            return { [weak self] in self?.ready(now) }
        }
        if let job { loop.submit(job) }
    }

    private func ready(_ readiness: Readiness) {
        if readiness.contains(.write) || readiness.contains(.hangUp) {
            let handlers = state.withLock { state -> CharacterHandlers? in
                guard state.isWaitingToSend else { return nil }
                state.isWaitingToSend = false
                return state.handlers
            }
            handlers?.event(.writable)
        }
        if readiness.contains(.read) || readiness.contains(.hangUp) { receive() }
        rewatch()
    }

    private func receive() {
        let (input, handlers) = state.withLock { ($0.input, $0.handlers) }
        guard input >= 0 else { return }
        guard let handlers else { return state.withLock { $0.isWaitingForRoom = true } }
        // Waiting is noted first: room that comes meanwhile is then not missed.
        state.withLock { $0.isWaitingForRoom = true }
        let room = min(handlers.capacity(), 4096)
        guard room > 0 else { return }
        state.withLock { $0.isWaitingForRoom = false }
        var bytes = [UInt8](repeating: 0, count: room)
        let count = read(input, &bytes, room)
        if count > 0 {
            handlers.receive(Array(bytes[..<count]))
        } else if count == 0 || errno != EAGAIN && errno != EINTR {
            state.withLock { state in
                state.watch?.cancel()
                state.watch = nil
                if state.ownsDescriptors, state.input >= 0, state.input != state.output { close(state.input) }
                if state.input == state.output {
                    if state.ownsDescriptors { close(state.output) }
                    state.output = -1
                }
                state.input = -1
            }
            handlers.event(.closed)
            ended()
        }
    }
}
