// vmdk: the descriptor, a text that tells which extents make up the disk (VMware Virtual Disks, Virtual Disk Format 1.1,
// "The Descriptor File"): `name=value` lines, and extent lines `RW <sectors> <type> "<file>" <offset>`.

import Block

/// What a descriptor says.
struct VMDKDescriptor: Sendable {
    /// One extent line.
    struct Extent: Sendable {
        var access: String
        var sectors: UInt64
        var type: String
        var file: String
        /// In sectors, of flat extents.
        var offset: UInt64
    }
    var text: String
    var values: [String: String] = [:]
    var extents: [Extent] = []

    /// No descriptor is longer: QEMU's bound.
    static let largest = 1 << 20
    static let noParent: UInt32 = 0xffff_ffff
    static let mostExtents = 4096

    init(_ bytes: [UInt8]) throws(BlockError) {
        text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        for line in text.split(whereSeparator: \.isNewline) {
            let line = VMDKDescriptor.trimmed(line)
            if line.hasPrefix("#") { continue }
            if let extent = try VMDKDescriptor.extent(line) {
                guard extents.count < VMDKDescriptor.mostExtents else { throw .corrupt("more than \(VMDKDescriptor.mostExtents) extents") }
                extents.append(extent)
                continue
            }
            guard let equals = line.firstIndex(of: "=") else { continue }
            var value = VMDKDescriptor.trimmed(line[line.index(after: equals)...])
            if value.hasPrefix("\""), value.hasSuffix("\""), value.count >= 2 { value = value.dropFirst().dropLast() }
            values[String(VMDKDescriptor.trimmed(line[..<equals]))] = String(value)
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }

    private static func extent(_ line: Substring) throws(BlockError) -> Extent? {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
        guard let first = words.first, ["RW", "RDONLY", "NOACCESS"].contains(String(first)) else { return nil }
        guard words.count >= 3, let sectors = UInt64(words[1]), sectors <= UInt64(Int64.max) / 512 else { throw .corrupt("Invalid extent line: \(line)") }
        let type = String(words[2])
        if type == "ZERO" { return Extent(access: String(first), sectors: sectors, type: type, file: "", offset: 0) }
        guard words.count == 4, words[3].hasPrefix("\""), let end = words[3].dropFirst().firstIndex(of: "\"") else { throw .corrupt("Invalid extent line: \(line)") }
        let name = words[3][words[3].index(after: words[3].startIndex)..<end]
        let rest = trimmed(words[3][words[3].index(after: end)...])
        var offset: UInt64 = 0
        if let number = rest.split(separator: " ").first {
            guard let value = UInt64(number), value <= UInt64(Int64.max) / 512 else { throw .corrupt("Invalid extent line: \(line)") }
            offset = value
        }
        guard !name.isEmpty else { throw .corrupt("Invalid extent line: \(line)") }
        return Extent(access: String(first), sectors: sectors, type: type, file: String(name), offset: offset)
    }

    /// The number that changes when the contents do.
    var cid: UInt32 { values["CID"].flatMap { UInt32($0, radix: 16) } ?? 0 }
    var parentCID: UInt32 { values["parentCID"].flatMap { UInt32($0, radix: 16) } ?? VMDKDescriptor.noParent }
    var createType: String { values["createType"] ?? "" }
    var parent: String? { parentCID == VMDKDescriptor.noParent ? nil : values["parentFileNameHint"] }

    static func hex(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }

    /// The text with another CID.
    func text(cid: UInt32) -> String? {
        var found = false
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
            guard line.hasPrefix("CID=") else { return String(line) }
            found = true
            return "CID=" + VMDKDescriptor.hex(cid) + (line.hasSuffix("\r") ? "\r" : "")
        }
        return found ? lines.joined(separator: "\n") : nil
    }
}
