// The single instructions once more, as a guest program that `apus exec` runs from start to end: with its signal frames,
// its instruction fences and all states in one process.

import Foundation
import RISCV

struct UserModeCases {
    var casesPerInstruction = 100
    var seed: UInt64 = 1
    var engines = ["x64", "interpreter"]
    var qemu: String
    var xlen: XLEN
    var apus: String

    func run(in folder: String) throws -> Outcome {
        try InstructionCatalogue.models.reduce(into: Outcome()) { $0 += try run($1, in: folder) }
    }

    private func run(_ model: String, in folder: String) throws -> Outcome {
        let program = try Tools.buildGuest(["cases.c", "run_case.S"], xlen: xlen, flags: CaseLayout.linkerFlags, as: "cases", in: folder)
        let states = 10
        var random = Random(state: seed), records: [CaseRecord] = []
        for entry in InstructionCatalogue.entries(xlen) where entry.isComparable && !entry.usesVectors && InstructionCatalogue.model(for: entry, xlen) == model {
            for _ in 0 ..< max(1, casesPerInstruction / states) {
                var record = entry.record(count: UInt32(states), xlen, using: &random)
                // States are not seen here, so that no difference can be told apart.
                if entry.mnemonic == "fcvt.s.bf16", record.before == CaseRecord.nop { continue }
                record.output = 0
                records.append(record)
            }
        }
        let input = records.flatMap(\.bytes)
        let expected = try Tools.run(qemu, ["-cpu", Tools.qemuCPU(model, xlen), program], input: input)
        var outcome = Outcome()
        for engine in engines {
            let actual = try Tools.run(apus, ["exec", "--engine", engine, "-cpu", model, program], input: input)
            guard actual.count == expected.count else {
                print("apus exec --engine \(engine): wrote \(actual.count) bytes, QEMU \(expected.count)")
                outcome.failed += 1
                continue
            }
            let guest = RISCVGuest(model: try CPUModel(parsing: model, xlen: xlen))
            var differing = 0
            for (index, record) in records.enumerated() {
                let range = index * states * 8 ..< (index + 1) * states * 8
                if expected[range] == actual[range] { continue }
                differing += 1
                if differing <= 10 { print("apus exec --engine \(engine): \(guest.text(of: record.encoding, at: 0) ?? "?") differs") }
            }
            print("apus exec --engine \(engine): \(records.count * states) cases on \(xlen.baseName) \(model), \(differing) encodings differ")
            outcome += Outcome(passed: differing == 0 ? 1 : 0, failed: differing)
        }
        return outcome
    }
}
