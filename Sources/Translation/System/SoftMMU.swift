// The address translation of one vCPU in a machine: where helpers of the guest and the back ends reach guest memory.
//
// What a page-table walk found is kept in the tables of `SoftTLB`, which translated code probes by itself; everything else
// comes here. It leaves out nothing of an access: RAM, devices, bus errors, accesses across pages, watched pages.

import CHost
import Core
import IR

/// Host memory for one access, or why there is none.
public enum HostAccess {
    /// The first byte. All bytes of the access are there.
    case memory(UnsafeMutableRawPointer)
    /// A device, read-only memory, nothing at all, or an access across pages: `load` and `store` do those.
    case other
    /// The exception is recorded.
    case fault
}

/// A page of guest code as a vCPU sees it.
public struct FetchPage: BitwiseCopyable {
    /// Kept by the MMU that gave the page, until its next flush: vCPUs that count references to one object wait for each other.
    private let memory: Unmanaged<RAMBlock>
    public var block: RAMBlock { memory.takeUnretainedValue() }
    /// The number of the page among all of the process.
    public let number: UInt64
    /// The virtual address of its first byte.
    public let virtual: UInt64
    /// Its first byte.
    public let host: UnsafeMutableRawPointer
    /// How many bytes from the address asked for on may be fetched, if it is not whole.
    public let readable: Int
    /// Whether the whole page may be fetched from, until the next flush.
    public let isWhole: Bool
    /// Whether it is there in all address spaces.
    let isGlobal: Bool

    init(_ memory: Unmanaged<RAMBlock>, number: UInt64, virtual: UInt64, host: UnsafeMutableRawPointer, readable: Int, isWhole: Bool, isGlobal: Bool) {
        self.memory = memory
        self.number = number
        self.virtual = virtual
        self.host = host
        self.readable = readable
        self.isWhole = isWhole
        self.isGlobal = isGlobal
    }
}

/// What a vCPU of a machine has beside its state block. Used by the vCPU's own thread, but for what says otherwise.
public final class SoftMMU: @unchecked Sendable {
    public unowned(unsafe) let vcpu: VCPU
    public let guest: any SystemGuest
    public let memory: AddressSpace
    private let addressMask: UInt64
    private let tables: SoftTLBMemory
    private var code = FetchCache()
    /// The cells of `SoftTLB.fetch` for code pages of one address space alone.
    private var localFetch = MadeEntries()
    /// Memory that entries may lead to.
    private var blocks: [RAMBlock] = []
    private var large = [LargePages](repeating: LargePages(), count: SoftTLB.indexCount)
    /// The memory that was asked for last, from its first address on: nearly always the RAM.
    private var near: (start: UInt64, place: Place)?
    /// The same for those who do without references.
    public let nearMemory: UnsafeMutablePointer<NearMemory>
    private let wish = FlushWish()
    /// Where the last `host` gave memory for a store from which code was translated: the storer calls `didStore`.
    public private(set) var watched: MemorySpan?
    /// The store that is asked for also reads what it replaces. Set by back ends around `host`.
    public var isUpdate = false
    /// Makes the vCPU leave translated code soon, for `requestFlush`. Set before it runs.
    public var kick: (@Sendable () -> Void)? {
        get { wish.kick }
        set { wish.kick = newValue }
    }

    /// - Parameter vcpu: made by an engine for machines.
    public init(vcpu: VCPU, guest: any SystemGuest, memory: AddressSpace) {
        self.vcpu = vcpu
        self.guest = guest
        self.memory = memory
        addressMask = vcpu.layout.addressMask
        tables = SoftTLBMemory(vcpu.state)
        nearMemory = .allocate(capacity: 1)
        nearMemory.initialize(to: NearMemory())
        vcpu[UInt64.self, StateHeader.softMMU] = UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
        memory.observe(wish)
    }

