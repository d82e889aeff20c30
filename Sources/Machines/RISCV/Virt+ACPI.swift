// ACPI for `virt`: the same machine as its device tree tells, in tables that firmware fetches by fw_cfg. After "RISC-V ACPI
// Platform Requirements" (BRS): FADT (hardware-reduced), MADT with RINTC and what `aia=` chose, RHCT, SPCR, MCFG, DSDT.

import Core
import Devices
import Firmware

extension Virt {
    /// Hands the tables to firmware.
    func describeACPI() throws(ConfigurationError) {
        var acpi = ACPITables()
        let namespace = acpi.add("DSDT", revision: 2, AML.scope("\\_SB", processors + platform + interruptLinks + [pciBridge]), isListed: false)
        acpi.add("FACP", revision: 6, fixedDescription(namespace), pointers: [140])
        acpi.add("APIC", revision: 6, interruptControllers)
        acpi.add("RHCT", revision: 1, hartCapabilities)
        acpi.add("SPCR", revision: 4, consoleRedirection)
        acpi.add("MCFG", revision: 1, [UInt8](repeating: 0, count: 8) + little(Map.configuration.base) + little(0 as UInt16) + [0, 0xff] + little(0 as UInt32))
        guard let script = acpi.finish() else { throw ConfigurationError("-machine: the ACPI tables do not fit, acpi=off starts without") }
        firmwareConfiguration.add(file: "etc/acpi/rsdp", acpi.root)
        firmwareConfiguration.add(file: "etc/acpi/tables", acpi.tables)
        firmwareConfiguration.add(file: "etc/table-loader", script)
    }

    private func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    private func digits(_ number: Int, _ count: Int) -> String {
        let text = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }

    // MARK: tables

    /// FADT: hardware-reduced; DSDT by its 64-bit address.
    private func fixedDescription(_ namespace: UInt64) -> [UInt8] {
        var body = [UInt8](repeating: 0, count: 276 - 36)
        func put(_ bytes: [UInt8], at offset: Int) { body.replaceSubrange(offset - 36 ..< offset - 36 + bytes.count, with: bytes) }
        put(little(1 << 20 as UInt32), at: 112)
        put([5], at: 131)
        put(little(namespace), at: 140)
        put(Array("QEMU".utf8), at: 268)
        return body
    }

    /// RINTC (ACPI 6.6, section 5.2.12.24): enabled; where its supervisor's interrupts come from: a context of the PLIC, an IDC of the
    /// APLIC, or interrupt files of its own.
    private func hartController(_ number: Int) -> [UInt8] {
        let external: Int, files: (base: UInt64, size: UInt64)
        switch options.interrupts {
        case .plic: (external, files) = (number * 2 + 1, (0, 0))
        case .aplic: (external, files) = (number, (0, 0))
        case .imsic(let guests):
            let size = MessageInterruptController.pageSize << UInt64(VirtInterrupts.indexBits(guests))
            (external, files) = (0, (Map.supervisorIMSIC + UInt64(number) * size, size))
        }
        return [0x18, 36, 1, 0] + little(1 as UInt32) + little(UInt64(number)) + little(UInt32(number)) + little(UInt32(external))
            + little(files.base) + little(UInt32(truncatingIfNeeded: files.size))
    }

    private var interruptControllers: [UInt8] {
        let controllers: [UInt8]
        switch options.interrupts {
        case .plic:
            controllers = [0x1b, 36, 1, 0] + little(0 as UInt64) + little(UInt16(Source.count - 1)) + little(0 as UInt16) + little(0 as UInt32)
                + little(UInt32(truncatingIfNeeded: Map.plic.size)) + little(Map.plic.base) + little(0 as UInt32)
        case .aplic: controllers = advancedController(interfaces: options.processors)
        case .imsic(let guests): controllers = messageController(VirtInterrupts.indexBits(guests)) + advancedController(interfaces: 0)
        }
        return [UInt8](repeating: 0, count: 8) + (0 ..< options.processors).flatMap(hartController) + controllers
    }

    /// APLIC (section 5.2.12.26). - Parameter interfaces: its interrupt delivery controls; none where it sends messages.
    private func advancedController(interfaces: Int) -> [UInt8] {
        [0x1a, 36, 1, 0] + little(0 as UInt32) + little(0 as UInt64) + little(UInt16(truncatingIfNeeded: interfaces)) + little(UInt16(Source.count)) + little(0 as UInt32)
            + little(Map.supervisorAPLIC.base) + little(UInt32(truncatingIfNeeded: Map.supervisorAPLIC.size))
    }

