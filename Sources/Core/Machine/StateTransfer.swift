// One list of fields that saves and loads a device's state: what snapshots and migration are made of.
//
// The form: each field is its name (one length byte, UTF-8), its bytes' count (4 bytes, little-endian) and its bytes.
// Fields are found by name when loading, so versions may add some: a field that is missing keeps its value if it is
// optional, else loading fails.

/// What is wrong with saved state.
public enum StateError: Error, Equatable, CustomStringConvertible {
    case missing(String)
    case badSize(String, expected: Int, found: Int)
    case damaged(Int)
    /// A value that the device cannot have.
    case badValue(String)
    /// The device cannot be saved now, for this reason.
    case inUse(String)

    public var description: String {
        switch self {
        case .missing(let name): "saved state: field '\(name)' is missing"
        case .badSize(let name, let expected, let found): "saved state: field '\(name)' has \(found) bytes, expected \(expected)"
        case .damaged(let offset): "saved state: damaged at byte \(offset)"
        case .badValue(let name): "saved state: field '\(name)' has a value that cannot be"
        case .inUse(let reason): "cannot be saved: \(reason)"
        }
    }
}

/// State on its way out of an object or into it.
public struct StateTransfer {
    public let isLoading: Bool
    private var output: [UInt8] = []
    private var fields: [String: ArraySlice<UInt8>] = [:]

    /// Collects state.
    public init() { isLoading = false }

    /// Gives state that was saved.
    public init(loading bytes: [UInt8]) throws(StateError) {
        isLoading = true
        var at = 0
        while at < bytes.count {
            let nameLength = Int(bytes[at])
            guard bytes.count - at - 1 >= nameLength + 4 else { throw .damaged(at) }
            let name = String(decoding: bytes[(at + 1) ..< (at + 1 + nameLength)], as: UTF8.self)
            let sizeAt = at + 1 + nameLength
            let size = (0 ..< 4).reduce(0) { $0 | Int(bytes[sizeAt + $1]) << ($1 * 8) }
            guard bytes.count - sizeAt - 4 >= size else { throw .damaged(sizeAt) }
            fields[name] = bytes[(sizeAt + 4) ..< (sizeAt + 4 + size)]
            at = sizeAt + 4 + size
        }
    }

    /// What was saved.
    public var bytes: [UInt8] { output }

    // MARK: fields

    public mutating func field<Number: FixedWidthInteger>(_ name: String, _ value: inout Number) throws(StateError) {
        if isLoading {
            guard let data = fields[name] else { throw .missing(name) }
            guard data.count == Number.bitWidth / 8 else { throw .badSize(name, expected: Number.bitWidth / 8, found: data.count) }
            value = Self.number(data)
        } else {
            append(name, Self.image(value))
        }
    }

    public mutating func field(_ name: String, _ value: inout Bool) throws(StateError) {
        var byte: UInt8 = value ? 1 : 0
        try field(name, &byte)
        value = byte != 0
    }

    /// An array whose length may vary up to `maximum`.
    public mutating func field<Number: FixedWidthInteger>(_ name: String, _ value: inout [Number], maximum: Int) throws(StateError) {
        let width = Number.bitWidth / 8
        if isLoading {
            guard let data = fields[name] else { throw .missing(name) }
            guard data.count % width == 0, data.count / width <= maximum else { throw .badSize(name, expected: maximum * width, found: data.count) }
            value = stride(from: data.startIndex, to: data.endIndex, by: width).map { (at: Int) -> Number in Self.number(data[at ..< (at + width)]) }
        } else {
            append(name, value.flatMap { Self.image($0) })
        }
    }

    /// An array whose length is part of the object's shape.
    public mutating func field<Number: FixedWidthInteger>(_ name: String, _ value: inout [Number]) throws(StateError) {
        let count = value.count
        var copy = value
        try field(name, &copy, maximum: count)
        guard copy.count == count else { throw .badSize(name, expected: count, found: copy.count) }
        value = copy
    }

    /// A part with fields of its own.
    public mutating func part(_ name: String, _ body: (inout StateTransfer) throws(StateError) -> Void) throws(StateError) {
        if isLoading {
            guard let data = fields[name] else { throw .missing(name) }
            var inner = try StateTransfer(loading: Array(data))
            try body(&inner)
        } else {
            var inner = StateTransfer()
            try body(&inner)
            append(name, inner.bytes)
        }
    }

    /// Whether the saved state has field `name`; true when saving.
    public func has(_ name: String) -> Bool { !isLoading || fields[name] != nil }

    private mutating func append(_ name: String, _ data: [UInt8]) {
        let name = Array(name.utf8.prefix(255))
        output.append(UInt8(name.count))
        output += name
        output += Self.image(UInt32(truncatingIfNeeded: data.count))
        output += data
    }

    private static func image<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
        (0 ..< Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> Number($0 * 8)) }
    }
    private static func number<Number: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>) -> Number {
        bytes.reversed().reduce(0) { Number.bitWidth == 8 ? Number(truncatingIfNeeded: $1) : $0 << 8 | Number(truncatingIfNeeded: $1) }
    }
}