    deinit {
        tables.deallocate()
        localFetch.deallocate()
        nearMemory.deallocate()
    }

    /// The MMU of the vCPU with state pointer `state`: how a helper finds its machine. Nil in user mode.
    @inline(__always)
    public static func of(_ state: UnsafeMutableRawPointer) -> SoftMMU? {
        let bits = state.load(fromByteOffset: Int(StateHeader.softMMU), as: UInt64.self)
        guard let pointer = UnsafeRawPointer(bitPattern: UInt(bits)) else { return nil }
        return Unmanaged<SoftMMU>.fromOpaque(pointer).takeUnretainedValue()
    }

    // MARK: forgetting translations

    /// Forgets all translations (of the given MMU indices, one bit each).
    public func flush(indices: UInt16 = .max) {
        for index in 0 ..< SoftTLB.indexCount where indices &>> UInt16(index) & 1 != 0 {
            tables.clear(index)
            large[index] = LargePages()
        }
        code.removeAll()
        tables.clearFetch()
        localFetch.removeAll()
        if indices == .max {
            blocks.removeAll()
            near = nil
            nearMemory.pointee = NearMemory()
        }
    }

    /// Forgets those translations of the given MMU indices that do not hold in all address spaces.
    public func flushAddressSpace(indices: UInt16) {
        for index in 0 ..< SoftTLB.indexCount where indices &>> UInt16(index) & 1 != 0 { tables.clearLocal(index) }
        code.removeLocal()
        tables.clearFetch(localFetch)
        localFetch.removeAll()
    }

    /// Forgets the translations of the page of `address`, and of the large page that it lies in.
    public func flush(page address: UInt64, indices: UInt16 = .max) {
        for index in 0 ..< SoftTLB.indexCount where indices &>> UInt16(index) & 1 != 0 {
            guard !large[index].contains(address) else {
                flush(indices: 1 &<< UInt16(index))
                continue
            }
            tables.remove(address, .load, index)
            tables.remove(address, .store, index)
        }
        code.remove(address)
        vcpu[UInt32.self, SoftTLB.fetchSlot(address)] = 0
    }

    /// Has everything forgotten before the vCPU's next instruction boundary that it leaves at. Called by any thread.
    public func requestFlush() { wish.addressSpaceChanged() }

    /// Does what `requestFlush` asked for.
    public func applyRequests() { if wish.take() { flush() } }

    /// Has stores to the page at `host` (nil: to all pages) come by `host(_:_:bytes:mmuIndex:)`, which looks at its
    /// `PageFlags`, set before this is called. Called by any thread.
    public func forgetStores(to host: UnsafeMutableRawPointer?) { tables.forgetStores(to: host) }

    // MARK: host memory

    /// What is at a physical address, if it is memory. As good as a translation: until the next flush.
    private func place(at physical: UInt64) -> Place? {
        if let (start, place) = near, physical &- start < place.count { return place.after(physical &- start) }
        guard let range = memory.find(physical) else { return nil }
        guard case .memory(let block, let isReadOnly) = range.target else {
            guard let span = memory.memory(at: physical) else { return nil }
            keep(span.block)
            return Place(span)
        }
        keep(block)
        let place = Place(MemorySpan(block: block, offset: range.offset, count: range.size, isReadOnly: isReadOnly))
        near = (range.start, place)
        nearMemory.pointee = NearMemory(start: range.start, count: range.size, host: place.host)
        return place.after(physical &- range.start)
    }

    /// Whether the memory that the last `place` found reaches from `start` on: a window of a device may lie in front of it.
    private func isMemory(from start: UInt64, to physical: UInt64) -> Bool {
        guard let (first, place) = near, physical &- first < place.count else { return true }
        return start &- first < place.count
    }

