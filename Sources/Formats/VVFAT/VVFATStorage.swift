// The protocol `vvfat`: a folder of the host as a disk with a FAT file system.

import Block
import Host

/// The disk for many threads, one at a time.
/// Invariant: `disk` is used only with `lock` held.
private final class SharedDisk: @unchecked Sendable {
    private let disk: VVFATDisk
    private let lock = Locked(())
    /// It never changes.
    let length: UInt64

    init(_ disk: VVFATDisk) {
        self.disk = disk
        length = disk.length
    }

    func use<Result>(_ body: (VVFATDisk) throws(BlockError) -> Result) throws(BlockError) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(disk)
    }
}

/// A disk that shows a folder.
private final class VVFATStorage: Storage {
    private let shared: SharedDisk
    init(_ disk: VVFATDisk) { shared = SharedDisk(disk) }

    func length() -> UInt64 { shared.length }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) { try shared.use { (disk) throws(BlockError) in try disk.read(offset, buffer) } }
    func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus { try shared.use { (disk) throws(BlockError) in disk.status(offset, count) } }
    func close() {}
}

/// A disk whose files, when the guest's file system is whole again, are the folder's.
private final class WritableVVFATStorage: WritableStorage {
    private let shared: SharedDisk
    init(_ disk: VVFATDisk) { shared = SharedDisk(disk) }

    var growsOnWrite: Bool { false }
    func length() -> UInt64 { shared.length }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) { try shared.use { (disk) throws(BlockError) in try disk.read(offset, buffer) } }
    func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus { try shared.use { (disk) throws(BlockError) in disk.status(offset, count) } }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) { try shared.use { (disk) throws(BlockError) in try disk.write(offset, buffer) } }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) { try writeZeroesAsData(offset, count) }
    func discard(_ offset: UInt64, _ count: UInt64) {}
    func flush() throws(BlockError) { try shared.use { (disk) throws(BlockError) in try disk.update() } }
    func close() throws(BlockError) { try shared.use { (disk) throws(BlockError) in try disk.update(isLast: true) } }
}

/// `fat:DIR`, `fat:rw:DIR`, `fat:floppy:DIR`, `fat:16:DIR` …, in any combination, as QEMU has them.
public enum VVFATDriver: StorageDriver {
    public static let name = "vvfat"
    public static let schemes = ["fat"]
    public static let options = [
        OptionDeclaration("dir", .text, "The folder"),
        OptionDeclaration("fat-type", .choice(["12", "16", "32"]), "Width of the table's entries; without it 16 bits, or 12 on a floppy disk"),
        OptionDeclaration("floppy", .flag, default: "off", "A floppy disk instead of a hard disk with a partition"),
        OptionDeclaration("label", .text, default: "QEMU VVFAT", "Of the volume; at most 11 characters"),
        OptionDeclaration("rw", .flag, default: "off", "What the guest writes is written to the folder"),
    ]

    public static func parse(_ name: String, into options: inout OptionValues) throws(BlockError) {
        var rest = name[...]
        guard rest.hasPrefix("fat:") else { throw .invalid("expected fat:[rw:][floppy:][12:|16:|32:]FOLDER, not '\(name)'") }
        rest = rest.dropFirst(4)
        words: while true {
            for (word, option, value) in [("rw:", "rw", "on"), ("floppy:", "floppy", "on"), ("12:", "fat-type", "12"), ("16:", "fat-type", "16"), ("32:", "fat-type", "32")] where rest.hasPrefix(word) {
                try options.set(option, value)
                rest = rest.dropFirst(word.count)
                continue words
            }
            break
        }
        try options.set("dir", String(rest))
    }

    public static func filename(_ options: OptionValues) -> String {
        "fat:" + (options.flag("rw") ? "rw:" : "") + (options.flag("floppy") ? "floppy:" : "") + (options.text("fat-type").map { $0 + ":" } ?? "") + (options.text("dir") ?? "")
    }

    public static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        guard let folder = options.text("dir"), !folder.isEmpty else { throw .invalid("The 'vvfat' block driver requires a folder (dir)") }
        let label = options.text("label") ?? ""
        guard label.utf8.count <= 11, label.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { throw .invalid("label '\(label)': expected at most 11 ASCII characters") }
        let isWritable = options.flag("rw")
        if access.writable, !isWritable { throw BlockError(.readOnly, "the folder is shown read-only: rw=on (fat:rw:) lets it be written") }
        let kind = options.number("fat-type").flatMap { FATKind(rawValue: Int(clamping: $0)) }
        let disk = try VVFATDisk(folder, kind: kind, isFloppy: options.flag("floppy"), label: label, isWritable: isWritable && access.writable)
        return disk.written == nil ? VVFATStorage(disk) : WritableVVFATStorage(disk)
    }
}
