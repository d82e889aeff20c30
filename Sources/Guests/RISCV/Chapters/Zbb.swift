// "B" Extension for Bit Manipulation, Zbb: basic bit manipulation.

import IR

extension Emit {
    func choose(_ condition: Condition, _ i: Instruction) -> Value {
        let a = self[i.rs1], b = self[i.rs2]
        return select(a.compare(condition, b), a, b)
    }
}

extension Pattern {
    static let basicBits: [Pattern] = [
        Pattern("andn rd, rs1, rs2", "0100000 ..... ..... 111 ..... 0110011", .zbb, or: .zbkb) { x, i in x[i.rd] = x[i.rs1].andNot(x[i.rs2]) },
        Pattern("orn rd, rs1, rs2", "0100000 ..... ..... 110 ..... 0110011", .zbb, or: .zbkb) { x, i in x[i.rd] = x[i.rs1] | ~x[i.rs2] },
        Pattern("xnor rd, rs1, rs2", "0100000 ..... ..... 100 ..... 0110011", .zbb, or: .zbkb) { x, i in x[i.rd] = ~(x[i.rs1] ^ x[i.rs2]) },
        Pattern("clz rd, rs1", "011000000000 ..... 001 ..... 0010011", .zbb) { x, i in x[i.rd] = x.builder.unary(.clz, x[i.rs1]) },
        Pattern("clzw rd, rs1", "011000000000 ..... 001 ..... 0011011", [.zbb, .rv64]) { x, i in
            x[i.rd] = x.builder.unary(.clz, x[i.rs1].low32).zeroExtended()
        },
        Pattern("ctz rd, rs1", "011000000001 ..... 001 ..... 0010011", .zbb) { x, i in x[i.rd] = x.builder.unary(.ctz, x[i.rs1]) },
        Pattern("ctzw rd, rs1", "011000000001 ..... 001 ..... 0011011", [.zbb, .rv64]) { x, i in
            x[i.rd] = x.builder.unary(.ctz, x[i.rs1].low32).zeroExtended()
        },
        Pattern("cpop rd, rs1", "011000000010 ..... 001 ..... 0010011", .zbb) { x, i in x[i.rd] = x.builder.unary(.popcount, x[i.rs1]) },
        Pattern("cpopw rd, rs1", "011000000010 ..... 001 ..... 0011011", [.zbb, .rv64]) { x, i in
            x[i.rd] = x.builder.unary(.popcount, x[i.rs1].low32).zeroExtended()
        },
        Pattern("max rd, rs1, rs2", "0000101 ..... ..... 110 ..... 0110011", .zbb) { x, i in x[i.rd] = x.choose(.greaterS, i) },
        Pattern("maxu rd, rs1, rs2", "0000101 ..... ..... 111 ..... 0110011", .zbb) { x, i in x[i.rd] = x.choose(.greaterU, i) },
        Pattern("min rd, rs1, rs2", "0000101 ..... ..... 100 ..... 0110011", .zbb) { x, i in x[i.rd] = x.choose(.lessS, i) },
        Pattern("minu rd, rs1, rs2", "0000101 ..... ..... 101 ..... 0110011", .zbb) { x, i in x[i.rd] = x.choose(.lessU, i) },
        Pattern("sext.b rd, rs1", "011000000100 ..... 001 ..... 0010011", .zbb) { x, i in
            x[i.rd] = x[i.rs1].truncated(to: .i8).signExtended()
        },
        Pattern("sext.h rd, rs1", "011000000101 ..... 001 ..... 0010011", .zbb) { x, i in
            x[i.rd] = x[i.rs1].truncated(to: .i16).signExtended()
        },
        Pattern("zext.h rd, rs1", "000010000000 ..... 100 ..... 0111011", [.zbb, .rv64]) { x, i in
            x[i.rd] = x[i.rs1].truncated(to: .i16).zeroExtended()
        },
        Pattern("zext.h rd, rs1", "000010000000 ..... 100 ..... 0110011", [.zbb, .rv32]) { x, i in
            x[i.rd] = x[i.rs1].truncated(to: .i16).zeroExtended()
        },
        Pattern("rol rd, rs1, rs2", "0110000 ..... ..... 001 ..... 0110011", .zbb, or: .zbkb) { x, i in x[i.rd] = x[i.rs1].rotatedLeft(by: x[i.rs2]) },
        Pattern("rolw rd, rs1, rs2", "0110000 ..... ..... 001 ..... 0111011", [.zbb, .rv64], or: [.zbkb, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.rotatedLeft(by: x[i.rs2].low32))
        },
        Pattern("ror rd, rs1, rs2", "0110000 ..... ..... 101 ..... 0110011", .zbb, or: .zbkb) { x, i in x[i.rd] = x[i.rs1].rotatedRight(by: x[i.rs2]) },
        Pattern("rorw rd, rs1, rs2", "0110000 ..... ..... 101 ..... 0111011", [.zbb, .rv64], or: [.zbkb, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.rotatedRight(by: x[i.rs2].low32))
        },
        Pattern("rori rd, rs1, shamt", "011000 x..... ..... 101 ..... 0010011", .zbb, or: .zbkb) { x, i in
            x[i.rd] = x[i.rs1].rotatedRight(by: x.constant(i.shamt))
        },
        Pattern("roriw rd, rs1, shamtW", "0110000 ..... ..... 101 ..... 0011011", [.zbb, .rv64], or: [.zbkb, .rv64]) { x, i in
            x[i.rd] = x.word(x[i.rs1].low32.rotatedRight(by: x.constant32(i.shamtW)))
        },
        Pattern("orc.b rd, rs1", "001010000111 ..... 101 ..... 0010011", .zbb) { x, i in x[i.rd] = x.builder.unary(.orCombine, x[i.rs1]) },
        Pattern("rev8 rd, rs1", "011010111000 ..... 101 ..... 0010011", [.zbb, .rv64], or: [.zbkb, .rv64]) { x, i in x[i.rd] = x.builder.unary(.byteSwap, x[i.rs1]) },
        Pattern("rev8 rd, rs1", "011010011000 ..... 101 ..... 0010011", [.zbb, .rv32], or: [.zbkb, .rv32]) { x, i in
            x[i.rd] = x.builder.unary(.byteSwap, x[i.rs1])
        },
    ]
}
