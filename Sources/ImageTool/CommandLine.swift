// Command lines in getopt_long's manner: bundled short options, `--name=value`, options after operands, `--`.

/// One option of a verb.
package struct CommandOption: Sendable {
    /// The long name, by which verbs ask.
    package let name: String
    let short: Character?
    /// What its value is called in help; nil: it has none.
    let value: String?
    let help: String
    package init(_ name: String, _ short: Character, value: String? = nil, _ help: String) {
        self.name = name
        self.short = short
        self.value = value
        self.help = help
    }
    /// Without a short name.
    package init(_ name: String, value: String? = nil, _ help: String) {
        self.name = name
        short = nil
        self.value = value
        self.help = help
    }

    /// Every verb's.
    package static let common = [
        CommandOption("help", "h", "print this help"),
        CommandOption("quiet", "q", "say only what was asked for"),
        CommandOption("named-files", value: "POLICY", "which files an image may name (backing, data): none, folder, files (default: regular files), all"),
        CommandOption("object", value: "OBJECT", "a password (secret,id=ID,data=… or file=…) or TLS credentials (tls-creds-x509,id=ID,dir=…)"),
    ]
    package static let format = CommandOption("format", "f", value: "FMT", "the image's format; without it, it is found out")
    package static let imageOptions = CommandOption("image-opts", "names are descriptions: driver=…,file.filename=…")
    static let forceShare = CommandOption("force-share", "U", "open even if another process writes to it")
    static let output = CommandOption("output", value: "human|json", "form of the output")
    static let progress = CommandOption("progress", "p", "show progress, on a terminal")

    package static func describe(_ options: [CommandOption]) -> String {
        options.map { option in
            let names = (option.short.map { "-\($0), " } ?? "    ") + "--" + option.name + (option.value.map { " " + $0 } ?? "")
            return "  " + names + String(repeating: " ", count: max(2, 34 - names.count)) + option.help + "\n"
        }.joined()
    }
}

/// A command line taken apart.
package struct ParsedArguments {
    private var given: [(name: String, value: String)] = []
    package private(set) var operands: [String] = []

    package init(_ words: [String], _ options: [CommandOption]) throws(ToolFailure) {
        var index = 0
        func next(_ spelled: String) throws(ToolFailure) -> String {
            guard index < words.count else { throw ToolFailure("option requires an argument -- '\(spelled)'") }
            index += 1
            return words[index - 1]
        }
        while index < words.count {
            let word = words[index]
            index += 1
            if word == "--" { operands += words[index...]; break }
            if word.hasPrefix("--") {
                let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = String(parts[0])
                let candidates = options.filter { $0.name == name }.isEmpty ? options.filter { $0.name.hasPrefix(name) } : options.filter { $0.name == name }
                guard candidates.count == 1, let option = candidates.first else {
                    throw ToolFailure(candidates.isEmpty ? "unrecognized option '--\(name)'" : "option '--\(name)' is ambiguous")
                }
                if option.value == nil {
                    guard parts.count == 1 else { throw ToolFailure("option '--\(name)' doesn't allow an argument") }
                    given.append((option.name, ""))
                } else if parts.count == 2 {
                    given.append((option.name, String(parts[1])))
                } else { given.append((option.name, try next(name))) }
            } else if word.hasPrefix("-"), word.count > 1, !(ParsedArguments.isNumber(word) && !options.contains { $0.short == word.dropFirst().first }) {
                var rest = word.dropFirst()
                while let letter = rest.popFirst() {
                    guard let option = options.first(where: { $0.short == letter }) else { throw ToolFailure("invalid option -- '\(letter)'") }
                    if option.value == nil { given.append((option.name, "")); continue }
                    given.append((option.name, rest.isEmpty ? try next(String(letter)) : String(rest)))
                    break
                }
            } else { operands.append(word) }
        }
    }

    /// `-5G`, as `resize` takes it.
    private static func isNumber(_ word: String) -> Bool { word.dropFirst().first?.isNumber ?? false }

    package func has(_ name: String) -> Bool { given.contains { $0.name == name } }
    /// The last value given.
    package func value(_ name: String) -> String? { given.last { $0.name == name }?.value }
    package func values(_ name: String) -> [String] { given.filter { $0.name == name }.map(\.value) }
    /// Options in the order given.
    package var inOrder: [(name: String, value: String)] { given }

    var isQuiet: Bool { has("quiet") }
    /// Whether `--output` asks for JSON.
    func wantsJSON() throws(ToolFailure) -> Bool {
        switch value("output") {
        case nil, "human": return false
        case "json": return true
        default: throw ToolFailure("--output expects 'human' or 'json'")
        }
    }
    /// `count` operands exactly.
    func operands(_ count: Int, _ expected: String) throws(ToolFailure) -> [String] {
        guard operands.count == count else { throw ToolFailure("Expecting \(expected)") }
        return operands
    }
}
