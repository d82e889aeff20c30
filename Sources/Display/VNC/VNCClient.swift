// One client of a VNC server: a thread that reads its messages and one that sends updates. Whatever a client does, what is kept
// for it stays small: what it has not been sent yet is a count of changes, not a queue.

import Core
import Glibc
import Host
import Sockets

final class VNCClient: Sendable {
    /// What the reading thread leaves for the sending one.
    struct Wishes: Sendable {
        var isOver = false
        /// Something has happened that may be worth sending.
        var isAwake = false
        var format = PixelFormat.standard
        var hasNewFormat = false
        var encodings: [Int32] = []
        var hasNewEncodings = false
        /// The client waits for news of the area.
        var request: PixelArea?
        /// It wants all of this, changed or not.
        var whole: PixelArea?
        /// Results of requests for another size, to be told.
        var sizeAnswers: [UInt8] = []
    }

    let server: VNCServer
    private let channel: Channel
    private let isWebSocket: Bool
    let wishes = Waiting(Wishes())
    private let admitted = Locked<VNCServer.ClientInfo?>(nil)

    init(_ server: VNCServer, _ channel: Channel, isWebSocket: Bool) {
        self.server = server
        self.channel = channel
        self.isWebSocket = isWebSocket
    }

    /// nil: it is not in yet.
    var info: VNCServer.ClientInfo? { admitted.withLock { $0 } }

    func end() {
        wishes.change { $0.isOver = true }
        channel.shutDown()
    }

    func wake() { wishes.change { $0.isAwake = true } }

    /// Serves the client until it is gone.
    func run() {
        let stranger = VNCServer.ClientInfo(peer: channel.peer, isWebSocket: isWebSocket, isSecure: false, isShared: false)
        server.tell(.connected, stranger)
        defer {
            end()
            server.forget(self)
            server.tell(.disconnected, info ?? stranger)
        }
        do throws(SocketError) { try serve() } catch {}
    }

    private func serve() throws(SocketError) {
        channel.setDeadline(30)
        if isWebSocket, let credentials = server.settings.credentials { try channel.secure(credentials, host: nil) }
        let stream: any RFBStream = isWebSocket ? try WebSocketStream(channel) : channel
        var handshake = VNCHandshake(server, stream, channel, isSecure: channel.isSecure)
        let isShared = try handshake.run()
        guard server.admit(self, isShared: isShared) else { return }
        let frame = server.screen.look()
        var hello = Wire()
        hello.short(frame.width)
        hello.short(frame.height)
        hello.bytes += PixelFormat.standard.wire
        hello.long(server.settings.name.utf8.count)
        hello.bytes += Array(server.settings.name.utf8)
        try stream.send(hello.bytes)
        channel.setDeadline(nil)
        let info = VNCServer.ClientInfo(peer: channel.peer, isWebSocket: isWebSocket, isSecure: channel.isSecure, isShared: isShared)
        admitted.withLock { $0 = info }
        server.tell(.initialized, info)
        server.screen.add(self)
        let listening = server.input.listen { [weak self] _ in self?.wake() }
        defer { server.input.stopListening(listening) }
        let sender = VNCSender(self, stream, width: frame.width, height: frame.height)
        guard BackgroundThread.start({ sender.run() }) else { return }
        var reader = VNCReader(self, stream)
        defer { reader.letGo() }
        while true { try reader.readMessage() }
    }
}

/// Numbers in network order.
struct Wire {
    var bytes: [UInt8] = []
    mutating func short(_ value: Int) { bytes += [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)] }
    mutating func long(_ value: Int) { withUnsafeBytes(of: UInt32(truncatingIfNeeded: value).bigEndian) { bytes += $0 } }
    /// The header of a rectangle.
    mutating func rectangle(_ area: PixelArea, _ encoding: Int32) {
        for value in [area.x, area.y, area.width, area.height] { short(value) }
        long(Int(encoding))
    }
}
