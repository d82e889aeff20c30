// Payload memory of requests. Unsafe code of this module's data path lives here.
// Invariant: a BlockBuffer is a view of memory that its maker keeps alive for the length of the call it is passed to;
// nobody stores one beyond that. Every access below is bounded by `count`: slices are clamped, copies take the shorter.

import Glibc

/// A view of caller-owned memory that one request reads into or writes from.
public struct BlockBuffer: @unchecked Sendable {
    /// The first byte.
    public let base: UnsafeMutableRawPointer
    /// How many bytes.
    public let count: Int

    public init(base: UnsafeMutableRawPointer, count: Int) {
        self.base = base
        self.count = max(0, count)
    }

    /// The part from `start`, at most `length` bytes, cut to what is there.
    public func slice(_ start: Int, _ length: Int) -> BlockBuffer {
        let first = min(max(0, start), count)
        return BlockBuffer(base: base + first, count: min(max(0, length), count - first))
    }
    /// The part from `start`, at most `length` bytes, cut to what is there.
    public func slice(_ start: Int, _ length: UInt64) -> BlockBuffer { slice(start, Int(clamping: length)) }

    /// Sets every byte.
    public func fill(_ byte: UInt8 = 0) { memset(base, Int32(byte), count) }
    /// Copies as much of `other` as there is room for.
    public func copy(from other: BlockBuffer) { memmove(base, other.base, min(count, other.count)) }
    /// Copies as much of `bytes` as there is room for.
    public func copy(from bytes: [UInt8]) {
        bytes.withUnsafeBytes { source in if let start = source.baseAddress { memmove(base, start, min(count, source.count)) } }
    }
    /// A copy of the bytes.
    public var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: base, count: count)) }

    /// Whether every byte is 0.
    public var isZero: Bool { zeroPrefix == count }

    /// How many bytes from the start are 0.
    public var zeroPrefix: Int {
        var index = 0
        // Data that is not zero mostly shows it at once; what is zero is compared with itself, one byte on, by memcmp.
        let probe = min(count, 32)
        while index < probe {
            if base.load(fromByteOffset: index, as: UInt8.self) != 0 { return index }
            index += 1
        }
        if count > 32, memcmp(base, base + 32, count - 32) == 0 { return count }
        while index &+ 8 <= count, base.loadUnaligned(fromByteOffset: index, as: UInt64.self) == 0 { index += 8 }
        while index < count, base.load(fromByteOffset: index, as: UInt8.self) == 0 { index += 1 }
        return index
    }

    /// Whether both hold the same bytes.
    public func equals(_ other: BlockBuffer) -> Bool { count == other.count && memcmp(base, other.base, count) == 0 }

    /// Runs `body` on the bytes of an array.
    public static func with<Result>(_ bytes: inout [UInt8], _ body: (BlockBuffer) throws(BlockError) -> Result) throws(BlockError) -> Result {
        try bytes.withUnsafeMutableBufferPointer { (pointer: inout UnsafeMutableBufferPointer<UInt8>) throws(BlockError) -> Result in
            // An empty array has no address; no byte is touched then.
            let base = pointer.baseAddress.map { UnsafeMutableRawPointer($0) } ?? UnsafeMutableRawPointer(bitPattern: 16)
            guard let base else { throw BlockError(.input, "no memory") }
            return try body(BlockBuffer(base: base, count: pointer.count))
        }
    }
}

/// Memory owned by an object: page-aligned, so that it serves O_DIRECT as it is. Not cleared.
public final class OwnedBuffer: @unchecked Sendable {
    /// Valid while this object lives: keep it in a variable across the use.
    public let buffer: BlockBuffer

    /// - Throws: `noSpace` if the host has no memory.
    public init(_ count: Int) throws(BlockError) {
        var pointer: UnsafeMutableRawPointer?
        guard count >= 0, posix_memalign(&pointer, 4096, max(count, 1)) == 0, let pointer else {
            throw BlockError(.noSpace, "no memory for a buffer of \(count) bytes")
        }
        buffer = BlockBuffer(base: pointer, count: count)
    }
    deinit { free(buffer.base) }
}
