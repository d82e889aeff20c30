// The executable: chooses the verb by the name it was called by, then by its first argument. `exec` is the hot one and
// does without the argument parser.

import Glibc
import Registry

let words = CommandLine.arguments
let called = words.first.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? "apus"
let link = ["apus-", "qemu-"].lazy.filter { called.hasPrefix($0) }.map { String(called.dropFirst($0.count)) }.first

if let link {
    guard Registry.guests.contains(where: { $0.name == link }) else {
        StandardError.write("\(called): there is no guest '\(link)' (known: \(Registry.guests.map(\.name).joined(separator: ", ")))\n")
        exit(2)
    }
    exit(UserCommand.run(name: called, only: link, Array(words.dropFirst())))
}
if words.count > 1, words[1] == "exec" {
    exit(UserCommand.run(name: "apus exec", only: nil, Array(words.dropFirst(2))))
}
Apus.main()
