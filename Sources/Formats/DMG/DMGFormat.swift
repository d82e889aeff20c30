// dmg: the trailer, and the block lists in a property list or a resource fork.

import Block

/// The format `dmg`.
public enum DMGFormat: ImageFormat {
    public static let name = "dmg"
    public static let openOptions: [OptionDeclaration] = []
    public static let holdsMetadata = true
    private static let signature = Array("koly".utf8)
    private static let listSignature = Array("mish".utf8)
    /// All chunks of an image: 2^22, each 40 bytes in the file.
    private static let mostChunks = 4 << 20

    /// The start says nothing; the name does.
    public static func probe(_ start: [UInt8], name: String) -> Int { name.hasSuffix(".dmg") ? 2 : 0 }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let file = context.file
        let length = try file.length()
        guard length >= 512, length <= UInt64(Int64.max) / 4 else { throw .corrupt(at: 0, "a file of \(length) bytes has no dmg trailer, or is too large") }
        let trailer = try file.metadata(length - 512, 512, order: .big)
        guard try trailer.slice(0, 4) == signature else { throw .corrupt(at: length - 512, "no dmg trailer (koly)") }
        let dataStart = try trailer.u64(24), fork = (offset: try trailer.u64(40), length: try trailer.u64(48)), list = (offset: try trailer.u64(216), length: try trailer.u64(224))
        for (place, name) in [(fork, "resource fork"), (list, "property list")] {
            guard place.length <= UInt64(Node.largestMetadata), place.offset <= length, place.length <= length - place.offset else {
                throw .corrupt(at: trailer.origin, "a \(name) of \(place.length) bytes at \(place.offset): expected it in the file, and at most 64 MiB")
            }
        }
        guard dataStart <= length else { throw .corrupt(at: trailer.origin + 24, "data from offset \(dataStart)") }
        let lists: [Bytes]
        if fork.length > 0 { lists = try resources(try file.metadata(fork.offset, Int(fork.length), order: .big)) }
        else if list.length > 0 { lists = propertyList(try file.bytes(list.offset, Int(list.length)), list.offset) }
        else { throw .corrupt(at: trailer.origin, "neither a resource fork nor a property list") }
        var chunks: [DMGChunk] = []
        for list in lists { try read(list, dataStart, length, &chunks) }
        return try DMG(file, chunks)
    }

    /// Resources: a length, then the bytes, one after the other. Those that are block lists count.
    private static func resources(_ fork: Bytes) throws(BlockError) -> [Bytes] {
        let start = Int(try fork.u32(0)), end = start + Int(try fork.u32(8))
        guard end <= fork.count else { throw .corrupt(at: fork.origin, "resources from \(start) to \(end) in a fork of \(fork.count) bytes") }
        var lists: [Bytes] = []
        var position = start
        while position + 4 <= end {
            let length = Int(try fork.u32(position))
            let bytes = try fork.slice(position + 4, length)
            if bytes.starts(with: listSignature) { lists.append(Bytes(bytes, at: fork.origin + UInt64(position) + 4, order: .big)) }
            position += 4 + length
        }
        return lists
    }

    /// The texts between `<data>` and `</data>` that are block lists.
    private static func propertyList(_ text: [UInt8], _ origin: UInt64) -> [Bytes] {
        let opening = Array("<data>".utf8)
        var lists: [Bytes] = []
        var position = 0
        while position + opening.count <= text.count {
            guard text[position] == UInt8(ascii: "<"), text[position..<position + opening.count].elementsEqual(opening) else { position += 1; continue }
            let start = position + opening.count
            let end = text[start...].firstIndex(of: UInt8(ascii: "<")) ?? text.count
            let bytes = decodeBase64(text[start..<end])
            if bytes.starts(with: listSignature) { lists.append(Bytes(bytes, at: origin + UInt64(start), order: .big)) }
            position = end
        }
        return lists
    }

    /// RFC 4648; what is no digit is skipped, a `=` ends it.
    static func decodeBase64(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0, count = 0
        for character in text {
            let value: UInt32
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(character - 65)
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(character - 97 + 26)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(character - 48 + 52)
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="): return bytes
            default: continue
            }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }

    private static func read(_ list: Bytes, _ dataStart: UInt64, _ fileLength: UInt64, _ chunks: inout [DMGChunk]) throws(BlockError) {
        let firstSector = try list.u64(8), listData = try list.u64(24), count = Int(try list.u32(200))
        guard count <= (list.count - 204) / 40, chunks.count + count <= mostChunks else { throw .corrupt(at: list.origin, "a block list of \(count) chunks in \(list.count) bytes") }
        for index in 0..<count {
            let entry = 204 + index * 40
            let number = try list.u32(entry)
            // Comments, and the end mark.
            if number == 0x7fff_fffe || number == 0xffff_ffff { continue }
            guard let method = DMGChunk.Method(rawValue: number) else { throw .unsupported("a chunk of type 0x\(String(number, radix: 16))", at: list.origin + UInt64(entry)) }
            let sector = try list.u64(entry + 8), sectors = try list.u64(entry + 16), offset = try list.u64(entry + 24), stored = try list.u64(entry + 32)
            if sectors == 0 { continue }
            let most = UInt64(Int64.max) / 2048
            guard sector <= most, firstSector <= most, sectors <= most else { throw .corrupt(at: list.origin + UInt64(entry), "a chunk of \(sectors) sectors at sector \(sector)") }
            var chunk = DMGChunk(method: method, start: (firstSector + sector) * 512, length: sectors * 512, offset: 0, stored: stored)
            if method != .zeros, method != .ignored {
                guard offset <= fileLength, listData <= fileLength, stored <= fileLength, offset + listData + dataStart + stored <= fileLength else {
                    throw .corrupt(at: list.origin + UInt64(entry), "a chunk of \(stored) bytes at \(offset) ends beyond the file")
                }
                chunk.offset = offset + listData + dataStart
                if method == .raw {
                    guard stored >= chunk.length else { throw .corrupt(at: list.origin + UInt64(entry), "a plain chunk of \(stored) bytes for \(sectors) sectors") }
                } else if stored > DMG.largestChunk || chunk.length > DMG.largestChunk {
                    throw .corrupt(at: list.origin + UInt64(entry), "a compressed chunk of \(stored) bytes for \(chunk.length): expected at most 64 MiB each")
                }
            }
            chunks.append(chunk)
        }
    }
}
