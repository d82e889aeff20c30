// "Scalar Cryptography": the entropy source of Zkr, read through the CSR `seed`: here the host system's generator.

import Translation

enum EntropySource {
    /// ES16: sixteen bits of entropy are there. The value of a 32-bit register, sign-extended.
    static let helper = HelperTable.register { _, _, _, _ in
        var generator = SystemRandomNumberGenerator()
        let word = 0x8000_0000 | UInt32(UInt16(truncatingIfNeeded: generator.next()))
        return UInt64(bitPattern: Int64(Int32(bitPattern: word)))
    }
}
