// QEMU's option lists: `name=value,flag,…`, where the first part may stand for a key, and `,,` is a comma in a value.

import Core

/// The parts of one option's argument, in order.
struct KeyValues {
    private(set) var pairs: [(name: String, value: String)] = []

    init(pairs: [(name: String, value: String)]) { self.pairs = pairs }

    /// - Parameter implied: the key that a first part without `=` stands for.
    init(_ text: String, implied: String? = nil) {
        var parts: [String] = [], current = "", characters = Array(text)[...]
        while let character = characters.popFirst() {
            guard character == "," else { current.append(character); continue }
            if characters.first == "," {
                characters.removeFirst()
                current.append(",")
            } else {
                parts.append(current)
                current = ""
            }
        }
        parts.append(current)
        for (index, part) in parts.enumerated() where !part.isEmpty {
            if let equals = part.firstIndex(of: "=") {
                pairs.append((String(part[..<equals]), String(part[part.index(after: equals)...])))
            } else if index == 0, let implied {
                pairs.append((implied, part))
            } else {
                // A bare word switches a flag on, with "no" in front off.
                pairs.append(part.hasPrefix("no") && part.count > 2 ? (String(part.dropFirst(2)), "off") : (part, "on"))
            }
        }
    }

    subscript(name: String) -> String? { pairs.last { $0.name == name }?.value }

    /// Takes `name` out.
    mutating func take(_ name: String) -> String? {
        let value = self[name]
        pairs.removeAll { $0.name == name }
        return value
    }

    /// Refuses whatever has not been taken.
    func finish(_ option: String) throws(ConfigurationError) {
        if let rest = pairs.first { throw ConfigurationError("\(option): property '\(rest.name)' is not supported") }
    }
}
