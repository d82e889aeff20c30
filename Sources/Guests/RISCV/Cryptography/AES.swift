// The steps of AES (FIPS 197, chapter 5) that the instructions of Zknd and Zkne are made of, on a state of four columns in
// two 64-bit words, the first column lowest. The substitution box is computed once, by its definition in section 5.1.1.

import Translation

enum AES {
    /// A byte substitution of 256 entries; lives for the whole process.
    struct Box: @unchecked Sendable {
        let entries: UnsafeMutablePointer<UInt8>
        subscript(byte: UInt8) -> UInt8 { entries[Int(byte)] }
    }

    static let box: Box = {
        let entries = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        // 3 generates the field, and its inverse the inverses: p and q run through it in step.
        var p: UInt8 = 1, q: UInt8 = 1
        repeat {
            p ^= doubled(p)
            q = multiplied(q, 0xf6)
            entries[Int(p)] = q ^ rotated(q, 1) ^ rotated(q, 2) ^ rotated(q, 3) ^ rotated(q, 4) ^ 0x63
        } while p != 1
        entries[0] = 0x63
        return Box(entries: entries)
    }()

    static let inverseBox: Box = {
        let entries = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        for byte in UInt8.min ... .max { entries[Int(box[byte])] = byte }
        return Box(entries: entries)
    }()

    private static func rotated(_ byte: UInt8, _ amount: UInt8) -> UInt8 { byte &<< amount | byte &>> (8 &- amount) }
    /// Multiplication by x in GF(2⁸).
    private static func doubled(_ byte: UInt8) -> UInt8 { byte &<< 1 ^ (byte & 0x80 != 0 ? 0x1b : 0) }
    static func multiplied(_ a: UInt8, _ b: UInt8) -> UInt8 {
        var product: UInt8 = 0, factor = a, rest = b
        while rest != 0 {
            if rest & 1 != 0 { product ^= factor }
            factor = doubled(factor)
            rest &>>= 1
        }
        return product
    }

    // MARK: steps

    /// The lower two columns after the rows of a state were shifted: `direction` 1 for encryption, 3 for decryption.
    private static func shiftRows(_ low: UInt64, _ high: UInt64, _ direction: UInt64) -> UInt64 {
        var result: UInt64 = 0
        for position in UInt64(0) ..< 8 {
            let row = position & 3, column = (position &>> 2 &+ row &* direction) & 3
            let word = column < 2 ? low : high
            let byte = word &>> ((column & 1) &* 32 &+ row &* 8) & 0xff
            result |= byte &<< (position &* 8)
        }
        return result
    }

