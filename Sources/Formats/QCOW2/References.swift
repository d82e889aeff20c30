// qcow2: counts of references to clusters, as `check` finds them. In pages, so that far offsets of damaged tables cost a
// page each, not an array up to them.

struct QCOW2References: Sendable {
    private static let pageClusters: UInt64 = 8192
    private var numbers: [UInt64: Int] = [:]
    private var pages: [[UInt32]] = []
    private var last: (page: UInt64, number: Int) = (UInt64.max, 0)
    /// One past the highest cluster with a reference.
    private(set) var end: UInt64 = 0

    mutating func add(_ cluster: UInt64) {
        let page = cluster / QCOW2References.pageClusters
        if last.page != page {
            if let number = numbers[page] { last = (page, number) } else {
                pages.append([UInt32](repeating: 0, count: Int(QCOW2References.pageClusters)))
                numbers[page] = pages.count - 1
                last = (page, pages.count - 1)
            }
        }
        let slot = Int(cluster % QCOW2References.pageClusters)
        if pages[last.number][slot] < UInt32.max { pages[last.number][slot] += 1 }
        end = max(end, cluster + 1)
    }

    func count(_ cluster: UInt64) -> UInt64 {
        guard let number = numbers[cluster / QCOW2References.pageClusters] else { return 0 }
        return UInt64(pages[number][Int(cluster % QCOW2References.pageClusters)])
    }

    /// Whether any cluster of the range may have references.
    func touches(_ range: Range<UInt64>) -> Bool {
        guard range.lowerBound < end, !range.isEmpty else { return false }
        let first = range.lowerBound / QCOW2References.pageClusters, final = (range.upperBound - 1) / QCOW2References.pageClusters
        if final - first < UInt64(numbers.count) { return (first...final).contains { numbers[$0] != nil } }
        return numbers.keys.contains { (first...final).contains($0) }
    }

    /// Numbers of pages in use.
    var usedRanges: [Range<UInt64>] { numbers.keys.sorted().map { $0 * QCOW2References.pageClusters ..< ($0 + 1) * QCOW2References.pageClusters } }
}
