// The tree that describes an address space: containers, RAM, ROM, device windows and aliases, with priorities.
//
// As in hardware, several things may claim an address: the visible region with the highest priority wins, and of two
// equals the one that was added last. The tree is data for `FlatView`; it is changed by few and read by none at run time.

/// A piece of an address space, placed at an offset inside its container.
public final class Region: @unchecked Sendable {
    /// What answers an access.
    public enum Kind: Sendable {
        /// Only its children answer.
        case container
        /// Memory from `offset` in `block` on. Stores to read-only memory are dropped.
        case memory(RAMBlock, offset: UInt64, isReadOnly: Bool)
        /// Memory that is read without a call and whose stores go to a device: flash that shows its contents.
        case romDevice(RAMBlock, any BusTarget, bank: Int)
        /// A window of a device: see `BusTarget`.
        case device(any BusTarget, bank: Int)
        /// What `region` shows from `offset` on.
        case alias(Region, offset: UInt64)
    }

    /// One child and where it lies.
    struct Child: Sendable {
        var region: Region
        var offset: UInt64
        var priority: Int
        var serial: UInt64
    }

    /// As `info mtree` shows it.
    public let name: String
    /// Bytes; a whole 64-bit space has `UInt64.max` (its last byte cannot be reached).
    public let size: UInt64
    public let kind: Kind

    // Guarded by `AddressSpace.treeLock`.
    var children: [Child] = []
    var isEnabled = true

    public init(_ name: String, size: UInt64, _ kind: Kind) {
        self.name = name
        self.size = size
        self.kind = kind
    }

    /// A region without contents of its own.
    public convenience init(container name: String, size: UInt64 = .max) { self.init(name, size: size, .container) }
    /// All of `block`.
    public convenience init(_ block: RAMBlock, isReadOnly: Bool = false) {
        self.init(block.name, size: block.size, .memory(block, offset: 0, isReadOnly: isReadOnly))
    }
}

/// What stands behind a window: the device end of the bus.
public protocol BusTarget: AnyObject, Sendable {
    /// Reads `width` bytes (1, 2, 4 or 8) at `offset` of window `bank`; the access lies inside the window.
    func read(bank: Int, offset: UInt64, width: Int) -> UInt64
    /// Writes the low `width` bytes of `value`.
    func write(bank: Int, offset: UInt64, value: UInt64, width: Int)
    /// The access widths in bytes that the hardware takes in window `bank`; others are split or widened by the bus.
    func widths(bank: Int) -> ClosedRange<Int>
}
