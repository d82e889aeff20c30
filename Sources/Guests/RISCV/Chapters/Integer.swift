// "RV32I Base Integer Instruction Set" and the doubleword instructions of RV64I.
// HINT encodings (writes to x0) need no patterns of their own: their results are dropped.

import IR

extension Pattern {
    static let integer: [Pattern] = [
        Pattern("lui rd, immU", "........ ........ .... ..... 0110111") { x, i in x[i.rd] = x.constant(i.immU) },
        Pattern("auipc rd, immU", "........ ........ .... ..... 0010111") { x, i in
            x[i.rd] = x.constant(x.pc &+ UInt64(bitPattern: i.immU))
        },
        Pattern("jal rd, immJ", "........ ........ .... ..... 1101111") { x, i in x.jump(link: i.rd, i.immJ) },
        Pattern("jalr rd, immI(rs1)", "............ ..... 000 ..... 1100111") { x, i in
            x.jump(link: i.rd, base: i.rs1, i.immI)
        },

        Pattern("beq rs1, rs2, immB", "....... ..... ..... 000 ..... 1100011") { x, i in x.branch(.equal, i.rs1, i.rs2, i.immB) },
        Pattern("bne rs1, rs2, immB", "....... ..... ..... 001 ..... 1100011") { x, i in x.branch(.notEqual, i.rs1, i.rs2, i.immB) },
        Pattern("blt rs1, rs2, immB", "....... ..... ..... 100 ..... 1100011") { x, i in x.branch(.lessS, i.rs1, i.rs2, i.immB) },
        Pattern("bge rs1, rs2, immB", "....... ..... ..... 101 ..... 1100011") { x, i in x.branch(.greaterEqualS, i.rs1, i.rs2, i.immB) },
        Pattern("bltu rs1, rs2, immB", "....... ..... ..... 110 ..... 1100011") { x, i in x.branch(.lessU, i.rs1, i.rs2, i.immB) },
        Pattern("bgeu rs1, rs2, immB", "....... ..... ..... 111 ..... 1100011") { x, i in x.branch(.greaterEqualU, i.rs1, i.rs2, i.immB) },

        Pattern("lb rd, immI(rs1)", "............ ..... 000 ..... 0000011") { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 1, signed: true) },
        Pattern("lh rd, immI(rs1)", "............ ..... 001 ..... 0000011") { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 2, signed: true) },
        Pattern("lw rd, immI(rs1)", "............ ..... 010 ..... 0000011") { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 4, signed: true) },
        Pattern("ld rd, immI(rs1)", "............ ..... 011 ..... 0000011", .rv64) { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 8) },
        Pattern("lbu rd, immI(rs1)", "............ ..... 100 ..... 0000011") { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 1) },
        Pattern("lhu rd, immI(rs1)", "............ ..... 101 ..... 0000011") { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 2) },
        Pattern("lwu rd, immI(rs1)", "............ ..... 110 ..... 0000011", .rv64) { x, i in x[i.rd] = x.load(i.rs1, i.immI, bytes: 4) },
        Pattern("sb rs2, immS(rs1)", "....... ..... ..... 000 ..... 0100011") { x, i in x.store(i.rs1, i.immS, x[i.rs2], bytes: 1) },
        Pattern("sh rs2, immS(rs1)", "....... ..... ..... 001 ..... 0100011") { x, i in x.store(i.rs1, i.immS, x[i.rs2], bytes: 2) },
        Pattern("sw rs2, immS(rs1)", "....... ..... ..... 010 ..... 0100011") { x, i in x.store(i.rs1, i.immS, x[i.rs2], bytes: 4) },
        Pattern("sd rs2, immS(rs1)", "....... ..... ..... 011 ..... 0100011", .rv64) { x, i in x.store(i.rs1, i.immS, x[i.rs2], bytes: 8) },

        Pattern("addi rd, rs1, immI", "............ ..... 000 ..... 0010011") { x, i in x[i.rd] = x.sum(i.rs1, i.immI) },
        Pattern("slti rd, rs1, immI", "............ ..... 010 ..... 0010011") { x, i in
            x[i.rd] = x[i.rs1].isLessSigned(than: x.constant(i.immI))
        },
        Pattern("sltiu rd, rs1, immI", "............ ..... 011 ..... 0010011") { x, i in
            x[i.rd] = x[i.rs1].isLessUnsigned(than: x.constant(i.immI))
        },
        Pattern("xori rd, rs1, immI", "............ ..... 100 ..... 0010011") { x, i in
            x[i.rd] = i.immI == -1 ? ~x[i.rs1] : x[i.rs1] ^ x.constant(i.immI)
        },
        Pattern("ori rd, rs1, immI", "............ ..... 110 ..... 0010011") { x, i in x[i.rd] = x[i.rs1] | x.constant(i.immI) },
        Pattern("andi rd, rs1, immI", "............ ..... 111 ..... 0010011") { x, i in x[i.rd] = x[i.rs1] & x.constant(i.immI) },
        Pattern("slli rd, rs1, shamt", "000000 x..... ..... 001 ..... 0010011") { x, i in x[i.rd] = x[i.rs1] << x.constant(i.shamt) },
        Pattern("srli rd, rs1, shamt", "000000 x..... ..... 101 ..... 0010011") { x, i in
            x[i.rd] = x[i.rs1].shiftedRightUnsigned(by: x.constant(i.shamt))
        },
        Pattern("srai rd, rs1, shamt", "010000 x..... ..... 101 ..... 0010011") { x, i in
            x[i.rd] = x[i.rs1].shiftedRightSigned(by: x.constant(i.shamt))
        },

        Pattern("add rd, rs1, rs2", "0000000 ..... ..... 000 ..... 0110011") { x, i in x[i.rd] = x[i.rs1] + x[i.rs2] },
        Pattern("sub rd, rs1, rs2", "0100000 ..... ..... 000 ..... 0110011") { x, i in x[i.rd] = x[i.rs1] - x[i.rs2] },
        Pattern("sll rd, rs1, rs2", "0000000 ..... ..... 001 ..... 0110011") { x, i in x[i.rd] = x[i.rs1] << x[i.rs2] },
        Pattern("slt rd, rs1, rs2", "0000000 ..... ..... 010 ..... 0110011") { x, i in x[i.rd] = x[i.rs1].isLessSigned(than: x[i.rs2]) },
        Pattern("sltu rd, rs1, rs2", "0000000 ..... ..... 011 ..... 0110011") { x, i in x[i.rd] = x[i.rs1].isLessUnsigned(than: x[i.rs2]) },
        Pattern("xor rd, rs1, rs2", "0000000 ..... ..... 100 ..... 0110011") { x, i in x[i.rd] = x[i.rs1] ^ x[i.rs2] },
        Pattern("srl rd, rs1, rs2", "0000000 ..... ..... 101 ..... 0110011") { x, i in
            x[i.rd] = x[i.rs1].shiftedRightUnsigned(by: x[i.rs2])
        },
        Pattern("sra rd, rs1, rs2", "0100000 ..... ..... 101 ..... 0110011") { x, i in
            x[i.rd] = x[i.rs1].shiftedRightSigned(by: x[i.rs2])
        },
        Pattern("or rd, rs1, rs2", "0000000 ..... ..... 110 ..... 0110011") { x, i in x[i.rd] = x[i.rs1] | x[i.rs2] },
        Pattern("and rd, rs1, rs2", "0000000 ..... ..... 111 ..... 0110011") { x, i in x[i.rd] = x[i.rs1] & x[i.rs2] },

        // An unknown mode, and what stands in the register fields, is ignored: an ordinary fence.
        Pattern("fence pred, succ", "---- .... .... ----- 000 ----- 0001111") { x, i in
            if let kind = fenceKind(i.predecessor, i.successor) { x.builder.fence(kind) }
        },
        Pattern("fence.tso", "1000 0011 0011 ----- 000 ----- 0001111") { x, i in
            x.builder.fence(.acquire)
            x.builder.fence(.release)
        },
        Pattern("fence.i", "------------ ----- 001 ----- 0001111", .zifencei) { x, i in x.exitAfter(.instructionFence) },
        Pattern("ecall", "000000000000 00000 000 00000 1110011") { x, i in x.exit(.systemCall) },
        Pattern("ebreak", "000000000001 00000 000 00000 1110011") { x, i in x.exit(.breakpoint) },
    ]

    /// The weakest fence that orders the accesses named by two sets of input (8), output (4), read (2), write (1) bits.
    static func fenceKind(_ predecessor: UInt32, _ successor: UInt32) -> FenceKind? {
        let readsBefore = predecessor & 0b1010 != 0, writesBefore = predecessor & 0b0101 != 0
        let readsAfter = successor & 0b1010 != 0, writesAfter = successor & 0b0101 != 0
        switch (readsBefore, writesBefore, readsAfter, writesAfter) {
        case (false, false, _, _), (_, _, false, false): return nil
        case (true, false, _, _): return .acquire
        case (false, true, false, true): return .storeStore
        case (true, true, false, true): return .release
        default: return .full
        }
    }
}