    /// Host memory for an access of `bytes` bytes at virtual `address`, if it is RAM. For a store, whoever watches the page
    /// has been told.
    public func host(_ address: UInt64, _ kind: AccessKind, bytes: Int, mmuIndex: Int) -> HostAccess {
        if watched != nil { watched = nil }
        if let known = tables.find(address, kind, bytes, mmuIndex) { return .memory(known) }
        let inside = address & (RAMBlock.pageBytes &- 1)
        guard inside &+ UInt64(truncatingIfNeeded: bytes) <= RAMBlock.pageBytes else { return .other }
        guard let page = guest.translate(address, kind, bytes: bytes, mmuIndex: mmuIndex, of: vcpu, memory: memory) else { return .fault }
        guard let place = place(at: page.physical), place.count >= UInt64(truncatingIfNeeded: bytes) else { return .other }
        if kind == .store, place.isReadOnly { return .other }
        var isWatched = place.isWatched
        if isWatched {
            if kind == .store {
                let span = place.span, range = span.offset ..< span.offset &+ UInt64(truncatingIfNeeded: bytes)
                if span.block.codeWatcher?.hasCode(in: span.block, range) == true { watched = span }
                span.block.willWrite(span.offset, UInt64(truncatingIfNeeded: bytes))
            }
            isWatched = place.isWatched
        }
        guard page.size >= RAMBlock.pageBytes, place.offset >= inside, place.count >= RAMBlock.pageBytes &- inside, isMemory(from: page.physical &- inside, to: page.physical) else {
            return .memory(place.host)
        }
        if page.size > RAMBlock.pageBytes { large[mmuIndex & 15].add(address, page.size) }
        if kind == .load || page.rights.contains(.load) { tables.insert(address, place.host, .load, mmuIndex, isGlobal: page.isGlobal) }
        if !isWatched, !place.isReadOnly, kind == .store || page.rights.contains(.store) {
            tables.insert(address, place.host, .store, mmuIndex, isGlobal: page.isGlobal)
            // Whoever begins to watch the page sets its flag first, then takes entries away: one of both sees the other.
            apus_full_fence()
            if place.isWatched { tables.remove(address, .store, mmuIndex) }
        }
        return .memory(place.host)
    }

    /// The store that `watched` was left by is done: what was translated from its bytes meanwhile is stale.
    public func didStore(bytes: Int) {
        guard let span = watched else { return }
        watched = nil
        span.block.willWrite(span.offset, UInt64(truncatingIfNeeded: bytes))
    }

    private func keep(_ block: RAMBlock) {
        for known in blocks where known === block { return }
        blocks.append(block)
    }

    /// The page of code at `address`; nil if it cannot be fetched from: the exception is recorded.
    public func fetchPage(_ address: UInt64, mmuIndex: Int) -> FetchPage? {
        if let known = code.find(address, mmuIndex) { return known }
        let inside = address & (RAMBlock.pageBytes &- 1)
        guard let page = guest.translate(address, .fetch, bytes: guest.minimumInstructionLength, mmuIndex: mmuIndex, of: vcpu, memory: memory) else { return nil }
        guard let place = place(at: page.physical) else {
            guest.recordBusError(address, .fetch, mmuIndex: mmuIndex, of: vcpu)
            return nil
        }
        let isWhole = page.size >= RAMBlock.pageBytes && place.offset >= inside && place.count >= RAMBlock.pageBytes &- inside
        let rest = min(RAMBlock.pageBytes &- inside, place.count)
        // What was asked for is allowed whatever the stretch is.
        let allowed = max(page.size &- (page.physical & (page.size &- 1)), UInt64(truncatingIfNeeded: guest.minimumInstructionLength))
        let readable = page.size >= RAMBlock.pageBytes ? rest : min(rest, allowed)
        let result = FetchPage(place.memory, number: place.firstPage &+ place.offset &>> RAMBlock.pageBits,
                               virtual: address &- inside, host: place.host - Int(inside), readable: Int(truncatingIfNeeded: readable), isWhole: isWhole, isGlobal: page.isGlobal)
        guard isWhole else { return result }
        if page.size > RAMBlock.pageBytes { large[mmuIndex & 15].add(address, page.size) }
        code.insert(result, mmuIndex)
        if !page.isGlobal { localFetch.add(SoftTLB.fetchCell(address)) }
        return result
    }

