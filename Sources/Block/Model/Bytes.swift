// Reading and writing numbers and text in metadata, every access checked: what lies outside is an error that says where.

/// The order of bytes of a number in a file.
public enum ByteOrder: Sendable { case little, big }

/// Metadata just read from a file: bytes, and where they stand there, so that errors can say so.
public struct Bytes: Sendable {
    public var array: [UInt8]
    /// Offset in the file of the first byte.
    public let origin: UInt64
    /// Of the numbers.
    public let order: ByteOrder

    public init(_ array: [UInt8], at origin: UInt64 = 0, order: ByteOrder) {
        self.array = array
        self.origin = origin
        self.order = order
    }

    public var count: Int { array.count }

    private func check(_ offset: Int, _ length: Int) throws(BlockError) {
        guard offset >= 0, length >= 0, offset <= array.count, length <= array.count - offset else {
            throw .corrupt(at: origin &+ UInt64(truncatingIfNeeded: offset), "expected \(length) bytes, found the end of the structure")
        }
    }

    /// The number of `Number`'s width at `offset`.
    public func number<Number: FixedWidthInteger>(_ offset: Int, _ type: Number.Type = Number.self) throws(BlockError) -> Number {
        try check(offset, MemoryLayout<Number>.size)
        return array.withUnsafeBytes { bytes in
            let raw = bytes.loadUnaligned(fromByteOffset: offset, as: Number.self)
            return order == .little ? Number(littleEndian: raw) : Number(bigEndian: raw)
        }
    }
    /// 8, 16, 32 and 64 bits at `offset`.
    public func u8(_ offset: Int) throws(BlockError) -> UInt8 { try number(offset) }
    public func u16(_ offset: Int) throws(BlockError) -> UInt16 { try number(offset) }
    public func u32(_ offset: Int) throws(BlockError) -> UInt32 { try number(offset) }
    public func u64(_ offset: Int) throws(BlockError) -> UInt64 { try number(offset) }

    /// Stores a number at `offset`.
    public mutating func set<Number: FixedWidthInteger>(_ offset: Int, _ value: Number) throws(BlockError) {
        try check(offset, MemoryLayout<Number>.size)
        array.withUnsafeMutableBytes { $0.storeBytes(of: order == .little ? value.littleEndian : value.bigEndian, toByteOffset: offset, as: Number.self) }
    }

    /// `length` bytes from `offset`.
    public func slice(_ offset: Int, _ length: Int) throws(BlockError) -> [UInt8] {
        try check(offset, length)
        return Array(array[offset..<offset + length])
    }
    /// Replaces the bytes from `offset`.
    public mutating func set(_ offset: Int, bytes: [UInt8]) throws(BlockError) {
        try check(offset, bytes.count)
        array.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    /// Text of at most `length` bytes that ends at its first zero byte; what is not UTF-8 is replaced.
    public func text(_ offset: Int, _ length: Int) throws(BlockError) -> String {
        String(decoding: try slice(offset, length).prefix { $0 != 0 }, as: UTF8.self)
    }
}

extension UInt64 {
    /// `self` rounded down to a multiple of `unit`, which is not 0.
    @inlinable public func roundedDown(to unit: UInt64) -> UInt64 { unit == 0 ? self : self - self % unit }
    /// `self` rounded up to a multiple of `unit`; nil beyond 64 bits.
    @inlinable public func roundedUp(to unit: UInt64) -> UInt64? {
        guard unit != 0, self % unit != 0 else { return self }
        let (sum, overflow) = roundedDown(to: unit).addingReportingOverflow(unit)
        return overflow ? nil : sum
    }
    /// `self / unit`, rounded up.
    @inlinable public func divided(roundingUpBy unit: UInt64) -> UInt64 {
        unit == 0 ? 0 : self / unit + (self % unit == 0 ? 0 : 1)
    }
}
