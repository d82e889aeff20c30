// Guest code as one vCPU of a machine sees it: the page that its pc is on and, for an instruction that begins at the end of
// it, the next one. So a trace never leaves its page, whatever is mapped beside it.

import CHost
import Core

/// The code source of a translator for machines: filled in before each trace, under the lock of its owner.
public final class FetchWindow: CodeSource, @unchecked Sendable {
    private struct Piece {
        var start: UInt64 = 0
        var count: UInt64 = 0
        var host: UnsafeRawPointer?
    }

    private var first = Piece()
    private var second = Piece()

    public init() {}

    /// Shows the code from `pc`, on page `page`, on; and what `next` has from `end` on, which is its start if nothing is said.
    public func show(_ page: FetchPage, from pc: UInt64, next: FetchPage? = nil, at end: UInt64? = nil) {
        // Short of a whole page, only what was asked for is sure to be executable.
        if page.isWhole {
            first = Piece(start: page.virtual, count: RAMBlock.pageBytes, host: UnsafeRawPointer(page.host))
        } else {
            let inside = Int(truncatingIfNeeded: pc &- page.virtual)
            first = Piece(start: pc, count: UInt64(truncatingIfNeeded: page.readable), host: UnsafeRawPointer(page.host + inside))
        }
        second = Piece()
        guard let next else { return }
        let start = end ?? next.virtual, inside = (start &- next.virtual) & (RAMBlock.pageBytes &- 1)
        let count = next.isWhole ? RAMBlock.pageBytes &- inside : UInt64(truncatingIfNeeded: next.readable)
        second = Piece(start: start, count: count, host: UnsafeRawPointer(next.host + Int(truncatingIfNeeded: inside)))
    }

    public func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        let done = copy(first, pc, buffer, count)
        guard done < count, second.host != nil else { return done }
        let rest = pc &+ UInt64(truncatingIfNeeded: done)
        guard done == 0 || rest == second.start else { return done }
        return done &+ copy(second, rest, buffer + done, count &- done)
    }

    private func copy(_ piece: Piece, _ pc: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
        let inside = pc &- piece.start
        guard let host = piece.host, inside < piece.count else { return 0 }
        let bytes = min(count, Int(truncatingIfNeeded: piece.count &- inside))
        buffer.copyMemory(from: host + Int(truncatingIfNeeded: inside), byteCount: bytes)
        return bytes
    }

    public func isWritable(_ pc: UInt64) -> Bool { false }
}
