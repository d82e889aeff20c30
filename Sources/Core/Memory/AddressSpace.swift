// The physical addresses of a machine, or those a bus master sees: a region tree published as an immutable flat view.

import CHost
import Glibc
import Host

/// Who remembers translations of an address space (a TLB) and must hear when its map changes.
public protocol AddressSpaceObserver: AnyObject, Sendable {
    /// The map has changed; what was remembered of it may be wrong.
    func addressSpaceChanged()
}

/// What is published of an address space. By itself, so that nobody holds the space weakly: references to what is held so are slow
/// to count, and every page-table walk hands the space on.
private final class PublishedMap: Sendable {
    let root: Region
    let current: Locked<FlatView>
    private let observers = Locked<[Observer]>([])

    private struct Observer: Sendable {
        weak var observer: (any AddressSpaceObserver)?
    }

    init(of root: Region) {
        self.root = root
        current = Locked(FlatView(of: root))
    }

    func observe(_ observer: any AddressSpaceObserver) {
        observers.withLock { list in
            list.removeAll { $0.observer == nil }
            list.append(Observer(observer: observer))
        }
    }

    func publish() {
        let view = FlatView(of: root)
        current.withLock { $0 = view }
    }

    func tellObservers() {
        for entry in observers.withLock({ $0 }) { entry.observer?.addressSpaceChanged() }
    }
}

/// An address space. All methods may be called from any thread.
public final class AddressSpace: @unchecked Sendable {
    public let name: String
    public var root: Region { map.root }
    private let map: PublishedMap
    private static let serials = Locked<UInt64>(0)
    /// One lock for all trees: regions may be shown in several spaces.
    private static let treeLock = Locked<Int>(0)
    private static let maps = Locked<[KnownMap]>([])

    private struct KnownMap: Sendable {
        weak var map: PublishedMap?
    }

    public init(name: String, root: Region) {
        self.name = name
        let map = PublishedMap(of: root)
        self.map = map
        Self.maps.withLock { list in
            list.removeAll { $0.map == nil }
            list.append(KnownMap(map: map))
        }
    }

    // MARK: the map

    /// Places `region` in `container`; higher priorities win.
    public static func place(_ region: Region, in container: Region, at offset: UInt64, priority: Int = 0) {
        let serial = serials.withLock { $0 += 1; return $0 }
        change { container.children.append(Region.Child(region: region, offset: offset, priority: priority, serial: serial)) }
    }

    /// Moves `region` in `container` to `offset`, or places it there. A BAR that is mapped elsewhere.
    public static func move(_ region: Region, in container: Region, to offset: UInt64, priority: Int = 0) {
        let serial = serials.withLock { $0 += 1; return $0 }
        change {
            container.children.removeAll { $0.region === region }
            container.children.append(Region.Child(region: region, offset: offset, priority: priority, serial: serial))
        }
    }

    public static func remove(_ region: Region, from container: Region) {
        change { container.children.removeAll { $0.region === region } }
    }

    public static func setEnabled(_ isEnabled: Bool, _ region: Region) { change { region.isEnabled = isEnabled } }

    private static func change(_ body: () -> Void) {
        treeLock.lock()
        body()
        let maps = Self.maps.withLock { $0.compactMap(\.map) }
        for map in maps { map.publish() }
        treeLock.unlock()
        for map in maps { map.tellObservers() }
    }

    public func observe(_ observer: any AddressSpaceObserver) { map.observe(observer) }

    /// All ranges, by address: what `info mtree -f` shows.
    public var ranges: [FlatRange] { view.ranges }
    private var view: FlatView { map.current.withLock { $0 } }

    /// What answers at `address`.
    public func find(_ address: UInt64) -> FlatRange? { view.find(address) }

    /// Host memory behind `address` and how many bytes follow in the same piece; nil if it is not RAM or ROM. A store of a
    /// processor to read-only memory must go through `write`: a device may be waiting for it.
    /// Whoever writes there calls `RAMBlock.willWrite`.
    public func memory(at address: UInt64) -> MemorySpan? {
        guard let range = view.find(address) else { return nil }
        let block: RAMBlock, isReadOnly: Bool
        switch range.target {
        case .memory(let memory, let flag): (block, isReadOnly) = (memory, flag)
        case .romDevice(let memory, _, _): (block, isReadOnly) = (memory, true)
        case .device: return nil
        }
        let skipped = address &- range.start
        return MemorySpan(block: block, offset: range.offset &+ skipped, count: range.size &- skipped, isReadOnly: isReadOnly)
    }

    // MARK: single accesses, as the processor makes them

    /// Reads `width` (1, 2, 4 or 8) bytes, little-endian; nil: nothing answers (the processor's bus error).
    public func read(_ address: UInt64, width: Int) -> UInt64? {
        guard let range = view.find(address), range.contains(address, UInt64(width)) else { return nil }
        let offset = range.offset &+ (address &- range.start)
        switch range.target {
        case .memory(let block, _), .romDevice(let block, _, _): return Self.load(block.host + Int(offset), width)
        case .device(let target, let bank): return BusAccess.read(target, bank, offset, width)
        }
    }

