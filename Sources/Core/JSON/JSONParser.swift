// The reader of JSON text (RFC 8259): a recursive descent over bytes with a bound on nesting. Also takes strings in
// single quotes, as QEMU does, so that a `json:` name need not be quoted twice in a shell.

/// Where and why JSON text is not JSON.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    public var offset: Int
    public var text: String
    public var description: String { "JSON: at byte \(offset): \(text)" }
}

extension JSONValue {
    /// Reads one value that must be all of `text`, nested at most 64 deep.
    public init(parsing text: String) throws(JSONError) {
        var parser = JSONParser(bytes: Array(text.utf8))
        self = try parser.value(depth: 0)
        parser.skipSpace()
        if parser.peek != nil { throw parser.error("something follows the value") }
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
    func error(_ text: String) -> JSONError { JSONError(offset: position, text: text) }

    mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    mutating func expect(_ character: Unicode.Scalar) throws(JSONError) {
        skipSpace()
        guard let byte = peek, UInt32(byte) == character.value else { throw error("expected '\(character)'") }
        position += 1
    }

    mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < 64 else { throw error("nested too deep") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return .text(try string())
        case UInt8(ascii: "t"): return try word("true", .flag(true))
        case UInt8(ascii: "f"): return try word("false", .flag(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw error("expected a value, found the end")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw error("expected '\(word)'") }
        position += word.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        try expect("{")
        var members: [JSONValue.Member] = []
        skipSpace()
        if peek == UInt8(ascii: "}") { position += 1; return .object([]) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") || peek == UInt8(ascii: "'") else { throw error("expected a member's name") }
            let name = try string()
            try expect(":")
            members.append(JSONValue.Member(name, try value(depth: depth + 1)))
            skipSpace()
            if peek == UInt8(ascii: ",") { position += 1; continue }
            try expect("}")
            return .object(members)
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        try expect("[")
        var values: [JSONValue] = []
        skipSpace()
        if peek == UInt8(ascii: "]") { position += 1; return .array([]) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if peek == UInt8(ascii: ",") { position += 1; continue }
            try expect("]")
            return .array(values)
        }
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        while let byte = peek, byte == 0x2b || byte == 0x2d || byte == 0x2e || (0x30...0x39).contains(byte) || byte | 0x20 == 0x65 {
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let integer = Int64(text) { return .integer(integer) }
        if let unsigned = UInt64(text) { return .unsigned(unsigned) }
        if let real = Double(text), real.isFinite { return .real(real) }
        position = start
        throw error("expected a value")
    }

    private mutating func string() throws(JSONError) -> String {
        guard let quote = peek else { throw error("expected a string") }
        position += 1
        var out: [UInt8] = []
        while let byte = peek {
            position += 1
            if byte == quote {
                guard let text = String(validating: out, as: UTF8.self) else { throw error("the string is not UTF-8") }
                return text
            }
            if byte < 0x20 { throw error("control character in a string") }
            guard byte == UInt8(ascii: "\\") else { out.append(byte); continue }
            guard let escape = peek else { break }
            position += 1
            switch escape {
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "u"): out += Array(String(Character(try unicode())).utf8)
            case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(escape)
            default: throw error("unknown escape")
            }
        }
        throw error("the string does not end")
    }

    private mutating func unicode() throws(JSONError) -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard (0xd800..<0xdc00).contains(first), bytes[position...].starts(with: [0x5c, 0x75]) else { throw error("half of a surrogate pair") }
        position += 2
        let second = try hexadecimal()
        guard (0xdc00..<0xe000).contains(second), let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)) else {
            throw error("half of a surrogate pair")
        }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        guard bytes.count - position >= 4,
              let value = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
        else { throw error("expected four hexadecimal digits") }
        position += 4
        return value
    }
}
