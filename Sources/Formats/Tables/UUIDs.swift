// Identifiers and names as Microsoft's formats store them.

/// A random UUID (RFC 9562, version 4), as 16 bytes in the order of its text.
func randomUUID() -> [UInt8] {
    var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    return bytes
}

/// UTF-16 text up to its first zero; broken surrogates are replaced.
func decodeUTF16(_ bytes: [UInt8], bigEndian: Bool) -> String {
    var units: [UInt16] = []
    var index = 0
    while index + 1 < bytes.count {
        let unit = bigEndian ? UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]) : UInt16(bytes[index + 1]) << 8 | UInt16(bytes[index])
        if unit == 0 { break }
        units.append(unit)
        index += 2
    }
    return String(decoding: units, as: UTF16.self)
}

/// Text as UTF-16, without an end mark.
func encodeUTF16(_ text: String, bigEndian: Bool) -> [UInt8] {
    text.utf16.flatMap { unit in
        let high = UInt8(unit >> 8), low = UInt8(truncatingIfNeeded: unit)
        return bigEndian ? [high, low] : [low, high]
    }
}

/// A Windows path as one of this host: `.\a\b.vhd` becomes `a/b.vhd`. Nil if it begins with a drive or a server.
func hostPath(windows path: String) -> String? {
    if path.hasPrefix("\\\\") || path.dropFirst().first == ":" { return nil }
    var text = String(path.map { $0 == "\\" ? "/" : $0 })
    while text.hasPrefix("./") { text.removeFirst(2) }
    return text.isEmpty ? nil : text
}
