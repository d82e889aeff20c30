// Images on a web server: a small server of our own that knows ranges, or does not.

import Block
import Formats
import Foundation
import Testing

/// Serves bytes on a port of the loopback device until it is stopped.
private final class RangeServer: @unchecked Sendable {
    private let listener: Int32
    private let bytes: [UInt8]
    private let knowsRanges: Bool
    let port: UInt16

    init?(_ bytes: [UInt8], knowsRanges: Bool = true) {
        self.bytes = bytes
        self.knowsRanges = knowsRanges
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        listener = descriptor
        var address = sockaddr_in(sin_family: sa_family_t(AF_INET), sin_port: 0, sin_addr: in_addr(s_addr: UInt32(0x7f00_0001).bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0 && getsockname(descriptor, $0, &length) == 0 }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard bound else { return nil }
    }

    func start() {
        Thread { [self] in
            while case let client = accept(listener, nil, nil), client >= 0 { Thread { [self] in serve(client) }.start() }
        }.start()
    }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)); close(listener) }

    private func serve(_ client: Int32) {
        defer { close(client) }
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = recv(client, &buffer, buffer.count, 0), count > 0 {
            text += String(decoding: buffer[..<count], as: UTF8.self)
            guard let end = text.range(of: "\r\n\r\n") else { continue }
            let request = String(text[..<end.lowerBound])
            text = String(text[end.upperBound...])
            var part = bytes[...]
            var head = "HTTP/1.1 200 OK\r\n" + (knowsRanges ? "Accept-Ranges: bytes\r\n" : "")
            if knowsRanges, let match = request.firstMatch(of: #/Range: bytes=(\d+)-(\d+)/#), let first = Int(match.1), let last = Int(match.2) {
                part = bytes[min(first, bytes.count)..<min(last + 1, bytes.count)]
                head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes \(first)-\(last)/\(bytes.count)\r\n"
            }
            head += "Content-Length: \(part.count)\r\n\r\n"
            let answer = Array(head.utf8) + (request.hasPrefix("HEAD") ? [] : Array(part))
            var sent = 0
            while sent < answer.count {
                let count = answer.withUnsafeBytes { send(client, $0.baseAddress! + sent, answer.count - sent, Int32(MSG_NOSIGNAL)) }
                if count <= 0 { return }
                sent += count
            }
        }
    }
}

@Suite struct HTTPTests {
    @Test(.enabled(if: HTTPDriver.isUsable)) func anImageIsReadByRanges() throws {
        let scratch = Scratch()
        let path = try scratch.create(VDIFormat.self, "", size: 4 << 20)
        let local = try scratch.graph.open(path, format: "vdi", .readWrite)
        let bytes = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 / 99) }
        try local.write(700_000, bytes: bytes)
        try local.close()
        let server = try #require(RangeServer(try scratch.contents(path)))
        server.start()
        defer { server.stop() }
        let remote = try scratch.graph.open("http://127.0.0.1:\(server.port)/disk.vdi")
        #expect(remote.driver == "vdi")
        let again = try scratch.graph.open(path)
        #expect(try Comparison(remote, again).run() == .equal)
        #expect(try remote.bytes(700_001, 5) == Array(bytes[1..<6]))
        try again.close()
        try remote.close()
        #expect(throws: BlockError.self) { try scratch.graph.open("http://127.0.0.1:\(server.port)/disk.vdi", .readWrite) }
    }

    @Test(.enabled(if: HTTPDriver.isUsable)) func serversWithoutRangesOrAnswersAreRefused() throws {
        let scratch = Scratch()
        let server = try #require(RangeServer([1, 2, 3], knowsRanges: false))
        server.start()
        defer { server.stop() }
        #expect(throws: BlockError.self) { try scratch.graph.open("http://127.0.0.1:\(server.port)/disk") }
        #expect(throws: BlockError.self) { try scratch.graph.open("http://127.0.0.1:1/disk") }
        #expect(throws: BlockError.self) { try scratch.graph.open("https://127.0.0.1:\(server.port)/disk") }
    }
}
