// GHASH (NIST SP 800-38D, section 6.3): products in GF(2¹²⁸) modulo x¹²⁸ + x⁷ + x² + x + 1, on blocks whose first bit, the
// highest of the first byte, is the coefficient of 1.

enum GaloisHash {
    static func product(_ x: SIMD4<UInt32>, _ y: SIMD4<UInt32>) -> SIMD4<UInt32> {
        var a = polynomial(x), z: UInt128 = 0
        var b = polynomial(y)
        while a != 0 {
            if a & 1 != 0 { z ^= b }
            a &>>= 1
            b = b &<< 1 ^ (b &>> 127 != 0 ? 0x87 : 0)
        }
        return block(z)
    }

    /// The coefficient of xⁿ in bit n.
    private static func polynomial(_ block: SIMD4<UInt32>) -> UInt128 { reversedInBytes(unsafeBitCast(block, to: UInt128.self)) }
    private static func block(_ polynomial: UInt128) -> SIMD4<UInt32> { unsafeBitCast(reversedInBytes(polynomial), to: SIMD4<UInt32>.self) }

    private static func reversedInBytes(_ value: UInt128) -> UInt128 {
        let ones = UInt128.max / 3, twos = UInt128.max / 5, fours = UInt128.max / 17
        let pairs = value &>> 1 & ones | (value & ones) &<< 1
        let quads = pairs &>> 2 & twos | (pairs & twos) &<< 2
        return quads &>> 4 & fours | (quads & fours) &<< 4
    }
}
