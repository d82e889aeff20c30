// blkdebug: makes requests fail, by kind, place and number, so that error paths can be tried. Options by QEMU's names:
// inject-error.N.event, .errno, .sector, .once, for N from 0 to 7. Left out: states, suspension, configuration files.

import Glibc
import Host

final class FaultyStorage: FilterStorage {
    enum Event: Sendable { case read, write, flush }
    struct Rule: Sendable { var event: Event; var number: Int32; var sector: UInt64?; var once: Bool }
    let file: Node
    private let rules: Locked<[Rule]>

    init(file: Node, rules: [Rule]) {
        self.file = file
        self.rules = Locked(rules)
    }

    private func check(_ event: Event, _ offset: UInt64, _ count: UInt64) throws(BlockError) {
        let hit = rules.withLock { rules -> Rule? in
            guard let index = rules.firstIndex(where: { rule in
                rule.event == event && rule.sector.map { $0 &* 512 < offset &+ count && offset < ($0 &+ 1) &* 512 } ?? true
            }) else { return nil }
            let rule = rules[index]
            if rule.once { rules.remove(at: index) }
            return rule
        }
        if let hit { throw .host(hit.number, "an injected error", offset: offset) }
    }

    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try check(.read, offset, UInt64(buffer.count))
        try file.read(offset, buffer)
    }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        try check(.write, offset, UInt64(buffer.count))
        try file.write(offset, buffer)
    }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        try check(.write, offset, count)
        try file.writeZeroes(offset, count, unmap: unmap)
    }
    func flush() throws(BlockError) {
        try check(.flush, 0, 0)
        try file.flush()
    }
}

/// The filter `blkdebug`.
public enum FaultInjectionDriver: FilterDriver {
    public static let name = "blkdebug"
    public static let child = "image"
    private static let events: [(String, FaultyStorage.Event)] = [
        ("read", .read), ("read_aio", .read), ("write", .write), ("write_aio", .write), ("flush", .flush), ("flush_to_disk", .flush),
    ]
    public static let options = (0..<8).flatMap { index in
        [OptionDeclaration("inject-error.\(index).event", .choice(events.map(\.0)), "which requests fail"),
         OptionDeclaration("inject-error.\(index).errno", .number, default: "5", "with which error number"),
         OptionDeclaration("inject-error.\(index).sector", .number, "only those that touch this sector"),
         OptionDeclaration("inject-error.\(index).once", .flag, default: "off", "only the first")]
    }
    public static func open(_ file: Node, _ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        let rules = (0..<8).compactMap { index -> FaultyStorage.Rule? in
            guard let name = options.text("inject-error.\(index).event"), let event = events.first(where: { $0.0 == name })?.1 else { return nil }
            return FaultyStorage.Rule(event: event, number: Int32(clamping: options.number("inject-error.\(index).errno") ?? 5),
                                      sector: options.number("inject-error.\(index).sector"), once: options.flag("inject-error.\(index).once"))
        }
        return FaultyStorage(file: file, rules: rules)
    }
}
