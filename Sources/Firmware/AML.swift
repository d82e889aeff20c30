// AML, the byte code of ACPI's namespace (Advanced Configuration and Power Interface Specification 6.5, chapter 20): as much of
// it as tables of machines need. Each function gives the bytes of one term.

public enum AML {
    public typealias Code = [UInt8]

    // MARK: values

    /// The shortest form of an integer.
    public static func integer(_ value: UInt64) -> Code {
        switch value {
        case 0, 1: [UInt8(value)]
        case ...0xff: [0x0a] + little(UInt8(value))
        case ...0xffff: [0x0b] + little(UInt16(value))
        case ...0xffff_ffff: [0x0c] + little(UInt32(value))
        default: [0x0e] + little(value)
        }
    }
    public static func string(_ text: String) -> Code { [0x0d] + Array(text.utf8) + [0] }
    public static func buffer(_ bytes: [UInt8]) -> Code { [0x11] + sized(integer(UInt64(bytes.count)) + bytes) }
    /// Text in UTF-16, as `_STR` has it.
    public static func unicode(_ text: String) -> Code { buffer(Array(text.utf16).flatMap { little($0) } + [0, 0]) }
    public static func package(_ elements: [Code]) -> Code { [0x12] + sized([UInt8(truncatingIfNeeded: elements.count)] + elements.joined()) }
    /// A UUID in the mixed order of bytes that ACPI wants.
    public static func uuid(_ text: String) -> Code {
        let digits = Array(text.filter { $0 != "-" }), bytes = stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(String(digits[$0 ... $0 + 1]), radix: 16) ?? 0 }
        return bytes.count == 16 ? buffer([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map { bytes[$0] }) : buffer(bytes)
    }

    // MARK: names

    /// One segment, filled up with underscores; a backslash in front means the root.
    public static func path(_ name: String) -> Code {
        let isRoot = name.hasPrefix("\\"), segment = Array((isRoot ? name.dropFirst() : name[...]).utf8.prefix(4))
        return (isRoot ? [0x5c] : []) + segment + [UInt8](repeating: 0x5f, count: 4 - segment.count)
    }
    public static func name(_ name: String, _ value: Code) -> Code { [0x08] + path(name) + value }
    public static func scope(_ name: String, _ terms: [Code]) -> Code { [0x10] + sized(path(name) + terms.joined()) }
    public static func device(_ name: String, _ terms: [Code]) -> Code { [0x5b, 0x82] + sized(path(name) + terms.joined()) }
    /// - Parameter arguments: how many it takes.
    public static func method(_ name: String, arguments: UInt8, _ terms: [Code]) -> Code { [0x14] + sized(path(name) + [arguments & 7] + terms.joined()) }

    // MARK: code

    public static func argument(_ number: UInt8) -> Code { [0x68 + number & 7] }
    public static func doubleWord(of buffer: Code, at offset: UInt64, called name: String) -> Code { [0x8a] + buffer + integer(offset) + path(name) }
    public static func when(_ condition: Code, _ terms: [Code]) -> Code { [0xa0] + sized(condition + terms.joined()) }
    public static func otherwise(_ terms: [Code]) -> Code { [0xa1] + sized(Code(terms.joined())) }
    public static func equal(_ first: Code, _ second: Code) -> Code { [0x93] + first + second }
    public static func not(_ condition: Code) -> Code { [0x92] + condition }
    public static func store(_ value: Code, in target: Code) -> Code { [0x70] + value + target }
    public static func or(_ first: Code, _ second: Code, in target: Code) -> Code { [0x7d] + first + second + target }
    public static func and(_ first: Code, _ second: Code, in target: Code) -> Code { [0x7b] + first + second + target }
    public static func `return`(_ value: Code) -> Code { [0xa4] + value }

    // MARK: resources (section 6.4)

    /// A resource template as `_CRS` has it: descriptors and the end tag.
    public static func resources(_ descriptors: [Code]) -> Code { buffer(descriptors.joined() + [0x79, 0]) }
    /// Registers in memory below 4 GiB.
    public static func fixedMemory(_ base: UInt64, _ size: UInt64) -> Code { [0x86, 9, 0, 1] + little(UInt32(truncatingIfNeeded: base)) + little(UInt32(truncatingIfNeeded: size)) }
    /// A level-triggered, active-high interrupt that the device has for itself.
    public static func interrupt(_ number: UInt32) -> Code { [0x89, 6, 0, 1, 1] + little(number) }
    /// Numbers of buses that a bridge has behind itself.
    public static func buses(_ range: ClosedRange<UInt16>) -> Code {
        [0x88, 13, 0, 2, 0x0c, 0] + little(0 as UInt16) + little(range.lowerBound) + little(range.upperBound) + little(0 as UInt16) + little(range.upperBound &- range.lowerBound &+ 1)
    }
    /// Memory that a bridge passes on, below 4 GiB.
    public static func memoryWindow(_ base: UInt32, _ size: UInt32) -> Code {
        [0x87, 23, 0, 0, 0x0c, 1] + little(0 as UInt32) + little(base) + little(base &+ (size &- 1)) + little(0 as UInt32) + little(size)
    }
    /// The same anywhere.
    public static func wideMemoryWindow(_ base: UInt64, _ size: UInt64) -> Code {
        [0x8a, 43, 0, 0, 0x0c, 1] + little(0 as UInt64) + little(base) + little(base &+ (size &- 1)) + little(0 as UInt64) + little(size)
    }
    /// Ports that a bridge passes on: port 0 is at `translation` in memory.
    public static func portWindow(_ size: UInt32, translation: UInt32) -> Code {
        [0x87, 23, 0, 1, 0x0c, 3] + little(0 as UInt32) + little(0 as UInt32) + little(size &- 1) + little(translation) + little(size)
    }

    // MARK: bytes

    /// Puts the package's length in front: itself included.
    private static func sized(_ body: Code) -> Code {
        if body.count + 1 < 64 { return [UInt8(body.count + 1)] + body }
        for more in 1 ... 3 {
            let total = body.count + 1 + more
            guard total < 1 << (4 + 8 * more) else { continue }
            return [UInt8(more << 6 | total & 15)] + (0 ..< more).map { UInt8(truncatingIfNeeded: total >> (4 + 8 * $0)) } + body
        }
        // Larger than any table may be.
        return [1]
    }

    static func little<Number: FixedWidthInteger>(_ value: Number) -> Code { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}
