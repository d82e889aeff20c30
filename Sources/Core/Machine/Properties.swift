// Settings of devices, machines and back ends: what a declaration allows, and the values a person gave.

/// What a property may hold.
public enum PropertyType: Sendable, Equatable {
    case flag, integer, size, text
    /// One of these words.
    case choice([String])
    /// The identifier of another object: `drive`, `netdev`, `chardev`, `bus` …
    case reference(String)
    /// A MAC address, six bytes.
    case mac

    /// As `-device NAME,help` prints it.
    public var name: String {
        switch self {
        case .flag: "bool"
        case .integer: "int"
        case .size: "size"
        case .text: "str"
        case .choice(let words): words.joined(separator: "|")
        case .reference(let kind): "str (\(kind))"
        case .mac: "mac"
        }
    }
}

/// One property of a declaration.
public struct Property: Sendable {
    public var name: String
    public var type: PropertyType
    public var summary: String
    /// As a person would write it; nil: there is no default.
    public var standard: String?

    public init(_ name: String, _ type: PropertyType, _ summary: String, default standard: String? = nil) {
        self.name = name
        self.type = type
        self.summary = summary
        self.standard = standard
    }
}

/// What is wrong with a configuration: one line that names the option.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// Checked values of one object's properties.
public struct Properties: Sendable {
    public let declarations: [Property]
    private var values: [String: String] = [:]
    /// Who they belong to, for messages: `virtio-blk-pci`.
    public let owner: String

    /// Checks `given` against the declarations.
    public init(_ owner: String, _ declarations: [Property], _ given: [(name: String, value: String)] = []) throws(ConfigurationError) {
        self.owner = owner
        self.declarations = declarations
        for (name, value) in given { try set(name, value) }
    }

    /// Sets one property, as text.
    public mutating func set(_ name: String, _ value: String) throws(ConfigurationError) {
        guard let property = declarations.first(where: { $0.name == name }) else {
            throw ConfigurationError("\(owner): there is no property '\(name)'")
        }
        if let expected = Self.problem(value, property.type) {
            throw ConfigurationError("\(owner): property '\(name)' is '\(value)', expected \(expected)")
        }
        values[name] = value
    }

    /// Whether a person gave the property.
    public func isGiven(_ name: String) -> Bool { values[name] != nil }
    /// The value or the default, as text.
    public func text(_ name: String) -> String? { values[name] ?? declarations.first { $0.name == name }?.standard }
    public func flag(_ name: String) -> Bool { text(name).flatMap(Self.parseFlag) ?? false }
    public func integer(_ name: String) -> UInt64? { text(name).flatMap(Self.parseInteger) }
    /// Bytes.
    public func size(_ name: String) -> UInt64? { text(name).flatMap { Self.parseSize($0) } }
    public func mac(_ name: String) -> [UInt8]? { text(name).flatMap(Self.parseMAC) }

    /// What was expected, if `value` is not of `type`.
    private static func problem(_ value: String, _ type: PropertyType) -> String? {
        switch type {
        case .flag: parseFlag(value) == nil ? "on or off" : nil
        case .integer: parseInteger(value) == nil ? "a number" : nil
        case .size: parseSize(value) == nil ? "a size such as 64K, 512M or 2G" : nil
        case .text, .reference: nil
        case .choice(let words): words.contains(value) ? nil : words.joined(separator: ", ")
        case .mac: parseMAC(value) == nil ? "a MAC address such as 52:54:00:12:34:56" : nil
        }
    }

    public static func parseFlag(_ text: String) -> Bool? {
        switch text {
        case "on", "yes", "true", "y": true
        case "off", "no", "false", "n": false
        default: nil
        }
    }

    /// A number in decimal, or hexadecimal with 0x; negative ones in two's complement.
    public static func parseInteger(_ text: String) -> UInt64? {
        if text.hasPrefix("0x") || text.hasPrefix("0X") { return UInt64(text.dropFirst(2), radix: 16) }
        return UInt64(text) ?? Int64(text).map { UInt64(bitPattern: $0) }
    }

    /// A number of bytes with QEMU's suffixes B, K, M, G, T, P, E (powers of 1024); `unit` multiplies a number without.
    public static func parseSize(_ text: String, unit: UInt64 = 1) -> UInt64? {
        let suffixes: [Character: UInt64] = ["b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60]
        guard let last = text.last?.lowercased().first else { return nil }
        if !text.hasPrefix("0x"), let shift = suffixes[last] {
            let digits = text.dropLast()
            if let number = UInt64(digits) {
                let result = number.multipliedReportingOverflow(by: 1 << shift)
                return result.overflow ? nil : result.partialValue
            }
            guard let fraction = Double(digits), fraction >= 0, fraction.isFinite else { return nil }
            return UInt64(exactly: (fraction * Double(1 << shift as UInt64)).rounded())
        }
        guard let number = parseInteger(text) else { return nil }
        let result = number.multipliedReportingOverflow(by: unit)
        return result.overflow ? nil : result.partialValue
    }

    public static func parseMAC(_ text: String) -> [UInt8]? {
        let parts = text.split(whereSeparator: { $0 == ":" || $0 == "-" })
        let bytes = parts.compactMap { $0.count <= 2 ? UInt8($0, radix: 16) : nil }
        return parts.count == 6 && bytes.count == 6 ? bytes : nil
    }
}
