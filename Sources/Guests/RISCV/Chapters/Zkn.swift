// "Scalar Cryptography": Zknd and Zkne, AES; Zknh, SHA-2. The AES instructions are helpers that back ends replace
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
    /// The exclusive or of a register shifted by several amounts.
    func shifts(_ register: Register, left: [UInt64], right: [UInt64]) -> Value {
        let value = self[register]
        let parts = left.map { value << value.same($0) } + right.map { value.shiftedRightUnsigned(by: value.same($0)) }
        return parts.dropFirst().reduce(parts.first ?? value.same(0), ^)
    }
    func rotated(_ word: Value, _ amount: UInt64) -> Value { word.rotatedRight(by: word.same(amount)) }
}

extension Emit {
    /// A byte of rs2 put through a round of AES and added to rs1.
    func narrowRound(_ i: Instruction, _ round: NarrowAES.Round) {
        let column = builder.helper(NarrowAES.helper, .pure, self[i.rs2], constant64(UInt64(i.byteSelect)), constant64(round.rawValue))
        self[i.rd] = self[i.rs1] ^ column.low32
    }
}

extension Pattern {
    static let encryption: [Pattern] = [
        Pattern("aes64es rd, rs1, rs2", "0011001 ..... ..... 000 ..... 0110011", [.zkne, .rv64]) { x, i in
            x[i.rd] = x.builder.helper(AES.encryptLast, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64esm rd, rs1, rs2", "0011011 ..... ..... 000 ..... 0110011", [.zkne, .rv64]) { x, i in
            x[i.rd] = x.builder.helper(AES.encryptMiddle, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64ds rd, rs1, rs2", "0011101 ..... ..... 000 ..... 0110011", [.zknd, .rv64]) { x, i in
            x[i.rd] = x.builder.helper(AES.decryptLast, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64dsm rd, rs1, rs2", "0011111 ..... ..... 000 ..... 0110011", [.zknd, .rv64]) { x, i in
            x[i.rd] = x.builder.helper(AES.decryptMiddle, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("aes64im rd, rs1", "001100000000 ..... 001 ..... 0010011", [.zknd, .rv64]) { x, i in
            x[i.rd] = x.builder.helper(AES.inverseMixColumns, .pure, x[i.rs1])
        },
        // A round number above 10 is reserved.
        Pattern("aes64ks1i rd, rs1, rnum", "00110001 .... ..... 001 ..... 0010011", [.zkne, .rv64], or: [.zknd, .rv64]) { x, i in
            let round = UInt64(i.field(20, 4))
            guard round <= 10 else { return x.illegal() }
            let word = x[i.rs1].shiftedRightUnsigned(by: x.constant(32 as UInt64)).low32
            // The last word of a longer key is substituted but neither rotated nor given a constant.
            let input = (round < 10 ? word.rotatedRight(by: x.constant32(8)) : word).zeroExtended()
            let substituted = x.builder.helper(AES.substituteWord, .pure, input) ^ x.constant(AES.roundConstant(round))
            x[i.rd] = substituted | substituted << x.constant(32 as UInt64)
        },
        Pattern("aes64ks2 rd, rs1, rs2", "0111111 ..... ..... 000 ..... 0110011", [.zkne, .rv64], or: [.zknd, .rv64]) { x, i in
            let half = x.constant(32 as UInt64)
            let low = (x[i.rs1].shiftedRightUnsigned(by: half) ^ x[i.rs2]).low32.zeroExtended()
            let high = low ^ x[i.rs2].shiftedRightUnsigned(by: half)
            x[i.rd] = low | high << half
        },
    ]

    static let narrowEncryption: [Pattern] = [
        Pattern("aes32esi rd, rs1, rs2, bs", ".. 10001 ..... ..... 000 ..... 0110011", [.zkne, .rv32]) { x, i in x.narrowRound(i, .encryptLast) },
        Pattern("aes32esmi rd, rs1, rs2, bs", ".. 10011 ..... ..... 000 ..... 0110011", [.zkne, .rv32]) { x, i in x.narrowRound(i, .encryptMiddle) },
        Pattern("aes32dsi rd, rs1, rs2, bs", ".. 10101 ..... ..... 000 ..... 0110011", [.zknd, .rv32]) { x, i in x.narrowRound(i, .decryptLast) },
        Pattern("aes32dsmi rd, rs1, rs2, bs", ".. 10111 ..... ..... 000 ..... 0110011", [.zknd, .rv32]) { x, i in x.narrowRound(i, .decryptMiddle) },
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
        // On RV32 the double words of SHA-512 are made by halves: rs1 is the half wanted, rs2 the other.
        Pattern("sha512sum0r rd, rs1, rs2", "0101000 ..... ..... 000 ..... 0110011", [.zknh, .rv32]) { x, i in
            x[i.rd] = x.shifts(i.rs1, left: [25, 30], right: [28]) ^ x.shifts(i.rs2, left: [4], right: [7, 2])
        },
        Pattern("sha512sum1r rd, rs1, rs2", "0101001 ..... ..... 000 ..... 0110011", [.zknh, .rv32]) { x, i in
            x[i.rd] = x.shifts(i.rs1, left: [23], right: [14, 18]) ^ x.shifts(i.rs2, left: [18, 14], right: [9])
        },
        Pattern("sha512sig0l rd, rs1, rs2", "0101010 ..... ..... 000 ..... 0110011", [.zknh, .rv32]) { x, i in
            x[i.rd] = x.shifts(i.rs1, left: [], right: [1, 7, 8]) ^ x.shifts(i.rs2, left: [31, 25, 24], right: [])
        },
        Pattern("sha512sig0h rd, rs1, rs2", "0101110 ..... ..... 000 ..... 0110011", [.zknh, .rv32]) { x, i in
            x[i.rd] = x.shifts(i.rs1, left: [], right: [1, 7, 8]) ^ x.shifts(i.rs2, left: [31, 24], right: [])
        },
        Pattern("sha512sig1l rd, rs1, rs2", "0101011 ..... ..... 000 ..... 0110011", [.zknh, .rv32]) { x, i in
            x[i.rd] = x.shifts(i.rs1, left: [3], right: [6, 19]) ^ x.shifts(i.rs2, left: [26, 13], right: [29])
        },
        Pattern("sha512sig1h rd, rs1, rs2", "0101111 ..... ..... 000 ..... 0110011", [.zknh, .rv32]) { x, i in
            x[i.rd] = x.shifts(i.rs1, left: [3], right: [6, 19]) ^ x.shifts(i.rs2, left: [13], right: [29])
        },
        Pattern("sha512sum0 rd, rs1", "000100000100 ..... 001 ..... 0010011", [.zknh, .rv64]) { x, i in x[i.rd] = x.sum(x[i.rs1], 28, 34, 39) },
        Pattern("sha512sum1 rd, rs1", "000100000101 ..... 001 ..... 0010011", [.zknh, .rv64]) { x, i in x[i.rd] = x.sum(x[i.rs1], 14, 18, 41) },
        Pattern("sha512sig0 rd, rs1", "000100000110 ..... 001 ..... 0010011", [.zknh, .rv64]) { x, i in
            x[i.rd] = x.sigma(x[i.rs1], 1, 8, shift: 7)
        },
        Pattern("sha512sig1 rd, rs1", "000100000111 ..... 001 ..... 0010011", [.zknh, .rv64]) { x, i in
            x[i.rd] = x.sigma(x[i.rs1], 19, 61, shift: 6)
        },
    ]
}