    /// IMSIC (section 5.2.12.25), of all harts: where the number of a guest and that of a hart are in an interrupt file's address.
    private func messageController(_ guestBits: Int) -> [UInt8] {
        let identities = little(UInt16(InterruptFile.identities)), hartBits = VirtInterrupts.indexBits(options.processors - 1)
        return [0x19, 16, 1, 0] + little(0 as UInt32) + identities + identities + [UInt8(guestBits), UInt8(hartBits), 0, 24]
    }

    /// RHCT: the time base, what all harts can do, and one node a hart that points there.
    private var hartCapabilities: [UInt8] {
        let start = 56
        var nodes: [UInt8] = [], shared: [UInt32] = []
        func add(_ node: [UInt8]) {
            shared.append(UInt32(start + nodes.count))
            nodes += node
        }
        let isa = Array(harts.isaString.utf8) + [0], size = 8 + isa.count + isa.count % 2
        add(little(0 as UInt16) + little(UInt16(truncatingIfNeeded: size)) + little(1 as UInt16) + little(UInt16(truncatingIfNeeded: isa.count)) + isa + (isa.count % 2 == 0 ? [] : [0]))
        let blocks = ["zicbom", "zicbop", "zicboz"].map { harts.extensions.contains($0) ? 6 as UInt8 : 0 }
        if blocks.contains(6) { add(little(1 as UInt16) + little(10 as UInt16) + little(1 as UInt16) + [0] + blocks) }
        if harts.hasSupervisor, let kind = ["riscv,sv39", "riscv,sv48", "riscv,sv57"].firstIndex(of: harts.mmuType) {
            add(little(2 as UInt16) + little(8 as UInt16) + little(1 as UInt16) + [0, UInt8(kind)])
        }
        let count = shared.count + options.processors
        for number in 0 ..< options.processors {
            nodes += little(0xffff as UInt16) + little(UInt16(12 + shared.count * 4)) + little(1 as UInt16) + little(UInt16(shared.count)) + little(UInt32(number)) + shared.flatMap { little($0) }
        }
        return little(0 as UInt32) + little(Self.timebaseFrequency) + little(UInt32(count)) + little(UInt32(start)) + nodes
    }

    /// SPCR: the 16550, its registers a byte each, 115200 baud, on interrupt 10 of the interrupt controller.
    private var consoleRedirection: [UInt8] {
        let head: [UInt8] = [0x12, 0, 0, 0, 0, 32, 0, 1] + little(Map.serial) + [0x10, 0] + little(UInt32(Source.serial)) + [7, 0, 1, 0, 3, 0]
        return head + [0xff, 0xff, 0xff, 0xff] + [UInt8](repeating: 0, count: 16) + little(2 as UInt16) + little(88 as UInt16) + [0x2e, 0]
    }

    // MARK: namespace

    private var processors: [AML.Code] {
        (0 ..< options.processors).map { number in
            AML.device("C" + digits(number, 3), [AML.name("_HID", AML.string("ACPI0007")), AML.name("_UID", AML.integer(UInt64(number))), AML.name("_MAT", AML.buffer(hartController(number)))])
        }
    }

    private func registers(_ base: UInt64, _ size: UInt64, interrupt: Int? = nil) -> AML.Code {
        AML.name("_CRS", AML.resources([AML.fixedMemory(base, size)] + (interrupt.map { [AML.interrupt(UInt32($0))] } ?? [])))
    }

    private var platform: [AML.Code] {
        func device(_ name: String, _ identity: String, _ number: Int, _ rest: [AML.Code]) -> AML.Code {
            AML.device(name, [AML.name("_HID", AML.string(identity)), AML.name("_UID", AML.integer(UInt64(number)))] + rest)
        }
        let coherent = AML.name("_CCA", AML.integer(1))
        let clock = AML.package([AML.uuid("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"), AML.package([AML.package([AML.string("clock-frequency"), AML.integer(3_686_400)])])])
        let (controller, place) = options.interrupts == .plic ? ("RSCV0001", Map.plic) : ("RSCV0002", Map.supervisorAPLIC)
        return [
            AML.device("FWCF", [AML.name("_HID", AML.string("QEMU0002")), AML.name("_STA", AML.integer(0xb)), coherent, registers(Map.firmwareConfiguration, 0x18)]),
            device("IC00", controller, 0, [AML.name("_GSB", AML.integer(0)), registers(place.base, place.size)]),
            device("COM0", "RSCV0003", 0, [registers(Map.serial, 0x100, interrupt: Source.serial), AML.name("_DSD", clock)]),
        ] + (0 ..< Self.virtioSlots).map { slot in
            device("VR" + digits(slot, 2), "LNRO0005", slot, [coherent, registers(Map.virtio.base + UInt64(slot) * Map.virtio.stride, 0x1000, interrupt: Source.virtio + slot)])
        }
    }