    // MARK: accesses of helpers

    /// The MMU index of data accesses by the code that runs.
    public var dataIndex: Int { guest.dataIndex(context: vcpu.context) }

    /// Loads `bytes` (1, 2, 4, 8) at virtual `address`, little-endian, zero-extended.
    /// - Returns: nil if it faulted: the exception is recorded, and the helper returns `ExitReason.memoryFault` plus 1
    ///   (effect `mayExit`).
    public func load(_ address: UInt64, bytes: Int, mmuIndex: Int, kind: AccessKind = .load) -> UInt64? {
        if kind == .load {
            switch host(address, .load, bytes: bytes, mmuIndex: mmuIndex) {
            case .memory(let host): return Self.load(host, bytes)
            case .fault: return nil
            case .other: break
            }
        }
        let inside = address & (RAMBlock.pageBytes - 1)
        guard inside &+ UInt64(bytes) <= RAMBlock.pageBytes else {
            var value: UInt64 = 0
            for index in 0 ..< UInt64(bytes) {
                guard let byte = load((address &+ index) & addressMask, bytes: 1, mmuIndex: mmuIndex, kind: kind) else { return nil }
                value |= byte &<< (index * 8)
            }
            return value
        }
        guard let page = guest.translate(address, kind, bytes: bytes, mmuIndex: mmuIndex, of: vcpu, memory: memory) else { return nil }
        guard let value = memory.read(page.physical, width: bytes) else {
            guest.recordBusError(address, kind, mmuIndex: mmuIndex, of: vcpu)
            return nil
        }
        // A device may answer with more than was asked for.
        return bytes >= 8 ? value : value & (1 &<< UInt64(bytes &* 8) &- 1)
    }

    /// Stores the low `bytes` (1, 2, 4, 8) of `value` at virtual `address`. - Returns: false if it faulted.
    public func store(_ address: UInt64, _ value: UInt64, bytes: Int, mmuIndex: Int) -> Bool {
        switch host(address, .store, bytes: bytes, mmuIndex: mmuIndex) {
        case .memory(let host):
            Self.store(host, value, bytes)
            if watched != nil { didStore(bytes: bytes) }
            return true
        case .fault: return false
        case .other: break
        }
        let inside = address & (RAMBlock.pageBytes - 1)
        guard inside &+ UInt64(bytes) <= RAMBlock.pageBytes else {
            // Both pages must be there before anything is stored.
            for end in [address, (address &+ UInt64(bytes - 1)) & addressMask & ~(RAMBlock.pageBytes - 1)] {
                guard guest.translate(end, .store, bytes: 1, mmuIndex: mmuIndex, of: vcpu, memory: memory) != nil else { return false }
            }
            for index in 0 ..< UInt64(bytes) {
                guard store((address &+ index) & addressMask, value &>> (index * 8), bytes: 1, mmuIndex: mmuIndex) else { return false }
            }
            return true
        }
        guard let page = guest.translate(address, .store, bytes: bytes, mmuIndex: mmuIndex, of: vcpu, memory: memory) else { return false }
        guard memory.write(page.physical, value, width: bytes) else {
            guest.recordBusError(address, .store, mmuIndex: mmuIndex, of: vcpu)
            return false
        }
        return true
    }