    /// Writes the low `width` bytes of `value`, little-endian. - Returns: false: nothing answers.
    public func write(_ address: UInt64, _ value: UInt64, width: Int) -> Bool {
        guard let range = view.find(address), range.contains(address, UInt64(width)) else { return false }
        let offset = range.offset &+ (address &- range.start)
        switch range.target {
        case .memory(let block, let isReadOnly):
            guard !isReadOnly else { return true }
            block.willWrite(offset, UInt64(width))
            Self.store(block.host + Int(offset), value, width)
            block.willWrite(offset, UInt64(width))
        case .device(let target, let bank), .romDevice(_, let target, let bank): BusAccess.write(target, bank, offset, value, width)
        }
        return true
    }

    /// Atomically replaces the 4 or 8 aligned bytes at `address` by `new` if they equal `old` (page-table updates).
    /// - Returns: nil if it is not writable memory; else whether they were equal.
    public func compareAndSwap(_ address: UInt64, _ old: UInt64, _ new: UInt64, width: Int) -> Bool? {
        guard let span = memory(at: address), !span.isReadOnly, span.count >= UInt64(width), address & UInt64(width - 1) == 0 else { return nil }
        span.block.willWrite(span.offset, UInt64(width))
        var expected = old
        guard apus_guarded_cas(span.host, &expected, new, Int32(width)) == 0 else { return nil }
        span.block.willWrite(span.offset, UInt64(width))
        return expected == old
    }

    // MARK: copies, as bus masters make them

    /// Copies guest memory out; device windows are not read. - Returns: false if a part of it is not memory.
    public func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var done = 0
        while done < buffer.count {
            guard let span = memory(at: address &+ UInt64(done)) else { return false }
            let count = min(buffer.count - done, Int(clamping: span.count))
            buffer.baseAddress.map { ($0 + done).copyMemory(from: span.host, byteCount: count) }
            done += count
        }
        return true
    }

    /// Copies into guest memory. - Returns: false if a part of it is not memory; what comes before it is written.
    public func write(_ address: UInt64, from buffer: UnsafeRawBufferPointer) -> Bool {
        var done = 0
        while done < buffer.count {
            guard let span = memory(at: address &+ UInt64(done)) else { return false }
            let count = min(buffer.count - done, Int(clamping: span.count))
            if !span.isReadOnly, let base = buffer.baseAddress {
                span.block.willWrite(span.offset, UInt64(count))
                span.host.copyMemory(from: base + done, byteCount: count)
                span.block.willWrite(span.offset, UInt64(count))
            }
            done += count
        }
        return true
    }

    private static func load(_ host: UnsafeMutableRawPointer, _ width: Int) -> UInt64 {
        switch width {
        case 1: UInt64(host.loadUnaligned(as: UInt8.self))
        case 2: UInt64(UInt16(littleEndian: host.loadUnaligned(as: UInt16.self)))
        case 4: UInt64(UInt32(littleEndian: host.loadUnaligned(as: UInt32.self)))
        default: UInt64(littleEndian: host.loadUnaligned(as: UInt64.self))
        }
    }

    private static func store(_ host: UnsafeMutableRawPointer, _ value: UInt64, _ width: Int) {
        switch width {
        case 1: host.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        case 2: host.storeBytes(of: UInt16(truncatingIfNeeded: value).littleEndian, as: UInt16.self)
        case 4: host.storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, as: UInt32.self)
        default: host.storeBytes(of: value.littleEndian, as: UInt64.self)
        }
    }
}

/// Memory of a machine from some address on.
public struct MemorySpan: Sendable {
    public let block: RAMBlock
    /// Bytes from the start of the block.
    public let offset: UInt64
    /// Bytes that follow in one piece.
    public let count: UInt64
    public let isReadOnly: Bool

    public init(block: RAMBlock, offset: UInt64, count: UInt64, isReadOnly: Bool) {
        self.block = block
        self.offset = offset
        self.count = count
        self.isReadOnly = isReadOnly
    }

    /// The first byte in the host.
    public var host: UnsafeMutableRawPointer { block.host + Int(offset) }
}

/// Fits accesses to the widths that a device takes: wide ones are split, narrow ones read or write a part.
enum BusAccess {
    static func read(_ target: any BusTarget, _ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        let widths = target.widths(bank: bank)
        if widths.contains(width) { return target.read(bank: bank, offset: offset, width: width) & mask(width) }
        if width < widths.lowerBound {
            let unit = UInt64(widths.lowerBound), base = offset & ~(unit - 1)
            let value = target.read(bank: bank, offset: base, width: widths.lowerBound)
            return value &>> ((offset - base) * 8) & mask(width)
        }
        var value: UInt64 = 0
        for part in stride(from: 0, to: width, by: widths.upperBound) {
            let piece = target.read(bank: bank, offset: offset &+ UInt64(part), width: widths.upperBound)
            value |= (piece & mask(widths.upperBound)) &<< UInt64(part * 8)
        }
        return value
    }

    static func write(_ target: any BusTarget, _ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let widths = target.widths(bank: bank)
        if widths.contains(width) { return target.write(bank: bank, offset: offset, value: value & mask(width), width: width) }
        if width < widths.lowerBound {
            let unit = UInt64(widths.lowerBound), base = offset & ~(unit - 1)
            return target.write(bank: bank, offset: base, value: (value & mask(width)) &<< ((offset - base) * 8), width: widths.lowerBound)
        }
        for part in stride(from: 0, to: width, by: widths.upperBound) {
            target.write(bank: bank, offset: offset &+ UInt64(part), value: value &>> UInt64(part * 8) & mask(widths.upperBound), width: widths.upperBound)
        }
    }

    private static func mask(_ width: Int) -> UInt64 { width >= 8 ? ~0 : 1 &<< UInt64(width * 8) &- 1 }
}
