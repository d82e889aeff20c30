// What RFB runs on: a socket, plain or inside TLS, or a WebSocket on either (RFC 6455: frames to and from a browser).

import Cryptography
import Glibc
import Host
import Sockets

protocol RFBStream: AnyObject, Sendable {
    /// Exactly `count` bytes. - Throws: also when the client is gone.
    func bytes(_ count: Int) throws(SocketError) -> [UInt8]
    func send(_ bytes: [UInt8]) throws(SocketError)
    func shutDown()
}

extension Channel: RFBStream {}

/// Invariant: what is left of frames is only touched by the one thread that receives.
final class WebSocketStream: RFBStream, @unchecked Sendable {
    private let channel: Channel
    private let sending = Locked(())
    private var received: [UInt8] = []
    private static let maximumRequest = 8192
    /// Data waits here no longer than for whoever asked for it: frames are cut, not collected.
    private var rest = 0
    private var mask: [UInt8] = [0, 0, 0, 0]
    private var at = 0

    private enum Code { static let more: UInt8 = 0, text: UInt8 = 1, binary: UInt8 = 2, close: UInt8 = 8, ping: UInt8 = 9, pong: UInt8 = 10 }

    /// Answers a browser's request. - Throws: it is no request for a WebSocket.
    init(_ channel: Channel) throws(SocketError) {
        self.channel = channel
        var request: [UInt8] = []
        while !request.suffix(4).elementsEqual([13, 10, 13, 10]) {
            guard request.count < Self.maximumRequest else { throw SocketError("a request of more than \(Self.maximumRequest) bytes") }
            request += try channel.bytes(1)
        }
        let lines = String(decoding: request, as: UTF8.self).split(separator: "\r\n").map(String.init)
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].split(separator: " ").joined(separator: " ")
        }
        guard lines.first?.hasPrefix("GET ") == true, fields["upgrade"]?.lowercased() == "websocket", fields["sec-websocket-version"] == "13",
              let key = fields["sec-websocket-key"], let hash = HashFunction(named: "sha1") else {
            try channel.send(Array("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".utf8))
            throw SocketError("not a request for a WebSocket")
        }
        let accept = Self.base64(hash.digest(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
        let offersBinary = fields["sec-websocket-protocol"]?.split(separator: ",").contains { $0.filter { $0 != " " } == "binary" } ?? false
        try channel.send(Array(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n"
            + (offersBinary ? "Sec-WebSocket-Protocol: binary\r\n" : "") + "\r\n").utf8))
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var result = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start ..< min(start + 3, bytes.count)]
            let word = part.reduce(0) { $0 << 8 | Int($1) } << ((3 - part.count) * 8)
            for index in 0 ..< 4 { result.append(index <= part.count ? letters[word >> (18 - index * 6) & 63] : "=") }
        }
        return result
    }

    func bytes(_ count: Int) throws(SocketError) -> [UInt8] {
        var result: [UInt8] = []
        while result.count < count {
            while rest == 0 { try nextFrame() }
            var piece = try channel.bytes(min(rest, count - result.count, 65536))
            for index in piece.indices { piece[index] ^= mask[(at + index) & 3] }
            at += piece.count
            rest -= piece.count
            result += piece
        }
        return result
    }

    /// Reads headers until one with data; answers pings.
    private func nextFrame() throws(SocketError) {
        let head = try channel.bytes(2), code = head[0] & 15
        guard head[1] & 0x80 != 0, head[0] & 0x70 == 0 else { throw SocketError("a frame without mask, or with flags that nobody agreed on") }
        var length = UInt64(head[1] & 127)
        if length >= 126 { length = try channel.bytes(length == 126 ? 2 : 8).reduce(0) { $0 << 8 | UInt64($1) } }
        guard length <= UInt64(Int32.max) else { throw SocketError("a frame of \(length) bytes") }
        mask = try channel.bytes(4)
        at = 0
        switch code {
        case Code.more, Code.binary, Code.text: rest = Int(length)
        case Code.ping, Code.pong, Code.close:
            guard length <= 125 else { throw SocketError("a control frame of \(length) bytes") }
            var body = try channel.bytes(Int(length))
            for index in body.indices { body[index] ^= mask[index & 3] }
            if code == Code.ping { try sendFrame(Code.pong, body) }
            if code == Code.close {
                try sendFrame(Code.close, body)
                throw SocketError("the browser has closed the connection")
            }
        default: throw SocketError("a frame of kind \(code)")
        }
    }

    func send(_ bytes: [UInt8]) throws(SocketError) { try sendFrame(Code.binary, bytes) }

    private func sendFrame(_ code: UInt8, _ bytes: [UInt8]) throws(SocketError) {
        var frame: [UInt8] = [0x80 | code]
        if bytes.count < 126 { frame.append(UInt8(bytes.count)) } else if bytes.count < 65536 { frame += [126, UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] } else {
            frame.append(127)
            withUnsafeBytes(of: UInt64(bytes.count).bigEndian) { frame += $0 }
        }
        let whole = frame + bytes
        try sending.withLock { _ throws(SocketError) in try channel.send(whole) }
    }

    func shutDown() { channel.shutDown() }
}
