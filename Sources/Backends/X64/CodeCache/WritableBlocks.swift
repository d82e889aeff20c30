import Translation

/// Which blocks were made from pages that the guest can write to, by page: those that an instruction fence must check.
struct WritableBlocks {
    private var pages: [UInt64: Set<Int>] = [:]

    private static func pages(of range: CodeRange) -> ClosedRange<UInt64> {
        let first = range.start >> 12
        let last = (range.start &+ UInt64(truncatingIfNeeded: max(range.length &- 1, 0))) >> 12
        return first ... max(first, last)
    }

    mutating func insert(_ block: Int, _ ranges: UnsafeBufferPointer<CodeRange>) {
        for range in ranges { for page in Self.pages(of: range) { pages[page, default: []].insert(block) } }
    }

    mutating func remove(_ block: Int, _ ranges: UnsafeBufferPointer<CodeRange>) {
        for range in ranges {
            for page in Self.pages(of: range) {
                pages[page]?.remove(block)
                if pages[page]?.isEmpty == true { pages[page] = nil }
            }
        }
    }

    /// The blocks with code on the pages of `range`.
    func blocks(in range: Range<UInt64>) -> Set<Int> {
        guard !range.isEmpty else { return [] }
        let first = range.lowerBound >> 12, last = (range.upperBound &- 1) >> 12
        var found: Set<Int> = []
        if last &- first < UInt64(pages.count) {
            for page in first ... last { if let blocks = pages[page] { found.formUnion(blocks) } }
        } else {
            for (page, blocks) in pages where page >= first && page <= last { found.formUnion(blocks) }
        }
        return found
    }
}
