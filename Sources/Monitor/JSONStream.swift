// Cuts a stream of bytes into JSON values: QMP puts nothing between them. A value at the top that is no object or array ends
// with white space. Bounds: bytes of one value, depth.

/// The values of a stream, as they come in.
package struct JSONStream {
    package static let longest = 16 << 20
    private static let deepest = 64

    private var bytes: [UInt8] = []
    private var depth = 0
    private var quote: UInt8?
    private var isEscaped = false

    package init() {}

    package enum Piece: Equatable {
        case value(String)
        /// What came cannot be JSON; the stream goes on behind it.
        case broken(String)
    }

    /// Takes bytes in and gives what is complete.
    package mutating func take(_ more: some Sequence<UInt8>) -> [Piece] {
        var pieces: [Piece] = []
        for byte in more { if let piece = take(byte) { pieces.append(piece) } }
        return pieces
    }

    private mutating func take(_ byte: UInt8) -> Piece? {
        // A byte that is in no UTF-8 text: clients send it to begin anew.
        if byte == 0xff {
            let wasEmpty = bytes.isEmpty
            reset()
            return wasEmpty ? nil : .broken("JSON parse error, stray input")
        }
        if bytes.isEmpty, depth == 0, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { return nil }
        bytes.append(byte)
        guard bytes.count <= JSONStream.longest else { return fail("JSON token size limit exceeded") }
        if let open = quote {
            if isEscaped { isEscaped = false } else if byte == UInt8(ascii: "\\") { isEscaped = true } else if byte == open { quote = nil }
            if quote == nil, depth == 0 { return end() }
            return nil
        }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            depth += 1
            if depth > JSONStream.deepest { return fail("JSON nesting depth limit exceeded") }
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            if depth < 0 { return fail("JSON parse error, expecting value") }
            if depth == 0 { return end() }
        case 0x20, 0x0a, 0x0d, 0x09: if depth == 0 { return end() }
        default: break
        }
        return nil
    }

    private mutating func reset() {
        bytes.removeAll(keepingCapacity: bytes.count < 65536)
        depth = 0
        quote = nil
        isEscaped = false
    }
    private mutating func end() -> Piece {
        defer { reset() }
        guard let text = String(validating: bytes, as: UTF8.self) else { return .broken("JSON parse error, invalid UTF-8 sequence in string") }
        return .value(text)
    }
    private mutating func fail(_ text: String) -> Piece {
        reset()
        return .broken(text)
    }
}
