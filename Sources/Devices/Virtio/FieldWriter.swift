// Configuration fields and replies, byte by byte in little-endian order.

/// Collects numbers.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    mutating func add<Number: FixedWidthInteger>(_ value: Number) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
    mutating func add(_ more: [UInt8]) { bytes += more }
    /// Zeros up to `count` bytes in all.
    mutating func pad(to count: Int) { if bytes.count < count { bytes += [UInt8](repeating: 0, count: count - bytes.count) } }
}

extension Array where Element == UInt8 {
    /// The little-endian number at `offset`; 0 where the bytes end before it does.
    func number<Number: FixedWidthInteger>(_ offset: Int, as type: Number.Type = Number.self) -> Number {
        let width = MemoryLayout<Number>.size
        guard offset >= 0, offset + width <= count else { return 0 }
        return withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
}
