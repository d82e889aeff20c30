/// Bit flags and enumerations of the Linux user interface as data: names for `-strace`, and values by kernel flavour.
///
/// The table is made on first need (a trace, or a guest whose values differ from the host's), not at start-up.
package final class FlagSet: Sendable {
    package struct Flag: Sendable {
        package let name: String
        /// The bits that are compared with `value`; equal to it for plain flags.
        package let mask: UInt64
        package let value: UInt64
        /// The value on arm and arm64, where it differs.
        package let arm: UInt64?

        package init(_ name: String, _ value: UInt64, mask: UInt64? = nil, arm: UInt64? = nil) {
            self.name = name
            self.value = value
            self.mask = mask ?? value
            self.arm = arm
        }

        fileprivate func value(on flavour: KernelFlavour) -> UInt64 { flavour == .arm ? arm ?? value : value }
        fileprivate func mask(on flavour: KernelFlavour) -> UInt64 {
            flavour == .arm && arm != nil && mask == value ? arm ?? mask : mask
        }
    }

    /// Whether some value differs between flavours.
    package let varies: Bool
    private let make: @Sendable () -> [Flag]
    private let cache = PublishedReference<Made>()

    private final class Made: Sendable {
        let flags: [Flag]
        init(_ flags: [Flag]) { self.flags = flags }
    }

    package init(varies: Bool = false, _ make: @escaping @Sendable () -> [Flag]) {
        self.varies = varies
        self.make = make
    }

    /// An enumeration or plain flags with the same values everywhere.
    package convenience init(_ pairs: @escaping @Sendable () -> KeyValuePairs<String, UInt64>) {
        self.init { pairs().map { Flag($0.key, $0.value) } }
    }

    /// An enumeration: the whole value is compared.
    package static func enumeration(_ pairs: @escaping @Sendable () -> KeyValuePairs<String, UInt64>) -> FlagSet {
        FlagSet { pairs().map { Flag($0.key, $0.value, mask: ~0) } }
    }

    package var flags: [Flag] {
        if let made = cache.get() { return made.flags }
        let made = Made(make())
        cache.publish(made)
        return made.flags
    }

    package func isIdentity(_ guest: KernelFlavour) -> Bool { !varies || FlagSet.equivalent(guest, .host) }

    package func toHost(_ value: UInt64, from guest: KernelFlavour) -> UInt64 { convert(value, guest, .host) }
    package func toGuest(_ value: UInt64, of guest: KernelFlavour) -> UInt64 { convert(value, .host, guest) }

    /// Moves each known flag to its bit on the other side; bits without a name stay where they are.
    package func convert(_ value: UInt64, _ from: KernelFlavour, _ to: KernelFlavour) -> UInt64 {
        guard varies, !FlagSet.equivalent(from, to) else { return value }
        var rest = value, result: UInt64 = 0
        for flag in flags where flag.value(on: from) != 0 && value & flag.mask(on: from) == flag.value(on: from) {
            rest &= ~flag.mask(on: from)
            result |= flag.value(on: to)
        }
        return result | rest
    }

    private static func equivalent(_ a: KernelFlavour, _ b: KernelFlavour) -> Bool { (a == .arm) == (b == .arm) }

    /// As C source would write it: `O_RDWR|O_CLOEXEC`, unknown bits in hexadecimal.
    package func text(_ value: UInt64, _ flavour: KernelFlavour) -> String {
        var rest = value, covered: UInt64 = 0
        var words: [String] = []
        for flag in flags {
            let mask = flag.mask(on: flavour), wanted = flag.value(on: flavour)
            guard covered & mask == 0 || mask != ~0, value & mask == wanted else { continue }
            if wanted == 0 && mask == 0 { continue }
            if mask == wanted && rest & mask != wanted { continue }
            words.append(flag.name)
            covered |= mask
            rest &= ~mask
            if rest == 0 && mask == ~0 { break }
        }
        if rest != 0 { words.append("0x" + String(rest, radix: 16)) }
        return words.isEmpty ? "0" : words.joined(separator: "|")
    }
}
