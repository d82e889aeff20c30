// "Scalar Cryptography": Zbkb and Zbkx, bit manipulation for cryptography. Zbkb and Zbkc have instructions in common with
// Zbb and Zbc, whose tables hold them.

import IR
import Translation

extension Emit {
    /// Swaps neighbouring groups of `distance` bits all over `value`; `low` has the lower group of each pair.
    private func exchange(_ value: Value, _ low: UInt64, _ distance: UInt64) -> Value {
        let mask = constant(low), amount = constant(distance)
        return (value & mask) << amount | value.shiftedRightUnsigned(by: amount) & mask
    }

    /// The bits of each byte in reverse.
    func reversedBytes(_ value: Value) -> Value {
        let quads = exchange(value, 0x0f0f_0f0f_0f0f_0f0f, 4)
        return exchange(exchange(quads, 0x3333_3333_3333_3333, 2), 0x5555_5555_5555_5555, 1)
    }
}

/// ZIP and UNZIP: the bits of the halves of a word interleaved, and back.
enum BitShuffle {
    /// Even bits come from the lower half, odd ones from the upper.
    static let zip = HelperTable.register { _, word, _, _ in spread(word & 0xffff) | spread(word &>> 16 & 0xffff) &<< 1 }
    static let unzip = HelperTable.register { _, word, _, _ in gathered(word) | gathered(word &>> 1) &<< 16 }

    /// Sixteen bits with a zero above each.
    private static func spread(_ half: UInt64) -> UInt64 {
        var bits = half
        for (shift, mask) in [(8, 0x00ff_00ff), (4, 0x0f0f_0f0f), (2, 0x3333_3333), (1, 0x5555_5555)] as [(UInt64, UInt64)] {
            bits = (bits | bits &<< shift) & mask
        }
        return bits
    }

    /// The even bits of a word.
    private static func gathered(_ word: UInt64) -> UInt64 {
        var bits = word & 0x5555_5555
        for (shift, mask) in [(1, 0x3333_3333), (2, 0x0f0f_0f0f), (4, 0x00ff_00ff), (8, 0xffff)] as [(UInt64, UInt64)] {
            bits = (bits | bits &>> shift) & mask
        }
        return bits
    }
}

/// XPERM8 and XPERM4: the bytes or nibbles of a register looked up in another.
enum Crossbar {
    static let bytes = HelperTable.register(as: .lookUpBytes) { _, table, indices, _ in
        var result: UInt64 = 0
        for position in stride(from: UInt64(0), to: 64, by: 8) {
            let index = indices &>> position & 0xff
            if index < 8 { result |= (table &>> (index &* 8) & 0xff) &<< position }
        }
        return result
    }

    static let nibbles = HelperTable.register { _, table, indices, _ in
        var result: UInt64 = 0
        for position in stride(from: UInt64(0), to: 64, by: 4) {
            result |= (table &>> ((indices &>> position & 15) &* 4) & 15) &<< position
        }
        return result
    }
}

extension Pattern {
    static let cryptographyBits: [Pattern] = [
        Pattern("pack rd, rs1, rs2", "0000100 ..... ..... 100 ..... 0110011", .zbkb) { x, i in
            let half = x.xlen == .rv32 ? ValueType.i16 : .i32
            let low = x[i.rs1].truncated(to: half).zeroExtended(to: x.xlen.type)
            x[i.rd] = low | x[i.rs2] << x.constant(UInt64(half.bits))
        },
        Pattern("packh rd, rs1, rs2", "0000100 ..... ..... 111 ..... 0110011", .zbkb) { x, i in
            let byte = x.constant(0xff as UInt64)
            x[i.rd] = x[i.rs1] & byte | (x[i.rs2] & byte) << x.constant(8 as UInt64)
        },
        Pattern("packw rd, rs1, rs2", "0000100 ..... ..... 100 ..... 0111011", [.zbkb, .rv64]) { x, i in
            let low = x[i.rs1].truncated(to: .i16).zeroExtended(to: .i32)
            x[i.rd] = x.word(low | x[i.rs2].low32 << x.constant32(16))
        },
        Pattern("brev8 rd, rs1", "011010000111 ..... 101 ..... 0010011", .zbkb) { x, i in x[i.rd] = x.reversedBytes(x[i.rs1]) },
        Pattern("zip rd, rs1", "000010001111 ..... 001 ..... 0010011", [.zbkb, .rv32]) { x, i in
            x[i.rd] = x.builder.helper(BitShuffle.zip, .pure, x[i.rs1])
        },
        Pattern("unzip rd, rs1", "000010001111 ..... 101 ..... 0010011", [.zbkb, .rv32]) { x, i in
            x[i.rd] = x.builder.helper(BitShuffle.unzip, .pure, x[i.rs1])
        },
        Pattern("xperm8 rd, rs1, rs2", "0010100 ..... ..... 100 ..... 0110011", .zbkx) { x, i in
            x[i.rd] = x.builder.helper(Crossbar.bytes, .pure, x[i.rs1], x[i.rs2])
        },
        Pattern("xperm4 rd, rs1, rs2", "0010100 ..... ..... 010 ..... 0110011", .zbkx) { x, i in
            x[i.rd] = x.builder.helper(Crossbar.nibbles, .pure, x[i.rs1], x[i.rs2])
        },
    ]
}
