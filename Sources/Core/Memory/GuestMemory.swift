// Guest memory as one bus master reaches it: bounds-checked copies, numbers in little-endian order, and pieces of host
// memory that requests are read into without a copy.
//
// Unsafe: pieces are raw host memory that vCPUs change at any time, so nothing read from one is looked at twice. Invariant:
// a piece holds its RAMBlock, and lies inside it.

import CHost
import Glibc
import Host

/// Bytes of guest memory that lie in one stretch of host memory.
public struct GuestPiece: @unchecked Sendable {
    public let block: RAMBlock
    /// Bytes from the start of the block.
    public let offset: UInt64
    public let count: Int
    public var host: UnsafeMutableRawPointer { block.host + Int(offset) }

    init(block: RAMBlock, offset: UInt64, count: Int) { (self.block, self.offset, self.count) = (block, offset, count) }

    /// Bytes of a block that a device has of its own; nil: they are not all inside.
    public init?(inside block: RAMBlock, offset: UInt64, count: Int) {
        guard offset <= block.size, count >= 0, UInt64(count) <= block.size - offset else { return nil }
        self.init(block: block, offset: offset, count: count)
    }

    /// To be called before and after the piece is written: marks pages dirty and has translated code forgotten.
    public func willWrite() { block.willWrite(offset, UInt64(count)) }

    /// The part from `start` on, at most `length` bytes, cut to what is there.
    public func slice(_ start: Int, _ length: Int) -> GuestPiece {
        let first = min(max(0, start), count)
        return GuestPiece(block: block, offset: offset + UInt64(first), count: min(max(0, length), count - first))
    }
}

/// A bus master's view of guest memory, which may be shut off (PCI's bus master bit). Used under the device's lock.
public final class GuestMemory: AddressSpaceObserver, @unchecked Sendable {
    public let space: AddressSpace
    private let changes = AtomicInt(0)
    private let enabled = AtomicInt(1)
    private var recent: Recent?

    /// The range that answered last.
    private struct Recent {
        var start: UInt64
        var span: MemorySpan
        var change: Int
    }

    public init(_ space: AddressSpace) {
        self.space = space
        space.observe(self)
    }

    public func addressSpaceChanged() { changes.store(changes.load() &+ 1) }

    /// Counts changes of the map: who keeps pieces looks for them anew when it differs.
    public var generation: Int { changes.load() }
    /// Whether the device may reach memory at all.
    public var isEnabled: Bool {
        get { enabled.load() != 0 }
        set { enabled.store(newValue ? 1 : 0) }
    }

    /// Memory from `address` on, at most `count` bytes in one piece. Read-only memory only if `writable` is not asked for.
    @inline(__always)
    public func piece(_ address: UInt64, _ count: Int, writable: Bool) -> GuestPiece? {
        guard isEnabled else { return nil }
        if let recent, recent.change == changes.load() {
            let skipped = address &- recent.start
            if address >= recent.start, skipped < recent.span.count, !(writable && recent.span.isReadOnly) {
                let span = recent.span
                return GuestPiece(block: span.block, offset: span.offset &+ skipped, count: min(count, Int(clamping: span.count &- skipped)))
            }
        }
        return find(address, count, writable)
    }

    private func find(_ address: UInt64, _ count: Int, _ writable: Bool) -> GuestPiece? {
        let change = changes.load()
        guard let range = space.find(address), let here = space.memory(at: address), !(writable && here.isReadOnly) else { return nil }
        if case .memory(let block, let isReadOnly) = range.target {
            recent = Recent(start: range.start, span: MemorySpan(block: block, offset: range.offset, count: range.size, isReadOnly: isReadOnly), change: change)
        }
        return GuestPiece(block: here.block, offset: here.offset, count: min(count, Int(clamping: here.count)))
    }

    /// Appends the pieces behind `count` bytes at `address`. - Returns: false if a part of them is no memory.
    public func append(_ address: UInt64, _ count: Int, writable: Bool, to pieces: inout [GuestPiece]) -> Bool {
        var done = 0
        while done < count {
            let (at, overflow) = address.addingReportingOverflow(UInt64(done))
            guard !overflow, let piece = piece(at, count - done, writable: writable), piece.count > 0 else { return false }
            pieces.append(piece)
            done += piece.count
        }
        return true
    }

    /// Copies guest memory out. - Returns: false if a part of it is not memory.
    public func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        guard let base = buffer.baseAddress else { return true }
        var done = 0
        while done < buffer.count {
            let (at, overflow) = address.addingReportingOverflow(UInt64(done))
            guard !overflow, let piece = piece(at, buffer.count - done, writable: false), piece.count > 0 else { return false }
            memcpy(base + done, piece.host, piece.count)
            done += piece.count
        }
        return true
    }

    /// Copies into guest memory. - Returns: false if a part of it is not writable memory.
    public func write(_ address: UInt64, from buffer: UnsafeRawBufferPointer) -> Bool {
        guard let base = buffer.baseAddress else { return true }
        var done = 0
        while done < buffer.count {
            let (at, overflow) = address.addingReportingOverflow(UInt64(done))
            guard !overflow, let piece = piece(at, buffer.count - done, writable: true), piece.count > 0 else { return false }
            piece.willWrite()
            memcpy(piece.host, base + done, piece.count)
            piece.willWrite()
            done += piece.count
        }
        return true
    }

    /// `count` bytes, or nil if a part of them is not memory. The caller bounds `count`.
    public func bytes(_ address: UInt64, _ count: Int) -> [UInt8]? {
        var result = [UInt8](repeating: 0, count: max(0, count))
        let isThere = result.withUnsafeMutableBytes { read(address, into: $0) }
        return isThere ? result : nil
    }

    @discardableResult
    public func write(_ address: UInt64, bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { write(address, from: $0) } }

    /// A little-endian number.
    public func load<Number: FixedWidthInteger>(_ address: UInt64, as type: Number.Type = Number.self) -> Number? {
        var value: Number = 0
        let isThere = withUnsafeMutableBytes(of: &value) { read(address, into: $0) }
        return isThere ? Number(littleEndian: value) : nil
    }

    @discardableResult
    public func store<Number: FixedWidthInteger>(_ address: UInt64, _ value: Number) -> Bool {
        withUnsafeBytes(of: value.littleEndian) { write(address, from: $0) }
    }

    /// Sends a message-signalled interrupt: a store that an interrupt controller or memory takes, and no device that
    /// sends such messages itself.
    public func sendMessage(_ address: UInt64, _ data: UInt32) {
        guard isEnabled, let range = space.find(address) else { return }
        if case .device(let target, _) = range.target, (target as? DeviceSlot)?.sendsMessages ?? true, !(target is any MessageReceiver) { return }
        _ = space.write(address, UInt64(data), width: 4)
    }

    /// Sends the message of an interrupt controller: a store that memory or a `MessageReceiver` takes, and no device, as devices
    /// raise their wires into the controller under their own locks.
    public func forwardMessage(_ address: UInt64, _ data: UInt32) {
        guard isEnabled, let range = space.find(address) else { return }
        switch range.target {
        case .memory: break
        case .device(let target, _): if !(target is any MessageReceiver) { return }
        case .romDevice: return
        }
        _ = space.write(address, UInt64(data), width: 4)
    }
}

/// A bus target that is no `DeviceSlot` and takes message-signalled interrupts, from any thread and without waiting.
public protocol MessageReceiver: BusTarget {}
