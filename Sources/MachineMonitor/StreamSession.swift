// A monitor on a character stream: each client that comes has a session of its own.

import Core
import Host
import Monitor
import Sockets

/// A client on a character stream, read and written by a session's threads.
final class StreamClient: MonitorStream {
    private static let longestInput = 1 << 20
    private struct State: Sendable {
        var input: [UInt8] = []
        var isClosed = false
        var mayHaveRoom = true
    }
    private let stream: any CharacterStream
    private let state = Waiting(State())

    init(_ stream: any CharacterStream) { self.stream = stream }

    // MARK: the stream's side

    var room: Int { state.look { min(4096, StreamClient.longestInput - $0.input.count) } }
    func received(_ bytes: [UInt8]) { state.change { $0.input += bytes } }
    func canSend() { state.change { $0.mayHaveRoom = true } }
    func close() { state.change { $0.isClosed = true } }

    // MARK: MonitorStream

    func receive(_ memory: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int {
        let bytes = state.wait { state -> [UInt8]? in
            if state.input.isEmpty { return state.isClosed ? [] : nil }
            let taken = Array(state.input.prefix(memory.count))
            state.input.removeFirst(taken.count)
            return taken
        } ?? []
        memory.copyBytes(from: bytes)
        stream.resume()
        return bytes.count
    }

    func send(_ bytes: [UInt8]) throws(SocketError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            state.change { $0.mayHaveRoom = false }
            rest = rest.dropFirst(stream.send(rest))
            if rest.isEmpty { return }
            let isOpen = state.wait { state in state.isClosed ? false : state.mayHaveRoom ? true : nil } ?? false
            if !isOpen { throw SocketError("the client has gone") }
        }
    }

    func shutDown() { close() }
}

/// A monitor's place on a stream.
final class StreamFrontEnd: Sendable {
    /// Serves one client until it goes.
    typealias Serve = @Sendable (StreamClient) -> Void
    private let stream: any CharacterStream
    private let serve: Serve
    private let client = Locked<StreamClient?>(nil)

    init(_ stream: any CharacterStream, _ serve: @escaping Serve) {
        self.stream = stream
        self.serve = serve
        stream.attach(CharacterHandlers(
            capacity: { [weak self] in self?.client.withLock { $0 }?.room ?? 0 },
            receive: { [weak self] bytes in self?.client.withLock { $0 }?.received(bytes) },
            event: { [weak self] event in self?.happened(event) }))
    }

    private func happened(_ event: CharacterEvent) {
        switch event {
        case .opened:
            // One of several on a stream speaks up when it is looked at.
            if let shared = stream as? any FocusedStream, !shared.hasFocus { return }
            let new = client.withLock { client -> StreamClient? in
                if client != nil { return nil }
                client = StreamClient(stream)
                return client
            }
            guard let new else { return }
            let started = BackgroundThread.start { [self] in
                serve(new)
                client.withLock { if $0 === new { $0 = nil } }
            }
            if !started { client.withLock { $0 = nil } }
            stream.resume()
        case .closed:
            let gone = client.withLock { client in
                defer { client = nil }
                return client
            }
            gone?.close()
        case .writable: client.withLock { $0 }?.canSend()
        case .interrupted: break
        }
    }

    func detach() {
        stream.attach(nil)
        client.withLock { $0 }?.close()
    }
}
