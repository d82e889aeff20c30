// Options as data: a declaration is the source of parsing, defaults, `-o help` and documentation. Values are parsed by
// the declared type once, so that a driver never sees text where it expects a number.

/// One option of a driver.
public struct OptionDeclaration: Sendable {
    /// What kind of value an option takes.
    public enum Kind: Sendable, Equatable {
        case text, flag, size, number
        /// One of these words.
        case choice([String])
    }
    public let name: String
    public let kind: Kind
    /// What the option is when it is not given; nil: nothing.
    public let standard: String?
    /// One line.
    public let help: String
    /// Other names, kept for those who know them.
    public let aliases: [String]

    public init(_ name: String, _ kind: Kind, default standard: String? = nil, aliases: [String] = [], _ help: String) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.aliases = aliases
        self.help = help
    }

    /// The type as `-o help` prints it.
    public var typeText: String {
        switch kind {
        case .text, .choice: "str"
        case .flag: "bool (on/off)"
        case .size: "size"
        case .number: "num"
        }
    }

    func check(_ value: String) throws(BlockError) -> String {
        switch kind {
        case .text: return value
        case .choice(let words):
            guard words.contains(value) else { throw .invalid("Invalid parameter '\(value)' for '\(name)': expected one of \(words.joined(separator: ", "))") }
            return value
        case .flag:
            if ["on", "yes", "true", "y"].contains(value) { return "on" }
            if ["off", "no", "false", "n"].contains(value) { return "off" }
            throw .invalid("Parameter '\(name)' expects 'on' or 'off'")
        case .size:
            guard let size = SizeText.parse(value) else { throw .invalid("Parameter '\(name)' expects a non-negative number below 2^64, with an optional suffix k, M, G, T, P or E") }
            return String(size)
        case .number:
            guard let number = UInt64(value) else { throw .invalid("Parameter '\(name)' expects a number") }
            return String(number)
        }
    }
}

/// Values for a set of declared options.
public struct OptionValues: Sendable {
    public let declarations: [OptionDeclaration]
    private var given: [String: String] = [:]

    public init(_ declarations: [OptionDeclaration]) { self.declarations = declarations }

    /// Sets one option from text. - Throws: `invalid` if there is no such option, or `value` is none of its type.
    public mutating func set(_ name: String, _ value: String) throws(BlockError) {
        guard let declaration = declarations.first(where: { $0.name == name || $0.aliases.contains(name) }) else {
            throw .invalid("Invalid parameter '\(name)'")
        }
        given[declaration.name] = try declaration.check(value)
    }

    /// Whether there is an option of that name.
    public func declares(_ name: String) -> Bool { declarations.contains { $0.name == name } }
    /// Whether the option was given.
    public func has(_ name: String) -> Bool { given[name] != nil }
    /// The text given, or the default.
    public func text(_ name: String) -> String? { given[name] ?? declarations.first { $0.name == name }?.standard }
    /// An on/off option; false if it has no value.
    public func flag(_ name: String) -> Bool { text(name).map { ["on", "yes", "true"].contains($0) } ?? false }
    /// A size or number; nil if it has no value.
    public func number(_ name: String) -> UInt64? { text(name).flatMap { SizeText.parse($0) } }

    /// Options with a value, in the order of declaration: what `create` prints.
    public var summary: [(name: String, value: String)] {
        declarations.compactMap { declaration in text(declaration.name).map { (declaration.name, $0) } }
    }

    /// Splits `a=b,c=d`; a comma in a value is written twice, and a word alone is `word=on`.
    public static func split(_ text: String) -> [(name: String, value: String)] {
        var parts: [String] = []
        var current = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            if character != "," { current.append(character); continue }
            if rest.first == "," { rest.removeFirst(); current.append(","); continue }
            parts.append(current)
            current = ""
        }
        parts.append(current)
        return parts.filter { !$0.isEmpty }.map { part in
            guard let equals = part.firstIndex(of: "=") else { return (part, "on") }
            return (String(part[..<equals]), String(part[part.index(after: equals)...]))
        }
    }
}
