// "A" Extension for Atomic Instructions: Zalrsc and Zaamo. Every access must be naturally aligned, those of AMOs on a CPU
// without "Zama16b" only.
//
// The orderings named by aq and rl are always granted: the IR's atomic ops are sequentially consistent, and its atomic
// loads and stores acquire and release.

import IR
import Translation

extension Emit {
    /// LR: the address and the value are what a later SC compares.
    func loadReserved(_ i: Instruction, bytes: Int) {
        let address = self[i.rs1]
        let value = builder.load(address, 0, MemoryAccess(bytes: bytes, signed: true, aligned: true, atomic: true), xlen.type)
        builder.put(StateHeader.reservationAddress, zeroExtended(i.rs1))
        builder.put(StateHeader.reservationValue, xlen == .rv64 ? value : value.zeroExtended())
        self[i.rd] = value
    }

    func storeConditional(_ i: Instruction, bytes: Int) {
        self[i.rd] = builder.storeConditional(self[i.rs1], self[i.rs2], MemoryAccess(bytes: bytes, aligned: true, atomic: true))
    }

    func atomic(_ operation: AtomicOperation, _ i: Instruction, bytes: Int) {
        self[i.rd] = builder.atomicRMW(operation, self[i.rs1], self[i.rs2], readModifyWrite(bytes: bytes))
    }

    /// The access of an AMO. With Zama16b those of "A" may be misaligned inside 16 aligned bytes; the host's are atomic beyond
    /// that. As in QEMU, halfwords (Zabha) still must be aligned.
    func readModifyWrite(bytes: Int) -> MemoryAccess {
        MemoryAccess(bytes: bytes, signed: true, aligned: bytes < 4 || !extensions.contains(.zama16b), atomic: true)
    }
}

extension Pattern {
    static let atomics: [Pattern] = [
        Pattern("lr.w{aqrl} rd, (rs1)", "00010 .. 00000 ..... 010 ..... 0101111", .zalrsc, or: .a) { x, i in x.loadReserved(i, bytes: 4) },
        Pattern("lr.d{aqrl} rd, (rs1)", "00010 .. 00000 ..... 011 ..... 0101111", [.zalrsc, .rv64], or: [.a, .rv64]) { x, i in x.loadReserved(i, bytes: 8) },
        Pattern("sc.w{aqrl} rd, rs2, (rs1)", "00011 .. ..... ..... 010 ..... 0101111", .zalrsc, or: .a) { x, i in x.storeConditional(i, bytes: 4) },
        Pattern("sc.d{aqrl} rd, rs2, (rs1)", "00011 .. ..... ..... 011 ..... 0101111", [.zalrsc, .rv64], or: [.a, .rv64]) { x, i in x.storeConditional(i, bytes: 8) },
        Pattern("amoswap.w{aqrl} rd, rs2, (rs1)", "00001 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.swap, i, bytes: 4) },
        Pattern("amoadd.w{aqrl} rd, rs2, (rs1)", "00000 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.add, i, bytes: 4) },
        Pattern("amoxor.w{aqrl} rd, rs2, (rs1)", "00100 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.xor, i, bytes: 4) },
        Pattern("amoand.w{aqrl} rd, rs2, (rs1)", "01100 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.and, i, bytes: 4) },
        Pattern("amoor.w{aqrl} rd, rs2, (rs1)", "01000 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.or, i, bytes: 4) },
        Pattern("amomin.w{aqrl} rd, rs2, (rs1)", "10000 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.minS, i, bytes: 4) },
        Pattern("amomax.w{aqrl} rd, rs2, (rs1)", "10100 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.maxS, i, bytes: 4) },
        Pattern("amominu.w{aqrl} rd, rs2, (rs1)", "11000 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.minU, i, bytes: 4) },
        Pattern("amomaxu.w{aqrl} rd, rs2, (rs1)", "11100 .. ..... ..... 010 ..... 0101111", .zaamo, or: .a) { x, i in x.atomic(.maxU, i, bytes: 4) },
        Pattern("amoswap.d{aqrl} rd, rs2, (rs1)", "00001 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.swap, i, bytes: 8) },
        Pattern("amoadd.d{aqrl} rd, rs2, (rs1)", "00000 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.add, i, bytes: 8) },
        Pattern("amoxor.d{aqrl} rd, rs2, (rs1)", "00100 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.xor, i, bytes: 8) },
        Pattern("amoand.d{aqrl} rd, rs2, (rs1)", "01100 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.and, i, bytes: 8) },
        Pattern("amoor.d{aqrl} rd, rs2, (rs1)", "01000 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.or, i, bytes: 8) },
        Pattern("amomin.d{aqrl} rd, rs2, (rs1)", "10000 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.minS, i, bytes: 8) },
        Pattern("amomax.d{aqrl} rd, rs2, (rs1)", "10100 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.maxS, i, bytes: 8) },
        Pattern("amominu.d{aqrl} rd, rs2, (rs1)", "11000 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.minU, i, bytes: 8) },
        Pattern("amomaxu.d{aqrl} rd, rs2, (rs1)", "11100 .. ..... ..... 011 ..... 0101111", [.zaamo, .rv64], or: [.a, .rv64]) { x, i in x.atomic(.maxU, i, bytes: 8) },
    ]
}
