// The interpreter's translated blocks and where to find them. Everything here is used under the engine's lock; only the
// blocks themselves are also read by running vCPUs, which is why a block that was forgotten is freed only after every
// runner has passed a block boundary (see `Runner`).
import IR
import Translation

/// One translated trace; immutable once it is in the table.
struct Block {
    let pc: UInt64
    let context: UInt64
    /// In machines, the number of the page of guest memory that it is on, and of the one its only instruction ends on; else 0.
    let page: UInt64
    let second: UInt64
    let ops: UnsafeMutablePointer<Op>
    let count: Int
    /// How many of the ops, from the first on, are constants.
    let constants: Int
    let marks: UnsafeMutablePointer<InstructionMark>
    let instructions: Int
    let isWritable: Bool
    let snapshot: CodeSnapshot
    /// The next block of the same bucket, or of the list of the forgotten.
    var next: UnsafeMutablePointer<Block>?
    /// The generation in which the block was forgotten.
    var forgottenIn: UInt64 = 0

    static func free(_ block: UnsafeMutablePointer<Block>) {
        block.pointee.ops.deallocate()
        block.pointee.marks.deallocate()
        block.pointee.snapshot.deallocate()
        block.deallocate()
    }
}

/// A hash table of blocks by guest address, translation context and page.
struct BlockTable {
    typealias BlockPointer = UnsafeMutablePointer<Block>

    private static let bucketCount = 1 << 14
    /// One bit for each hash of a guest page that a block has bytes of, so that most mapping changes need no search.
    private static let pageBits = 1 << 16

    private let buckets: UnsafeMutablePointer<BlockPointer?>
    private let pages: UnsafeMutablePointer<UInt64>
    private(set) var count = 0

    init() {
        buckets = .allocate(capacity: Self.bucketCount)
        buckets.initialize(repeating: nil, count: Self.bucketCount)
        pages = .allocate(capacity: Self.pageBits / 64)
        pages.initialize(repeating: 0, count: Self.pageBits / 64)
    }

    func deallocate() {
        buckets.deallocate()
        pages.deallocate()
    }

    private static func bucket(_ pc: UInt64, _ context: UInt64) -> Int {
        let mixed = (pc &>> 1 ^ context &<< 20) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed &>> 50)
    }

    func find(_ pc: UInt64, _ context: UInt64, _ page: UInt64 = 0, _ second: UInt64 = 0) -> BlockPointer? {
        var block = buckets[Self.bucket(pc, context)]
        while let candidate = block {
            if candidate.pointee.pc == pc, candidate.pointee.context == context, candidate.pointee.page == page,
               candidate.pointee.second == second { return candidate }
            block = candidate.pointee.next
        }
        return nil
    }

    mutating func insert(_ block: BlockPointer) {
        let bucket = Self.bucket(block.pointee.pc, block.pointee.context)
        block.pointee.next = buckets[bucket]
        buckets[bucket] = block
        count &+= 1
        for range in block.pointee.snapshot.ranges where range.length > 0 {
            let first = range.start &>> 12
            let last = (range.start &+ UInt64(truncatingIfNeeded: range.length &- 1)) &>> 12
            mark(first)
            // A range crosses at most one page boundary per 4 KiB; blocks are far shorter.
            if last != first { mark(last) }
        }
    }

    /// Unlinks every block for which `isStale` holds and returns them as a list through `next`.
    mutating func remove(where isStale: (BlockPointer) -> Bool) -> BlockPointer? {
        var removed: BlockPointer?
        for bucket in 0 ..< Self.bucketCount {
            var kept: BlockPointer?
            var block = buckets[bucket]
            while let current = block {
                block = current.pointee.next
                if isStale(current) {
                    current.pointee.next = removed
                    removed = current
                    count &-= 1
                } else {
                    current.pointee.next = kept
                    kept = current
                }
            }
            buckets[bucket] = kept
        }
        return removed
    }

    /// False if no block can have bytes in `range`.
    func mayIntersect(_ range: Range<UInt64>) -> Bool {
        guard count > 0, !range.isEmpty else { return false }
        let first = range.lowerBound &>> 12, last = (range.upperBound &- 1) &>> 12
        guard last &- first < 4096 else { return true }
        for page in first ... last where isMarked(page) { return true }
        return false
    }

    private static func bit(_ page: UInt64) -> Int { Int(truncatingIfNeeded: (page ^ page &>> 16) & UInt64(pageBits - 1)) }
    private func mark(_ page: UInt64) { pages[Self.bit(page) &>> 6] |= 1 &<< UInt64(truncatingIfNeeded: Self.bit(page) & 63) }
    private func isMarked(_ page: UInt64) -> Bool {
        pages[Self.bit(page) &>> 6] & 1 &<< UInt64(truncatingIfNeeded: Self.bit(page) & 63) != 0
    }
}
