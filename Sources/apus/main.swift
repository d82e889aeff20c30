// The executable: chooses the verb by the name it was called by, else by its first argument.

import CHost
import Glibc
import ImageTool
import Registry
import StorageTool
import UserMode

apus_start_finish()
let words = HostArguments.words
let called = words.first.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? "apus"

// The kernel started us for a guest program: see `apus binfmt`.
if KernelLaunch.isByBinaryFormat { exit(UserCommand.runForKernel(name: called)) }

// `apus-riscv64` and `qemu-riscv64` run programs of one guest. Another `apus-…` is just a renamed executable.
if let prefix = ["apus-", "qemu-"].first(where: { called.hasPrefix($0) }) {
    let guest = String(called.dropFirst(prefix.count))
    if guest == "io" { exit(BlockShell.run(name: called, Array(words.dropFirst()), catalogue: Registry.blockDrivers)) }
    if guest == "img" { exit(ImageTool.run(name: called, Array(words.dropFirst()), catalogue: Registry.blockDrivers)) }
    if guest == "nbd" { exit(NBDTool.run(name: called, Array(words.dropFirst()), catalogue: Registry.blockDrivers)) }
    if guest == "storage" || guest == "storage-daemon" { exit(StorageDaemon.run(name: called, Array(words.dropFirst()), catalogue: Registry.blockDrivers)) }
    if guest.hasPrefix("system-"), let machine = MachineCommand.guests.first(where: { $0.name == guest.dropFirst(7) }) {
        exit(MachineCommand.run(called, bits: machine.bits, Array(words.dropFirst())))
    }
    if Registry.guests.contains(where: { $0.name == guest }) {
        exit(UserCommand.run(name: called, only: guest, Array(words.dropFirst())))
    }
    if prefix == "qemu-" {
        StandardError.write("\(called): there is no guest '\(guest)' (known: \(Registry.guests.map(\.name).joined(separator: ", ")))\n")
        exit(2)
    }
}
exit(Apus.run(Array(words.dropFirst())))
