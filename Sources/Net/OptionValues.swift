// The options of one `-netdev`, `netdev_add` or `-object`: taken one by one, whatever is left is refused.

import Core

/// Named values in the order they were given; a name may come several times (`hostfwd`).
public struct OptionValues: Sendable {
    /// For messages: `-netdev user,id=n0`.
    public let owner: String
    private var pairs: [(name: String, value: String)]

    public init(_ owner: String, _ pairs: [(name: String, value: String)]) {
        self.owner = owner
        self.pairs = pairs
    }

    /// What a JSON object says: members of inner objects by `outer.inner`, lists of `{"str": …}` as repeated values.
    public init(_ owner: String, json: JSONValue) throws(ConfigurationError) {
        var pairs: [(name: String, value: String)] = []
        try Self.flatten(owner, "", json, 0, &pairs)
        self.init(owner, pairs)
    }

    private static func flatten(_ owner: String, _ name: String, _ value: JSONValue, _ depth: Int, _ pairs: inout [(name: String, value: String)]) throws(ConfigurationError) {
        guard depth < 4 else { throw ConfigurationError("\(owner): '\(name)' is nested too deeply") }
        switch value {
        case .text(let text): pairs.append((name, text))
        case .flag(let flag): pairs.append((name, flag ? "on" : "off"))
        case .integer, .unsigned: pairs.append((name, value.compact))
        default:
            if let members = value.members {
                // {"str": "tcp::2222-:22"} is a string that a list holds.
                for member in members {
                    let inner = name.isEmpty ? member.name : member.name == "str" && members.count == 1 ? name : name + "." + member.name
                    try flatten(owner, inner, member.value, depth + 1, &pairs)
                }
            } else if case .array(let items) = value {
                for item in items { try flatten(owner, name, item, depth + 1, &pairs) }
            } else {
                throw ConfigurationError("\(owner): '\(name)' is neither text, number nor flag")
            }
        }
    }

    public mutating func add(_ name: String, _ value: String) { pairs.append((name, value)) }
    public var type: String { pairs.last { $0.name == "type" }?.value ?? "" }

    public mutating func take(_ name: String) -> String? { takeAll(name).last }

    public mutating func takeAll(_ name: String) -> [String] {
        defer { pairs.removeAll { $0.name == name } }
        return pairs.filter { $0.name == name }.map(\.value)
    }

    public mutating func require(_ name: String) throws(ConfigurationError) -> String {
        guard let value = take(name), !value.isEmpty else { throw ConfigurationError("\(owner): parameter '\(name)' is missing") }
        return value
    }

    public mutating func flag(_ name: String, default standard: Bool) throws(ConfigurationError) -> Bool {
        guard let text = take(name) else { return standard }
        guard let value = Properties.parseFlag(text) else { throw ConfigurationError("\(owner): '\(name)' is '\(text)', expected on or off") }
        return value
    }

    public mutating func number(_ name: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = take(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw ConfigurationError("\(owner): '\(name)' is '\(text)', expected \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A switch that only may be off.
    public mutating func refuseOn(_ name: String, _ why: String) throws(ConfigurationError) {
        if try flag(name, default: false) { throw ConfigurationError("\(owner): '\(name)' is not supported: \(why)") }
    }

    /// Refuses whatever has not been taken.
    public func finish() throws(ConfigurationError) {
        if let rest = pairs.first { throw ConfigurationError("\(owner): property '\(rest.name)' is not supported") }
    }
}
