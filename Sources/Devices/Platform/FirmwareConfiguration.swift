// fw_cfg, by QEMU's "fw_cfg" interface specification: named blobs from the emulator to the firmware, read byte by byte or by
// DMA, over memory-mapped registers: data at 0, selector at 8, DMA address at 16.

import Core

public final class FirmwareConfiguration: Device {
    public let banks = [Bank("fwcfg", size: 24, widths: 1 ... 8)]
    private let host: DeviceHost

    /// An item: its bytes, and what happens when the guest has written it.
    private struct Item {
        var bytes: [UInt8]
        var written: (@Sendable ([UInt8]) -> Void)?
    }

    private var items: [UInt16: Item] = [:]
    private var files: [(name: String, key: UInt16)] = []
    private var selected: UInt16 = 0
    private var position = 0
    private var address: UInt64 = 0
    private var replacements: [(name: String, bytes: [UInt8])] = []

    private enum Key {
        static let signature: UInt16 = 0, identification: UInt16 = 1, directory: UInt16 = 0x19, firstFile: UInt16 = 0x20
    }
    private enum Control {
        static let error: UInt32 = 1, read: UInt32 = 2, skip: UInt32 = 4, select: UInt32 = 8, write: UInt32 = 16
    }

    public init(_ host: DeviceHost) {
        self.host = host
        items[Key.signature] = Item(bytes: Array("QEMU".utf8))
        // Bit 0: the traditional interface, bit 1: DMA.
        items[Key.identification] = Item(bytes: [3, 0, 0, 0])
    }

    /// Adds a numbered item (`FW_CFG_*` of the specification).
    public func add(_ key: UInt16, _ bytes: [UInt8]) { items[key] = Item(bytes: bytes) }

    /// Whether there is a named item.
    public func has(file name: String) -> Bool { files.contains { $0.name == name } }

    /// Adds or replaces a named item. - Parameter written: the item is writable, and this is told its new contents.
    public func add(file name: String, _ bytes: [UInt8], written: (@Sendable ([UInt8]) -> Void)? = nil) {
        if let known = files.first(where: { $0.name == name }) {
            items[known.key] = Item(bytes: bytes, written: written)
        } else {
            files.append((name, Key.firstFile &+ UInt16(truncatingIfNeeded: files.count)))
            items[files[files.count - 1].key] = Item(bytes: bytes, written: written)
        }
        items[Key.directory] = Item(bytes: directory())
    }

    private func directory() -> [UInt8] {
        func big<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        var result = big(UInt32(truncatingIfNeeded: files.count))
        for file in files.sorted(by: { $0.name < $1.name }) {
            let name = Array(file.name.utf8.prefix(55))
            result += big(UInt32(truncatingIfNeeded: items[file.key]?.bytes.count ?? 0))
            result += big(file.key)
            result += [0, 0] + name + [UInt8](repeating: 0, count: 56 - name.count)
        }
        return result
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        switch offset {
        case 0:
            // Bytes come in the order of memory, whatever the width.
            return (0 ..< width).reduce(0) { $0 | UInt64(nextByte()) << UInt64($1 * 8) }
        case 16 ..< 24:
            // The DMA register reads as its signature, "QEMU CFG" in big-endian order.
            let signature = Array("QEMU CFG".utf8), start = Int(offset - 16)
            return (0 ..< min(width, 8 - start)).reduce(0) { $0 | UInt64(signature[start + $1]) << UInt64($1 * 8) }
        default: return 0
        }
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        switch (offset, width) {
        case (8, 2...): select(UInt16(truncatingIfNeeded: value).byteSwapped)
        case (16, 8):
            address = value.byteSwapped
            transfer()
        case (16, 4): address = UInt64(UInt32(truncatingIfNeeded: value).byteSwapped) << 32
        case (20, 4):
            address |= UInt64(UInt32(truncatingIfNeeded: value).byteSwapped)
            transfer()
        default: break
        }
    }

    private func select(_ key: UInt16) {
        selected = key & 0x3fff
        position = 0
    }

    private func nextByte() -> UInt8 {
        guard let bytes = items[selected]?.bytes, position < bytes.count else { return 0 }
        position += 1
        return bytes[position - 1]
    }

    /// Does what the structure at the DMA address asks for: control, length, address, each big-endian.
    private func transfer() {
        var structure = [UInt8](repeating: 0, count: 16)
        let at = address
        address = 0
        guard structure.withUnsafeMutableBytes({ host.memory.read(at, into: $0) }) else { return }
        func word(_ index: Int) -> UInt32 { (0 ..< 4).reduce(0) { $0 << 8 | UInt32(structure[index + $1]) } }
        let control = word(0), length = Int(word(4)), target = UInt64(word(8)) << 32 | UInt64(word(12))
        if control & Control.select != 0 { select(UInt16(truncatingIfNeeded: control >> 16)) }
        var result: UInt32 = 0
        if control & Control.read != 0 {
            result = copyOut(to: target, length) ? 0 : Control.error
        } else if control & Control.write != 0 {
            result = copyIn(from: target, length) ? 0 : Control.error
        } else if control & Control.skip != 0 {
            position = min(position + length, items[selected]?.bytes.count ?? 0)
        }
        _ = withUnsafeBytes(of: result.bigEndian) { host.memory.write(at, from: $0) }
    }

    private func copyOut(to target: UInt64, _ length: Int) -> Bool {
        let bytes = items[selected]?.bytes ?? []
        let count = min(length, bytes.count - min(position, bytes.count))
        let copied = bytes.withUnsafeBytes { host.memory.write(target, from: UnsafeRawBufferPointer(rebasing: $0[position ..< (position + count)])) }
        position += count
        // What is beyond the item reads as zeros.
        var rest = length - count, to = target &+ UInt64(count)
        let zeros = [UInt8](repeating: 0, count: min(max(rest, 0), 4096))
        var isGood = copied
        while rest > 0, isGood {
            let part = min(rest, zeros.count)
            isGood = zeros.withUnsafeBytes { host.memory.write(to, from: UnsafeRawBufferPointer(rebasing: $0[..<part])) }
            rest -= part
            to &+= UInt64(part)
        }
        return isGood
    }

    private func copyIn(from target: UInt64, _ length: Int) -> Bool {
        guard var item = items[selected], let written = item.written, length <= item.bytes.count - min(position, item.bytes.count) else { return false }
        let start = position
        let isGood = item.bytes.withUnsafeMutableBytes {
            host.memory.read(target, into: UnsafeMutableRawBufferPointer(rebasing: $0[start ..< (start + length)]))
        }
        guard isGood else { return false }
        position += length
        items[selected] = item
        written(item.bytes)
        return true
    }

    /// A named item gets other contents at the next reset.
    public func replaceAtReset(file name: String, _ bytes: [UInt8]) { replacements.append((name, bytes)) }

    public func reset() {
        select(0)
        for file in replacements { add(file: file.name, file.bytes) }
        replacements = []
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("selected", &selected)
        try state.field("position", &position)
        try state.field("address", &address)
        if state.isLoading, position < 0 { throw .badValue("position") }
    }
}
