import Glibc

/// The system calls of a guest with who answers each: what `apus list calls` prints and `docs/system-calls.md` holds.
package struct SystemCallListing {
    package struct Row {
        package let number: Int
        package let name: String
        /// `apus`, `host`, `host, unconverted`, or the errno of a refusal.
        package let answer: String
        /// Why it is refused; else empty.
        package let reason: String
    }

    /// In the order of the numbers.
    package let rows: [Row]
    /// Names that the guest's table has and the shared table lacks: they would answer ENOSYS without a reason.
    package let missing: [String]

    package init(numbers: [Int: String]) {
        var rows: [Row] = []
        var missing: [String] = []
        for (number, name) in numbers.sorted(by: { $0.key < $1.key }) {
            guard let row = SystemCallTable.all[name] else {
                missing.append(name)
                continue
            }
            switch row.answer {
            case .apus: rows.append(Row(number: number, name: name, answer: "Apus", reason: ""))
            case .host: rows.append(Row(number: number, name: name, answer: "host", reason: ""))
            case .hostUnconverted: rows.append(Row(number: number, name: name, answer: "host, unconverted", reason: ""))
            case .refused(let error, let reason):
                rows.append(Row(number: number, name: name, answer: Self.name(of: error), reason: reason))
            }
        }
        self.rows = rows
        self.missing = missing
    }

    private static func name(of error: Int32) -> String {
        switch error {
        case EPERM: "EPERM"
        case EINVAL: "EINVAL"
        case ENOSYS: "ENOSYS"
        case EOPNOTSUPP: "EOPNOTSUPP"
        default: "errno \(error)"
        }
    }

    /// The table of the documentation page, in Markdown.
    package var markdown: String {
        "| number | call | answered by | why not |\n|---|---|---|---|\n"
            + rows.map { "| \($0.number) | `\($0.name)` | \($0.answer) | \($0.reason) |\n" }.joined()
    }
}
