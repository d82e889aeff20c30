/// Which pages of writable code the host keeps read-only, so that a guest that changes its code without an instruction
/// fence is noticed at its store.
///
/// The architecture asks for a fence (`fence.i`, or `riscv_flush_icache`), but processors with coherent fetches run
/// programs that have none, PyPy's compiler among them. A page that a fence has covered is left alone: who fences once
/// fences always, and a compiler that writes beside running code would fault at every store.
package struct CodeWatch: Sendable {
    /// How often the same store may fault in a row before its page is left alone: a trace that writes to the page it was
    /// made from would otherwise never get past its own fault.
    private static let patience = 3
    /// A fence that covers more pages than this is one for all of them.
    private static let mostFenced: UInt64 = 1 << 16

    private var watched: Set<UInt64> = []
    private var fenced: Set<UInt64> = []
    private var last: (store: UInt64, page: UInt64) = (0, 0)
    private var repeats = 0
    /// The guest fences all of its memory at once: nothing needs to be watched.
    private(set) var isOff = false

    package init() {}

    var isEmpty: Bool { watched.isEmpty }

    func needsWatch(_ page: UInt64) -> Bool { !isOff && !fenced.contains(page) && !watched.contains(page) }

    mutating func add(_ page: UInt64) { watched.insert(page) }

    /// Takes a page out; false if it was not watched.
    mutating func remove(_ page: UInt64) -> Bool { watched.remove(page) != nil }

    /// Takes out all pages.
    mutating func removeAll() -> [UInt64] {
        defer { watched.removeAll() }
        return Array(watched)
    }

    /// Takes out the pages of a range.
    mutating func removeAll(in range: Range<UInt64>) -> [UInt64] {
        let pages = watched.filter { range.contains($0) }
        watched.subtract(pages)
        return Array(pages)
    }

    /// The page is fenced from now on.
    mutating func exempt(_ page: UInt64) { fenced.insert(page) }

    /// Notes a faulting store, told by the state of the vCPU; true when the same one has come too often.
    mutating func isStuck(_ store: UInt64, _ page: UInt64) -> Bool {
        if last == (store, page) { repeats &+= 1 } else { (last, repeats) = ((store, page), 0) }
        return repeats >= Self.patience
    }

    /// Marks a range as fenced, and takes out its pages: the result is those that were watched.
    mutating func fence(_ range: Range<UInt64>) -> [UInt64] {
        guard !isOff, !range.isEmpty else { return [] }
        let first = range.lowerBound & ~4095, pages = (range.upperBound &- 1 &- first) >> 12 &+ 1
        guard pages <= Self.mostFenced else {
            isOff = true
            fenced.removeAll()
            return removeAll()
        }
        var lifted: [UInt64] = []
        for index in 0..<pages {
            let page = first &+ index << 12
            fenced.insert(page)
            if watched.remove(page) != nil { lifted.append(page) }
        }
        return lifted
    }

    /// Forgets a range that was unmapped or got other permissions.
    mutating func forget(_ start: UInt64, _ end: UInt64) {
        Self.forget(&watched, start, end)
        Self.forget(&fenced, start, end)
    }

    private static func forget(_ pages: inout Set<UInt64>, _ start: UInt64, _ end: UInt64) {
        guard !pages.isEmpty, start < end else { return }
        if (end &- start) >> 12 < UInt64(pages.count) {
            var page = start & ~4095
            while page < end { pages.remove(page); page &+= 4096 }
        } else {
            pages = pages.filter { $0 < start || $0 >= end }
        }
    }
}
