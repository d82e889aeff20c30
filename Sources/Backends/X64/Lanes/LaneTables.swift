// Constants of lane code: 32-byte rows behind the trampolines, named relative to `rip`.

/// The rows; each is as wide as a YMM register.
enum LaneTable: Int, CaseIterable {
    /// Which bit of a mask byte, word or doubleword each lane tests, by lane width; of eight bytes two rows.
    case bits8, spread8, bits16, bits32, bits64, bits64High
    case nan32, nan64, sign32, sign64
    /// The low halves of words and doublewords.
    case lowByte, lowWord
    /// 0x70 in each byte: added with saturation it sets the top bit of what is 16 or more.
    case sixteen
    /// 2³¹ as f32.
    case two31
    /// Byte orders that reverse words, doublewords, quadwords, and all sixteen bytes.
    case reverse16, reverse32, reverse64, reverse128
    /// A nibble's bits reversed, as the high and as the low nibble of a byte; the low nibbles.
    case nibbleToHigh, nibbleToLow, lowNibble
    /// The polynomial of GHASH in its bit order, with the terms that a product by x and a reduction need.
    case ghash

    static var bytes: [UInt8] {
        var all: [UInt8] = []
        func words<T: FixedWidthInteger>(_ values: [T]) { for value in values { withUnsafeBytes(of: value.littleEndian) { all += $0 } } }
        func same<T: FixedWidthInteger>(_ value: T) { words([T](repeating: value, count: 32 / MemoryLayout<T>.size)) }
        words((0 ..< 32).map { UInt8(1) &<< UInt8($0 & 7) })
        words((0 ..< 32).map { UInt8($0 / 8) })
        words((0 ..< 16).map { UInt16(1) &<< UInt16($0) })
        words((0 ..< 8).map { UInt32(1) &<< UInt32($0) })
        words((0 ..< 8).map { UInt64(1) &<< UInt64($0) })
        same(UInt32(0x7FC0_0000))
        same(UInt64(0x7FF8_0000_0000_0000))
        same(UInt32(0x8000_0000))
        same(UInt64(0x8000_0000_0000_0000))
        same(UInt16(0x00FF))
        same(UInt32(0x0000_FFFF))
        same(UInt8(0x70))
        same(UInt32(0x4F00_0000))
        for size in [2, 4, 8, 16] { words((0 ..< 32).map { UInt8(($0 & 15) / size * size + size - 1 - $0 % size) }) }
        func reversed(_ nibble: Int) -> UInt8 { UInt8(nibble & 1) << 3 | UInt8(nibble & 2) << 1 | UInt8(nibble & 4) >> 1 | UInt8(nibble & 8) >> 3 }
        words((0 ..< 32).map { reversed($0 & 15) << 4 })
        words((0 ..< 32).map { reversed($0 & 15) })
        same(UInt8(0x0F))
        words([1, 0xC200_0000_0000_0000, 1, 0xC200_0000_0000_0000] as [UInt64])
        return all
    }
}
