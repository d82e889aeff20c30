// What is in a tar archive (POSIX.1-2024, pax; and GNU's long names and large numbers): names, places and sizes. Members are
// read where they are.

import Block

struct TarIndex {
    struct Member {
        let name: String
        /// Bytes in the archive.
        let offset: UInt64
        let size: UInt64
    }
    private(set) var members: [Member] = []
    private static let mostMembers = 10_000
    private static let largestExtension: UInt64 = 1 << 20

    /// Whether these are the first bytes of an archive.
    static func isArchive(_ start: [UInt8]) -> Bool { start.count >= 512 && Array(start[257..<262]) == Array("ustar".utf8) }

    /// - Throws: `corrupt`: a header is damaged, or a member does not fit into the file.
    init(_ file: Node) throws(BlockError) {
        let end = try file.length()
        var position: UInt64 = 0
        var longName: String?, paxName: String?, paxSize: UInt64?
        while position + 512 <= end {
            let header = try file.metadata(position, 512, order: .big)
            if header.array.allSatisfy({ $0 == 0 }) { return }
            try Self.checkSum(header)
            let size = if let paxSize { paxSize } else { try Self.number(header, 124, 12) }
            let start = position + 512
            guard size <= end - start else { throw .corrupt(at: position + 124, "a member of \(size) bytes: the archive ends after \(end - start)") }
            switch try header.u8(156) {
            case UInt8(ascii: "L"):
                longName = String(decoding: try Self.extension(file, start, size).prefix { $0 != 0 }, as: UTF8.self)
            case UInt8(ascii: "x"):
                for (key, value) in try Self.records(try Self.extension(file, start, size), at: start) {
                    if key == "path" { paxName = value }
                    if key == "size" {
                        guard let number = UInt64(value) else { throw .corrupt(at: start, "a size '\(value)'") }
                        paxSize = number
                    }
                }
            case let kind:
                // Regular files; others (folders, links, global headers) are passed over.
                if kind == 0 || kind == UInt8(ascii: "0") || kind == UInt8(ascii: "7") {
                    let prefix = try header.text(345, 155), name = try header.text(0, 100)
                    members.append(Member(name: paxName ?? longName ?? (prefix.isEmpty ? name : prefix + "/" + name), offset: start, size: size))
                    guard members.count <= Self.mostMembers else { throw .corrupt(at: position, "more than \(Self.mostMembers) members") }
                }
                longName = nil
                paxName = nil
                paxSize = nil
            }
            guard let next = size.roundedUp(to: 512), next <= UInt64.max - start else { throw .corrupt(at: position, "a member of \(size) bytes") }
            position = start + next
        }
    }

    private static func `extension`(_ file: Node, _ start: UInt64, _ size: UInt64) throws(BlockError) -> [UInt8] {
        guard size <= largestExtension else { throw .corrupt(at: start, "an extended header of \(size) bytes: expected at most \(largestExtension)") }
        return try file.bytes(start, Int(size))
    }

    /// The sum of all bytes, the sum's own taken as spaces.
    private static func checkSum(_ header: Bytes) throws(BlockError) {
        let sum = header.array.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
        guard try number(header, 148, 8) == UInt64(sum) else { throw .corrupt(at: header.origin + 148, "the checksum of a tar header is wrong") }
    }

    /// Octal digits, or with the top bit set a binary number.
    private static func number(_ header: Bytes, _ place: Int, _ count: Int) throws(BlockError) -> UInt64 {
        let field = try header.slice(place, count)
        if let first = field.first, first & 0x80 != 0 {
            guard first == 0x80, field.dropFirst().dropLast(8).allSatisfy({ $0 == 0 }) else { throw .corrupt(at: header.origin + UInt64(place), "a number beyond 64 bits") }
            return field.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
        let digits = String(decoding: field.prefix { $0 != 0 }, as: UTF8.self).trimmed
        guard let value = digits.isEmpty ? 0 : UInt64(digits, radix: 8) else { throw .corrupt(at: header.origin + UInt64(place), "'\(digits)' is no octal number") }
        return value
    }

    /// Records of a pax header: `LENGTH KEY=VALUE\n`.
    private static func records(_ bytes: [UInt8], at origin: UInt64) throws(BlockError) -> [(String, String)] {
        var found: [(String, String)] = []
        var rest = bytes[...]
        while let space = rest.firstIndex(of: UInt8(ascii: " ")) {
            guard let length = Int(String(decoding: rest[..<space], as: UTF8.self)), length > space - rest.startIndex + 1, length <= rest.count else {
                throw .corrupt(at: origin, "a record of an extended header has no valid length")
            }
            let record = rest[(space + 1)..<(rest.startIndex + length)]
            rest = rest.dropFirst(length)
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { continue }
            found.append((String(decoding: record[..<equals], as: UTF8.self), String(decoding: record[(equals + 1)...].dropLast(), as: UTF8.self)))
        }
        return found
    }
}
