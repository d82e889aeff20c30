// Scattered guest memory as one row of bytes: what a request reads from or writes to.

import Glibc

/// Pieces of guest memory in the order of the bytes they stand for. Every access is bounded by `count`.
public struct GuestPieces: Sendable {
    public private(set) var pieces: [GuestPiece]
    /// Bytes of all pieces.
    public private(set) var count: Int

    public init(_ pieces: [GuestPiece] = []) {
        self.pieces = pieces
        count = pieces.reduce(0) { $0 + $1.count }
    }

    /// The pieces behind guest memory; nil if a part of it is not memory.
    public init?(_ memory: GuestMemory, _ address: UInt64, _ count: Int, writable: Bool) {
        var pieces: [GuestPiece] = []
        guard memory.append(address, count, writable: writable, to: &pieces) else { return nil }
        self.init(pieces)
    }

    public mutating func append(_ piece: GuestPiece) {
        pieces.append(piece)
        count += piece.count
    }

    public mutating func append(contentsOf other: GuestPieces) {
        pieces += other.pieces
        count += other.count
    }

    /// Copies bytes from `offset` on out. - Returns: how many there were.
    @discardableResult
    public func copy(_ offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        return walk(offset, buffer.count) { piece, done in memcpy(base + done, piece.host, piece.count) }
    }

    /// Copies bytes in from `offset` on. - Returns: for how many there was room.
    @discardableResult
    public func fill(_ offset: Int, from buffer: UnsafeRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        return walk(offset, buffer.count) { piece, done in
            piece.willWrite()
            memcpy(piece.host, base + done, piece.count)
            piece.willWrite()
        }
    }

    @discardableResult
    public func fill(_ offset: Int, bytes: [UInt8]) -> Int { bytes.withUnsafeBytes { fill(offset, from: $0) } }

    /// At most `maximum` bytes from `offset` on.
    public func bytes(_ offset: Int, _ maximum: Int) -> [UInt8] {
        let size = min(max(0, maximum), max(0, count - offset))
        var result = [UInt8](repeating: 0, count: size)
        result.withUnsafeMutableBytes { _ = copy(offset, into: $0) }
        return result
    }

    /// A little-endian number at `offset`; nil: the bytes end before it does.
    public func load<Number: FixedWidthInteger>(_ offset: Int, as type: Number.Type = Number.self) -> Number? {
        var value: Number = 0
        let done = withUnsafeMutableBytes(of: &value) { copy(offset, into: $0) }
        return done == MemoryLayout<Number>.size ? Number(littleEndian: value) : nil
    }

    @discardableResult
    public func store<Number: FixedWidthInteger>(_ offset: Int, _ value: Number) -> Bool {
        withUnsafeBytes(of: value.littleEndian) { fill(offset, from: $0) == $0.count }
    }

    /// The pieces of at most `length` bytes from `start` on.
    public func slice(_ start: Int, _ length: Int = .max) -> GuestPieces {
        var result = GuestPieces()
        walk(start, length) { piece, _ in result.append(piece) }
        return result
    }

    /// To be called before and after somebody else writes to the pieces.
    public func willWrite() { for piece in pieces { piece.willWrite() } }

    /// Visits the parts of at most `length` bytes from `start` on, with the bytes that came before each.
    @discardableResult
    private func walk(_ start: Int, _ length: Int, _ body: (GuestPiece, Int) -> Void) -> Int {
        guard start >= 0 else { return 0 }
        var skip = start, done = 0
        for piece in pieces where done < length {
            guard skip < piece.count else {
                skip -= piece.count
                continue
            }
            let part = skip == 0 && piece.count <= length - done ? piece : piece.slice(skip, length - done)
            skip = 0
            body(part, done)
            done += part.count
        }
        return done
    }
}
