// Symbols of ELF files ("System V Application Binary Interface", chapter 4): those that a machine asks for by name.

public enum SymbolTable {
    /// The values of the symbols of these names, of a little-endian file; what is not well-formed has none.
    public static func values(of names: Set<String>, in bytes: [UInt8]) -> [String: UInt64] {
        guard bytes.count >= 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]), bytes[4] == 1 || bytes[4] == 2, bytes[5] == 1 else { return [:] }
        let isWide = bytes[4] == 2
        func number(_ at: UInt64, _ width: Int) -> UInt64? {
            guard at <= UInt64(bytes.count), UInt64(width) <= UInt64(bytes.count) - at else { return nil }
            return (0 ..< width).reduce(0) { $0 | UInt64(bytes[Int(at) + $1]) << UInt64($1 * 8) }
        }
        func word(_ at: UInt64) -> UInt64? { number(at, isWide ? 8 : 4) }
        guard let table = word(isWide ? 40 : 32), let size = number(isWide ? 58 : 46, 2), let count = number(isWide ? 60 : 48, 2), size >= (isWide ? 64 : 40) else { return [:] }
        func section(_ index: UInt64) -> (kind: UInt64, start: UInt64, size: UInt64, link: UInt64)? {
            guard index < count, table < UInt64(bytes.count) else { return nil }
            let at = table + index * size
            guard let kind = number(at + 4, 4), let start = word(at + (isWide ? 24 : 16)), let length = word(at + (isWide ? 32 : 20)), let link = number(at + (isWide ? 40 : 24), 4),
                  start <= UInt64(bytes.count), length <= UInt64(bytes.count) - start else { return nil }
            return (kind, start, length, link)
        }
        var found: [String: UInt64] = [:]
        for index in 0 ..< count {
            guard let symbols = section(index), symbols.kind == 2, let strings = section(symbols.link) else { continue }
            let entry: UInt64 = isWide ? 24 : 16
            for at in stride(from: symbols.start, to: symbols.start + symbols.size / entry * entry, by: Int(entry)) {
                guard let offset = number(at, 4), offset < strings.size, let value = word(at + (isWide ? 8 : 4)) else { continue }
                let longest = min(strings.size - offset, 64), start = Int(strings.start + offset)
                let name = String(decoding: bytes[start ..< start + Int(longest)].prefix { $0 != 0 }, as: UTF8.self)
                if names.contains(name) { found[name] = value }
            }
        }
        return found
    }
}
