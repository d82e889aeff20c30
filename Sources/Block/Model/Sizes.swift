// Sizes as QEMU reads and prints them: powers of 1024, suffixes b k M G T P E.

import Glibc

/// Sizes as text.
public enum SizeText {
    /// Reads `text`: digits (also 0x…) or a decimal fraction, then at most one suffix. Without suffix, bytes.
    public static func parse(_ text: String) -> UInt64? {
        var body = Substring(text)
        if body.lowercased().hasPrefix("0x"), let value = UInt64(body.dropFirst(2), radix: 16) { return value }
        var factor: UInt64 = 1
        if let last = body.last, let shift = ["b": 0, "B": 0, "k": 10, "K": 10, "m": 20, "M": 20, "g": 30, "G": 30, "t": 40, "T": 40,
                                              "p": 50, "P": 50, "e": 60, "E": 60][last] {
            factor = 1 << UInt64(shift)
            body = body.dropLast()
        }
        guard let first = body.first, first.isASCII, first.isNumber || first == "." else { return nil }
        let parts = body.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts[0].isEmpty ? 0 : UInt64(parts[0]), !body.contains("+") else { return nil }
        let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        guard parts.count == 2 else { return bytes }
        // Fractions of a byte are no size.
        guard factor > 1, !parts[1].isEmpty, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let fraction = Double("0." + parts[1]) else { return nil }
        let (sum, tooMuch) = bytes.addingReportingOverflow(UInt64(fraction * Double(factor)))
        return tooMuch ? nil : sum
    }

    /// Rounded to three digits with a binary unit: `10 MiB`, `1.5 GiB`, `196 KiB`.
    public static func human(_ value: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var exponent = 0
        // The unit changes where three digits would no longer hold the number.
        while exponent < 6, Double(value) / scalbn(1, 10 * exponent) >= 999.5 { exponent += 1 }
        return "\(significant(Double(value) / scalbn(1, 10 * exponent))) \(units[exponent])"
    }

    /// Three significant digits, as C's %0.3g prints numbers below 1000.
    private static func significant(_ value: Double) -> String {
        let digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 || value == 0 ? 2 : 3
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = UInt64((value * scale).rounded(.toNearestOrEven))
        let unit = UInt64(scale)
        if digits == 0 { return String(scaled) }
        var fraction = String(scaled % unit)
        fraction = String(repeating: "0", count: max(0, digits - fraction.utf8.count)) + fraction
        while fraction.last == "0" { fraction.removeLast() }
        return String(scaled / unit) + (fraction.isEmpty ? "" : "." + fraction)
    }
}
