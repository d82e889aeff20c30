/// Bytes and numbers as the remote protocol writes them.
package enum Hexadecimal {
    /// Two digits a byte.
    package static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(2 &* bytes.underestimatedCount)
        for byte in bytes {
            out.append(digit(byte &>> 4))
            out.append(digit(byte & 15))
        }
        return out
    }

    /// Nil unless `text` is pairs of digits.
    package static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        var high: UInt8?
        for character in text {
            guard let value = value(character) else { return nil }
            if let upper = high {
                out.append(upper &<< 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil ? out : nil
    }

    package static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 &+ value : 87 &+ value }

    package static func value(_ character: UInt8) -> UInt8? {
        switch character {
        case 48 ... 57: character &- 48
        case 97 ... 102: character &- 87
        case 65 ... 70: character &- 55
        default: nil
        }
    }
}

/// Takes a packet apart from its beginning; every step answers nil where the packet does not say what it should.
package struct PacketScanner {
    package private(set) var rest: ArraySlice<UInt8>

    package init(_ packet: ArraySlice<UInt8>) { rest = packet }
    package init(_ packet: [UInt8]) { rest = packet[...] }

    package var isAtEnd: Bool { rest.isEmpty }

    /// Takes `text` if it comes next.
    package mutating func take(_ text: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard rest.starts(with: wanted) else { return false }
        rest = rest.dropFirst(wanted.count)
        return true
    }

    /// A hexadecimal number of at most 64 bits.
    package mutating func number() -> UInt64? {
        var value: UInt64 = 0, digits = 0
        while let character = rest.first, let digit = Hexadecimal.value(character) {
            guard value &>> 60 == 0 else { return nil }
            value = value &<< 4 | UInt64(digit)
            rest = rest.dropFirst()
            digits &+= 1
        }
        return digits > 0 ? value : nil
    }

    /// A number of at most `limit`.
    package mutating func count(limit: Int) -> Int? {
        guard let value = number(), value <= UInt64(max(limit, 0)) else { return nil }
        return Int(value)
    }

    /// What comes before `separator` or the end; the separator is taken too.
    package mutating func field(until separator: UInt8) -> ArraySlice<UInt8> {
        let field = rest.prefix { $0 != separator }
        rest = rest.dropFirst(field.count).dropFirst()
        return field
    }

    /// A thread: `TID`, `pPID.TID` or `pPID`; -1 all, 0 any.
    package mutating func thread() -> ThreadPattern? {
        func identity(_ scanner: inout PacketScanner) -> Int32? {
            if scanner.take("-1") { return -1 }
            guard let value = scanner.number(), value <= UInt64(Int32.max) else { return nil }
            return Int32(value)
        }
        guard take("p") else { return identity(&self).map { ThreadPattern(process: nil, thread: $0) } }
        guard let process = identity(&self) else { return nil }
        guard take(".") else { return ThreadPattern(process: process, thread: -1) }
        return identity(&self).map { ThreadPattern(process: process, thread: $0) }
    }
}

/// A thread as packets name it. In both fields -1 stands for all and 0 for any.
package struct ThreadPattern: Equatable, Sendable {
    package var process: Int32?
    package var thread: Int32

    package init(process: Int32?, thread: Int32) {
        self.process = process
        self.thread = thread
    }

    package func matches(_ candidate: DebugThread) -> Bool {
        let processMatches = process.map { $0 <= 0 || $0 == candidate.process } ?? true
        return processMatches && (thread <= 0 || thread == candidate.thread)
    }
}
