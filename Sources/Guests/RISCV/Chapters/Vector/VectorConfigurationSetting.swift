// "Configuration-Setting Instructions" of the V extension.

extension Pattern {
    static let vectorConfiguration: [Pattern] = [
        Pattern("vsetvli rd, rs1, vtype11", "0 ........... ..... 111 ..... 1010111", .zve32x) { x, i in
            x.setVector(i, type: UInt64(i.field(20, 11)))
        },
        Pattern("vsetivli rd, uimm, vtype10", "11 .......... ..... 111 ..... 1010111", .zve32x) { x, i in
            x.setVector(i, type: UInt64(i.field(20, 10)), immediate: i.uimm)
        },
        Pattern("vsetvl rd, rs1, rs2", "1000000 ..... ..... 111 ..... 1010111", .zve32x) { x, i in
            x.setVector(i, typeIn: i.rs2)
        },
    ]
}
