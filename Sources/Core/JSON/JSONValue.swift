// JSON (RFC 8259) as a value: for `json:` names, `--output=json`, monitors. Objects keep the order of their members.
// Left out: numbers beyond 64-bit integers keep only a double's precision.

/// A JSON value.
public indirect enum JSONValue: Sendable, Equatable {
    case null
    case flag(Bool)
    case integer(Int64)
    /// Integers above `Int64.max`.
    case unsigned(UInt64)
    case real(Double)
    case text(String)
    case array([JSONValue])
    case object([Member])

    /// One member of an object.
    public struct Member: Sendable, Equatable {
        public var name: String
        public var value: JSONValue
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The smallest integer case that holds `number`.
    public static func number(_ number: UInt64) -> JSONValue { Int64(exactly: number).map { .integer($0) } ?? .unsigned(number) }
    /// An integer.
    public static func number(_ number: Int) -> JSONValue { .integer(Int64(number)) }

    /// The first member called `name`, if this is an object that has one.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The text, if this is one.
    public var string: String? { if case .text(let text) = self { text } else { nil } }
    /// The members, if this is an object.
    public var members: [Member]? { if case .object(let members) = self { members } else { nil } }

    /// On one line, as QMP sends it.
    public var compact: String { write(indent: nil, level: 0) }
    /// Over several lines, four spaces a level, as QEMU's tools print it.
    public var pretty: String { write(indent: 4, level: 0) }

    private func write(indent: Int?, level: Int) -> String {
        let newline = indent.map { "\n" + String(repeating: " ", count: $0 * (level + 1)) } ?? ""
        let end = indent.map { "\n" + String(repeating: " ", count: $0 * level) } ?? ""
        let separator = indent == nil ? ", " : ","
        switch self {
        case .null: return "null"
        case .flag(let flag): return flag ? "true" : "false"
        case .integer(let number): return String(number)
        case .unsigned(let number): return String(number)
        case .real(let number): return number.isFinite ? "\(number)" : "null"
        case .text(let text): return JSONValue.quote(text)
        case .array(let values):
            let inner = values.map { newline + $0.write(indent: indent, level: level + 1) }.joined(separator: separator)
            return "[" + inner + end + "]"
        case .object(let members):
            let inner = members.map { newline + JSONValue.quote($0.name) + ": " + $0.value.write(indent: indent, level: level + 1) }
                .joined(separator: separator)
            return "{" + inner + end + "}"
        }
    }

    private static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case let control where control.value < 0x20 || control.value == 0x7f:
                let digits = String(control.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
