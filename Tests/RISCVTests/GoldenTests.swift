// The IR of one encoding of every instruction, against `Golden/ir.txt` (RV64) and `Golden/ir32.txt` (RV32, without vectors). `BLESS=1 swift test --filter GoldenTests` writes
// the file anew; the change then shows as a diff.

import Foundation
import IR
import RISCV
import Testing
import Translation

@Suite struct GoldenTests {
    private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")

    /// Assembler text and IR of every instruction, and whether the verifier accepts it.
    private func text(_ xlen: XLEN) throws -> (text: String, invalid: [String]) {
        let guests = try Dictionary(uniqueKeysWithValues: InstructionCatalogue.models.map { ($0, RISCVGuest(model: try CPUModel(parsing: $0, xlen: xlen))) })
        var arena = OpArena(capacity: 256), text = "", invalid: [String] = []
        defer { arena.deallocate() }
        for entry in InstructionCatalogue.entries(xlen) where xlen == .rv64 || entry.extensions.isDisjoint(with: .vectors) {
            guard let guest = guests[InstructionCatalogue.model(for: entry, xlen)] else { continue }
            var generator = SplitMix(state: UInt64(entry.match))
            var bits = entry.randomEncoding(using: &generator) & ~entry.ignored
            if entry.operands.contains(.csr) { bits = bits & 0x000f_ffff | 3 << 20 }
            arena.count = 0
            let pc: UInt64 = 0x10000
            var word = bits
            withUnsafeBytes(of: &word) { bytes in
                guard let base = bytes.baseAddress else { return }
                Builder(&arena).instruction(at: pc, length: entry.length)
                let decoded = guest.translate(CodeWindow(bytes: base, count: 4), at: pc, context: 0, into: Builder(&arena))
                text += "\(guest.text(of: bits, at: pc) ?? "?")    # \(String(bits, radix: 16))\n"
                switch decoded.flow {
                case .next: Builder(&arena).jump(to: pc &+ UInt64(entry.length))
                case .jump(let target): Builder(&arena).jump(to: target)
                case .end: break
                }
                invalid += IRVerifier.faults(in: arena).map { "\(entry.syntax): \($0)" }
            }
            for line in IRPrinter.text(of: arena).split(separator: "\n").dropFirst() { text += "    \(line)\n" }
        }
        return (text, invalid)
    }

    @Test(arguments: XLEN.allCases) func irOfEveryInstruction(_ xlen: XLEN) throws {
        let (text, invalid) = try text(xlen), file = folder.appendingPathComponent(xlen == .rv64 ? "ir.txt" : "ir32.txt")
        #expect(invalid == [])
        if ProcessInfo.processInfo.environment["BLESS"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let golden = try String(contentsOf: file, encoding: .utf8)
        if golden != text {
            for (old, new) in zip(golden.split(separator: "\n"), text.split(separator: "\n")) where old != new {
                print("golden: \(old)\nnow:    \(new)")
                break
            }
        }
        #expect(golden == text)
    }
}
