// Configuration space of one function (PCI 3.0 chapter 6, PCI Express Base chapter 7): 4 KiB of bytes, of which each bit is
// read-only, writable, or cleared by writing 1. What a write means beyond the bytes is its owner's business.

import Core

/// The registers of the header, by the specification's names.
public enum PCIRegister {
    public static let vendor = 0x00, device = 0x02, command = 0x04, status = 0x06, revision = 0x08, classCode = 0x09
    public static let cacheLine = 0x0c, latency = 0x0d, headerType = 0x0e
    public static let bar0 = 0x10, subsystemVendor = 0x2c, subsystem = 0x2e, rom = 0x30, capabilities = 0x34
    public static let interruptLine = 0x3c, interruptPin = 0x3d
    // Type 1: bridges.
    public static let primaryBus = 0x18, secondaryBus = 0x19, subordinateBus = 0x1a
    public static let ioBase = 0x1c, ioLimit = 0x1d, secondaryStatus = 0x1e, memoryBase = 0x20, memoryLimit = 0x22
    public static let prefetchBase = 0x24, prefetchLimit = 0x26, prefetchBaseHigh = 0x28, prefetchLimitHigh = 0x2c
    public static let ioBaseHigh = 0x30, ioLimitHigh = 0x32, bridgeControl = 0x3e
}

/// Bits of the command register.
public enum PCICommand {
    public static let io: UInt16 = 1, memory: UInt16 = 2, master: UInt16 = 4, parity: UInt16 = 0x40, systemError: UInt16 = 0x100
    public static let interruptDisable: UInt16 = 0x400
}

/// 4 KiB of registers with masks.
public struct PCIConfiguration {
    public static let size = 4096
    private var bytes: [UInt8]
    private var writable: [UInt8]
    private var clearable: [UInt8]
    private var resetImage: [UInt8] = []
    private var nextCapability = 0x40
    private var lastCapabilityLink = PCIRegister.capabilities
    private var nextExtended = 0x100
    private var lastExtended: Int?

    public init() {
        bytes = [UInt8](repeating: 0, count: Self.size)
        writable = bytes
        clearable = bytes
    }

    // MARK: the owner's view

    public subscript(byte offset: Int) -> UInt8 {
        get { bytes.indices.contains(offset) ? bytes[offset] : 0 }
        set { if bytes.indices.contains(offset) { bytes[offset] = newValue } }
    }
    public subscript(word offset: Int) -> UInt16 {
        get { UInt16(self[byte: offset]) | UInt16(self[byte: offset + 1]) << 8 }
        set {
            self[byte: offset] = UInt8(truncatingIfNeeded: newValue)
            self[byte: offset + 1] = UInt8(truncatingIfNeeded: newValue >> 8)
        }
    }
    public subscript(long offset: Int) -> UInt32 {
        get { UInt32(self[word: offset]) | UInt32(self[word: offset + 2]) << 16 }
        set {
            self[word: offset] = UInt16(truncatingIfNeeded: newValue)
            self[word: offset + 2] = UInt16(truncatingIfNeeded: newValue >> 16)
        }
    }

    /// Which bits software may write, and which it clears by writing 1.
    public mutating func allow(_ offset: Int, _ width: Int, _ mask: UInt32, clearing: UInt32 = 0) {
        for index in 0 ..< width where writable.indices.contains(offset + index) {
            writable[offset + index] = UInt8(truncatingIfNeeded: mask >> UInt32(index * 8))
            clearable[offset + index] = UInt8(truncatingIfNeeded: clearing >> UInt32(index * 8))
        }
    }

    /// Capabilities come from `offset` on; before there is any.
    mutating func beginCapabilities(at offset: Int) { nextCapability = min(max(0x40, offset & ~3), 0xfc) }

    /// Adds a capability with `body` behind its two header bytes. - Returns: where it begins; nil if there is no room.
    public mutating func addCapability(_ identifier: UInt8, _ body: [UInt8]) -> Int? {
        let at = nextCapability, size = (body.count + 2 + 3) & ~3
        guard at + size <= 0x100 else { return nil }
        bytes[at] = identifier
        bytes.replaceSubrange(at + 2 ..< at + 2 + body.count, with: body)
        bytes[lastCapabilityLink] = UInt8(at)
        bytes[PCIRegister.status] |= 0x10
        lastCapabilityLink = at + 1
        nextCapability = at + size
        return at
    }

    /// Adds an extended capability (PCI Express) with `body` behind its four header bytes.
    public mutating func addExtendedCapability(_ identifier: UInt16, version: UInt8, _ body: [UInt8]) -> Int? {
        let at = nextExtended, size = (body.count + 4 + 3) & ~3
        guard at + size <= Self.size else { return nil }
        self[long: at] = UInt32(identifier) | UInt32(version & 15) << 16
        bytes.replaceSubrange(at + 4 ..< at + 4 + body.count, with: body)
        if let last = lastExtended { self[long: last] = self[long: last] & 0xfffff | UInt32(at) << 20 }
        lastExtended = at
        nextExtended = at + size
        return at
    }

    /// What is there now is what a reset brings back.
    public mutating func seal() { resetImage = bytes }
    public mutating func reset() { if resetImage.count == bytes.count { bytes = resetImage } }

    // MARK: software's view

    public func read(_ offset: Int, _ width: Int) -> UInt32 {
        (0 ..< width).reduce(0) { $0 | UInt32(self[byte: offset + $1]) << UInt32($1 * 8) }
    }

    public mutating func write(_ offset: Int, _ value: UInt32, _ width: Int) {
        for index in 0 ..< width where bytes.indices.contains(offset + index) {
            let at = offset + index, byte = UInt8(truncatingIfNeeded: value >> UInt32(index * 8))
            let kept = bytes[at] & ~writable[at] | byte & writable[at]
            bytes[at] = kept & ~(byte & clearable[at])
        }
    }

    public mutating func transfer(_ state: inout StateTransfer) throws(StateError) {
        // Only what software can change: identity stays that of this function.
        var image = bytes
        try state.field("configuration", &image)
        guard state.isLoading else { return }
        for at in bytes.indices where writable[at] != 0 || clearable[at] != 0 { bytes[at] = image[at] }
    }
}

extension Range where Bound == Int {
    /// Whether an access of `width` bytes at `offset` touches it.
    func touches(_ offset: Int, _ width: Int) -> Bool { offset < upperBound && offset + width > lowerBound }
}
