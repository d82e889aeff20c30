import Glibc
import Host
import IR
import Translation

/// One translated block.
struct BlockRecord: BitwiseCopyable {
    var pc: UInt64
    var context: UInt64
    /// Host code, as offsets into the code buffer: the entry, and the end of the block with its cold code.
    var hostStart: UInt32
    var hostEnd: UInt32
    /// In machines: the page it was made from, the one its only instruction ends on or 0, and the numbers of the mappings
    /// that it checks at its entry.
    var page: UInt64 = 0
    var secondPage: UInt64 = 0
    var identity: UInt32 = 0
    var secondIdentity: UInt32 = 0
    /// Bytes of guest code from `pc` on, if it is one range; else 0: its snapshot tells.
    var guestLength: UInt32
    /// The first link that leads to this block, or -1.
    var incoming: Int32 = -1
    var boundaries: Boundaries
    /// Where code on the same page enters, behind `hostStart`.
    var skip: UInt8 = 0
    var isAlive = true
}

/// An exit to a known guest address, which can be patched to go to the block there.
struct LinkRecord: BitwiseCopyable {
    var target: UInt64
    /// The rel32 field and the stub it leads to when unlinked, as offsets into the code buffer.
    var field: UInt32
    var stub: UInt32
    /// The block it is linked to, or -1; and the next link to the same block, or -1.
    var block: Int32 = -1
    var nextIncoming: Int32 = -1
    /// The block that it is in.
    var source: Int32
    /// In machines: blocks on the same page may be entered behind their check.
    var isOnPage: Bool
}

/// An indirect branch, which is linked to its first target.
struct SiteRecord: BitwiseCopyable {
    /// Its link, as a number of the same half.
    var link: UInt32
    /// The rel32 field that leads to the probe once the first target is known, and the probe, as offsets into the code
    /// buffer.
    var field: UInt32
    var probe: UInt32
    /// The guest address of its block.
    var pc: UInt64
    /// Whether it has met a target and was not linked to it.
    var isWaiting = false

    /// Whether `target` is so near that it may be the stub that binds an import when it is first called, or one case of
    /// many: then the second target is the better guess.
    func mayChange(_ target: UInt64) -> Bool { target &- pc &+ 0x8000 < 0x10000 }
}

/// Where in a block its guest instructions begin, in the order of their host code: words of a table that all blocks share. Each
/// has 16 bits of host offset within the block, and 16 bits of guest address relative to the block's, in halves of an instruction
/// word; in blocks where that is too little, two words.
struct Boundaries: BitwiseCopyable {
    /// The first word, and how many boundaries.
    var first: UInt32
    var count: UInt16
    var isWide: Bool

    func offset(_ index: Int, _ words: UnsafeMutablePointer<UInt32>) -> UInt32 {
        isWide ? words[Int(first) &+ 2 &* index] : words[Int(first) &+ index] & 0xFFFF
    }

    func pcDelta(_ index: Int, _ words: UnsafeMutablePointer<UInt32>) -> Int64 {
        isWide ? Int64(Int32(bitPattern: words[Int(first) &+ 2 &* index &+ 1]))
            : Int64(Int16(truncatingIfNeeded: words[Int(first) &+ index] &>> 16)) &* 2
    }
}

/// An array in reserved virtual memory that grows in place, so that readers in signal handlers never see it move.
///
/// Invariant: entries below `count` are initialised.
struct ReservedArray<Element: BitwiseCopyable>: @unchecked Sendable {
    let base: UnsafeMutablePointer<Element>
    let capacity: Int
    var count = 0

    init?(capacity: Int) {
        let bytes = (capacity * MemoryLayout<Element>.stride + 4095) & ~4095
        guard let memory = HostMemory.map(bytes, PROT_READ | PROT_WRITE, reserve: false) else { return nil }
        base = memory.bindMemory(to: Element.self, capacity: capacity)
        self.capacity = capacity
    }

    mutating func append(_ element: Element) -> Bool {
        guard count < capacity else { return false }
        base[count] = element
        count &+= 1
        return true
    }

    /// Gives the pages back to the host.
    mutating func removeAll() {
        let bytes = (capacity * MemoryLayout<Element>.stride + 4095) & ~4095
        madvise(base, bytes, MADV_DONTNEED)
        count = 0
    }
}

/// The blocks of one half of the code buffer, findable by guest address and by host address.
///
/// Blocks are numbered in the order of their host code. Changed under the engine's lock; `block(containing:)` may be
/// called by signal handlers at any time.
struct BlockTable: @unchecked Sendable {
    private static let smallestHash = 1 << 14, largestHash = 1 << 20
    var blocks: ReservedArray<BlockRecord>
    var links: ReservedArray<LinkRecord>
    var sites: ReservedArray<SiteRecord>
    var boundaryWords: ReservedArray<UInt32>
    /// Block number + 1 by hashed (pc, context); 0: free; -1: removed.
    private var hash: ReservedArray<Int32>
    /// How much of it is in use, a power of two: it grows with the blocks, as each of its pages is touched soon.
    private var hashSize = Self.smallestHash
    private var hashed = 0

