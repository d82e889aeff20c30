// The verb `apus system`.

import Registry
import SystemCommand

enum MachineCommand {
    /// The machines' guests, by the end of names such as `qemu-system-riscv64`.
    static let guests: [(name: String, bits: Int)] = [("riscv64", 64), ("riscv32", 32)]

    static func run(_ name: String, bits: Int = 64, _ words: [String]) -> Int32 {
        SystemCommand.run(name: name, bits: bits, version: Version.text, words, blockDrivers: Registry.blockDrivers, makeEngine: Registry.machineEngine,
                          makeStepper: Registry.machineStepper)
    }
}
