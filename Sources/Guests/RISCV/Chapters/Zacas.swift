// "Zacas" Extension for Atomic Compare-and-Swap and "Zabha" for atomics on bytes and halfwords. Addresses must be naturally
// aligned, with Zama16b too, as in QEMU.

import CHost
import IR
import Translation

extension Emit {
    func compareAndSwap(_ i: Instruction, bytes: Int) {
        self[i.rd] = builder.compareAndSwap(self[i.rs1], expected: self[i.rd], new: self[i.rs2],
                                            MemoryAccess(bytes: bytes, signed: true, aligned: true, atomic: true))
    }

    /// AMOCAS.D of RV32 on pairs of registers, which must be even.
    mutating func compareAndSwapDouble(_ i: Instruction) {
        guard i.rd.number & 1 == 0, i.rs2.number & 1 == 0 else { return illegal() }
        /// The second register of a pair; that of x0 is x0.
        func second(_ register: Register) -> Register { register == .zero ? .zero : Register(UInt32(register.number) | 1) }
        func pair(_ register: Register) -> Value { zeroExtended(register) | zeroExtended(second(register)) << constant64(32) }
        let old = builder.compareAndSwap(self[i.rs1], expected: pair(i.rd), new: pair(i.rs2),
                                         MemoryAccess(bytes: 8, aligned: true, atomic: true))
        self[i.rd] = old.low32
        self[second(i.rd)] = old.shiftedRightUnsigned(by: constant64(32)).low32
    }

    /// AMOCAS.Q on pairs of registers, which must be even: the runtime reads and writes them in the state block.
    mutating func compareAndSwapPair(_ i: Instruction) {
        guard i.rd.number & 1 == 0, i.rs2.number & 1 == 0 else { return illegal() }
        let pairs = constant64(UInt64(i.rd.number) | UInt64(i.rs2.number) &<< 8)
        _ = builder.helper(PairSwap.helper, [.readsState, .writesState, .mayExit], self[i.rs1], pairs)
    }
}

/// AMOCAS.Q: 16 bytes at once.
enum PairSwap {
    /// Arguments: the guest address, and the numbers of rd (bits 7:0) and rs2 (bits 15:8). Answers 0, or an exit reason
    /// plus 1, as `HelperEffects.mayExit` has it.
    static let helper = HelperTable.register { state, address, pairs, _ in
        guard address & 15 == 0 else {
            state.storeBytes(of: address, toByteOffset: Int(StateHeader.faultAddress), as: UInt64.self)
            state.storeBytes(of: UInt32(AccessKind.store.rawValue), toByteOffset: Int(StateHeader.faultCode), as: UInt32.self)
            return UInt64(ExitReason.misaligned.rawValue) &+ 1
        }
        // The pair of x0 reads as 0 and is not written.
        func register(_ number: UInt64) -> UnsafeMutableRawPointer { state + Int(RISCVState.integer(Int(truncatingIfNeeded: number))) }
        func word(_ number: UInt64, _ pair: UInt64) -> UInt64 { pair == 0 ? 0 : register(number).load(as: UInt64.self) }
        let rd = pairs & 31, rs2 = pairs &>> 8 & 31
        var old = (word(rd, rd), word(rd &+ 1, rd))
        func finish() -> UInt64 {
            guard rd != 0 else { return 0 }
            register(rd).storeBytes(of: old.0, as: UInt64.self)
            register(rd &+ 1).storeBytes(of: old.1, as: UInt64.self)
            return 0
        }
        if let mmu = SoftMMU.of(state) {
            guard mmu.compareAndSwap16(address, &old, word(rs2, rs2), word(rs2 &+ 1, rs2), mmuIndex: mmu.dataIndex) else {
                return UInt64(ExitReason.memoryFault.rawValue) &+ 1
            }
            return finish()
        }
        let base = state.load(fromByteOffset: Int(StateHeader.memoryBase), as: UInt64.self)
        let host = UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: address &+ base))
        let failed = withUnsafeMutableBytes(of: &old) { pair in
            apus_guarded_cas16(host, pair.baseAddress?.assumingMemoryBound(to: UInt64.self), word(rs2, rs2), word(rs2 &+ 1, rs2))
        }
        guard failed == 0 else {
            let fault = apus_last_fault_get().pointee
            state.storeBytes(of: address, toByteOffset: Int(StateHeader.faultAddress), as: UInt64.self)
            state.storeBytes(of: UInt32(bitPattern: fault.signal), toByteOffset: Int(StateHeader.faultSignal), as: UInt32.self)
            // x86 reports an address that it cannot express as a protection fault: nothing is mapped there.
            state.storeBytes(of: fault.code == 128 ? 1 : UInt32(bitPattern: fault.code), toByteOffset: Int(StateHeader.faultCode), as: UInt32.self)
            return UInt64(ExitReason.memoryFault.rawValue) &+ 1
        }
        return finish()
    }
}

