// Differential tests of the riscv64 and riscv32 guests against QEMU 10. The last line of output is `N passed, N failed`.
//
//     apus-differential [--cases N] [--seed N] [--only NAME,…] [--engines NAME,…] [--programs N] [--apus PATH]
//                       [--xlen 32|64] [--every N]
//
// Cases are per instruction. `--every N` tests an N-th of the instructions, each day another. `--only` takes mnemonics, or one
// of the parts `encodings`, `user` and `sequences`.

import Foundation
import Host
import RISCV

var options: [String: String] = [:]
var arguments = Array(CommandLine.arguments.dropFirst())
while let argument = arguments.first {
    arguments.removeFirst()
    guard argument.hasPrefix("--"), let value = arguments.first else {
        print("usage: apus-differential [--cases N] [--seed N] [--only NAME,…] [--engines interpreter-plain,interpreter,x64] "
            + "[--programs N] [--apus PATH] [--xlen 32|64] [--every N]")
        exit(2)
    }
    arguments.removeFirst()
    options[String(argument.dropFirst(2))] = value
}

let xlen: XLEN = options["xlen"] == "32" ? .rv32 : .rv64
guard let qemu = Tools.qemu(xlen) else {
    print("no QEMU to compare with (set APUS_QEMU): skipped\n0 passed, 0 failed")
    exit(0)
}
signal(SIGPIPE, SIG_IGN)
HostFaults.install()
_ = HostFaults.prepareThread()
let folder = NSTemporaryDirectory() + "apus-differential-\(getpid())"
try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)

let only = options["only"]?.split(separator: ",").map(String.init) ?? []
let cases = options["cases"].flatMap { Int($0) } ?? 1000
let seed = options["seed"].flatMap { UInt64($0) } ?? 1
let engines = options["engines"]?.split(separator: ",").compactMap { CaseEngine.Choice(rawValue: String($0)) } ?? CaseEngine.Choice.allCases
let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("apus").path

let vectorBits = options["vlen"].flatMap { Int($0) } ?? 128

/// Whether a part runs: all do without `--only`.
func isWanted(_ part: String) -> Bool { only.isEmpty || only == [part] }

var outcome = Outcome()
do {
    if only.isEmpty || !["encodings", "user", "sequences"].contains(only[0]) {
        outcome += try SingleInstructions(casesPerInstruction: cases, seed: seed, only: only == ["vectors"] ? [] : only, engines: engines, qemu: qemu, xlen: xlen,
                                          vectorBytes: vectorBits / 8, onlyVectors: only == ["vectors"],
                                          every: max(1, options["every"].flatMap { Int($0) } ?? 1)).run(in: folder)
    }
    if isWanted("encodings") {
        for model in InstructionCatalogue.models {
            outcome += try EncodingSpace(qemu: qemu, seed: seed, xlen: xlen, model: model, words: cases * 200).run(in: folder)
        }
    }
    if isWanted("user") {
        outcome += try UserModeCases(casesPerInstruction: max(10, cases / 4), seed: seed, qemu: qemu, xlen: xlen, apus: options["apus"] ?? beside)
            .run(in: folder)
    }
    if isWanted("sequences") {
        let programs = options["programs"].flatMap { Int($0) } ?? max(10, cases / 10)
        outcome += try Sequences(programs: programs, seed: seed, engines: engines, qemu: qemu, xlen: xlen).run(in: folder)
    }
} catch {
    print(error)
    outcome.failed += 1
}
try? FileManager.default.removeItem(atPath: folder)
print("\(outcome.passed) passed, \(outcome.failed) failed")
exit(outcome.failed == 0 ? 0 : 1)