    /// Replaces the 16 aligned bytes at virtual `address` by two words, low first, if they equal `expected`, which becomes the
    /// old value; in one atomic step. - Returns: false if it faulted.
    public func compareAndSwap16(_ address: UInt64, _ expected: inout (UInt64, UInt64), _ low: UInt64, _ high: UInt64, mmuIndex: Int) -> Bool {
        isUpdate = true
        defer { isUpdate = false }
        switch host(address, .store, bytes: 16, mmuIndex: mmuIndex) {
        case .fault: return false
        case .other:
            // What is not memory has no such access.
            guest.recordBusError(address, .store, mmuIndex: mmuIndex, of: vcpu)
            return false
        case .memory(let host):
            let failed = withUnsafeMutableBytes(of: &expected) { pair in
                apus_guarded_cas16(host, pair.baseAddress?.assumingMemoryBound(to: UInt64.self), low, high)
            }
            if watched != nil { didStore(bytes: 16) }
            return failed == 0
        }
    }

    private static func load(_ host: UnsafeMutableRawPointer, _ bytes: Int) -> UInt64 {
        switch bytes {
        case 1: UInt64(host.load(as: UInt8.self))
        case 2: UInt64(UInt16(littleEndian: host.loadUnaligned(as: UInt16.self)))
        case 4: UInt64(UInt32(littleEndian: host.loadUnaligned(as: UInt32.self)))
        default: UInt64(littleEndian: host.loadUnaligned(as: UInt64.self))
        }
    }

    private static func store(_ host: UnsafeMutableRawPointer, _ value: UInt64, _ bytes: Int) {
        switch bytes {
        case 1: host.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        case 2: host.storeBytes(of: UInt16(truncatingIfNeeded: value).littleEndian, as: UInt16.self)
        case 4: host.storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, as: UInt32.self)
        default: host.storeBytes(of: value.littleEndian, as: UInt64.self)
        }
    }
}

/// Memory as `MemorySpan` has it, without a reference that is counted: `SoftMMU.blocks` keeps it.
private struct Place: BitwiseCopyable {
    let memory: Unmanaged<RAMBlock>
    let firstPage: UInt64
    /// The block's flags: one byte a page.
    private let flags: UnsafeMutablePointer<UInt8>
    private(set) var host: UnsafeMutableRawPointer
    private(set) var offset: UInt64
    private(set) var count: UInt64
    let isReadOnly: Bool

    init(_ span: MemorySpan) {
        memory = Unmanaged.passUnretained(span.block)
        firstPage = span.block.firstPage
        flags = span.block.flags
        host = span.host
        offset = span.offset
        count = span.count
        isReadOnly = span.isReadOnly
    }

    /// Without its first bytes, fewer than `count`.
    func after(_ skipped: UInt64) -> Place {
        var rest = self
        rest.host += Int(truncatingIfNeeded: skipped)
        rest.offset &+= skipped
        rest.count &-= skipped
        return rest
    }

    var span: MemorySpan { MemorySpan(block: memory.takeUnretainedValue(), offset: offset, count: count, isReadOnly: isReadOnly) }

    /// Whether somebody is to be told of stores to its first page.
    var isWatched: Bool {
        !PageFlags(rawValue: apus_atomic_load_u8(flags + Int(truncatingIfNeeded: offset &>> RAMBlock.pageBits))).isDisjoint(with: .watched)
    }
}

/// The memory that a vCPU asked for last: valid until its next flush.
public struct NearMemory: BitwiseCopyable {
    @usableFromInline var start: UInt64 = 0
    @usableFromInline var count: UInt64 = 0
    @usableFromInline var host: UnsafeMutableRawPointer?

    /// 4 or 8 aligned bytes at a physical address, an entry of a page table; nil: it is elsewhere.
    @inlinable
    public func entry(at physical: UInt64, bytes: Int) -> UInt64? {
        let skipped = physical &- start
        guard let host, skipped < count, count &- skipped >= UInt64(truncatingIfNeeded: bytes) else { return nil }
        let place = host + Int(truncatingIfNeeded: skipped)
        return bytes == 8 ? UInt64(littleEndian: place.loadUnaligned(as: UInt64.self)) : UInt64(UInt32(littleEndian: place.loadUnaligned(as: UInt32.self)))
    }
}

