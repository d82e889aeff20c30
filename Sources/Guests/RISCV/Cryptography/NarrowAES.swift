// The steps of AES that RV32's instructions of Zknd and Zkne are made of: one byte of a column at a time.

import Translation

enum NarrowAES {
    enum Round: UInt64 { case encryptLast, encryptMiddle, decryptLast, decryptMiddle }

    /// Arguments: a word, which of its bytes, a `Round`. The byte substituted and, in the middle rounds, multiplied by the
    /// first column of the matrix; turned to where the byte stood.
    static let helper = HelperTable.register { _, word, position, round in
        let shift = (position & 3) &* 8
        let byte = UInt8(truncatingIfNeeded: word &>> shift)
        let isDecryption = round >= Round.decryptLast.rawValue
        let substituted = isDecryption ? AES.inverseBox[byte] : AES.box[byte]
        var column = UInt32(substituted)
        if round & 1 != 0 {
            let factors: [UInt8] = isDecryption ? [14, 9, 13, 11] : [2, 1, 1, 3]
            column = 0
            for row in 0 ..< 4 { column |= UInt32(AES.multiplied(substituted, factors[row])) &<< UInt32(row &* 8) }
        }
        let amount = UInt32(truncatingIfNeeded: shift)
        return UInt64(amount == 0 ? column : column &<< amount | column &>> (32 &- amount))
    }
}
