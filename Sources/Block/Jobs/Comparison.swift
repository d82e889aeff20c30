// Compares the contents of two nodes. Where both maps say zeros, nothing is read; the rest is read by several threads.

import Host

/// The result of a comparison.
public enum ComparisonResult: Sendable, Equatable {
    case equal
    /// The first offset at which they differ.
    case differ(UInt64)
    /// In strict mode: the first offset at which one is allocated and the other is not.
    case allocation(UInt64)
}

public struct Comparison: Sendable {
    public var first: Node
    public var second: Node
    /// Also compare which bytes are allocated.
    public var strict = false
    public var threads = 4
    public var progress: (@Sendable (Double) -> Void)?

    public init(_ first: Node, _ second: Node) {
        self.first = first
        self.second = second
    }

    private struct State {
        var position: UInt64 = 0
        var result: (at: UInt64, ComparisonResult)?
        var failure: BlockError?
        var reported = 0.0
    }
    private struct Piece { var start: UInt64; var length: UInt64; var firstIsZero: Bool; var secondIsZero: Bool }

    /// Compares all; what one has beyond the other's end must be zeros.
    public func run() throws(BlockError) -> ComparisonResult {
        let lengths = (try first.length(), try second.length())
        let total = max(lengths.0, lengths.1)
        let state = Locked(State())
        Workers.run(threads) { [self] in
            do throws(BlockError) {
                let buffers = (try OwnedBuffer(1 << 20), try OwnedBuffer(1 << 20))
                while let piece = try next(state, total, lengths) {
                    if let offset = try difference(piece, buffers.0.buffer, buffers.1.buffer) {
                        state.withLock { if $0.result.map({ $0.at > offset }) ?? true { $0.result = (offset, .differ(offset)) } }
                    }
                }
                withExtendedLifetime(buffers) {}
            } catch { state.withLock { if $0.failure == nil { $0.failure = error } } }
        }
        return try state.withLock { (state) throws(BlockError) in
            if let failure = state.failure { throw failure }
            return state.result?.1 ?? .equal
        }
    }

    private func next(_ shared: Locked<State>, _ total: UInt64, _ lengths: (UInt64, UInt64)) throws(BlockError) -> Piece? {
        try shared.withLock { (state) throws(BlockError) -> Piece? in
            while state.failure == nil, state.result == nil, state.position < total {
                let start = state.position
                var length = total - start
                func look(_ node: Node, _ end: UInt64) throws(BlockError) -> (isZero: Bool, isAllocated: Bool) {
                    guard start < end else { return (true, false) }
                    let status = try node.wholeStatus(start, min(length, end - start))
                    length = min(length, status.length)
                    return (status.isZero, status.isAllocated)
                }
                let one = try look(first, lengths.0)
                let other = try look(second, lengths.1)
                if strict, one.isAllocated != other.isAllocated {
                    state.result = (start, .allocation(start))
                    return nil
                }
                let bothZero = one.isZero && other.isZero
                if !bothZero { length = min(length, 1 << 20) }
                state.position += length
                let fraction = Double(state.position) / Double(total)
                if fraction - state.reported >= 0.0025 { state.reported = fraction; progress?(fraction) }
                if bothZero { continue }
                return Piece(start: start, length: length, firstIsZero: one.isZero, secondIsZero: other.isZero)
            }
            return nil
        }
    }

    private func difference(_ piece: Piece, _ one: BlockBuffer, _ other: BlockBuffer) throws(BlockError) -> UInt64? {
        let a = one.slice(0, piece.length), b = other.slice(0, piece.length)
        if piece.firstIsZero || piece.secondIsZero {
            let data = piece.firstIsZero ? b : a
            try (piece.firstIsZero ? second : first).read(piece.start, data)
            let zeros = data.zeroPrefix
            return zeros == data.count ? nil : (piece.start + UInt64(zeros)).roundedDown(to: 512)
        }
        try first.read(piece.start, a)
        try second.read(piece.start, b)
        if a.equals(b) { return nil }
        var sector = 0
        while sector < a.count, a.slice(sector, 512).equals(b.slice(sector, 512)) { sector += 512 }
        return piece.start + UInt64(sector)
    }
}
