// "Scalar Cryptography": Zknd and Zkne, AES for RV64; Zknh, SHA-2. The AES instructions are helpers that back ends replace
// by the host's where it has such (`HelperIntrinsic`); the hashes are rotations and shifts.

import IR
import Translation

extension Emit {
    /// Two rotations and a shift of a word: the small sigmas of SHA-256.
    func sigma(_ word: Value, _ a: UInt64, _ b: UInt64, shift: UInt64) -> Value {
        rotated(word, a) ^ rotated(word, b) ^ word.shiftedRightUnsigned(by: word.same(shift))
    }
    /// Three rotations: the large sigmas.
    func sum(_ word: Value, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> Value { rotated(word, a) ^ rotated(word, b) ^ rotated(word, c) }
    func rotated(_ word: Value, _ amount: UInt64) -> Value { word.rotatedRight(by: word.same(amount)) }
}

extension Pattern {
    static let encryption: [Pattern] = [
        Pattern("aes64es rd, rs1, rs2", "0011001 ..... ..... 000 ..... 0110011", .zkne) { x, i in
            x[i.rd] = x.builder.helper(AES.encryptLast, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64esm rd, rs1, rs2", "0011011 ..... ..... 000 ..... 0110011", .zkne) { x, i in
            x[i.rd] = x.builder.helper(AES.encryptMiddle, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64ds rd, rs1, rs2", "0011101 ..... ..... 000 ..... 0110011", .zknd) { x, i in
            x[i.rd] = x.builder.helper(AES.decryptLast, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64dsm rd, rs1, rs2", "0011111 ..... ..... 000 ..... 0110011", .zknd) { x, i in
            x[i.rd] = x.builder.helper(AES.decryptMiddle, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64im rd, rs1", "001100000000 ..... 001 ..... 0010011", .zknd) { x, i in
            x[i.rd] = x.builder.helper(AES.inverseMixColumns, .pure, x[i.rs1])
        },
        // A round number above 10 is reserved.
        Pattern("aes64ks1i rd, rs1, rnum", "00110001 .... ..... 001 ..... 0010011", .zkne, or: .zknd) { x, i in
            let round = UInt64(i.field(20, 4))
            guard round <= 10 else { return x.illegal() }
            let word = x[i.rs1].shiftedRightUnsigned(by: x.constant(32 as UInt64)).low32
            // The last word of a longer key is substituted but neither rotated nor given a constant.
            let input = (round < 10 ? word.rotatedRight(by: x.constant32(8)) : word).zeroExtended()
            let substituted = x.builder.helper(AES.substituteWord, .pure, input) ^ x.constant(AES.roundConstant(round))
            x[i.rd] = substituted | substituted << x.constant(32 as UInt64)
        },
        Pattern("aes64ks2 rd, rs1, rs2", "0111111 ..... ..... 000 ..... 0110011", .zkne, or: .zknd) { x, i in
            let half = x.constant(32 as UInt64)
            let low = (x[i.rs1].shiftedRightUnsigned(by: half) ^ x[i.rs2]).low32.zeroExtended()
            let high = low ^ x[i.rs2].shiftedRightUnsigned(by: half)
            x[i.rd] = low | high << half
        },
    ]

    static let hashes: [Pattern] = [
        Pattern("sha256sum0 rd, rs1", "000100000000 ..... 001 ..... 0010011", .zknh) { x, i in
            x[i.rd] = x.word(x.sum(x[i.rs1].low32, 2, 13, 22))
        },
        Pattern("sha256sum1 rd, rs1", "000100000001 ..... 001 ..... 0010011", .zknh) { x, i in
            x[i.rd] = x.word(x.sum(x[i.rs1].low32, 6, 11, 25))
        },
        Pattern("sha256sig0 rd, rs1", "000100000010 ..... 001 ..... 0010011", .zknh) { x, i in
            x[i.rd] = x.word(x.sigma(x[i.rs1].low32, 7, 18, shift: 3))
        },
        Pattern("sha256sig1 rd, rs1", "000100000011 ..... 001 ..... 0010011", .zknh) { x, i in
            x[i.rd] = x.word(x.sigma(x[i.rs1].low32, 17, 19, shift: 10))
        },
        Pattern("sha512sum0 rd, rs1", "000100000100 ..... 001 ..... 0010011", .zknh) { x, i in x[i.rd] = x.sum(x[i.rs1], 28, 34, 39) },
        Pattern("sha512sum1 rd, rs1", "000100000101 ..... 001 ..... 0010011", .zknh) { x, i in x[i.rd] = x.sum(x[i.rs1], 14, 18, 41) },
        Pattern("sha512sig0 rd, rs1", "000100000110 ..... 001 ..... 0010011", .zknh) { x, i in
            x[i.rd] = x.sigma(x[i.rs1], 1, 8, shift: 7)
        },
        Pattern("sha512sig1 rd, rs1", "000100000111 ..... 001 ..... 0010011", .zknh) { x, i in
            x[i.rd] = x.sigma(x[i.rs1], 19, 61, shift: 6)
        },
    ]
}
