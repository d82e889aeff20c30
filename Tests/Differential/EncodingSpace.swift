// Which encodings exist: every 16-bit one, every CSR number and many random 32-bit ones, against QEMU.
//
// Only whether an encoding is an illegal instruction is compared. Those that this guest executes and that would lead away
// or need special operands are left to `SingleInstructions`.

import Foundation
import IR
import RISCV
import Translation

struct EncodingSpace {
    var qemu: String
    var seed: UInt64
    var xlen: XLEN
    /// One of the models of `InstructionCatalogue`.
    var model: String
    /// How many random 32-bit words are tried.
    var words: Int

    /// Whether a vector instruction is legal depends on the vector type: the single instructions show that. QEMU dies of some.
    private func isVector(_ bits: UInt32) -> Bool {
        let isVectorMemory = bits & 0x5f == 0x07 && [0, 5, 6, 7].contains(bits &>> 12 & 7)
        return isVectorMemory || bits & 0x7f == 0x57 || bits & 0x7f == 0x77
    }

    func run(in folder: String) throws -> Outcome {
        let program = try Tools.buildGuest(["cases.c", "run_case.S"], xlen: xlen, flags: CaseLayout.linkerFlags, as: "cases", in: folder)
        let guest = RISCVGuest(model: try CPUModel(parsing: model, xlen: xlen))
        var random = Random(state: seed)
        var encodings: [UInt32] = (0 ..< 0x10000).filter { $0 & 3 != 3 }
        for csr in UInt32(0) ..< 4096 {
            encodings += [csr << 20 | 0x2573, csr << 20 | 0x0005_9073, csr << 20 | 0x0000_e073]
        }
        let majors: [UInt32] = InstructionCatalogue.entries(xlen).filter { $0.length == 4 }.map(\.match)
        for _ in 0 ..< words {
            // A random change of a few bits of a known instruction finds its neighbours.
            let r = random.next()
            var bits = UInt32(truncatingIfNeeded: r) | 3
            if r &>> 32 & 3 != 0 {
                bits = majors[Int(r &>> 34 % UInt64(majors.count))] ^ UInt32(truncatingIfNeeded: random.next() & random.next() & random.next()) & ~3
            }
            encodings.append(bits)
        }
        encodings = encodings.filter { isSafe($0, guest) && !isVector($0) }

        var differing = 0
        for start in stride(from: 0, to: encodings.count, by: 20_000) {
            let part = encodings[start ..< min(start + 20_000, encodings.count)]
            let records = part.map { CaseRecord(encoding: $0, count: 1, output: 2, seed: 1) }
            let output = try Tools.run(qemu, ["-cpu", Tools.qemuCPU(model, xlen), program], input: records.flatMap(\.bytes))
            guard output.count == part.count * 8 else { throw ToolError(description: "QEMU's output is cut short") }
            output.withUnsafeBytes { bytes in
                for (index, bits) in part.enumerated() {
                    let theirs = bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) == 4
                    let ours = isIllegal(bits, guest)
                    if ours == theirs { continue }
                    differing += 1
                    if differing <= 40 {
                        print("\(hex(UInt64(bits))) \(guest.text(of: bits, at: 0) ?? "?"): \(ours ? "illegal here only" : "illegal in QEMU only")")
                    }
                }
            }
        }
        print("\(encodings.count) encodings on \(xlen.baseName) \(model): \(differing) differ in legality")
        return Outcome(passed: differing == 0 ? 1 : 0, failed: differing)
    }

    /// Whether the guest program can run `bits` with arbitrary registers and come back.
    private func isSafe(_ bits: UInt32, _ guest: RISCVGuest) -> Bool {
        let destination = bits &>> 7 & 31
        guard let name = guest.mnemonic(of: bits) else { return destination != 31 }
        // A push or pop anywhere may fault, and a jump by a table leads away.
        if name.hasPrefix("cm.") { return false }
        let leading = ["jal", "jalr", "c.j", "c.jal", "c.jr", "c.jalr", "beq", "bne", "blt", "bge", "bltu", "bgeu", "c.beqz", "c.bnez", "ecall"]
        // Stores by way of x31 would overwrite the case itself.
        return !leading.contains(name) && destination != 31 && bits &>> 15 & 31 != 31 && bits & 0x7f != 0x2f
    }

    /// What the translator says.
    private func isIllegal(_ bits: UInt32, _ guest: RISCVGuest) -> Bool {
        var arena = OpArena(capacity: 256)
        defer { arena.deallocate() }
        var word = bits
        return withUnsafeBytes(of: &word) { bytes in
            guard let base = bytes.baseAddress else { return false }
            _ = guest.translate(CodeWindow(bytes: base, count: 4), at: 0x1000, context: 0, into: Builder(&arena))
            guard arena.count > 0 else { return false }
            let last = arena.ops[arena.count - 1]
            return last.code == .exit && last.aux == ExitReason.illegalInstruction.rawValue
        }
    }
}
