// The interrupt controllers of `virt`, as `-M virt,aia=` chooses: a PLIC, an APLIC, or an APLIC and IMSICs.

import Core
import Devices

/// What devices' wires lead to, and the interrupt files of harts.
struct VirtInterrupts {
    private let wired: DeviceSlot
    private let architecture: InterruptArchitecture
    private let controllers: [MessageInterruptController]
    /// Of each hart; none without IMSICs.
    let files: [(machine: InterruptFile, supervisor: InterruptFile, guests: [InterruptFile])]

    /// Numbers from 0 to `largest`, of guests (0 is the supervisor itself) or of harts, take so many bits of the address of an interrupt file.
    static func indexBits(_ largest: Int) -> Int { Int.bitWidth - max(largest, 0).leadingZeroBitCount }

    init(_ architecture: InterruptArchitecture, _ parts: BoardParts, _ wires: [HartInterrupts]) {
        self.architecture = architecture
        switch architecture {
        case .plic:
            // Two contexts a hart: machine mode, supervisor mode.
            let targets = wires.flatMap { [$0.machineExternal, $0.supervisorExternal] }
            wired = parts.place("plic", PlatformInterruptController(
                .init(sources: Virt.Source.count, priorities: 7, contexts: targets.count, size: Virt.Map.plic.size), targets: targets), at: Virt.Map.plic.base)
            (files, controllers) = ([], [])
        case .aplic:
            wired = Self.placeAPLIC(parts, wires.count, .wires(machine: wires.map(\.machineExternal), supervisor: wires.map(\.supervisorExternal)))
            (files, controllers) = ([], [])
        case .imsic(let guests):
            let files = wires.map { hart in
                (machine: InterruptFile(wire: hart.machineExternal), supervisor: InterruptFile(wire: hart.supervisorExternal),
                 guests: hart.guestExternal.prefix(guests).map { InterruptFile(wire: $0) })
            }
            let machine = MessageInterruptController(files: files.map { [$0.machine] }, indexBits: 0)
            let supervisor = MessageInterruptController(files: files.map { [$0.supervisor] + $0.guests }, indexBits: Self.indexBits(guests))
            AddressSpace.place(Region("riscv.imsic.m", size: machine.size, .device(machine, bank: 0)), in: parts.root, at: Virt.Map.machineIMSIC)
            AddressSpace.place(Region("riscv.imsic.s", size: supervisor.size, .device(supervisor, bank: 0)), in: parts.root, at: Virt.Map.supervisorIMSIC)
            let memory = GuestMemory(parts.memory)
            wired = Self.placeAPLIC(parts, wires.count, .messages { memory.forwardMessage($0, $1) })
            self.files = files
            controllers = [machine, supervisor]
        }
    }

    private static func placeAPLIC(_ parts: BoardParts, _ harts: Int, _ delivery: AdvancedInterruptController.Delivery) -> DeviceSlot {
        let size = Virt.Map.machineAPLIC.size
        let controller = AdvancedInterruptController(sources: Virt.Source.count, harts: harts, size: size, delivery: delivery)
        return parts.place("aplic", controller, at: Virt.Map.machineAPLIC.base, Virt.Map.supervisorAPLIC.base)
    }

    /// The wire of source `number`.
    func line(_ number: Int) -> InterruptLine {
        architecture == .plic ? PlatformInterruptController.line(number, into: wired) : AdvancedInterruptController.line(number, into: wired)
    }

    /// Resets what is not among the board's devices.
    func reset() { for controller in controllers { controller.reset() } }
}
