import SoftFloat

/// A small deterministic generator (xorshift64*), so that a failure can be repeated.
struct RandomBits {
    var state: UInt64
    init(_ seed: UInt64) { state = seed | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }

    /// Bits of `format` that are often a corner, often near another number in exponent, and otherwise anything.
    mutating func float(_ format: FloatFormat) -> UInt64 {
        let width = UInt64(1 + format.fractionBits + format.exponentBits)
        let mask = ~UInt64(0) >> (64 - width)
        let fraction = (UInt64(1) << UInt64(format.fractionBits)) - 1
        let bits = next()
        switch next() % 8 {
        case 0:
            let all = corners(of: format)
            return all[Int(bits % UInt64(all.count))]
        case 1: // few significant bits
            return (bits & (bits >> 7) & (bits >> 13) & mask) | (bits & 1) << (width - 1)
        case 2: // long runs of ones
            return (bits | (bits >> 5) | (bits << 11)) & mask
        case 3, 4: // exponents around 1
            let bias = (UInt64(1) << UInt64(format.exponentBits - 1)) - 1
            let exponent = bias &+ (bits >> 58) &- 32
            return (next() & fraction | exponent << UInt64(format.fractionBits)) & mask >> 1 | (bits & 1) << (width - 1)
        case 5: // subnormal or just above
            return bits & (fraction << 1 | 1) | (next() & 1) << (width - 1)
        default: return bits & mask
        }
    }
}

func corners(of format: FloatFormat) -> [UInt64] {
    let one = ((UInt64(1) << UInt64(format.exponentBits - 1)) - 1) << UInt64(format.fractionBits)
    let fraction = (UInt64(1) << UInt64(format.fractionBits)) - 1
    let sign = UInt64(1) << UInt64(format.exponentBits + format.fractionBits)
    let unit = fraction + 1
    let positive: [UInt64] = [
        0, 1, 2, 3, fraction - 1, fraction, unit, unit + 1, unit << 1, unit * UInt64(format.fractionBits), one - 1, one, one + 1, one + unit,
        one - unit, one | unit >> 1, one + fraction, format.infinity - 1, format.infinity - 2, format.infinity - unit, format.infinity,
        format.canonicalNaN, format.infinity + 1, format.canonicalNaN + 5, format.infinity | fraction,
    ]
    return positive + positive.map { $0 | sign }
}

/// Mismatches of one test: the first few are described, all are counted.
struct Mismatches {
    var count = 0
    var described: [String] = []
    mutating func check(_ equal: Bool, _ text: @autoclosure () -> String) {
        if equal { return }
        count += 1
        if described.count < 5 { described.append(text()) }
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
