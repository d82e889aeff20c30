// Which translated blocks were made from which pages of a machine's memory, in pieces of 64 bytes, so that data beside code
// on a page costs its writers little.

import Core

/// The pages with code of an engine; used under its lock. Blocks are numbers or addresses that the engine gives.
public struct CodePages {
    private struct Entry {
        var block: Int
        /// A bit for each 64 bytes of the page that the block was made from.
        var granules: UInt64
    }

    private struct Page {
        let memory: RAMBlock
        let index: UInt64
        var granules: UInt64 = 0
        var entries: [Entry] = []
    }

    private var pages: [UInt64: Page] = [:]

    public init() {}

    /// Whether something was translated from the page already.
    public func contains(_ page: FetchPage) -> Bool { pages[page.number] != nil }

    /// Bits for `length` bytes at `offset` of a page.
    private static func granules(_ offset: UInt64, _ length: UInt64) -> UInt64 {
        guard length > 0, offset < RAMBlock.pageBytes else { return 0 }
        let first = offset &>> 6, last = min(offset &+ length &- 1, RAMBlock.pageBytes &- 1) &>> 6
        return (~0 &<< first) & (~0 &>> (63 &- last))
    }

    /// Marks `page` as one with code: to be called before its bytes are read. - Returns: whether it was none before.
    public mutating func begin(_ page: FetchPage) -> Bool {
        guard pages[page.number] == nil else { return false }
        let index = page.number &- page.block.firstPage
        pages[page.number] = Page(memory: page.block, index: index)
        page.block.setFlags(.hasCode, ofPage: index)
        return true
    }

    /// `block` was made from the ranges, of which those on `page` count.
    public mutating func insert(_ block: Int, _ page: FetchPage, _ ranges: UnsafeBufferPointer<CodeRange>) {
        var bits: UInt64 = 0
        for range in ranges {
            let start = range.start &- page.virtual
            if start < RAMBlock.pageBytes {
                bits |= Self.granules(start, UInt64(truncatingIfNeeded: range.length))
            } else if page.virtual &- range.start < UInt64(truncatingIfNeeded: range.length) {
                bits |= Self.granules(0, UInt64(truncatingIfNeeded: range.length) &- (page.virtual &- range.start))
            }
        }
        pages[page.number]?.granules |= bits
        pages[page.number]?.entries.append(Entry(block: block, granules: bits))
    }

    /// Whether a block may have been made from bytes in `range` of `memory`.
    public func hasCode(in memory: RAMBlock, _ range: Range<UInt64>) -> Bool {
        guard !range.isEmpty else { return false }
        let number = range.lowerBound &>> RAMBlock.pageBits
        guard let page = pages[memory.firstPage &+ number] else { return false }
        return page.granules & Self.granules(range.lowerBound & (RAMBlock.pageBytes &- 1), range.upperBound &- range.lowerBound) != 0
    }

    /// Takes out the blocks made from bytes in `range`, which lies on one page of `memory`. They may be on another page,
    /// too, and come up again there: the engine knows the dead.
    public mutating func remove(in memory: RAMBlock, _ range: Range<UInt64>) -> [Int] {
        guard hasCode(in: memory, range) else { return [] }
        let number = memory.firstPage &+ range.lowerBound &>> RAMBlock.pageBits
        guard var page = pages[number] else { return [] }
        let bits = Self.granules(range.lowerBound & (RAMBlock.pageBytes &- 1), range.upperBound &- range.lowerBound)
        let gone = page.entries.filter { $0.granules & bits != 0 }.map(\.block)
        page.entries.removeAll { $0.granules & bits != 0 }
        page.granules = page.entries.reduce(0) { $0 | $1.granules }
        if page.entries.isEmpty {
            pages[number] = nil
            page.memory.clearFlags(.hasCode, ofPage: page.index)
        } else {
            pages[number] = page
        }
        return gone
    }

    /// Forgets everything.
    public mutating func removeAll() {
        for page in pages.values { page.memory.clearFlags(.hasCode, ofPage: page.index) }
        pages.removeAll()
    }
}
