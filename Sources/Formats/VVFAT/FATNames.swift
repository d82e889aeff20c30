// Names in FAT directories: eleven bytes of an OEM character set, and before them, if those do not say it all, the long
// name in pieces of thirteen UTF-16 units (Microsoft, "FAT: General Overview of On-Disk Format", 1.03, "FAT Long Directory
// Entries"). Names are kept as bytes of UTF-8: two that Unicode calls equal are two files all the same.

enum FATNames {
    static let entrySize = 32
    /// UTF-16 units of a long name.
    static let longestName = 255

    // MARK: writing

    /// Whether a name of the host can be a long name as it is.
    static func isRepresentable(_ name: [UInt8]) -> Bool {
        guard !name.isEmpty, let text = String(validating: name, as: UTF8.self), text.utf16.count <= longestName else { return false }
        return !name.contains { $0 < 0x20 || Array("\"*/:<>?\\|".utf8).contains($0) } && name.last != UInt8(ascii: ".") && name.last != UInt8(ascii: " ")
    }

    /// The nearest name that can be one: what cannot stand in it becomes `_`.
    static func representable(_ name: [UInt8]) -> [UInt8] {
        if isRepresentable(name) { return name }
        var text = Array(String(decoding: name, as: UTF8.self).unicodeScalars.map { scalar -> Unicode.Scalar in
            scalar.value < 0x20 || scalar == "\u{fffd}" || "\"*/:<>?\\|".unicodeScalars.contains(scalar) ? "_" : scalar
        })
        while text.reduce(0, { $0 + ($1.value > 0xffff ? 2 : 1) }) > longestName { text.removeLast() }
        if let last = text.last, last == "." || last == " " { text[text.count - 1] = "_" }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: text)
        return Array(String(result).utf8)
    }

    private static let shortCharacters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$%'-_@~`!(){}^#&".utf8)

    /// The short names of a folder.
    struct ShortNames {
        private var taken: Set<[UInt8]> = []
        /// The first number that may be free behind a base and before a suffix: thousands of names can begin alike.
        private var numbers: [[UInt8]: Int] = [:]

        /// A name that no other has: eleven bytes, padded with spaces.
        mutating func take(for name: [UInt8]) -> [UInt8] {
            let (candidate, key) = FATNames.short(for: name, number: nil)
            if let candidate, taken.insert(candidate).inserted { return candidate }
            while true {
                let number = numbers[key, default: 1]
                numbers[key] = number + 1
                if let candidate = FATNames.short(for: name, number: number).name, taken.insert(candidate).inserted { return candidate }
            }
        }
    }

    /// The short name for a long one, and what names that would have the same numbers share.
    /// - Parameter number: stands at the end of the base; nil: only a name that says all by itself will do.
    private static func short(for name: [UInt8], number: Int?) -> (name: [UInt8]?, key: [UInt8]) {
        let upper = name.map { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") ? $0 - 32 : $0 }
        let dot = upper.lastIndex(of: UInt8(ascii: ".")).flatMap { $0 == 0 ? nil : $0 }
        func cleaned(_ part: ArraySlice<UInt8>) -> [UInt8] {
            part.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: ".") && $0 & 0xc0 != 0x80 }.map { shortCharacters.contains($0) ? $0 : UInt8(ascii: "_") }
        }
        let whole = dot.map { upper[..<$0] } ?? upper[...]
        let base = cleaned(whole), suffix = Array(cleaned(dot.map { upper[($0 + 1)...] } ?? []).prefix(3))
        func padded(_ base: [UInt8]) -> [UInt8] {
            base + [UInt8](repeating: 0x20, count: 8 - base.count) + suffix + [UInt8](repeating: 0x20, count: 3 - suffix.count)
        }
        let stem = base.isEmpty ? [UInt8(ascii: "_")] : base
        let key = padded(Array(stem.prefix(6)))
        guard let number else {
            let isWhole = base.count <= 8 && text(padded(Array(base.prefix(8))), caseBits: 0) == upper
            return (isWhole && !base.isEmpty ? padded(base) : nil, key)
        }
        let tail = Array("~\(number)".utf8)
        return (padded(Array(stem.prefix(max(0, 8 - tail.count))) + tail.prefix(8)), key)
    }

    /// The entries that stand before the short one; none if it says the name already.
    static func longEntries(_ name: [UInt8], short: [UInt8]) -> [UInt8] {
        if text(short, caseBits: 0) == name { return [] }
        let units = Array(String(decoding: name, as: UTF8.self).utf16)
        let sum = checksum(short), pieces = (units.count + 12) / 13
        var result: [UInt8] = []
        for piece in (0..<pieces).reversed() {
            var entry = [UInt8](repeating: 0, count: entrySize)
            entry[0] = UInt8(piece + 1) | (piece == pieces - 1 ? 0x40 : 0)
            entry[11] = 0x0f
            entry[13] = sum
            for (index, place) in unitPlaces.enumerated() {
                let position = piece * 13 + index
                let unit: UInt16 = position < units.count ? units[position] : position == units.count ? 0 : 0xffff
                entry[place] = UInt8(unit & 0xff)
                entry[place + 1] = UInt8(unit >> 8)
            }
            result += entry
        }
        return result
    }

    // MARK: reading

    static let unitPlaces = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]

    /// The sum over a short name by which long entries belong to it.
    static func checksum(_ short: [UInt8]) -> UInt8 {
        short.prefix(11).reduce(0) { (($0 & 1) << 7 | $0 >> 1) &+ $1 }
    }

    /// The bytes 128 to 255 of code page 437.
    private static let upperHalf = Array("ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}".unicodeScalars)

    /// A short name as text. - Parameter caseBits: byte 12 of its entry: 8 the base, 0x10 the suffix in small letters.
    static func text(_ short: [UInt8], caseBits: UInt8) -> [UInt8] {
        func part(_ bytes: ArraySlice<UInt8>, isLower: Bool) -> [UInt8] {
            var bytes = bytes
            while bytes.last == 0x20 { bytes.removeLast() }
            return bytes.flatMap { byte -> [UInt8] in
                if byte >= 0x80 { return Int(byte - 0x80) < upperHalf.count ? Array(String(upperHalf[Int(byte - 0x80)]).utf8) : [UInt8(ascii: "_")] }
                return [isLower && byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte + 32 : byte]
            }
        }
        guard short.count >= 11 else { return [] }
        // 0x05 stands for 0xe5, which would mean a deleted entry.
        let bytes = [short[0] == 0x05 ? 0xe5 : short[0]] + short[1...]
        let suffix = part(bytes[8..<11], isLower: caseBits & 0x10 != 0)
        return part(bytes[..<8], isLower: caseBits & 8 != 0) + (suffix.isEmpty ? [] : [UInt8(ascii: ".")] + suffix)
    }

    /// Puts long names together from the entries before a short one.
    struct LongName {
        private var units: [UInt16] = []
        private var expected: UInt8 = 0
        private var sum: UInt8 = 0

        mutating func add(_ entry: [UInt8]) {
            let order = entry[0] & 0x3f
            if entry[0] & 0x40 != 0 {
                self = LongName()
                sum = entry[13]
            } else if order != expected || entry[13] != sum {
                self = LongName()
                return
            }
            guard order > 0, order <= 20 else { self = LongName(); return }
            units = FATNames.unitPlaces.map { UInt16(entry[$0]) | UInt16(entry[$0 + 1]) << 8 } + units
            expected = order - 1
        }

        /// The name, if it is whole and belongs to this short one.
        func name(_ short: [UInt8]) -> [UInt8]? {
            guard expected == 0, !units.isEmpty, sum == FATNames.checksum(short) else { return nil }
            return Array(String(decoding: units.prefix { $0 != 0 }, as: UTF16.self).utf8)
        }
    }
}
