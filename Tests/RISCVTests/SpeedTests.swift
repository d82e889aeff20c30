// Translation must stay cheap: a loose bound that a mistake of the order of magnitude breaks.

import IR
import RISCV
import Testing
import Translation

@Suite struct SpeedTests {
    @Test func tablesAndTranslation() throws {
        let clock = ContinuousClock()
        var guest: RISCVGuest?
        let first = clock.measure { guest = RISCVGuest() }
        let second = clock.measure { guest = RISCVGuest() }
        let riscv = try #require(guest)

        var generator = SplitMix(state: 4)
        let entries = InstructionCatalogue.entries.filter { $0.mnemonic != "csrrw" }
        var code: [UInt32] = (0 ..< 20_000).map { _ in entries[Int(generator.next() % UInt64(entries.count))].randomEncoding(using: &generator) }
        code.append(0)
        var arena = OpArena(capacity: 4096)
        defer { arena.deallocate() }
        let translation = clock.measure {
            code.withUnsafeBytes { bytes in
                for index in 0 ..< 20_000 {
                    arena.count = 0
                    let window = CodeWindow(bytes: bytes.baseAddress! + index * 4, count: 4)
                    _ = riscv.translate(window, at: 0x10000, context: 0, into: Builder(&arena))
                }
            }
        }
        print("tables: \(first) first, \(second) again; translation: \(translation / 20_000) an instruction")
        #expect(first < .milliseconds(20))
        #expect(translation / 20_000 < .microseconds(2))
    }
}
