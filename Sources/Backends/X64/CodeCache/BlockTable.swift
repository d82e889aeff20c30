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
    /// The first of its entries in the boundary table, and how many.
    var firstBoundary: UInt32
    var boundaryCount: UInt32
    /// Bytes of guest code from `pc` on, if it is one range; else 0: its snapshot tells.
    var guestLength: UInt32
    /// The first link that leads to this block, or -1.
    var incoming: Int32
    var isAlive: Bool
    /// In machines: the page it was made from, the one its only instruction ends on or 0, and the numbers of the mappings
    /// that it checks at its entry.
    var page: UInt64 = 0
    var secondPage: UInt64 = 0
    var identity: UInt32 = 0
    var secondIdentity: UInt32 = 0
    /// Where code on the same page enters, behind `hostStart`.
    var skip: UInt32 = 0
}

/// An exit to a known guest address, which can be patched to go to the block there.
struct LinkRecord: BitwiseCopyable {
    var target: UInt64
    var context: UInt64
    /// The rel32 field and the stub it leads to when unlinked, as offsets into the code buffer.
    var field: UInt32
    var stub: UInt32
    /// The block it is linked to, or -1; and the next link to the same block, or -1.
    var block: Int32
    var nextIncoming: Int32
    /// In machines: the page that the link is on, which a block must be on to be entered behind its check; ~0: none may be.
    var page: UInt64 = ~0
    var virtual: UInt64 = 0
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

/// Host offset within the block and guest address (relative to the block's) of an instruction.
struct BoundaryRecord: BitwiseCopyable {
    var offset: UInt32
    var pcDelta: Int32
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
    static let hashSize = 1 << 20
    var blocks: ReservedArray<BlockRecord>
    var links: ReservedArray<LinkRecord>
    var sites: ReservedArray<SiteRecord>
    var boundaries: ReservedArray<BoundaryRecord>
    /// Block number + 1 by hashed (pc, context); 0: free; -1: removed.
    private var hash: ReservedArray<Int32>
    private var hashed = 0

    /// - Parameter siteCapacity: how many indirect branches there is room for.
    init?(siteCapacity: Int) {
        guard let sites = ReservedArray<SiteRecord>(capacity: siteCapacity), let blocks = ReservedArray<BlockRecord>(capacity: 1 << 19), let links = ReservedArray<LinkRecord>(capacity: 1 << 21),
              let boundaries = ReservedArray<BoundaryRecord>(capacity: 1 << 24), let hash = ReservedArray<Int32>(capacity: Self.hashSize)
        else { return nil }
        self.blocks = blocks
        self.links = links
        self.sites = sites
        self.boundaries = boundaries
        self.hash = hash
    }

    mutating func removeAll() {
        blocks.removeAll()
        links.removeAll()
        sites.removeAll()
        boundaries.removeAll()
        hash.removeAll()
        hashed = 0
    }

    /// Whether another block still fits the tables.
    var hasRoom: Bool {
        blocks.count < blocks.capacity - 1 && links.count < links.capacity - 1024 && sites.count < sites.capacity
            && boundaries.count < boundaries.capacity - 2048
            && hashed < Self.hashSize / 2
    }

    @inline(__always)
    private static func slot(_ pc: UInt64, _ context: UInt64, _ page: UInt64 = 0) -> Int {
        let mixed = (pc &>> 1 ^ context &<< 40 ^ page &<< 17) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed &>> 44) & (hashSize - 1)
    }

    func find(_ pc: UInt64, _ context: UInt64) -> Int? {
        var slot = Self.slot(pc, context)
        while true {
            let entry = hash.base[slot]
            if entry == 0 { return nil }
            if entry > 0 {
                let block = blocks.base + Int(entry &- 1)
                if block.pointee.pc == pc, block.pointee.context == context { return Int(entry &- 1) }
            }
            slot = (slot &+ 1) & (Self.hashSize - 1)
        }
    }

    /// In machines: the block at `pc` on `page`; of several whose only instruction goes on on another page, the one for `second`,
    /// or any if that is nil.
    func find(_ pc: UInt64, _ context: UInt64, _ page: UInt64, second: UInt64?) -> Int? {
        var slot = Self.slot(pc, context, page)
        while true {
            let entry = hash.base[slot]
            if entry == 0 { return nil }
            if entry > 0 {
                let block = blocks.base + Int(entry &- 1)
                if block.pointee.pc == pc, block.pointee.context == context, block.pointee.page == page,
                   second == nil || block.pointee.secondPage == 0 || block.pointee.secondPage == second { return Int(entry &- 1) }
            }
            slot = (slot &+ 1) & (Self.hashSize - 1)
        }
    }

    mutating func insert(_ number: Int) {
        let block = blocks.base[number]
        var slot = Self.slot(block.pc, block.context, block.page)
        while hash.base[slot] > 0 { slot = (slot &+ 1) & (Self.hashSize - 1) }
        if hash.base[slot] == 0 { hashed += 1 }
        hash.base[slot] = Int32(truncatingIfNeeded: number &+ 1)
    }

    func remove(_ number: Int) {
        let block = blocks.base[number]
        var slot = Self.slot(block.pc, block.context, block.page)
        while hash.base[slot] != 0 {
            if hash.base[slot] == Int32(truncatingIfNeeded: number &+ 1) {
                hash.base[slot] = -1
                return
            }
            slot = (slot &+ 1) & (Self.hashSize - 1)
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
