/// Integers of a stated byte order out of a byte array; every access is checked.
package struct ByteReader: Sendable {
    package let bytes: [UInt8]
    package let bigEndian: Bool

    package init(_ bytes: [UInt8], bigEndian: Bool) {
        self.bytes = bytes
        self.bigEndian = bigEndian
    }

    /// The unsigned integer of `size` bytes at `offset`, or nil outside the array.
    package func integer(_ offset: Int, _ size: Int) -> UInt64? {
        guard offset >= 0, size > 0, offset <= bytes.count, size <= bytes.count &- offset else { return nil }
        var value: UInt64 = 0
        for i in 0..<size {
            let byte = UInt64(bytes[offset &+ (bigEndian ? i : size &- 1 &- i)])
            value = value &<< 8 | byte
        }
        return value
    }

    package func u8(_ offset: Int) -> UInt8? { integer(offset, 1).map { UInt8(truncatingIfNeeded: $0) } }
    package func u16(_ offset: Int) -> UInt16? { integer(offset, 2).map { UInt16(truncatingIfNeeded: $0) } }
    package func u32(_ offset: Int) -> UInt32? { integer(offset, 4).map { UInt32(truncatingIfNeeded: $0) } }
    package func u64(_ offset: Int) -> UInt64? { integer(offset, 8) }
}

/// Appends integers of a stated byte order.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []
    package let bigEndian: Bool

    package init(bigEndian: Bool = false) { self.bigEndian = bigEndian }

    package mutating func append(_ value: UInt64, size: Int) {
        for i in 0..<size {
            let shift = UInt64(truncatingIfNeeded: bigEndian ? size &- 1 &- i : i) &* 8
            bytes.append(UInt8(truncatingIfNeeded: value &>> shift))
        }
    }
    package mutating func u8(_ value: UInt8) { bytes.append(value) }
    package mutating func u16(_ value: UInt16) { append(UInt64(value), size: 2) }
    package mutating func u32(_ value: UInt32) { append(UInt64(value), size: 4) }
    package mutating func u64(_ value: UInt64) { append(value, size: 8) }
    package mutating func append(_ more: [UInt8]) { bytes += more }
    /// Zeros up to a multiple of `alignment`.
    package mutating func align(_ alignment: Int) {
        while alignment > 0, bytes.count % alignment != 0 { bytes.append(0) }
    }
}