    /// The four wires of the PCI bus.
    private var interruptLinks: [AML.Code] {
        (0 ..< 4).map { wire in
            let resources = AML.resources([AML.interrupt(UInt32(Source.pci + wire))])
            return AML.device("L" + digits(wire, 3), [
                AML.name("_HID", AML.string("PNP0C0F")), AML.name("_UID", AML.integer(UInt64(wire))), AML.name("_PRS", resources), AML.name("_CRS", resources),
                AML.method("_SRS", arguments: 1, []),
            ])
        }
    }

    private var pciBridge: AML.Code {
        // INTA to INTD of each slot go round the four wires.
        let routes = (0 ..< 32).flatMap { slot in
            (0 ..< 4).map { pin in
                AML.package([AML.integer(UInt64(slot << 16 | 0xffff)), AML.integer(UInt64(pin)), AML.path("L" + digits((slot + pin) % 4, 3)), AML.integer(0)])
            }
        }
        var windows = [
            AML.buses(0 ... 0xff), AML.memoryWindow(UInt32(Map.pciMemory.base), UInt32(Map.pciMemory.size)),
            AML.portWindow(UInt32(Map.pciPorts.size), translation: UInt32(Map.pciPorts.base)),
        ]
        if harts.registerBits == 64 { windows.append(AML.wideMemoryWindow(highPCIBase, Map.highPCISize)) }
        let reserved = AML.device("RES0", [
            AML.name("_HID", AML.string("PNP0C02")), AML.name("_CRS", AML.resources([AML.wideMemoryWindow(Map.configuration.base, Map.configuration.size)])),
        ])
        return AML.device("PCI0", [
            AML.name("_HID", AML.string("PNP0A08")), AML.name("_CID", AML.string("PNP0A03")), AML.name("_SEG", AML.integer(0)), AML.name("_BBN", AML.integer(0)),
            AML.name("_UID", AML.integer(0)), AML.name("_STR", AML.unicode("PCIe 0 Device")), AML.name("_CCA", AML.integer(1)), AML.name("_PRT", AML.package(routes)),
            AML.method("_CBA", arguments: 0, [AML.return(AML.integer(Map.configuration.base))]), AML.name("_CRS", AML.resources(windows)), AML.name("SUPP", AML.integer(0)), AML.name("CTRL", AML.integer(0)), pciControl, pciSpecific, reserved,
        ])
    }

    /// `_OSC` (PCI Firmware Specification 3.3, section 4.5): the system may take hot-plug, power management events, error reporting
    /// and capability structures.
    private var pciControl: AML.Code {
        let answer = AML.argument(3), flags = AML.path("CDW1"), wanted = AML.path("CDW3"), control = AML.path("CTRL")
        let granted = [
            AML.doubleWord(of: answer, at: 4, called: "CDW2"), AML.doubleWord(of: answer, at: 8, called: "CDW3"),
            AML.store(AML.path("CDW2"), in: AML.path("SUPP")), AML.store(wanted, in: control), AML.and(control, AML.integer(0x1f), in: control),
            // An unknown revision; capabilities that are not granted.
            AML.when(AML.not(AML.equal(AML.argument(1), AML.integer(1))), [AML.or(flags, AML.integer(8), in: flags)]),
            AML.when(AML.not(AML.equal(wanted, control)), [AML.or(flags, AML.integer(0x10), in: flags)]),
            AML.store(control, in: wanted), AML.return(answer),
        ]
        return AML.method("_OSC", arguments: 4, [
            AML.doubleWord(of: answer, at: 0, called: "CDW1"),
            AML.when(AML.equal(AML.argument(0), AML.uuid("33db4d5b-1ff7-401c-9657-7441c03dd766")), granted),
            AML.otherwise([AML.or(flags, AML.integer(4), in: flags), AML.return(answer)]),
        ])
    }

    /// `_DSM`: no functions.
    private var pciSpecific: AML.Code {
        let nothing = AML.return(AML.buffer([0]))
        return AML.method("_DSM", arguments: 4, [
            AML.when(AML.equal(AML.argument(0), AML.uuid("e5c937d0-3553-4d7a-9117-ea4d19c3434d")), [AML.when(AML.equal(AML.argument(2), AML.integer(0)), [nothing])]), nothing,
        ])
    }
}
