// "Scalar Cryptography": Zksed, the block cipher SM4; Zksh, the hash SM3.

import IR
import Translation

extension Pattern {
    static let chineseCryptography: [Pattern] = [
        Pattern("sm4ed rd, rs1, rs2, bs", ".. 11000 ..... ..... 000 ..... 0110011", .zksed) { x, i in
            x[i.rd] = x.builder.helper(SM4.round, .pure, x[i.rs1], x[i.rs2], x.constant(i.byteSelect &* 8))
        },
        Pattern("sm4ks rd, rs1, rs2, bs", ".. 11010 ..... ..... 000 ..... 0110011", .zksed) { x, i in
            x[i.rd] = x.builder.helper(SM4.keySchedule, .pure, x[i.rs1], x[i.rs2], x.constant(i.byteSelect &* 8))
        },
        Pattern("sm3p0 rd, rs1", "000100001000 ..... 001 ..... 0010011", .zksh) { x, i in
            let word = x[i.rs1].low32
            x[i.rd] = x.word(word ^ x.rotated(word, 23) ^ x.rotated(word, 15))
        },
        Pattern("sm3p1 rd, rs1", "000100001001 ..... 001 ..... 0010011", .zksh) { x, i in
            let word = x[i.rs1].low32
            x[i.rd] = x.word(word ^ x.rotated(word, 17) ^ x.rotated(word, 9))
        },
    ]
}