    private static func substitute(_ word: UInt64, _ box: Box) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            result |= UInt64(box[UInt8(truncatingIfNeeded: word &>> shift)]) &<< shift
        }
        return result
    }

    /// Multiplies each column by the circulant matrix whose first row is `factors`.
    private static func mixColumns(_ word: UInt64, _ factors: (UInt8, UInt8, UInt8, UInt8)) -> UInt64 {
        var result: UInt64 = 0
        for column in stride(from: UInt64(0), to: 64, by: 32) {
            for row in UInt64(0) ..< 4 {
                func byte(_ distance: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: word &>> (column &+ ((row &+ distance) & 3) &* 8)) }
                let sum = multiplied(byte(0), factors.0) ^ multiplied(byte(1), factors.1) ^ multiplied(byte(2), factors.2)
                    ^ multiplied(byte(3), factors.3)
                result |= UInt64(sum) &<< (column &+ row &* 8)
            }
        }
        return result
    }

    private static let forward: (UInt8, UInt8, UInt8, UInt8) = (2, 3, 1, 1)
    private static let inverse: (UInt8, UInt8, UInt8, UInt8) = (14, 11, 13, 9)

    // MARK: helpers

    static let encryptLast = HelperTable.register(as: .aesEncryptLast) { _, low, high, _ in
        AES.substitute(AES.shiftRows(low, high, 1), AES.box)
    }
    static let encryptMiddle = HelperTable.register(as: .aesEncryptMiddle) { _, low, high, _ in
        AES.mixColumns(AES.substitute(AES.shiftRows(low, high, 1), AES.box), AES.forward)
    }
    static let decryptLast = HelperTable.register(as: .aesDecryptLast) { _, low, high, _ in
        AES.substitute(AES.shiftRows(low, high, 3), AES.inverseBox)
    }
    static let decryptMiddle = HelperTable.register(as: .aesDecryptMiddle) { _, low, high, _ in
        AES.mixColumns(AES.substitute(AES.shiftRows(low, high, 3), AES.inverseBox), AES.inverse)
    }
    static let inverseMixColumns = HelperTable.register(as: .aesInverseMixColumns) { _, word, _, _ in AES.mixColumns(word, AES.inverse) }
    /// Substitutes the four bytes of a zero-extended word.
    static let substituteWord = HelperTable.register(as: .aesSubstituteWord) { _, word, _, _ in
        AES.substitute(word, AES.box) & 0xffff_ffff
    }

    /// The constant of a round of the key schedule, 0 to 9; 0 for round 10, which has none.
    static func roundConstant(_ round: UInt64) -> UInt64 {
        guard round < 10 else { return 0 }
        var constant: UInt8 = 1
        for _ in 0 ..< round { constant = doubled(constant) }
        return UInt64(constant)
    }

    // MARK: whole states (Zvkned)

    @inline(__always)
    private static func halves(_ state: SIMD4<UInt32>) -> (low: UInt64, high: UInt64) {
        (UInt64(state[0]) | UInt64(state[1]) &<< 32, UInt64(state[2]) | UInt64(state[3]) &<< 32)
    }
    @inline(__always)
    private static func state(_ low: UInt64, _ high: UInt64) -> SIMD4<UInt32> {
        SIMD4(UInt32(truncatingIfNeeded: low), UInt32(truncatingIfNeeded: low &>> 32), UInt32(truncatingIfNeeded: high),
              UInt32(truncatingIfNeeded: high &>> 32))
    }

    /// A round of encryption without its key.
    static func encrypted(_ state: SIMD4<UInt32>, isLast: Bool) -> SIMD4<UInt32> {
        let (low, high) = halves(state)
        let first = substitute(shiftRows(low, high, 1), box), second = substitute(shiftRows(high, low, 1), box)
        return isLast ? AES.state(first, second) : AES.state(mixColumns(first, forward), mixColumns(second, forward))
    }

    /// The last round of decryption without its key.
    static func decrypted(_ state: SIMD4<UInt32>) -> SIMD4<UInt32> {
        let (low, high) = halves(state)
        return AES.state(substitute(shiftRows(low, high, 3), inverseBox), substitute(shiftRows(high, low, 3), inverseBox))
    }

    /// The columns mixed back.
    static func unmixed(_ state: SIMD4<UInt32>) -> SIMD4<UInt32> {
        let (low, high) = halves(state)
        return AES.state(mixColumns(low, inverse), mixColumns(high, inverse))
    }

    static func substituted(_ word: UInt32) -> UInt32 { UInt32(truncatingIfNeeded: substitute(UInt64(word), box)) }
    /// A word of the key rotated by a byte and substituted.
    static func rotatedSubstitution(_ word: UInt32) -> UInt32 { substituted(word &>> 8 | word &<< 24) }
    static func roundConstant(_ round: Int) -> UInt32 { UInt32(truncatingIfNeeded: roundConstant(UInt64(truncatingIfNeeded: round))) }

    /// The next round key: each word added to the one before.
    static func expanded(_ key: SIMD4<UInt32>, by first: UInt32) -> SIMD4<UInt32> {
        let a = key[0] ^ first, b = a ^ key[1], c = b ^ key[2]
        return SIMD4(a, b, c, c ^ key[3])
    }

    /// Registers all helpers and makes their tables: while there is one thread only.
    static func prepare() {
        _ = (encryptLast, encryptMiddle, decryptLast, decryptMiddle, inverseMixColumns, substituteWord, box, inverseBox)
    }
}