    /// - Parameter siteCapacity: how many indirect branches there is room for.
    init?(siteCapacity: Int) {
        guard let sites = ReservedArray<SiteRecord>(capacity: siteCapacity), let blocks = ReservedArray<BlockRecord>(capacity: 1 << 19), let links = ReservedArray<LinkRecord>(capacity: 1 << 21),
              let boundaryWords = ReservedArray<UInt32>(capacity: 1 << 25), let hash = ReservedArray<Int32>(capacity: Self.largestHash)
        else { return nil }
        self.blocks = blocks
        self.links = links
        self.sites = sites
        self.boundaryWords = boundaryWords
        self.hash = hash
    }

    mutating func removeAll() {
        blocks.removeAll()
        links.removeAll()
        sites.removeAll()
        boundaryWords.removeAll()
        hash.removeAll()
        hashSize = Self.smallestHash
        hashed = 0
    }

    /// Whether another block still fits the tables.
    var hasRoom: Bool {
        blocks.count < blocks.capacity - 1 && links.count < links.capacity - 1024 && sites.count < sites.capacity
            && boundaryWords.count < boundaryWords.capacity - 4096
            && hashed < Self.largestHash / 2
    }

    @inline(__always)
    private func slot(_ pc: UInt64, _ context: UInt64, _ page: UInt64 = 0) -> Int {
        let mixed = (pc &>> 1 ^ context &<< 40 ^ page &<< 17) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed &>> 44) & (hashSize - 1)
    }

    func find(_ pc: UInt64, _ context: UInt64) -> Int? {
        var slot = slot(pc, context)
        while true {
            let entry = hash.base[slot]
            if entry == 0 { return nil }
            if entry > 0 {
                let block = blocks.base + Int(entry &- 1)
                if block.pointee.pc == pc, block.pointee.context == context { return Int(entry &- 1) }
            }
            slot = (slot &+ 1) & (hashSize - 1)
        }
    }

    /// In machines: the block at `pc` on `page`; of several whose only instruction goes on on another page, the one for `second`,
    /// or any if that is nil.
    func find(_ pc: UInt64, _ context: UInt64, _ page: UInt64, second: UInt64?) -> Int? {
        var slot = slot(pc, context, page)
        while true {
            let entry = hash.base[slot]
            if entry == 0 { return nil }
            if entry > 0 {
                let block = blocks.base + Int(entry &- 1)
                if block.pointee.pc == pc, block.pointee.context == context, block.pointee.page == page,
                   second == nil || block.pointee.secondPage == 0 || block.pointee.secondPage == second { return Int(entry &- 1) }
            }
            slot = (slot &+ 1) & (hashSize - 1)
        }
    }

    /// The context of the block that the link is in.
    func context(of link: LinkRecord) -> UInt64 { blocks.base[Int(link.source)].context }

    /// Keeps the boundaries of a block at `pc`; nil if one of them is too far away from it.
    mutating func keep(_ boundaries: UnsafeBufferPointer<Lowering.Boundary>, of pc: UInt64) -> Boundaries? {
        var isWide = false
        for boundary in boundaries {
            let delta = Int64(bitPattern: boundary.pc &- pc)
            guard Int64(Int32(truncatingIfNeeded: delta)) == delta else { return nil }
            if boundary.offset > 0xFFFF || Int64(Int16(truncatingIfNeeded: delta &>> 1)) &* 2 != delta { isWide = true }
        }
        guard let count = UInt16(exactly: boundaries.count) else { return nil }
        let first = UInt32(boundaryWords.count)
        for boundary in boundaries {
            let delta = UInt32(truncatingIfNeeded: boundary.pc &- pc)
            if isWide {
                _ = boundaryWords.append(boundary.offset)
                _ = boundaryWords.append(delta)
            } else {
                _ = boundaryWords.append(boundary.offset | (delta &>> 1) &<< 16)
            }
        }
        return Boundaries(first: first, count: count, isWide: isWide)
    }

    mutating func insert(_ number: Int) {
        if hashed >= hashSize / 2, hashSize < Self.largestHash { growHash() }
        let block = blocks.base[number]
        var slot = slot(block.pc, block.context, block.page)
        while hash.base[slot] > 0 { slot = (slot &+ 1) & (hashSize - 1) }
        if hash.base[slot] == 0 { hashed += 1 }
        hash.base[slot] = Int32(truncatingIfNeeded: number &+ 1)
    }

    /// Twice the size, without what was removed.
    private mutating func growHash() {
        let kept = UnsafeBufferPointer(start: hash.base, count: hashSize).filter { $0 > 0 }
        hash.base.update(repeating: 0, count: hashSize)
        hashSize *= 2
        hashed = 0
        for entry in kept { insert(Int(entry &- 1)) }
    }

    func remove(_ number: Int) {
        let block = blocks.base[number]
        var slot = slot(block.pc, block.context, block.page)
        while hash.base[slot] != 0 {
            if hash.base[slot] == Int32(truncatingIfNeeded: number &+ 1) {
                hash.base[slot] = -1
                return
            }
            slot = (slot &+ 1) & (hashSize - 1)
        }
    }

    /// The block whose host code contains `offset`.
    static func block(containing offset: UInt32, _ blocks: UnsafeMutablePointer<BlockRecord>, _ count: Int) -> UnsafeMutablePointer<BlockRecord>? {
        var low = 0, high = count
        while low < high {
            let middle = (low &+ high) &>> 1
            if blocks[middle].hostStart <= offset { low = middle &+ 1 } else { high = middle }
        }
        guard low > 0, offset < blocks[low &- 1].hostEnd else { return nil }
        return blocks + (low &- 1)
    }
}
