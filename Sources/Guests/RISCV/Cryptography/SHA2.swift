// The steps of SHA-256 and SHA-512 (FIPS 180-4) that the instructions of Zvknha and Zvknhb are made of. The working variables
// come in two groups of four: f, e, b, a and h, g, d, c, lowest first.

enum SHA2 {
    /// The rotations and shifts of a word size: Σ0, Σ1, σ0, σ1.
    struct Functions<Word: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
        let upper0: (Word, Word, Word), upper1: (Word, Word, Word)
        let lower0: (Word, Word, Word), lower1: (Word, Word, Word)

        @inline(__always) private func turned(_ word: Word, _ amount: Word) -> Word {
            word &>> amount | word &<< (Word(truncatingIfNeeded: Word.bitWidth) &- amount)
        }
        @inline(__always) private func sum(_ word: Word, _ by: (Word, Word, Word)) -> Word { turned(word, by.0) ^ turned(word, by.1) ^ turned(word, by.2) }
        @inline(__always) private func sigma(_ word: Word, _ by: (Word, Word, Word)) -> Word { turned(word, by.0) ^ turned(word, by.1) ^ word &>> by.2 }

        /// Two rounds, with the sums of message word and constant.
        @inline(__always)
        func rounds(h: Word, g: Word, d: Word, c: Word, f: Word, e: Word, b: Word, a: Word, _ first: Word, _ second: Word) -> (Word, Word, Word, Word) {
            let t1 = h &+ sum(e, upper1) &+ (e & f ^ ~e & g) &+ first
            let a1 = t1 &+ sum(a, upper0) &+ (a & b ^ a & c ^ b & c), e1 = d &+ t1
            let t2 = g &+ sum(e1, upper1) &+ (e1 & e ^ ~e1 & f) &+ second
            let a2 = t2 &+ sum(a1, upper0) &+ (a1 & a ^ a1 & b ^ a & b), e2 = c &+ t2
            return (e1, e2, a1, a2)
        }

        /// Words 16 to 19 of the message schedule.
        @inline(__always)
        func schedule(_ w: (Word, Word, Word, Word), w4: Word, w9: Word, w10: Word, w11: Word, w12: Word, w14: Word, w15: Word) -> (Word, Word, Word, Word) {
            let w16 = sigma(w14, lower1) &+ w9 &+ sigma(w.1, lower0) &+ w.0
            let w17 = sigma(w15, lower1) &+ w10 &+ sigma(w.2, lower0) &+ w.1
            let w18 = sigma(w16, lower1) &+ w11 &+ sigma(w.3, lower0) &+ w.2
            let w19 = sigma(w17, lower1) &+ w12 &+ sigma(w4, lower0) &+ w.3
            return (w16, w17, w18, w19)
        }
    }

    private static let short = Functions<UInt32>(upper0: (2, 13, 22), upper1: (6, 11, 25), lower0: (7, 18, 3), lower1: (17, 19, 10))
    private static let long = Functions<UInt64>(upper0: (28, 34, 39), upper1: (14, 18, 41), lower0: (1, 8, 7), lower1: (19, 61, 6))

    static func rounds256(_ d: SIMD4<UInt32>, _ a: SIMD4<UInt32>, _ first: UInt32, _ second: UInt32) -> SIMD4<UInt32> {
        let r = short.rounds(h: d[0], g: d[1], d: d[2], c: d[3], f: a[0], e: a[1], b: a[2], a: a[3], first, second)
        return SIMD4(r.0, r.1, r.2, r.3)
    }

    static func rounds512(_ d: SIMD4<UInt64>, _ a: SIMD4<UInt64>, _ first: UInt64, _ second: UInt64) -> SIMD4<UInt64> {
        let r = long.rounds(h: d[0], g: d[1], d: d[2], c: d[3], f: a[0], e: a[1], b: a[2], a: a[3], first, second)
        return SIMD4(r.0, r.1, r.2, r.3)
    }

    /// Words 0 to 3; 4 and 9 to 11; 12 to 15.
    static func schedule256(_ d: SIMD4<UInt32>, _ a: SIMD4<UInt32>, _ b: SIMD4<UInt32>) -> SIMD4<UInt32> {
        let r = short.schedule((d[0], d[1], d[2], d[3]), w4: a[0], w9: a[1], w10: a[2], w11: a[3], w12: b[0], w14: b[2], w15: b[3])
        return SIMD4(r.0, r.1, r.2, r.3)
    }

    static func schedule512(_ d: SIMD4<UInt64>, _ a: SIMD4<UInt64>, _ b: SIMD4<UInt64>) -> SIMD4<UInt64> {
        let r = long.schedule((d[0], d[1], d[2], d[3]), w4: a[0], w9: a[1], w10: a[2], w11: a[3], w12: b[0], w14: b[2], w15: b[3])
        return SIMD4(r.0, r.1, r.2, r.3)
    }
}
