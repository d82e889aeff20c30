// The types of arguments and results of a monitor's commands, as data: checks, defaults and introspection are derived from
// them. The words are those of QEMU's QAPI.

import Core

/// A member of an object type.
public struct Parameter: Sendable {
    public let name: String
    public let type: ValueType
    public let isOptional: Bool
    public init(_ name: String, _ type: ValueType, optional: Bool = false) {
        self.name = name
        self.type = type
        isOptional = optional
    }
}

/// A type of values in JSON.
public indirect enum ValueType: Sendable {
    case text, flag, integer, number, null
    /// Anything at all.
    case any
    case array(ValueType)
    case enumeration(String, [String])
    case object(String, [Parameter])
    /// An object whose further members are the handler's to check: they depend on a driver or kind.
    case open(String, [Parameter])
    /// One of several, told apart by their JSON types.
    case alternate(String, [ValueType])

    /// An integer below 2^64, or at least 0: the handler checks ranges.
    public static var size: ValueType { .integer }

    /// What messages call it.
    var word: String {
        switch self {
        case .text, .enumeration: "string"
        case .flag: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .null: "null"
        case .any: "any value"
        case .array: "array"
        case .object, .open: "object"
        case .alternate(let name, _): name
        }
    }

    /// Checks that a value is of this type. - Parameter name: the place, for messages: `file.filename`.
    func check(_ value: JSONValue, _ name: String) throws(MonitorError) {
        switch (self, value) {
        case (.any, _), (.text, .text), (.flag, .flag), (.integer, .integer), (.integer, .unsigned), (.null, .null),
             (.number, .integer), (.number, .unsigned), (.number, .real): return
        case (.array(let element), .array(let values)):
            for (index, value) in values.enumerated() { try element.check(value, "\(name)[\(index)]") }
        case (.enumeration(_, let words), .text(let word)):
            guard words.contains(word) else { throw MonitorError("Parameter '\(name)' does not accept value '\(word)'") }
        case (.object(_, let parameters), .object(let members)):
            try ValueType.check(members, parameters, prefix: name.isEmpty ? "" : name + ".", open: false)
        case (.open(_, let parameters), .object(let members)):
            try ValueType.check(members, parameters, prefix: name.isEmpty ? "" : name + ".", open: true)
        case (.alternate(_, let types), _):
            var problem = MonitorError("Invalid parameter type for '\(name)', expected: \(word)")
            for type in types where type.matches(value) {
                do throws(MonitorError) { return try type.check(value, name) } catch { problem = error }
            }
            throw problem
        default: throw MonitorError("Invalid parameter type for '\(name)', expected: \(word)")
        }
    }

    /// Whether the JSON type is right.
    private func matches(_ value: JSONValue) -> Bool {
        switch (self, value) {
        case (.any, _), (.text, .text), (.enumeration, .text), (.flag, .flag), (.integer, .integer), (.integer, .unsigned), (.null, .null), (.array, .array),
             (.object, .object), (.open, .object): true
        case (.number, .integer), (.number, .unsigned), (.number, .real): true
        default: false
        }
    }

    static func check(_ members: [JSONValue.Member], _ parameters: [Parameter], prefix: String, open: Bool) throws(MonitorError) {
        for parameter in parameters {
            guard let member = members.first(where: { $0.name == parameter.name }) else {
                if parameter.isOptional { continue }
                throw MonitorError("Parameter '\(prefix)\(parameter.name)' is missing")
            }
            try parameter.type.check(member.value, prefix + parameter.name)
        }
        if open { return }
        for member in members where !parameters.contains(where: { $0.name == member.name }) {
            throw MonitorError("Parameter '\(prefix)\(member.name)' is unexpected")
        }
    }
}
