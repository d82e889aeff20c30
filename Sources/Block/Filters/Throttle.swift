// throttle: limits bytes and requests a second of the node behind. Left out: groups shared by several nodes, bursts.

import Host

/// Limits of one direction, or of both together.
private struct Limits: Sendable {
    let bytes: RateLimit
    let requests: RateLimit
    init(_ options: OptionValues, _ suffix: String) {
        bytes = RateLimit(options.number("bps-" + suffix) ?? 0)
        requests = RateLimit(options.number("iops-" + suffix) ?? 0)
    }
    func pass(_ count: UInt64) {
        bytes.pass(count)
        requests.pass(1)
    }
}

final class ThrottledStorage: FilterStorage {
    let file: Node
    private let reads: Limits, writes: Limits, total: Limits

    init(file: Node, _ options: OptionValues) {
        self.file = file
        reads = Limits(options, "read")
        writes = Limits(options, "write")
        total = Limits(options, "total")
    }

    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        reads.pass(UInt64(buffer.count))
        total.pass(UInt64(buffer.count))
        try file.read(offset, buffer)
    }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        writes.pass(UInt64(buffer.count))
        total.pass(UInt64(buffer.count))
        try file.write(offset, buffer)
    }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        writes.pass(0)
        total.pass(0)
        try file.writeZeroes(offset, count, unmap: unmap)
    }
}

/// The filter `throttle`.
public enum ThrottleDriver: FilterDriver {
    public static let name = "throttle"
    public static let options = ["total", "read", "write"].flatMap { part in
        [OptionDeclaration("bps-" + part, .size, default: "0", "bytes a second, \(part); 0: no limit"),
         OptionDeclaration("iops-" + part, .number, default: "0", "requests a second, \(part); 0: no limit")]
    }
    public static func open(_ file: Node, _ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        ThrottledStorage(file: file, options)
    }
}
