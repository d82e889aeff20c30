// Commands and events by declaration: a name, what comes in, what goes out, and who does it.

import Core

/// Why a command failed.
public struct MonitorError: Error, Sendable, Equatable {
    /// QMP's error classes.
    public enum Kind: String, Sendable {
        case general = "GenericError"
        case commandNotFound = "CommandNotFound"
        case deviceNotActive = "DeviceNotActive"
        case deviceNotFound = "DeviceNotFound"
    }
    public var kind: Kind
    public var text: String
    public init(_ text: String, _ kind: Kind = .general) {
        self.kind = kind
        self.text = text
    }
}

/// A command's arguments, checked against its declaration.
public struct Arguments: Sendable {
    public let json: JSONValue
    public init(_ json: JSONValue) { self.json = json }

    public func text(_ name: String) -> String? { json[name]?.string }
    public func flag(_ name: String) -> Bool? { if case .flag(let flag)? = json[name] { flag } else { nil } }
    public func has(_ name: String) -> Bool { json[name] != nil }
    /// An integer from 0 on. - Throws: for others.
    public func size(_ name: String) throws(MonitorError) -> UInt64? {
        switch json[name] {
        case .integer(let number)? where number >= 0: return UInt64(number)
        case .unsigned(let number)?: return number
        case nil: return nil
        default: throw MonitorError("Parameter '\(name)' expects a number that is not negative")
        }
    }
    /// A text that the declaration demands.
    public func required(_ name: String) throws(MonitorError) -> String {
        guard let text = json[name]?.string else { throw MonitorError("Parameter '\(name)' is missing") }
        return text
    }
    public func array(_ name: String) -> [JSONValue] { if case .array(let values)? = json[name] { values } else { [] } }
}

/// A command.
public struct CommandDeclaration: Sendable {
    public let name: String
    public let parameters: [Parameter]
    /// The arguments may have further members, which the handler checks.
    public let isOpen: Bool
    /// Nil: nothing, an empty object.
    public let result: ValueType?
    let handler: @Sendable (Arguments) throws(MonitorError) -> JSONValue

    public init(_ name: String, _ parameters: [Parameter] = [], open: Bool = false, returns result: ValueType? = nil,
                _ handler: @escaping @Sendable (Arguments) throws(MonitorError) -> JSONValue) {
        self.name = name
        self.parameters = parameters
        isOpen = open
        self.result = result
        self.handler = handler
    }

    /// Checks arguments against the declaration.
    public func check(_ arguments: JSONValue) throws(MonitorError) {
        guard let members = arguments.members else { throw MonitorError("QMP input member 'arguments' must be an object") }
        try ValueType.check(members, parameters, prefix: "", open: isOpen)
    }
}

extension JSONValue {
    /// What commands return that return nothing.
    public static var nothing: JSONValue { .object([]) }
}

/// An event that clients are told of.
public struct EventDeclaration: Sendable {
    public let name: String
    public let parameters: [Parameter]
    public init(_ name: String, _ parameters: [Parameter]) {
        self.name = name
        self.parameters = parameters
    }
}
