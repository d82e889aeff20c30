// Parallel NOR flash with the Intel command set (CFI 1.4, Primary Vendor Command Set 1): where firmware and its variables live.
// As on QEMU's boards, two 16-bit chips stand side by side on a 32-bit bus, with 256 KiB erase blocks. In read-array mode
// the guest reads the memory itself, without a call; commands switch that off.

import Core

/// Where a flash's contents go when they change.
public protocol FlashStorage: AnyObject, Sendable {
    /// Stores `bytes` at `offset`; false if that failed.
    func store(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Bool
}

public final class ParallelFlash: Device {
    public static let blockBytes: UInt64 = 256 << 10
    public let banks: [Bank]
    private let block: RAMBlock
    private let storage: (any FlashStorage)?
    private let isReadOnly: Bool
    /// Shows or hides the memory in front of the registers.
    private let showMemory: @Sendable (Bool) -> Void

    private enum Mode: UInt8 { case array, status, identification, query, program, buffer, confirm, erase, lock }
    private var mode = Mode.array
    private var status: UInt8 = 0x80
    private var buffer: [UInt8] = []
    private var bufferStart: UInt64 = 0
    private var bufferLeft = 0
    private static let bufferBytes = 2048

    /// - Parameters:
    ///   - block: the contents.
    ///   - storage: the image behind it, if there is one.
    ///   - showMemory: shows or hides `block` in the address space.
    public init(_ block: RAMBlock, storage: (any FlashStorage)?, isReadOnly: Bool, showMemory: @escaping @Sendable (Bool) -> Void) {
        self.block = block
        self.storage = storage
        self.isReadOnly = isReadOnly
        self.showMemory = showMemory
        banks = [Bank(block.name, size: block.size, widths: 1 ... 4)]
    }

    // MARK: registers

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        switch mode {
        case .array: return load(offset, width)
        case .identification: return answer(offset, width) { index in index == 0 ? 0x89 : index == 1 ? 0x18 : 0 }
        case .query: return answer(offset, width, query)
        default: return answer(offset, width) { [status] _ in status }
        }
    }

    /// Each of the two chips answers with `body` of its own word address.
    private func answer(_ offset: UInt64, _ width: Int, _ body: (UInt64) -> UInt8) -> UInt64 {
        let chip = UInt64(body(offset >> 2))
        let whole = chip | chip << 16
        let shifted = whole >> ((offset & 3) * 8)
        return width >= 4 ? shifted : shifted & (1 << UInt64(width * 8) - 1)
    }

    private func load(_ offset: UInt64, _ width: Int) -> UInt64 {
        (0 ..< UInt64(width)).reduce(0) {
            let at = offset &+ $1
            return at < block.size ? $0 | UInt64(block.host.load(fromByteOffset: Int(at), as: UInt8.self)) << ($1 * 8) : $0
        }
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let command = UInt8(truncatingIfNeeded: value)
        switch mode {
        case .program:
            status = program(offset, value, width) ? 0x80 : 0x90
            mode = .status
        case .buffer where bufferLeft < 0:
            // The number of words less one; each word is one of each chip.
            bufferLeft = (Int(value & 0xffff) + 1) * 4
            buffer = []
            if bufferLeft > Self.bufferBytes { fail() }
        case .buffer:
            if buffer.isEmpty { bufferStart = offset }
            for index in 0 ..< width { buffer.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) }
            bufferLeft -= width
            if bufferLeft <= 0 { mode = .confirm }
        case .confirm:
            if command == 0xd0, commit() { status = 0x80 } else { status = 0xb0 }
            mode = .status
        case .erase:
            status = command == 0xd0 && erase(offset) ? 0x80 : 0xb0
            mode = .status
        case .lock:
            status = 0x80
            mode = .status
        default: begin(command)
        }
        // In read-array mode the memory itself is there; in all others these registers are.
        showMemory(mode == .array)
    }

    private func begin(_ command: UInt8) {
        switch command {
        case 0x10, 0x40: mode = .program
        case 0x20: mode = .erase
        case 0x50:
            status = 0x80
            mode = .array
        case 0x60: mode = .lock
        case 0x70: mode = .status
        case 0x90: mode = .identification
        case 0x98: mode = .query
        case 0xe8:
            mode = .buffer
            bufferLeft = -1
            status = 0x80
        default: mode = .array
        }
    }

    private func fail() {
        status = 0xb0
        mode = .status
    }

    /// Programming clears bits; the emulated chip takes the value as it is, as QEMU's does.
    private func program(_ offset: UInt64, _ value: UInt64, _ width: Int) -> Bool {
        store((0 ..< width).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }, at: offset)
    }

    private func commit() -> Bool { store(buffer, at: bufferStart) }

    private func erase(_ offset: UInt64) -> Bool {
        store(Array(repeating: 0xff, count: Int(Self.blockBytes)), at: offset & ~(Self.blockBytes - 1))
    }

    private func store(_ bytes: [UInt8], at offset: UInt64) -> Bool {
        guard !isReadOnly, offset < block.size, UInt64(bytes.count) <= block.size - offset else { return false }
        return bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return true }
            block.willWrite(offset, UInt64(source.count))
            (block.host + Int(offset)).copyMemory(from: base, byteCount: source.count)
            block.willWrite(offset, UInt64(source.count))
            return storage?.store(source, at: offset) ?? true
        }
    }

    /// The CFI table of one chip, by word address.
    private func query(_ index: UInt64) -> UInt8 {
        let blocks = block.size / Self.blockBytes - 1
        // Sizes are those of one of the two chips.
        let sizeBits = UInt8((block.size / 2).trailingZeroBitCount), unit = Self.blockBytes / 2 / 256
        switch index {
        case 0x10: return UInt8(ascii: "Q")
        case 0x11: return UInt8(ascii: "R")
        case 0x12: return UInt8(ascii: "Y")
        case 0x13: return 1
        case 0x15: return 0x31
        case 0x1b: return 0x45
        case 0x1c: return 0x55
        case 0x1f, 0x20: return 7
        case 0x21: return 10
        case 0x23, 0x24: return 4
        case 0x25: return 4
        case 0x27: return sizeBits
        case 0x28: return 2
        case 0x2a: return 11
        case 0x2c: return 1
        case 0x2d: return UInt8(truncatingIfNeeded: blocks)
        case 0x2e: return UInt8(truncatingIfNeeded: blocks >> 8)
        case 0x2f: return UInt8(truncatingIfNeeded: unit)
        case 0x30: return UInt8(truncatingIfNeeded: unit >> 8)
        case 0x31: return UInt8(ascii: "P")
        case 0x32: return UInt8(ascii: "R")
        case 0x33: return UInt8(ascii: "I")
        case 0x34: return UInt8(ascii: "1")
        case 0x35: return UInt8(ascii: "0")
        default: return 0
        }
    }

    public func reset() {
        mode = .array
        status = 0x80
        buffer = []
        bufferLeft = 0
        showMemory(true)
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        var number = mode.rawValue
        try state.field("mode", &number)
        guard let mode = Mode(rawValue: number) else { throw .badValue("mode") }
        self.mode = mode
        try state.field("status", &status)
        try state.field("buffer", &buffer, maximum: Self.bufferBytes)
        try state.field("bufferStart", &bufferStart)
        try state.field("bufferLeft", &bufferLeft)
        if state.isLoading { showMemory(mode == .array) }
    }
}
