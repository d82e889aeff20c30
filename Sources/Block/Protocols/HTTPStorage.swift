// The protocols `http` and `https`, read-only, by range requests (RFC 9110, section 14) through libcurl. Small reads fetch
// `readahead` bytes, and the last few fetched pieces are kept. Left out: ftp, proxies' passwords, secrets by name.

import CHost
import Glibc
import Host

/// An image on a web server.
public final class HTTPStorage: Storage {
    /// Invariant: a handle is used by one thread at a time: it is taken out of `idle` for that.
    private struct Handle: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }
    private struct Piece: Sendable { var offset: UInt64; var bytes: OwnedBuffer; var count: Int }
    private struct State { var idle: [Handle] = []; var pieces: [Piece] = [] }
    private static let mostPieces = 8

    private let url: String
    private let options: OptionValues
    private let size: UInt64
    private let readAhead: Int
    private let state: Locked<State>

    init(url: String, _ options: OptionValues) throws(BlockError) {
        if let problem = apus_http_problem() { throw .unsupported("http: \(String(cString: problem))") }
        self.url = url
        self.options = options
        readAhead = Int(clamping: min(options.number("readahead") ?? 262_144, 64 << 20))
        let first = try HTTPStorage.connect(url, options)
        state = Locked(State(idle: [first]))
        var length: Int64 = -1, ranges: Int32 = 0, status = 0
        var text = [CChar](repeating: 0, count: Int(APUS_HTTP_TEXT))
        let result = apus_http_length(first.pointer, &length, &ranges, &text, &status)
        guard result == 0, length >= 0, ranges != 0 else {
            apus_http_close(first.pointer)
            if result != 0 { throw BlockError(.cannotOpen, "\(HTTPStorage.string(text))") }
            throw .unsupported(length < 0 ? "Server didn't report file size." : "Server does not support 'range' (byte ranges).")
        }
        size = UInt64(length)
    }

    private static func string(_ text: [CChar]) -> String { String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }

    private static func connect(_ url: String, _ options: OptionValues) throws(BlockError) -> Handle {
        let user = options.text("username").map { $0 + ":" + (options.text("password") ?? "") }
        let handle = url.withCString { url in
            withOptional(options.text("cookie")) { cookie in
                withOptional(user) { user in
                    var values = apus_http_options(url: url, cookie: cookie, user: user, timeout: Int(clamping: options.number("timeout") ?? 5),
                                                   verify: options.flag("sslverify") ? 1 : 0)
                    return apus_http_open(&values)
                }
            }
        }
        guard let handle else { throw BlockError(.cannotOpen, "libcurl gives no connection") }
        return Handle(pointer: handle)
    }

    private static func withOptional<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        if let text { return text.withCString { body($0) } }
        return body(nil)
    }

    public func length() -> UInt64 { size }

    public func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard offset < size else { return buffer.fill() }
        let there = buffer.slice(0, size - offset)
        buffer.slice(there.count, Int.max).fill()
        if there.count >= readAhead { return try fetch(offset, there) }
        var done = 0
        while done < there.count {
            let position = offset + UInt64(done)
            let piece = try piece(at: position)
            let part = piece.bytes.buffer.slice(Int(position - piece.offset), piece.count - Int(position - piece.offset))
            there.slice(done, part.count).copy(from: part)
            done += part.count
            withExtendedLifetime(piece) {}
        }
    }

    private func piece(at position: UInt64) throws(BlockError) -> Piece {
        if let known = state.withLock({ $0.pieces.last { position >= $0.offset && position - $0.offset < UInt64($0.count) } }) { return known }
        let start = position.roundedDown(to: 4096)
        let count = Int(min(UInt64(max(readAhead, 4096)), size - start))
        let piece = Piece(offset: start, bytes: try OwnedBuffer(count), count: count)
        try fetch(start, piece.bytes.buffer)
        state.withLock { state in
            if state.pieces.count >= HTTPStorage.mostPieces { state.pieces.removeFirst() }
            state.pieces.append(piece)
        }
        return piece
    }

    private func fetch(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard buffer.count > 0 else { return }
        let handle: Handle
        if let idle = state.withLock({ $0.idle.popLast() }) { handle = idle } else { handle = try HTTPStorage.connect(url, options) }
        defer { state.withLock { $0.idle.append(handle) } }
        var received = 0, status = 0
        var text = [CChar](repeating: 0, count: Int(APUS_HTTP_TEXT))
        let result = apus_http_read(handle.pointer, offset, buffer.base, buffer.count, &received, &text, &status)
        guard result == 0 else { throw BlockError(.input, "reading \(buffer.count) bytes: \(HTTPStorage.string(text))", offset: offset, number: EIO) }
        guard received == buffer.count else {
            throw BlockError(.input, "the server sent \(received) bytes (status \(status)): expected \(buffer.count)", offset: offset, number: EIO)
        }
    }

    public func status(_ offset: UInt64, _ count: UInt64) -> BlockStatus { BlockStatus(length: count, isData: true, isZero: false, offset: offset, file: url) }

    public func close() {
        let handles = state.withLock { state in
            defer { state.idle = [] }
            return state.idle
        }
        for handle in handles { apus_http_close(handle.pointer) }
    }
}

/// What both protocols share.
private let httpOptions = [
    OptionDeclaration("url", .text, "URL of the image"),
    OptionDeclaration("readahead", .size, default: "262144", "bytes fetched at once"),
    OptionDeclaration("sslverify", .flag, default: "on", "whether the server's certificate is verified"),
    OptionDeclaration("timeout", .number, default: "5", "seconds without an answer"),
    OptionDeclaration("cookie", .text, "cookies to send: name=value; …"),
    OptionDeclaration("username", .text, "user name for the server"),
    OptionDeclaration("password", .text, "its password"),
]

/// The protocol `http`.
public enum HTTPDriver: StorageDriver {
    public static let name = "http"
    public static let schemes: [String] = []
    public static let options = httpOptions
    public static func parse(_ name: String, into options: inout OptionValues) throws(BlockError) { try options.set("url", name) }
    public static func filename(_ options: OptionValues) -> String { options.text("url") ?? "" }
    /// Whether libcurl is there.
    public static var isUsable: Bool { apus_http_problem() == nil }
    public static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        guard let url = options.text("url"), url.hasPrefix("http://") || url.hasPrefix("https://") else { throw .invalid("expected a URL that begins with http:// or https://") }
        if access.writable { throw BlockError(.readOnly, "http: images on web servers are read-only") }
        return try HTTPStorage(url: url, options)
    }
}

/// The protocol `https`.
public enum HTTPSDriver: StorageDriver {
    public static let name = "https"
    public static let schemes: [String] = []
    public static let options = httpOptions
    public static func parse(_ name: String, into options: inout OptionValues) throws(BlockError) { try HTTPDriver.parse(name, into: &options) }
    public static func filename(_ options: OptionValues) -> String { HTTPDriver.filename(options) }
    public static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage { try HTTPDriver.open(options, access) }
}
