import Registry
import UserMode

/// `apus list guests|cpus|features|engines|calls [--json]`: what the registry holds, one thing a line.
struct List {
    enum Kind: String, CaseIterable {
        case guests, cpus, features, engines, calls
    }

    let kind: Kind
    let json: Bool

    static let usage = "usage: apus list " + Kind.allCases.map(\.rawValue).joined(separator: "|") + " [--json]\n"

    /// Prints the list that `arguments` ask for; returns the exit status.
    static func run(_ arguments: [String]) -> Int32 {
        if arguments.contains(where: { ["-h", "-help", "--help"].contains($0) }) {
            print(usage, terminator: "")
            return 0
        }
        var kind: Kind?
        var json = false
        for word in arguments {
            if word == "--json" {
                json = true
            } else if kind == nil, let known = Kind(rawValue: word) {
                kind = known
            } else {
                StandardError.write("apus list: unknown \(word.hasPrefix("-") ? "option" : "kind") '\(word)'\n")
                return 2
            }
        }
        guard let kind else {
            StandardError.write(usage)
            return 2
        }
        List(kind: kind, json: json).printRows()
        return 0
    }

    private func printRows() {
        let rows = self.rows
        if json {
            print(JSON.array(rows))
            return
        }
        for row in rows { print(row.map(\.value.text).joined(separator: "\t")) }
    }

    private var rows: [[JSON.Field]] {
        switch kind {
        case .guests:
            Registry.guests.map { guest in
                [JSON.Field("name", .text(guest.name)), JSON.Field("summary", .text(guest.summary)),
                 JSON.Field("wordSize", .number(guest.model.wordSize)), JSON.Field("bigEndian", .flag(guest.model.bigEndian))]
            }
        case .cpus:
            Registry.guests.flatMap { guest in
                guest.cpus().map { cpu in
                    [JSON.Field("guest", .text(guest.name)), JSON.Field("name", .text(cpu.name)), JSON.Field("summary", .text(cpu.summary))]
                }
            }
        case .features:
            Registry.guests.flatMap { guest in
                guest.features().map { feature in
                    [JSON.Field("guest", .text(guest.name)), JSON.Field("name", .text(feature.name)),
                     JSON.Field("supported", .flag(feature.supported))]
                }
            }
        case .engines:
            Registry.engines.map { [JSON.Field("name", .text($0.name)), JSON.Field("summary", .text($0.summary))] }
        case .calls:
            SystemCallListing(numbers: RISCVLinuxABI.systemCallNumbers()).rows.map { row in
                [JSON.Field("number", .number(row.number)), JSON.Field("name", .text(row.name)), JSON.Field("answer", .text(row.answer)),
                 JSON.Field("reason", .text(row.reason))]
            }
        }
    }
}

/// Just enough JSON to print lists of flat objects (RFC 8259).
enum JSON {
    enum Value {
        case text(String), number(Int), flag(Bool)
        /// As the plain list shows it.
        var text: String {
            switch self {
            case .text(let text): text
            case .number(let number): String(number)
            case .flag(let flag): flag ? "yes" : "no"
            }
        }
    }
    struct Field {
        let name: String
        let value: Value
        init(_ name: String, _ value: Value) {
            self.name = name
            self.value = value
        }
    }

    static func array(_ rows: [[Field]]) -> String {
        "[\n" + rows.map { row in "  {" + row.map { quote($0.name) + ": " + literal($0.value) }.joined(separator: ", ") + "}" }
            .joined(separator: ",\n") + "\n]"
    }

    private static func literal(_ value: Value) -> String {
        switch value {
        case .text(let text): quote(text)
        case .number(let number): String(number)
        case .flag(let flag): flag ? "true" : "false"
        }
    }

    private static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case let control where control.value < 0x20:
                let digits = String(control.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
