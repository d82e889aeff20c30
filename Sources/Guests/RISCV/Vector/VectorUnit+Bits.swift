// "Zvbb" and "Zvbc": vector bit manipulation and carry-less multiplication.

extension VectorUnit {
    func bits<T: VectorElement>(_ type: T.Type) {
        let width = T(truncatingIfNeeded: T.bitWidth)
        switch operation {
        case .andNot: map(type) { $0 & ~$1 }
        case .rol: map(type) { $0 &<< $1 | $0 &>> (width &- $1) }
        case .ror: map(type) { $0 &>> $1 | $0 &<< (width &- $1) }
        case .wsll: widen(type, signed: (false, false)) { $1 &<< $2 }
        case .reverseBits: map(type) { value, _ in Self.reversedInBytes(value).byteSwapped }
        case .reverseBitsInBytes: map(type) { value, _ in Self.reversedInBytes(value) }
        case .reverseBytes: map(type) { value, _ in value.byteSwapped }
        case .leadingZeros: map(type) { value, _ in T(truncatingIfNeeded: value.leadingZeroBitCount) }
        case .trailingZeros: map(type) { value, _ in T(truncatingIfNeeded: value.trailingZeroBitCount) }
        case .countOnes: map(type) { value, _ in T(truncatingIfNeeded: value.nonzeroBitCount) }
        case .clmul: map(type) { T(truncatingIfNeeded: CarrylessProduct.of(UInt64(truncatingIfNeeded: $0), UInt64(truncatingIfNeeded: $1)).low) }
        default: map(type) { T(truncatingIfNeeded: CarrylessProduct.of(UInt64(truncatingIfNeeded: $0), UInt64(truncatingIfNeeded: $1)).high) }
        }
    }

    private static func reversedInBytes<T: VectorElement>(_ value: T) -> T {
        let ones = T.max / 3, twos = T.max / 5, fours = T.max / 17
        let pairs = value &>> 1 & ones | (value & ones) &<< 1
        let quads = pairs &>> 2 & twos | (pairs & twos) &<< 2
        return quads &>> 4 & fours | (quads & fours) &<< 4
    }
}

/// Products of polynomials over GF(2).
enum CarrylessProduct {
    static func of(_ a: UInt64, _ b: UInt64) -> (low: UInt64, high: UInt64) {
        var low: UInt64 = 0, high: UInt64 = 0, rest = b
        while rest != 0 {
            let shift = UInt64(rest.trailingZeroBitCount)
            low ^= a &<< shift
            if shift != 0 { high ^= a &>> (64 &- shift) }
            rest &= rest &- 1
        }
        return (low, high)
    }
}
