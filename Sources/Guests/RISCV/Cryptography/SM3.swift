// The steps of the hash SM3 (GB/T 32905-2016) that the instructions of Zvksh are made of, on words in memory order: the
// standard's are big-endian.

enum SM3 {
    private static func turned(_ word: UInt32, _ amount: UInt32) -> UInt32 { word &<< (amount & 31) | word &>> (0 &- amount & 31) }
    private static func p0(_ word: UInt32) -> UInt32 { word ^ turned(word, 9) ^ turned(word, 17) }
    private static func p1(_ word: UInt32) -> UInt32 { word ^ turned(word, 15) ^ turned(word, 23) }

    /// Words 16 to 23 of the message from words 0 to 7 (`low`) and 8 to 15. Each pointer names eight words, as `result` does.
    static func schedule(_ result: UnsafeMutablePointer<UInt32>, low: UnsafePointer<UInt32>, high: UnsafePointer<UInt32>) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 24) { w in
            for index in 0 ..< 8 {
                w[index] = low[index].byteSwapped
                w[index &+ 8] = high[index].byteSwapped
            }
            for index in 16 ..< 24 {
                w[index] = p1(w[index &- 16] ^ w[index &- 9] ^ turned(w[index &- 3], 15)) ^ turned(w[index &- 13], 7) ^ w[index &- 6]
                result[index &- 16] = w[index].byteSwapped
            }
        }
    }

    /// Rounds 2 × `number` and the next, on the eight words of `state`: a to h before, and after a, b … of the second round, where
    /// the odd words are what the first round left in the register that moved on.
    static func twoRounds(_ state: UnsafeMutablePointer<UInt32>, _ message: UnsafePointer<UInt32>, _ number: Int) {
        var a = state[0].byteSwapped, b = state[1].byteSwapped, c = state[2].byteSwapped, d = state[3].byteSwapped
        var e = state[4].byteSwapped, f = state[5].byteSwapped, g = state[6].byteSwapped, h = state[7].byteSwapped
        for step in 0 ..< 2 {
            let round = UInt32(truncatingIfNeeded: 2 &* number &+ step)
            let word = message[step].byteSwapped, other = message[step &+ 4].byteSwapped
            let isEarly = round <= 15
            let constant = turned(isEarly ? 0x79cc_4519 : 0x7a87_9d8a, round & 31)
            let ss1 = turned(turned(a, 12) &+ e &+ constant, 7), ss2 = ss1 ^ turned(a, 12)
            let tt1 = (isEarly ? a ^ b ^ c : a & b | a & c | b & c) &+ d &+ ss2 &+ (word ^ other)
            let tt2 = (isEarly ? e ^ f ^ g : e & f | ~e & g) &+ h &+ ss1 &+ word
            (d, c, b, a) = (c, turned(b, 9), a, tt1)
            (h, g, f, e) = (g, turned(f, 19), e, p0(tt2))
        }
        state[0] = a.byteSwapped
        state[1] = b.byteSwapped
        state[2] = c.byteSwapped
        state[3] = d.byteSwapped
        state[4] = e.byteSwapped
        state[5] = f.byteSwapped
        state[6] = g.byteSwapped
        state[7] = h.byteSwapped
    }
}
