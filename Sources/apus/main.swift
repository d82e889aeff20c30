// The executable: chooses the verb by the name it was called by, then by its first argument. `exec` is the hot one and
// does without the argument parser.

import Glibc
import Registry

let words = CommandLine.arguments
let called = words.first.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? "apus"

// `apus-riscv64` and `qemu-riscv64` run programs of one guest. Another `apus-…` is just a renamed executable.
if let prefix = ["apus-", "qemu-"].first(where: { called.hasPrefix($0) }) {
    let guest = String(called.dropFirst(prefix.count))
    if Registry.guests.contains(where: { $0.name == guest }) {
        exit(UserCommand.run(name: called, only: guest, Array(words.dropFirst())))
    }
    if prefix == "qemu-" {
        StandardError.write("\(called): there is no guest '\(guest)' (known: \(Registry.guests.map(\.name).joined(separator: ", ")))\n")
        exit(2)
    }
}
if words.count > 1, words[1] == "exec" {
    exit(UserCommand.run(name: "apus exec", only: nil, Array(words.dropFirst(2))))
}
Apus.main()
