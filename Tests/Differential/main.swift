// Differential tests of the riscv64 guest against QEMU: `apus-differential [--cases N] [--seed N] [--only NAME,…]
// [--engines NAME,…] [--programs N]`. `--only encodings` and `--only sequences` run these parts alone. The exit status is 0 if nothing differs.

import Foundation
import Host

var options: [String: String] = [:]
var arguments = Array(CommandLine.arguments.dropFirst())
while let argument = arguments.first {
    arguments.removeFirst()
    guard argument.hasPrefix("--"), let value = arguments.first else {
        print("usage: apus-differential [--cases N] [--seed N] [--only NAME,…] [--engines interpreter-plain,interpreter,x64]")
        exit(2)
    }
    arguments.removeFirst()
    options[String(argument.dropFirst(2))] = value
}

guard let qemu = Tools.qemu else {
    print("no QEMU to compare with (set QEMU_RISCV64): skipped")
    exit(0)
}
HostFaults.install()
_ = HostFaults.prepareThread()
let folder = NSTemporaryDirectory() + "apus-differential-\(getpid())"
try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)

var single = SingleInstructions(qemu: qemu)
if let text = options["cases"], let number = Int(text) { single.casesPerInstruction = number }
if let text = options["seed"], let number = UInt64(text) { single.seed = number }
if let text = options["only"] { single.only = text.split(separator: ",").map(String.init) }
if let text = options["engines"] { single.engines = text.split(separator: ",").compactMap { CaseEngine.Choice(rawValue: String($0)) } }
var failures = 0
do {
    failures += try single.run(in: folder)
    if single.only.isEmpty || single.only == ["encodings"] {
        failures += try EncodingSpace(qemu: qemu, seed: single.seed, words: single.casesPerInstruction * 200).run(in: folder)
    }
    if single.only.isEmpty || single.only == ["sequences"] {
        var sequences = Sequences(qemu: qemu)
        sequences.seed = single.seed
        sequences.engines = single.engines
        sequences.programs = options["programs"].flatMap { Int($0) } ?? max(10, single.casesPerInstruction / 10)
        failures += try sequences.run(in: folder)
    }
} catch {
    print(error)
    failures += 1
}
try? FileManager.default.removeItem(atPath: folder)
exit(failures == 0 ? 0 : 1)
