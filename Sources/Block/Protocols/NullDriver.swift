// The protocols `null-co` and `null-aio`: any number of bytes that are taken from nowhere and go nowhere. For measuring
// what lies above.

import Glibc

/// Storage that answers at once.
final class NullStorage: WritableStorage, NamedStorage {
    private let size: UInt64
    private let readsZeroes: Bool
    private let latency: UInt64
    let driverName: String

    init(size: UInt64, readsZeroes: Bool, latency: UInt64, driverName: String) {
        self.size = size
        self.readsZeroes = readsZeroes
        self.latency = latency
        self.driverName = driverName
    }

    private func wait() { if latency > 0 { usleep(UInt32(clamping: latency / 1000)) } }
    var growsOnWrite: Bool { false }
    func length() -> UInt64 { size }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) { wait(); if readsZeroes { buffer.fill() } }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) { wait() }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) { wait() }
    func discard(_ offset: UInt64, _ count: UInt64) { wait() }
    func flush() { wait() }
    func status(_ offset: UInt64, _ count: UInt64) -> BlockStatus {
        BlockStatus(length: count, isData: !readsZeroes, isZero: readsZeroes, offset: offset)
    }
    func close() {}
}

/// Null storage by both of QEMU's names.
public enum NullDriver: StorageDriver {
    public static let name = "null-co"
    public static let schemes = ["null-co", "null-aio"]
    public static let options = [
        OptionDeclaration("size", .size, default: "1073741824", "Bytes"),
        OptionDeclaration("read-zeroes", .flag, default: "off", "Whether reads give zeros instead of nothing"),
        OptionDeclaration("latency-ns", .number, default: "0", "Nanoseconds that each request takes"),
    ]
    public static func parse(_ name: String, into options: inout OptionValues) throws(BlockError) {
        guard name == "null-co://" || name == "null-aio://" else { throw .invalid("expected null-co:// or null-aio://, not '\(name)'") }
    }
    public static func filename(_ options: OptionValues) -> String { "null-co://" }
    public static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        NullStorage(size: options.number("size") ?? 0, readsZeroes: options.flag("read-zeroes"), latency: options.number("latency-ns") ?? 0, driverName: name)
    }
}
