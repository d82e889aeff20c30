import Synchronization

/// Copies structures between a guest's layout and the host's by walking two computed layouts.
///
/// Unsafe code: `apply` reads `source` and writes `target` only inside the sizes of the two layouts; its callers own
/// buffers of at least these sizes.
package struct StructConversion: Sendable {
    private struct Move: Sendable {
        let from: Int, to: Int, fromSize: Int, toSize: Int
        package let signed: Bool, raw: Bool
    }

    private let moves: [Move]
    private let targetSize: Int
    private let swapFrom: Bool
    private let swapTo: Bool

    /// Fields are matched by name; those that `to` lacks are dropped, those that `from` lacks become 0.
    package init(from: ComputedLayout, to: ComputedLayout) {
        var byName: [String: ComputedLayout.Leaf] = [:]
        for leaf in from.leaves { byName[leaf.name] = leaf }
        moves = to.leaves.compactMap { target in
            byName[target.name].map {
                Move(from: $0.offset, to: target.offset, fromSize: $0.size, toSize: target.size, signed: $0.signed,
                     raw: target.raw || $0.raw)
            }
        }
        targetSize = to.size
        swapFrom = from.bigEndian
        swapTo = to.bigEndian
    }

    /// Fills `target` from `source`, gaps with zeros.
    package func apply(_ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        target.initializeMemory(as: UInt8.self, repeating: 0, count: targetSize)
        for move in moves {
            if move.raw {
                (target + move.to).copyMemory(from: source + move.from, byteCount: min(move.fromSize, move.toSize))
                continue
            }
            let value = IntegerBytes.load(source + move.from, move.fromSize, bigEndian: swapFrom, signed: move.signed)
            IntegerBytes.store(value, target + move.to, move.toSize, bigEndian: swapTo)
        }
    }
}

/// Integers of 1, 2, 4 or 8 bytes in either byte order.
package enum IntegerBytes {
    package static func load(_ at: UnsafeRawPointer, _ size: Int, bigEndian: Bool, signed: Bool) -> UInt64 {
        switch size {
        case 1:
            let raw = at.load(as: UInt8.self)
            return signed ? UInt64(bitPattern: Int64(Int8(bitPattern: raw))) : UInt64(raw)
        case 2:
            let raw = at.loadUnaligned(as: UInt16.self)
            let value = bigEndian ? raw.byteSwapped : raw
            return signed ? UInt64(bitPattern: Int64(Int16(bitPattern: value))) : UInt64(value)
        case 4:
            let raw = at.loadUnaligned(as: UInt32.self)
            let value = bigEndian ? raw.byteSwapped : raw
            return signed ? UInt64(bitPattern: Int64(Int32(bitPattern: value))) : UInt64(value)
        default:
            let raw = at.loadUnaligned(as: UInt64.self)
            return bigEndian ? raw.byteSwapped : raw
        }
    }

    package static func store(_ value: UInt64, _ at: UnsafeMutableRawPointer, _ size: Int, bigEndian: Bool) {
        switch size {
        case 1: at.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        case 2:
            let raw = UInt16(truncatingIfNeeded: value)
            at.storeBytes(of: bigEndian ? raw.byteSwapped : raw, as: UInt16.self)
        case 4:
            let raw = UInt32(truncatingIfNeeded: value)
            at.storeBytes(of: bigEndian ? raw.byteSwapped : raw, as: UInt32.self)
        default:
            at.storeBytes(of: bigEndian ? value.byteSwapped : value, as: UInt64.self)
        }
    }
}

/// Both directions between one guest and the host.
package final class ConversionPair: Sendable {
    package let shape: GuestShape
    package let guest: ComputedLayout
    package let host: ComputedLayout
    package let toHost: StructConversion
    package let toGuest: StructConversion
    /// Whether the bytes are the same on both sides, so that the host kernel can use the guest's structure itself.
    package let identical: Bool

    package init(_ shape: GuestShape, guest: ComputedLayout, host: ComputedLayout) {
        self.shape = shape
        self.guest = guest
        self.host = host
        toHost = StructConversion(from: guest, to: host)
        toGuest = StructConversion(from: host, to: guest)
        identical = guest.size == host.size && guest.bigEndian == host.bigEndian && guest.leaves == host.leaves
    }
}

/// A reference that is computed when first needed, by any thread, without a lock (a forked child could find one held).
///
/// Unsafe code: whatever was once published is never released, so a loaded reference stays valid. A cache is filled
/// once or, in tests with several guests, a few times.
struct PublishedReference<Object: AnyObject & Sendable>: ~Copyable, Sendable {
    private let pointer = Atomic<UInt>(0)

    package init() {}

    func get() -> Object? {
        UnsafeRawPointer(bitPattern: pointer.load(ordering: .acquiring))
            .map { Unmanaged<Object>.fromOpaque($0).takeUnretainedValue() }
    }

    func publish(_ object: Object) {
        pointer.store(UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()), ordering: .releasing)
    }
}