/// What other threads ask of a vCPU's translations. By itself, so that nobody holds the MMU weakly: references to what is held
/// so are slow to count.
private final class FlushWish: AddressSpaceObserver, @unchecked Sendable {
    private let cell: UnsafeMutablePointer<UInt8>
    /// Set before the vCPU runs.
    var kick: (@Sendable () -> Void)?

    init() {
        cell = .allocate(capacity: 1)
        cell.initialize(to: 0)
    }

    deinit { cell.deallocate() }

    func addressSpaceChanged() {
        _ = apus_atomic_or_u8(cell, 1)
        kick?()
    }

    func take() -> Bool { apus_atomic_load_u8(cell) != 0 && apus_atomic_and_u8(cell, 0) != 0 }
}

/// The stretches of addresses in which large pages lie whose 4 KiB pieces are remembered one by one. Few, so that each may be
/// wider than need be; more than one, as a kernel's image and its map of all memory are far from each other.
private struct LargePages {
    private struct Stretch {
        var base: UInt64
        var mask: UInt64
        func contains(_ address: UInt64) -> Bool { address & mask == base }
        /// The mask of the narrowest one with `address`, too.
        func widened(_ address: UInt64, _ size: UInt64) -> UInt64 {
            var wider = mask & ~(size &- 1)
            while (base ^ address) & wider != 0 { wider &<<= 1 }
            return wider
        }
    }
    private var stretches: [Stretch] = []
    private static let limit = 8

    func contains(_ address: UInt64) -> Bool { stretches.contains { $0.contains(address) } }

    mutating func add(_ address: UInt64, _ size: UInt64) {
        for stretch in stretches where stretch.contains(address) && stretch.mask & (size &- 1) == 0 { return }
        // What is near is one stretch: 1 GiB.
        let near = stretches.indices.first { stretches[$0].widened(address, size) >= ~0x3fff_ffff }
        guard near != nil || stretches.count >= Self.limit else {
            stretches.append(Stretch(base: address & ~(size &- 1), mask: ~(size &- 1)))
            return
        }
        // A wider mask is a smaller number.
        guard let chosen = near ?? stretches.indices.max(by: { stretches[$0].widened(address, size) < stretches[$1].widened(address, size) }) else { return }
        let mask = stretches[chosen].widened(address, size)
        stretches[chosen] = Stretch(base: address & mask, mask: mask)
    }
}

/// The pages of code that a vCPU has met since the last flush.
private struct FetchCache {
    private static let count = 256
    private var pages = [FetchPage?](repeating: nil, count: Self.count)
    private var indices = [Int](repeating: 0, count: Self.count)
    private var generations = [UInt64](repeating: 0, count: Self.count)
    /// Those of pages of one address space, and of pages of all.
    private var generation: UInt64 = 1, globalGeneration: UInt64 = 2

    private static func slot(_ address: UInt64) -> Int { Int(truncatingIfNeeded: (address &>> RAMBlock.pageBits) & UInt64(count &- 1)) }

    func find(_ address: UInt64, _ index: Int) -> FetchPage? {
        let slot = Self.slot(address)
        guard generations[slot] == generation || generations[slot] == globalGeneration, indices[slot] == index, let page = pages[slot],
              page.virtual == address & ~(RAMBlock.pageBytes &- 1) else { return nil }
        return page
    }

    mutating func insert(_ page: FetchPage, _ index: Int) {
        let slot = Self.slot(page.virtual)
        pages[slot] = page
        indices[slot] = index
        generations[slot] = page.isGlobal ? globalGeneration : generation
    }

    mutating func remove(_ address: UInt64) { generations[Self.slot(address)] = 0 }
    mutating func removeLocal() { generation = max(generation, globalGeneration) &+ 1 }
    mutating func removeAll() {
        removeLocal()
        globalGeneration = generation &+ 1
    }
}