extension Pattern {
    static let compareAndSwap: [Pattern] = [
        Pattern("amocas.w{aqrl} rd, rs2, (rs1)", "00101 .. ..... ..... 010 ..... 0101111", .zacas) { x, i in x.compareAndSwap(i, bytes: 4) },
        Pattern("amocas.d{aqrl} rd, rs2, (rs1)", "00101 .. ..... ..... 011 ..... 0101111", [.zacas, .rv64]) { x, i in x.compareAndSwap(i, bytes: 8) },
        Pattern("amocas.d{aqrl} rd, rs2, (rs1)", "00101 .. ..... ..... 011 ..... 0101111", [.zacas, .rv32]) { x, i in x.compareAndSwapDouble(i) },
        Pattern("amocas.q{aqrl} rd, rs2, (rs1)", "00101 .. ..... ..... 100 ..... 0101111", [.zacas, .rv64]) { x, i in x.compareAndSwapPair(i) },
        Pattern("amocas.b{aqrl} rd, rs2, (rs1)", "00101 .. ..... ..... 000 ..... 0101111", [.zacas, .zabha]) { x, i in
            x.compareAndSwap(i, bytes: 1)
        },
        Pattern("amocas.h{aqrl} rd, rs2, (rs1)", "00101 .. ..... ..... 001 ..... 0101111", [.zacas, .zabha]) { x, i in
            x.compareAndSwap(i, bytes: 2)
        },
    ]

    static let narrowAtomics: [Pattern] = [
        Pattern("amoswap.b{aqrl} rd, rs2, (rs1)", "00001 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.swap, i, bytes: 1) },
        Pattern("amoadd.b{aqrl} rd, rs2, (rs1)", "00000 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.add, i, bytes: 1) },
        Pattern("amoxor.b{aqrl} rd, rs2, (rs1)", "00100 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.xor, i, bytes: 1) },
        Pattern("amoand.b{aqrl} rd, rs2, (rs1)", "01100 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.and, i, bytes: 1) },
        Pattern("amoor.b{aqrl} rd, rs2, (rs1)", "01000 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.or, i, bytes: 1) },
        Pattern("amomin.b{aqrl} rd, rs2, (rs1)", "10000 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.minS, i, bytes: 1) },
        Pattern("amomax.b{aqrl} rd, rs2, (rs1)", "10100 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.maxS, i, bytes: 1) },
        Pattern("amominu.b{aqrl} rd, rs2, (rs1)", "11000 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.minU, i, bytes: 1) },
        Pattern("amomaxu.b{aqrl} rd, rs2, (rs1)", "11100 .. ..... ..... 000 ..... 0101111", .zabha) { x, i in x.atomic(.maxU, i, bytes: 1) },
        Pattern("amoswap.h{aqrl} rd, rs2, (rs1)", "00001 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.swap, i, bytes: 2) },
        Pattern("amoadd.h{aqrl} rd, rs2, (rs1)", "00000 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.add, i, bytes: 2) },
        Pattern("amoxor.h{aqrl} rd, rs2, (rs1)", "00100 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.xor, i, bytes: 2) },
        Pattern("amoand.h{aqrl} rd, rs2, (rs1)", "01100 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.and, i, bytes: 2) },
        Pattern("amoor.h{aqrl} rd, rs2, (rs1)", "01000 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.or, i, bytes: 2) },
        Pattern("amomin.h{aqrl} rd, rs2, (rs1)", "10000 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.minS, i, bytes: 2) },
        Pattern("amomax.h{aqrl} rd, rs2, (rs1)", "10100 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.maxS, i, bytes: 2) },
        Pattern("amominu.h{aqrl} rd, rs2, (rs1)", "11000 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.minU, i, bytes: 2) },
        Pattern("amomaxu.h{aqrl} rd, rs2, (rs1)", "11100 .. ..... ..... 001 ..... 0101111", .zabha) { x, i in x.atomic(.maxU, i, bytes: 2) },
    ]
}
