// Inputs are small although images are not: the length of the image in 512-byte sectors (32 bits), then pieces: how many
// sectors after the end of the last piece (16 bits), how many bytes (16 bits), the bytes. Little endian. Between the pieces
// are zeros. So a mutation hits metadata, wherever in the image it stands.

struct SparseInput {
    let image: [UInt8]
    /// No image is longer.
    static let longest = 8 << 20

    init(_ bytes: [UInt8]) {
        func number(_ at: Int, _ count: Int) -> Int { (0..<count).reduce(0) { at + $1 < bytes.count ? $0 | Int(bytes[at + $1]) << (8 * $1) : $0 } }
        var image = [UInt8](repeating: 0, count: min(number(0, 4) * 512, SparseInput.longest))
        var at = 4, position = 0
        while at + 4 <= bytes.count {
            position += number(at, 2) * 512
            let count = min(number(at + 2, 2), bytes.count - at - 4)
            at += 4
            guard position < image.count else { break }
            let end = min(position + count, image.count)
            image.replaceSubrange(position..<end, with: bytes[at..<at + end - position])
            at += count
            position += (count + 511) / 512 * 512
        }
        self.image = image
    }

    static func packed(_ image: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        func put(_ value: Int, _ count: Int) { for byte in 0..<count { out.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) } }
        put((image.count + 511) / 512, 4)
        let sectors = (image.count + 511) / 512
        func isZero(_ sector: Int) -> Bool { image[sector * 512..<min(image.count, sector * 512 + 512)].allSatisfy { $0 == 0 } }
        var sector = 0, last = 0
        while sector < sectors {
            if isZero(sector) { sector += 1; continue }
            var end = sector + 1
            while end < sectors, end - sector < 64, !isZero(end) { end += 1 }
            // Zeros at the end of a piece are not kept.
            var bytes = Array(image[sector * 512..<min(image.count, end * 512)])
            while (bytes.count - 1) / 512 == end - sector - 1, bytes.last == 0 { bytes.removeLast() }
            while sector - last > 0xffff { put(0xffff, 2); put(0, 2); last += 0xffff }
            put(sector - last, 2)
            put(bytes.count, 2)
            out += bytes
            sector = end
            last = end
        }
        return out
    }
}
