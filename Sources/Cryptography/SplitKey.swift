// The anti-forensic splitter of LUKS (specification 1.2.3, section 2.4): a key is spread over many stripes, all of which are
// needed to get it back, so that overwriting any of them destroys it.

/// Splits keys, and joins them again.
public enum SplitKey {
    private static func diffuse(_ block: [UInt8], _ hash: HashFunction) -> [UInt8] {
        var result: [UInt8] = []
        var index: UInt32 = 0
        while result.count < block.count {
            let part = block[result.count..<min(block.count, result.count + hash.size)]
            let number = (0..<4).map { UInt8(truncatingIfNeeded: index >> (24 - 8 * UInt32($0))) }
            result += hash.digest(number + part).prefix(part.count)
            index &+= 1
        }
        return result
    }

    /// The key of `material`, which has `stripes` stripes of `keyBytes`; nil if it has not.
    public static func join(_ material: [UInt8], keyBytes: Int, stripes: Int, _ hash: HashFunction) -> [UInt8]? {
        guard keyBytes > 0, stripes > 0, material.count / keyBytes >= stripes else { return nil }
        var block = [UInt8](repeating: 0, count: keyBytes)
        for stripe in 0..<stripes {
            for index in 0..<keyBytes { block[index] ^= material[stripe * keyBytes + index] }
            if stripe < stripes - 1 { block = diffuse(block, hash) }
        }
        return block
    }

    /// Stripes of random bytes, the last of which makes them `key`.
    public static func split(_ key: [UInt8], stripes: Int, _ hash: HashFunction) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var material: [UInt8] = []
        var block = [UInt8](repeating: 0, count: key.count)
        for _ in 0..<max(0, stripes - 1) {
            let stripe = (0..<key.count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            material += stripe
            for index in 0..<key.count { block[index] ^= stripe[index] }
            block = diffuse(block, hash)
        }
        return material + zip(block, key).map { $0 ^ $1 }
    }
}
