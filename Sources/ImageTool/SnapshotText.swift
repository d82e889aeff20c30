// Snapshots as `info` and `snapshot -l` print them.

import Block
import Core
import Glibc

enum SnapshotText {
    /// The table with its heading.
    static func table(_ snapshots: [SnapshotRecord]) -> [String] {
        [row("ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT")] + snapshots.map { snapshot in
            row(snapshot.id, snapshot.name, SizeText.human(snapshot.vmStateSize), date(snapshot.seconds), clock(snapshot.vmClock),
                snapshot.instructions.map { String($0) } ?? "--")
        }
    }

    /// `%-7s %-16s %8s %20s %15s %10s`
    private static func row(_ id: String, _ tag: String, _ size: String, _ date: String, _ clock: String, _ count: String) -> String {
        func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.utf8.count)) }
        func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.utf8.count)) + text }
        return left(id, 7) + " " + left(tag, 16) + " " + right(size, 8) + " " + right(date, 20) + " " + right(clock, 15) + " " + right(count, 10)
    }

    private static func two(_ number: Int, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func date(_ seconds: UInt64) -> String {
        var time = time_t(truncatingIfNeeded: seconds)
        var parts = tm()
        guard localtime_r(&time, &parts) != nil else { return "?" }
        return "\(two(Int(parts.tm_year) + 1900, 4))-\(two(Int(parts.tm_mon) + 1))-\(two(Int(parts.tm_mday))) \(two(Int(parts.tm_hour))):\(two(Int(parts.tm_min))):\(two(Int(parts.tm_sec)))"
    }

    private static func clock(_ nanoseconds: UInt64) -> String {
        let seconds = Int(nanoseconds / 1_000_000_000)
        return "\(two(seconds / 3600, 4)):\(two(seconds / 60 % 60)):\(two(seconds % 60)).\(two(Int(nanoseconds / 1_000_000 % 1000), 3))"
    }

    static func json(_ snapshot: SnapshotRecord) -> JSONValue {
        var members: [JSONValue.Member] = []
        if let count = snapshot.instructions { members.append(.init("icount", .number(count))) }
        members += [
            .init("vm-clock-nsec", .number(snapshot.vmClock % 1_000_000_000)), .init("name", .text(snapshot.name)),
            .init("date-sec", .number(snapshot.seconds)), .init("date-nsec", .number(UInt64(snapshot.nanoseconds))),
            .init("vm-clock-sec", .number(snapshot.vmClock / 1_000_000_000)), .init("id", .text(snapshot.id)),
            .init("vm-state-size", .number(snapshot.vmStateSize)),
        ]
        return .object(members)
    }
}
