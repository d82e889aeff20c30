// The steps of the block cipher SM4 (GB/T 32907-2016) that the instructions of Zksed are made of. The substitution box is
// computed once: an affine map, the inverse in GF(2⁸) modulo x⁸+x⁷+x⁶+x⁵+x⁴+x²+1, and the same map again.

import Translation

enum SM4 {
    private struct Box: @unchecked Sendable {
        let entries: UnsafeMutablePointer<UInt8>
        subscript(byte: UInt8) -> UInt32 { UInt32(entries[Int(byte)]) }
    }

    private static let box: Box = {
        let entries = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        for byte in UInt8.min ... .max { entries[Int(byte)] = affine(inverse(affine(byte))) }
        return Box(entries: entries)
    }()

    /// Bit n of the result is the parity of the byte under 0xa7 rotated left by n, plus bit n of 0xd3.
    private static func affine(_ byte: UInt8) -> UInt8 {
        var result: UInt8 = 0xd3
        for bit in UInt8(0) ..< 8 {
            let row: UInt8 = bit == 0 ? 0xa7 : 0xa7 &<< bit | 0xa7 &>> (8 &- bit)
            if (row & byte).nonzeroBitCount & 1 != 0 { result ^= 1 &<< bit }
        }
        return result
    }

    private static func multiplied(_ a: UInt8, _ b: UInt8) -> UInt8 {
        var product: UInt8 = 0, factor = a, rest = b
        while rest != 0 {
            if rest & 1 != 0 { product ^= factor }
            factor = factor &<< 1 ^ (factor & 0x80 != 0 ? 0xf5 : 0)
            rest &>>= 1
        }
        return product
    }

    /// The 254th power: the inverse, and 0 of 0.
    private static func inverse(_ byte: UInt8) -> UInt8 {
        var result: UInt8 = 1, power = byte
        for _ in 0 ..< 7 {
            power = multiplied(power, power)
            result = multiplied(result, power)
        }
        return result
    }

    private static func substituted(_ word: UInt64, _ shift: UInt64) -> UInt32 { box[UInt8(truncatingIfNeeded: word &>> shift)] }

    /// `part`, moved to the byte it was taken from, added to a word; sign-extended.
    private static func combined(_ word: UInt64, _ part: UInt32, _ shift: UInt64) -> UInt64 {
        let amount = UInt32(truncatingIfNeeded: shift)
        let turned = amount == 0 ? part : part &<< amount | part &>> (32 &- amount)
        return UInt64(bitPattern: Int64(Int32(bitPattern: UInt32(truncatingIfNeeded: word) ^ turned)))
    }

    // MARK: four rounds at once (Zvksed)

    private static func turned(_ word: UInt32, _ amount: UInt32) -> UInt32 { word &<< amount | word &>> (32 &- amount) }
    private static func substituted(_ word: UInt32) -> UInt32 {
        box[UInt8(truncatingIfNeeded: word)] | box[UInt8(truncatingIfNeeded: word &>> 8)] &<< 8 | box[UInt8(truncatingIfNeeded: word &>> 16)] &<< 16
            | box[UInt8(truncatingIfNeeded: word &>> 24)] &<< 24
    }

    /// Four rounds of the cipher with four round keys.
    static func rounds(_ state: SIMD4<UInt32>, _ keys: SIMD4<UInt32>) -> SIMD4<UInt32> {
        var x = state
        for index in 0 ..< 4 {
            let s = substituted(x[1] ^ x[2] ^ x[3] ^ keys[index])
            x = SIMD4(x[1], x[2], x[3], x[0] ^ s ^ turned(s, 2) ^ turned(s, 10) ^ turned(s, 18) ^ turned(s, 24))
        }
        return x
    }

    /// The four round keys after `keys`; `number` says which of the eight groups they are.
    static func roundKeys(_ keys: SIMD4<UInt32>, _ number: Int) -> SIMD4<UInt32> {
        var x = keys
        for index in 0 ..< 4 {
            // Byte j of constant i is (4i + j) × 7.
            let first = UInt32(truncatingIfNeeded: 4 &* (4 &* number &+ index))
            func byte(_ j: UInt32) -> UInt32 { (first &+ j) &* 7 & 0xff }
            let constant = byte(0) &<< 24 | byte(1) &<< 16 | byte(2) &<< 8 | byte(3)
            let s = substituted(x[1] ^ x[2] ^ x[3] ^ constant)
            x = SIMD4(x[1], x[2], x[3], x[0] ^ s ^ turned(s, 13) ^ turned(s, 23))
        }
        return x
    }

    /// Registers the helpers and makes the table: while there is one thread only.
    static func prepare() { _ = (round, keySchedule, box) }

    /// SM4ED: word, register with the byte, its position in bits.
    static let round = HelperTable.register { _, word, source, shift in
        let s = SM4.substituted(source, shift & 24)
        let part = s ^ s &<< 8 ^ s &<< 2 ^ s &<< 18 ^ (s & 0x3f) &<< 26 ^ (s & 0xc0) &<< 10
        return SM4.combined(word, part, shift & 24)
    }

    /// SM4KS.
    static let keySchedule = HelperTable.register { _, word, source, shift in
        let s = SM4.substituted(source, shift & 24)
        let part = s ^ (s & 0x07) &<< 29 ^ (s & 0xfe) &<< 7 ^ (s & 0x01) &<< 23 ^ (s & 0xf8) &<< 13
        return SM4.combined(word, part, shift & 24)
    }
}
