// "Zvkned", "Zvkg", "Zvksed", "Zvknha", "Zvknhb" and "Zvksh" of the vector cryptography chapter: AES, GHASH, SM4; SHA-2 and
// SM3. All work on element groups. What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorEncryption: [Pattern] = [
        Pattern("vaesdm.vv vd, vs2", "101000 1 ..... 00000 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesDecryptMiddle) },
        Pattern("vaesdm.vs vd, vs2", "101001 1 ..... 00000 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesDecryptMiddle) },
        Pattern("vaesdf.vv vd, vs2", "101000 1 ..... 00001 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesDecryptLast) },
        Pattern("vaesdf.vs vd, vs2", "101001 1 ..... 00001 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesDecryptLast) },
        Pattern("vaesem.vv vd, vs2", "101000 1 ..... 00010 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesEncryptMiddle) },
        Pattern("vaesem.vs vd, vs2", "101001 1 ..... 00010 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesEncryptMiddle) },
        Pattern("vaesef.vv vd, vs2", "101000 1 ..... 00011 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesEncryptLast) },
        Pattern("vaesef.vs vd, vs2", "101001 1 ..... 00011 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesEncryptLast) },
        Pattern("vaesz.vs vd, vs2", "101001 1 ..... 00111 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesAddKey) },
        Pattern("vgmul.vv vd, vs2", "101000 1 ..... 10001 010 ..... 1110111", .zvkg) { x, i in x.vector(i, .gmul) },
        Pattern("vsm4r.vv vd, vs2", "101000 1 ..... 10000 010 ..... 1110111", .zvksed) { x, i in x.vector(i, .sm4r) },
        Pattern("vsm4r.vs vd, vs2", "101001 1 ..... 10000 010 ..... 1110111", .zvksed) { x, i in x.vector(i, .sm4r) },
        Pattern("vaeskf1.vi vd, vs2, uimm5", "100010 1 ..... ..... 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesKeySchedule1) },
        Pattern("vaeskf2.vi vd, vs2, uimm5", "101010 1 ..... ..... 010 ..... 1110111", .zvkned) { x, i in x.vector(i, .aesKeySchedule2) },
        Pattern("vsm4k.vi vd, vs2, uimm5", "100001 1 ..... ..... 010 ..... 1110111", .zvksed) { x, i in x.vector(i, .sm4k) },
        Pattern("vghsh.vv vd, vs2, vs1", "101100 1 ..... ..... 010 ..... 1110111", .zvkg) { x, i in x.vector(i, .ghsh) },
    ]

    static let vectorHashes: [Pattern] = [
        Pattern("vsha2ms.vv vd, vs2, vs1", "101101 1 ..... ..... 010 ..... 1110111", .zvknha, or: .zvknhb) { x, i in x.vector(i, .sha2ms) },
        Pattern("vsha2ch.vv vd, vs2, vs1", "101110 1 ..... ..... 010 ..... 1110111", .zvknha, or: .zvknhb) { x, i in x.vector(i, .sha2ch) },
        Pattern("vsha2cl.vv vd, vs2, vs1", "101111 1 ..... ..... 010 ..... 1110111", .zvknha, or: .zvknhb) { x, i in x.vector(i, .sha2cl) },
        Pattern("vsm3me.vv vd, vs2, vs1", "100000 1 ..... ..... 010 ..... 1110111", .zvksh) { x, i in x.vector(i, .sm3me) },
        Pattern("vsm3c.vi vd, vs2, uimm5", "101011 1 ..... ..... 010 ..... 1110111", .zvksh) { x, i in x.vector(i, .sm3c) },
    ]
}
