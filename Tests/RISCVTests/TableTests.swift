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
    @Test func operandsCoverTheFreeBits() {
        var wrong: [String] = []
        for entry in InstructionCatalogue.entries {
            var free = ~entry.mask & ~entry.ignored
            if entry.length == 2 { free &= 0xffff }
            let covered = entry.operands.reduce(UInt32(0)) { $0 | $1.mask } & ~entry.mask
            if covered != free { wrong.append(entry.syntax) }
        }
        #expect(wrong == [])
    }

    @Test func noTwoInstructionsClaimOneEncoding() {
        #expect(InstructionCatalogue.overlaps().map { "\($0.0) / \($0.1)" } == [])
    }

    @Test func encodingsDecodeToTheirOwnEntry() throws {
        let guests = try Dictionary(uniqueKeysWithValues: InstructionCatalogue.models.map { ($0, RISCVGuest(model: try CPUModel(parsing: $0))) })
        var generator = SplitMix(state: 1)
        var wrong: [String] = []
        for entry in InstructionCatalogue.entries {
            let guest = try #require(guests[InstructionCatalogue.model(for: entry)])
            let special = InstructionCatalogue.entries.filter {
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

    @Test func disabledExtensionsAreNotDecoded() throws {
        let guest = try RISCVGuest(model: CPUModel(parsing: "rv64i"))
        var generator = SplitMix(state: 2)
        var wrong: [String] = []
        for entry in InstructionCatalogue.entries where !entry.extensions.isEmpty {
            let bits = entry.randomEncoding(using: &generator)
            // Hints and fences are in the base.
            if let found = guest.syntax(of: bits), !found.hasPrefix("fence ") { wrong.append("\(entry.syntax) is \(found)") }
        }
        #expect(wrong == [])
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
