// Every instruction of the tables, with random operands and states: QEMU against the engines in this process.

import Foundation
import RISCV

struct SingleInstructions {
    var casesPerInstruction = 1000
    var seed: UInt64 = 1
    /// Only these mnemonics, if not empty.
    var only: [String] = []
    var engines = CaseEngine.Choice.allCases
    var qemu: String
    var xlen: XLEN
    /// Bytes of a vector register.
    var vectorBytes = 16
    /// Whether only instructions that use vectors run.
    var onlyVectors = false
    /// Of so many instructions, one is tested.
    var every = 1
    /// Differences shown for each instruction.
    var shown = 2

    func run(in folder: String) throws -> Outcome {
        try InstructionCatalogue.models.reduce(into: Outcome()) { $0 += try run($1, in: folder) }
    }

    private func run(_ model: String, in folder: String) throws -> Outcome {
        // Each day another share.
        let day = Int(time(nil) / 86_400)
        let entries = InstructionCatalogue.entries(xlen).filter { isWanted($0, model) }.enumerated().filter { ($0.offset + day) % every == 0 }.map(\.element)
        if entries.isEmpty { return Outcome() }
        let scalarProgram = try Tools.buildGuest(["cases.c", "run_case.S"], xlen: xlen, flags: CaseLayout.linkerFlags, as: "cases", in: folder)
        let vectorProgram = try Tools.buildGuest(["cases.c", "run_case.S"], compressed: true, xlen: xlen,
                                                 flags: CaseLayout.linkerFlags + ["-DVECTOR_BYTES=\(vectorBytes)", "-Wa,-march=\(xlen.baseName)gcv"],
                                                 as: "vectors", in: folder)
        let scalarEngines = self.engines.compactMap { CaseEngine($0, model: model, xlen: xlen) }
        let vectorEngines = entries.contains(where: \.usesVectors) ? self.engines.compactMap { CaseEngine($0, model: model, vectorBytes: vectorBytes, xlen: xlen) } : []
        let states = 25
        let encodings = max(4, (casesPerInstruction + states - 1) / states)
        var failing: [String] = [], total = 0, instructions = 0
        for entry in entries {
            let (program, engines) = entry.usesVectors ? (vectorProgram, vectorEngines) : (scalarProgram, scalarEngines)
            let words = CaseState.wordCount(vectorBytes: entry.usesVectors ? vectorBytes : 0)
            var random = Random(state: seed &+ UInt64(entry.match) &* 0x1_0000_0001)
            let wanted = (0 ..< encodings).map { _ in entry.record(count: UInt32(states), xlen, using: &random) }
            let records: [CaseRecord], output: Data
            do { (records, output) = try reference(wanted, entry, [program], model) } catch {
                print("\(entry.syntax): \(error)")
                failing.append(entry.syntax)
                continue
            }
            guard output.count == records.count * states * 2 * words * 8 else {
                throw ToolError(description: "\(entry.syntax): QEMU's output is cut short")
            }
            let count = try compare(entry, records, states, output, engines, words)
            if count > 0 { failing.append(entry.syntax) }
            total += records.count * states
            instructions += 1
        }
        print("\(total) cases on \(xlen.baseName) \(model), \(self.engines.map(\.rawValue).joined(separator: ", ")): \(failing.count) instructions differ")
        for syntax in failing { print("  \(syntax)") }
        return Outcome(passed: instructions - failing.count, failed: failing.count)
    }

    /// What QEMU makes of records. QEMU dies of some vector accesses by an assertion of its own (docs/differences.md): those
    /// records are found by halving and left out, a tenth of them at most.
    private func reference(_ records: [CaseRecord], _ entry: CatalogueEntry, _ program: [String], _ model: String) throws -> ([CaseRecord], Data) {
        let cpu = ["-cpu", Tools.qemuCPU(model, xlen) + ",vlen=\(vectorBytes * 8)"]
        var fatal = 0
        func run(_ part: ArraySlice<CaseRecord>) throws -> ([CaseRecord], Data) {
            do { return (Array(part), try Tools.run(qemu, cpu + program, input: part.flatMap(\.bytes))) } catch {
                guard entry.usesVectors, fatal < max(1, records.count / 10) else { throw error }
                if part.count == 1 {
                    fatal += 1
                    return ([], Data())
                }
                let middle = part.startIndex + part.count / 2
                let (first, second) = (try run(part[..<middle]), try run(part[middle...]))
                return (first.0 + second.0, first.1 + second.1)
            }
        }
        let result = try run(records[...])
        if fatal > 0 { print("\(entry.syntax): QEMU dies of \(fatal) of \(records.count) cases' encodings; left out") }
        return result
    }

    private func isWanted(_ entry: CatalogueEntry, _ model: String) -> Bool {
        entry.isComparable && InstructionCatalogue.model(for: entry, xlen) == model && (only.isEmpty || only.contains(entry.mnemonic))
            && (entry.usesVectors || !onlyVectors)
    }

    private func compare(_ entry: CatalogueEntry, _ records: [CaseRecord], _ states: Int, _ output: Data, _ engines: [CaseEngine], _ words: Int) throws -> Int {
        var differing = 0
        let size = words * 8
        output.withUnsafeBytes { bytes in
            for engine in engines {
                var offset = 0, here = 0
                for record in records {
                    engine.load(record)
                    for index in 0 ..< states {
                        let before = CaseState(UnsafeRawBufferPointer(rebasing: bytes[offset ..< offset + size]))
                        let expected = CaseState(UnsafeRawBufferPointer(rebasing: bytes[offset + size ..< offset + 2 * size]))
                        offset += 2 * size
                        var actual = engine.run(before)
                        if entry.usesVectors { actual.forgiveFault(expected) }
                        if actual == expected || entry.isKnownDifference(record, before) { continue }
                        here += 1
                        if here > shown { continue }
                        print("\(entry.mnemonic) [\(engine.name)] \(hex(UInt64(record.encoding))) \(text(record)), case \(index)\(record.before == CaseRecord.nop ? "" : ", after a load-reserved")")
                        print("   " + entry.operands.compactMap { operand -> String? in
                            let value = Int(operand.value(in: record.encoding))
                            switch operand.kind {
                            case .register: return "x\(value)=\(hex(before.x(value)))"
                            case .floatRegister: return "f\(value)=\(hex(before.f(value)))"
                            default: return nil
                            }
                        }.joined(separator: " ") + " fcsr=\(hex(before.fcsr))" + vectorText(before))
                        for line in CaseState.differences(expected, actual, ("qemu", engine.name)).prefix(8) { print("   " + line) }
                    }
                }
                if here > 0 { print("   \(here) of \(records.count * states) differ") }
                differing += here
            }
        }
        return differing
    }

    /// What the vector unit was set to.
    private func vectorText(_ before: CaseState) -> String {
        guard before.words.count > CaseState.scalarWords else { return "" }
        return " vl=\(before.words[101]) vtype=\(hex(before.words[102])) vstart=\(before.words[103]) vcsr=\(before.words[104])"
    }

    private func text(_ record: CaseRecord) -> String {
        InstructionCatalogue.models.lazy.compactMap { try? CPUModel(parsing: $0, xlen: xlen) }
            .compactMap { RISCVGuest(model: $0).text(of: record.encoding, at: CaseLayout.instruction) }.first ?? "?"
    }
}
