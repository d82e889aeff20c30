// Building and taking apart the protocol's messages: numbers are big endian, every read is checked.

import Sockets

/// A message being built.
package struct MessageWriter {
    package private(set) var bytes: [UInt8] = []
    package init() {}

    package mutating func put<Number: FixedWidthInteger>(_ number: Number) { withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) } }
    package mutating func put(_ more: [UInt8]) { bytes += more }
    package mutating func put(text: String) { bytes += Array(text.utf8) }
    /// A 32-bit length in front.
    package mutating func put(counted text: String) {
        put(UInt32(truncatingIfNeeded: text.utf8.count))
        put(text: text)
    }
}

/// A message being read.
package struct MessageReader {
    package let bytes: [UInt8]
    package private(set) var position = 0
    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var rest: Int { bytes.count - position }

    package mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        let size = MemoryLayout<Number>.size
        guard rest >= size else { return nil }
        defer { position += size }
        return bytes.withUnsafeBytes { Number(bigEndian: $0.loadUnaligned(fromByteOffset: position, as: Number.self)) }
    }

    package mutating func text(_ count: Int) -> String? {
        guard count >= 0, count <= rest else { return nil }
        defer { position += count }
        return String(validating: bytes[position..<position + count], as: UTF8.self)
    }

    /// Text with its length in front, no longer than names may be.
    package mutating func countedText() -> String? {
        guard let count = number(UInt32.self), count <= UInt32(Handshake.longestText) else { return nil }
        return text(Int(count))
    }
}

/// Big-endian numbers in raw memory that is known to hold them.
extension UnsafeRawPointer {
    @inline(__always) func big<Number: FixedWidthInteger>(_ offset: Int, _ type: Number.Type = Number.self) -> Number {
        Number(bigEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
}
extension UnsafeMutableRawPointer {
    @inline(__always) func putBig<Number: FixedWidthInteger>(_ offset: Int, _ number: Number) {
        storeBytes(of: number.bigEndian, toByteOffset: offset, as: Number.self)
    }
}
