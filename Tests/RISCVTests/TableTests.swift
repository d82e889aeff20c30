// The tables are consistent: operands cover exactly the free bits, no two instructions claim one encoding, and every
// encoding decodes to the entry it was made from.

import RISCV
import Testing

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z &>> 31
    }
}

@Suite struct TableTests {
    @Test(arguments: XLEN.allCases) func operandsCoverTheFreeBits(_ xlen: XLEN) {
        var wrong: [String] = []
        for entry in InstructionCatalogue.entries(xlen) {
            var free = ~entry.mask & ~entry.ignored
            if entry.length == 2 { free &= 0xffff }
            let covered = entry.operands.reduce(UInt32(0)) { $0 | $1.mask } & ~entry.mask
            if covered != free { wrong.append(entry.syntax) }
        }
        #expect(wrong == [])
    }

    @Test(arguments: XLEN.allCases) func noTwoInstructionsClaimOneEncoding(_ xlen: XLEN) {
        #expect(InstructionCatalogue.overlaps(xlen).map { "\($0.0) / \($0.1)" } == [])
    }

    @Test(arguments: XLEN.allCases) func encodingsDecodeToTheirOwnEntry(_ xlen: XLEN) throws {
        let entries = InstructionCatalogue.entries(xlen)
        let guests = try Dictionary(uniqueKeysWithValues: InstructionCatalogue.models.map { ($0, RISCVGuest(model: try CPUModel(parsing: $0, xlen: xlen))) })
        var generator = SplitMix(state: 1)
        var wrong: [String] = []
        for entry in entries {
            let guest = try #require(guests[InstructionCatalogue.model(for: entry, xlen)])
            let special = entries.filter {
                $0.length == entry.length && entry.mask & ~$0.mask == 0 && $0.mask != entry.mask && ($0.match ^ entry.match) & entry.mask == 0
            }
            for _ in 0 ..< 200 {
                let bits = entry.randomEncoding(using: &generator)
                let found = guest.syntax(of: bits)
                if found != entry.syntax && !special.contains(where: { $0.syntax == found }) {
                    wrong.append("\(entry.syntax): \(String(bits, radix: 16)) is \(found ?? "nothing")")
                    break
                }
            }
        }
        #expect(wrong == [])
    }

    @Test(arguments: XLEN.allCases) func disabledExtensionsAreNotDecoded(_ xlen: XLEN) throws {
        let guest = try RISCVGuest(model: CPUModel(parsing: xlen.baseName + "i", xlen: xlen))
        var generator = SplitMix(state: 2)
        var wrong: [String] = []
        for entry in InstructionCatalogue.entries(xlen) where !entry.extensions.subtracting([.rv32, .rv64]).isEmpty {
            let bits = entry.randomEncoding(using: &generator)
            // Hints and fences are in the base.
            if let found = guest.syntax(of: bits), !found.hasPrefix("fence ") { wrong.append("\(entry.syntax) is \(found)") }
        }
        #expect(wrong == [])
    }

    /// What RV64 has and RV32 has not, or has another meaning for.
    @Test func encodingsOfOneWidth() throws {
        let wide = try RISCVGuest(model: CPUModel(parsing: "max")), narrow = try RISCVGuest(model: CPUModel(parsing: "max", xlen: .rv32))
        let cases: [(UInt32, String?, String?)] = [
            (0x0005_3503, "ld", nil), (0x0005_6503, "lwu", nil), (0x0005_051b, "addiw", nil), (0x0205_1513, "slli", nil),
            (0x0105_1513, "slli", "slli"), (0x2001, nil, "c.jal"), (0x6108, "c.ld", "c.flw"), (0xe108, "c.sd", "c.fsw"),
            (0x9d01, "c.subw", nil), (0x0805_4533, "pack", "zext.h"), (0x6985_5513, nil, "rev8"),
            (0x6b85_5513, "rev8", nil), (0x08f5_1513, nil, "zip"), (0x5000_0033, nil, "sha512sum0r"),
        ]
        for (bits, onWide, onNarrow) in cases {
            #expect(wide.mnemonic(of: bits) == onWide, "\(String(bits, radix: 16))")
            #expect(narrow.mnemonic(of: bits) == onNarrow, "\(String(bits, radix: 16))")
        }
    }

    @Test func reservedEncodings() throws {
        let guest = try RISCVGuest(model: CPUModel(parsing: "max"))
        let reserved: [(UInt32, String)] = [
            (0x0000, "all zero"), (0xffff_ffff, "all one"), (0x0008, "c.addi4spn with 0"), (0x4002, "c.lwsp to x0"),
            (0x6002, "c.ldsp to x0"), (0x8002, "c.jr x0"), (0x6101, "c.addi16sp with 0"), (0x6201, "c.lui with 0"),
            (0x2001, "c.addiw x0"), (0x2005, "c.addiw x0, 1"), 
            (0x9c79, "quadrant 1, misc 110"), (0x9c7d, "quadrant 1, misc 111"),
            (0x1005_252f, "lr.w with rs2 = 0 is fine"),
            (0x1015_252f, "lr.w with rs2"), (0x0205_101b, "slliw with shamt[5]"), (0x4205_d51b, "sraiw with shamt[5]"),
            (0x0405_1513, "slli with shamt[6]"), (0x3000_0073, "mret-like"), (0x1050_0073, "wfi"), (0x1020_0073, "sret"),
            (0x0000_0173, "ecall with rd"), (0x0000_8073, "ecall with rs1"), (0x5805_7553, "fsqrt.s ok"),
            (0x5815_7553, "fsqrt.s with rs2"), (0x0000_7053, "fadd.s ok"), (0x0600_7053, "fadd.q"), (0x0000_205f, "48 bit"),
        ]
        let fine: Set<UInt32> = [0x1005_252f, 0x5805_7553, 0x0000_7053]
        for (bits, name) in reserved {
            #expect((guest.syntax(of: bits) != nil) == fine.contains(bits), "\(name)")
        }
    }
}
