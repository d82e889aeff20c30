// Passwords that options name by an id, as QEMU's `secret` objects: `--object secret,id=sec0,data=letmein` or `file=PATH`,
// `format=raw` or `base64`. Left out: secrets encrypted with another (`keyid`), and the kernel's keyring.

import Glibc
import Host

/// The secrets of one graph.
public final class Secrets: Sendable {
    private let known = Locked<[String: [UInt8]]>([:])
    /// A password is no longer than this.
    private static let longest = 1 << 20

    public init() {}

    /// The bytes of a secret. - Throws: `invalid` if there is none of that id.
    public func bytes(_ id: String) throws(BlockError) -> [UInt8] {
        guard let bytes = known.withLock({ $0[id] }) else { throw .invalid("No secret with id '\(id)'") }
        return bytes
    }

    /// Of all secrets, in order.
    public var names: [String] { known.withLock { $0.keys.sorted() } }
    func has(_ id: String) -> Bool { known.withLock { $0[id] != nil } }
    /// False if there is none.
    func remove(_ id: String) -> Bool { known.withLock { $0.removeValue(forKey: id) != nil } }

    /// Takes an object as the command line describes it. - Throws: `unsupported` for objects that are no secrets.
    public func add(object text: String) throws(BlockError) {
        var options = OptionValues.split(text)
        guard !options.isEmpty else { throw .invalid("an object needs a type") }
        let first = options.removeFirst()
        let type = first.name == "qom-type" ? first.value : first.name
        guard type == "secret" else { throw .unsupported("objects of type '\(type)' are not supported here") }
        var values: [String: String] = [:]
        for option in options {
            guard ["id", "data", "file", "format"].contains(option.name) else {
                throw .unsupported("secret: the option '\(option.name)' is not supported")
            }
            values[option.name] = option.value
        }
        guard let id = values["id"] else { throw .invalid("Parameter 'id' is missing") }
        guard (values["data"] == nil) != (values["file"] == nil) else { throw .invalid("secret '\(id)': either 'data' or 'file' must be given") }
        var bytes: [UInt8]
        if let data = values["data"] { bytes = Array(data.utf8) } else { bytes = try Secrets.read(values["file"] ?? "") }
        switch values["format"] ?? "raw" {
        case "raw": break
        case "base64":
            guard let decoded = Secrets.base64(bytes) else { throw .invalid("secret '\(id)': the data is not base64") }
            bytes = decoded
        default: throw .invalid("secret '\(id)': the format is 'raw' or 'base64'")
        }
        let isNew = known.withLock { known in
            if known[id] != nil { return false }
            known[id] = bytes
            return true
        }
        if !isNew { throw .invalid("attempt to add duplicate object '\(id)'") }
    }

    private static func read(_ path: String) throws(BlockError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .host(errno, "Could not open '\(path)'") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while bytes.count < longest {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .host(errno, "reading '\(path)'") }
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
        throw .invalid("'\(path)' is too long for a secret")
    }

    /// RFC 4648, white space skipped.
    static func base64(_ text: [UInt8]) -> [UInt8]? {
        var out: [UInt8] = [], bits: UInt32 = 0, count = 0, padding = 0
        for byte in text where !(byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09) {
            let value: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(byte) - 97 + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(byte) - 48 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="): padding += 1; count += 1; continue
            default: return nil
            }
            guard padding == 0 else { return nil }
            bits = bits << 6 | value
            count += 1
            if count % 4 == 0 { out += [UInt8(truncatingIfNeeded: bits >> 16), UInt8(truncatingIfNeeded: bits >> 8), UInt8(truncatingIfNeeded: bits)] }
        }
        guard count % 4 == 0, padding <= 2 else { return nil }
        if padding == 1 { out += [UInt8(truncatingIfNeeded: bits >> 10), UInt8(truncatingIfNeeded: bits >> 2)] }
        if padding == 2 { out.append(UInt8(truncatingIfNeeded: bits >> 4)) }
        return out
    }
}
