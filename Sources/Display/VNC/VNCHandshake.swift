// How a client comes in: version, security, initialisation (RFC 6143, 7.1 to 7.3; VeNCrypt as the RFB protocol document has it).

import Core
import Cryptography
import Glibc
import Sockets

struct VNCHandshake {
    private enum Security { static let none: UInt8 = 1, password: UInt8 = 2, vencrypt: UInt8 = 19 }

    let server: VNCServer
    let stream: any RFBStream
    let channel: Channel
    /// Whether it is inside TLS already, as WebSockets are.
    let isSecure: Bool
    private var minor = 8

    init(_ server: VNCServer, _ stream: any RFBStream, _ channel: Channel, isSecure: Bool) {
        (self.server, self.stream, self.channel, self.isSecure) = (server, stream, channel, isSecure)
    }

    /// - Returns: whether the client shares the screen. - Throws: it does not come in.
    mutating func run() throws(SocketError) -> Bool {
        try stream.send(Array("RFB 003.008\n".utf8))
        let version = try stream.bytes(12)
        guard version.starts(with: Array("RFB 003.".utf8)), let number = Int(String(decoding: version[8 ..< 11], as: UTF8.self)) else { throw SocketError("not an RFB client") }
        // Versions between those that there are count as 3.3.
        minor = number >= 8 ? 8 : number == 7 ? 7 : 3
        let plain = server.needsPassword ? Security.password : Security.none
        let offered = server.settings.credentials != nil && !isSecure ? Security.vencrypt : plain
        if minor == 3 {
            guard offered != Security.vencrypt else {
                try stream.send([0, 0, 0, 0] + Self.text("this server needs TLS"))
                throw SocketError("a client without TLS")
            }
            try stream.send([0, 0, 0, offered])
        } else {
            try stream.send([1, offered])
            guard try stream.bytes(1) == [offered] else { throw SocketError("a kind of security that was not offered") }
        }
        if offered == Security.vencrypt { try negotiateTLS(plain) }
        try authenticate(plain, isInsideTLS: offered == Security.vencrypt)
        return try stream.bytes(1)[0] != 0
    }

    private static func text(_ text: String) -> [UInt8] { withUnsafeBytes(of: UInt32(text.utf8.count).bigEndian) { Array($0) } + Array(text.utf8) }

    private func negotiateTLS(_ plain: UInt8) throws(SocketError) {
        guard let credentials = server.settings.credentials else { throw SocketError("no TLS credentials") }
        try stream.send([0, 2])
        guard try stream.bytes(2) == [0, 2] else {
            try stream.send([255])
            throw SocketError("another version of VeNCrypt than 0.2")
        }
        // TLSNone 257, TLSVnc 258; X509None 260, X509Vnc 261.
        let kind: UInt8 = (credentials.kind == .x509 ? 4 : 1) + (plain == Security.password ? 1 : 0)
        try stream.send([0, 1, 0, 0, 1, kind])
        guard try stream.bytes(4) == [0, 0, 1, kind] else {
            try stream.send([0])
            throw SocketError("a kind of VeNCrypt that was not offered")
        }
        try stream.send([1])
        try channel.secure(credentials, host: nil)
    }

    private func authenticate(_ kind: UInt8, isInsideTLS: Bool) throws(SocketError) {
        guard kind == Security.password else {
            // Before 3.8 there is no result where there was no question.
            if minor == 8 || isInsideTLS { try stream.send([0, 0, 0, 0]) }
            return
        }
        var generator = SystemRandomNumberGenerator()
        let challenge = (0 ..< 16).map { _ in UInt8.random(in: 0 ... 255, using: &generator) }
        try stream.send(challenge)
        let answer = try stream.bytes(16)
        let expected = server.password.map { PasswordChallenge.answer(challenge, password: $0) }
        let difference = zip(answer, expected ?? []).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) }
        guard let expected, expected.count == 16, difference == 0 else {
            // Guessing takes its time.
            usleep(500_000)
            try stream.send([0, 0, 0, 1] + (minor == 8 ? Self.text("Authentication failed") : []))
            throw SocketError("a wrong password")
        }
        try stream.send([0, 0, 0, 0])
    }
}
