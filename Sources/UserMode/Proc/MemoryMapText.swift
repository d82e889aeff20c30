/// `/proc/self/maps` and `smaps` for the guest: the guest's regions and permissions, with what the host's own list says
/// of the files behind them. Apus's own mappings are not in them.
struct MemoryMapText {
    private struct HostMapping {
        let start: UInt64, end: UInt64
        let shared: Bool
        let offset: UInt64
        /// Device and inode, as the host writes them.
        let device: Substring, inode: Substring
        let path: Substring
        /// The lines below the first, in smaps.
        var details: [Substring] = []
    }

    private let regions: [Region]
    private let base: UInt64

    init(_ memory: GuestMemory) {
        regions = Array(memory.regions())
        base = memory.base
    }

    func maps() -> String {
        var text = ""
        for piece in pieces(HostFile.read("/proc/self/maps")) { text += line(piece.region, piece.mapping, piece.range) }
        return text
    }

    /// smaps: each host mapping's figures stand with the first guest region in it.
    func details() -> String {
        var text = ""
        var last: UInt64?
        for piece in pieces(HostFile.read("/proc/self/smaps")) {
            text += line(piece.region, piece.mapping, piece.range)
            if last != piece.mapping.start {
                text += piece.mapping.details.map { $0 + "\n" }.joined()
                last = piece.mapping.start
            }
        }
        return text
    }

    /// The files mapped in the guest's memory.
    func files() -> [(range: Range<UInt64>, offset: UInt64, path: String)] {
        pieces(HostFile.read("/proc/self/maps")).compactMap { piece in
            guard piece.mapping.inode != "0", piece.region.kind == .file else { return nil }
            return (piece.range, piece.mapping.offset &+ (piece.range.lowerBound &- piece.mapping.start), String(piece.mapping.path))
        }
    }

    private typealias Piece = (region: Region, mapping: HostMapping, range: Range<UInt64>)

    /// The guest's regions cut where the host's mappings end, joined again where only the host saw a border.
    private func pieces(_ bytes: [UInt8]) -> [Piece] {
        let mappings = parse(String(decoding: bytes, as: UTF8.self))
        var result: [Piece] = []
        var index = 0
        for region in regions {
            while index > 0, index < mappings.count, mappings[index].start > region.start { index -= 1 }
            while index < mappings.count, mappings[index].end <= region.start { index += 1 }
            var at = index
            while at < mappings.count, mappings[at].start < region.end {
                let mapping = mappings[at]
                let range = max(mapping.start, region.start)..<min(mapping.end, region.end)
                if let before = result.last, before.region == region, before.range.upperBound == range.lowerBound,
                   joins(before.mapping, mapping) {
                    result[result.count - 1].range = before.range.lowerBound..<range.upperBound
                } else {
                    result.append((region, mapping, range))
                }
                at += 1
            }
        }
        return result
    }

    private func joins(_ first: HostMapping, _ second: HostMapping) -> Bool {
        first.device == second.device && first.inode == second.inode && first.path == second.path
            && (first.inode == "0" || first.offset &+ (second.start &- first.start) == second.offset)
    }

    private func line(_ region: Region, _ mapping: HostMapping, _ range: Range<UInt64>) -> String {
        let bits = region.protection
        let permissions = (bits & 1 != 0 ? "r" : "-") + (bits & 2 != 0 ? "w" : "-") + (bits & 4 != 0 ? "x" : "-")
            + (region.shared || mapping.shared ? "s" : "p")
        let isFile = mapping.inode != "0"
        let offset = isFile ? mapping.offset &+ (range.lowerBound &- mapping.start) : 0
        var text = "\(hex(range.lowerBound, 8))-\(hex(range.upperBound, 8)) \(permissions) \(hex(offset, 8)) "
            + "\(mapping.device) \(mapping.inode) "
        let name: Substring
        switch region.kind {
        case .heap: name = "[heap]"
        case .stack: name = "[stack]"
        case .vdso: name = "[vdso]"
        default: name = isFile ? mapping.path : ""
        }
        if !name.isEmpty {
            text += String(repeating: " ", count: max(0, 73 - text.utf8.count)) + name
        }
        return text + "\n"
    }

    private func hex(_ value: UInt64, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    /// The host's list in guest addresses.
    private func parse(_ text: String) -> [HostMapping] {
        var result: [HostMapping] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count >= 5, let dash = fields[0].firstIndex(of: "-"),
                  let start = UInt64(fields[0][..<dash], radix: 16),
                  let end = UInt64(fields[0][fields[0].index(after: dash)...], radix: 16),
                  let offset = UInt64(fields[2], radix: 16) else {
                if !result.isEmpty { result[result.count - 1].details.append(line) }
                continue
            }
            let path = fields.count > 5 ? fields[5].drop(while: { $0 == " " }) : ""
            result.append(HostMapping(start: start &- base, end: end &- base, shared: fields[1].hasSuffix("s"), offset: offset,
                                      device: fields[3], inode: fields[4], path: path))
        }
        return base == 0 ? result : result.filter { $0.start < $0.end }
    }
}
