// The device tree of `virt`, node by node as firmware and kernels know it from QEMU.

import Core
import Firmware

extension Virt {
    /// Writes all nodes but `chosen` and what `-device`s add.
    func describe() {
        let root = tree.root
        root.set("#address-cells", 2)
        root.set("#size-cells", 2)
        root.set("compatible", "riscv-virtio")
        root.set("model", "riscv-virtio,qemu")
        describeMemory(root)
        describeCounters(root)
        let controllers = harts.describe(in: root, count: options.processors, frequency: Self.timebaseFrequency)
        let soc = root.node("soc")
        soc.set("#address-cells", 2)
        soc.set("#size-cells", 2)
        soc.set("compatible", "simple-bus")
        soc.set("ranges")
        let wired = describeInterrupts(soc, controllers)
        describePlatform(root, soc, wired)
        describePCI(soc, wired)
    }

    static func hex(_ value: UInt64) -> String { String(value, radix: 16) }

    func region(_ node: DeviceTreeNode, _ regions: (base: UInt64, size: UInt64)...) {
        node.set("reg", cells: regions.flatMap { DeviceTree.cells($0.base) + DeviceTree.cells($0.size) })
    }

    private func describeMemory(_ root: DeviceTreeNode) {
        let memory = root.node("memory@" + Self.hex(Map.ram))
        memory.set("device_type", "memory")
        region(memory, (Map.ram, options.memory))
    }

    /// Which counters can count what, by the numbers of the SBI's PMU extension: cycles, instructions, misses of translations.
    private func describeCounters(_ root: DeviceTreeNode) {
        guard harts.eventCounters > 0 else { return }
        let node = root.node("pmu"), counters = UInt32(truncatingIfNeeded: (1 << UInt64(3 + harts.eventCounters)) - 8)
        node.set("riscv,event-to-mhpmcounters", cells: [(1, counters | 1), (2, counters | 4), (0x1_0019, counters), (0x1_001b, counters), (0x1_0021, counters)].flatMap { [$0, $0, $1] })
        node.set("compatible", "riscv,pmu")
    }

    private func device(_ parent: DeviceTreeNode, _ name: String, _ base: UInt64, _ size: UInt64, _ compatible: String,
                        interrupt: (WiredInterrupts, Int)? = nil) -> DeviceTreeNode {
        let node = parent.node(name + "@" + Self.hex(base))
        if let (controller, source) = interrupt {
            node.set("interrupts", cells: controller.cells(source))
            node.set("interrupt-parent", controller.node.handle)
        }
        region(node, (base, size))
        node.set("compatible", compatible)
        return node
    }

    private func describePlatform(_ root: DeviceTreeNode, _ soc: DeviceTreeNode, _ wired: WiredInterrupts) {
        let test = device(soc, "test", Map.test, 0x1000, "")
        test.set("compatible", strings: ["sifive,test1", "sifive,test0", "syscon"])
        for (name, value) in [("poweroff", 0x5555 as UInt32), ("reboot", 0x7777)] {
            let node = root.node(name)
            node.set("value", value)
            node.set("offset", 0)
            node.set("regmap", test.handle)
            node.set("compatible", "syscon-" + name)
        }
        _ = device(soc, "rtc", Map.clock, 0x1000, "google,goldfish-rtc", interrupt: (wired, Source.clock))
        let serial = device(soc, "serial", Map.serial, 0x100, "ns16550a", interrupt: (wired, Source.serial))
        serial.set("clock-frequency", 3_686_400)
        let path = "/soc/serial@" + Self.hex(Map.serial)
        root.node("aliases").set("serial0", path)
        root.node("chosen").set("stdout-path", path)
        for slot in 0 ..< Self.virtioSlots {
            _ = device(soc, "virtio_mmio", Map.virtio.base + UInt64(slot) * Map.virtio.stride, 0x1000, "virtio,mmio",
                       interrupt: (wired, Source.virtio + slot))
        }
        let configuration = device(root, "fw-cfg", Map.firmwareConfiguration, 0x18, "qemu,fw-cfg-mmio")
        configuration.set("dma-coherent")
        let flash = root.node("flash@" + Self.hex(Map.flash.base))
        flash.set("bank-width", 4)
        region(flash, Map.flash, (Map.flash.base + Map.flash.size, Map.flash.size))
        flash.set("compatible", "cfi-flash")
    }

    private func describePCI(_ soc: DeviceTreeNode, _ wired: WiredInterrupts) {
        let pci = soc.node("pci@" + Self.hex(Map.configuration.base))
        pci.set("#address-cells", 3)
        pci.set("#interrupt-cells", 1)
        pci.set("#size-cells", 2)
        pci.set("compatible", "pci-host-ecam-generic")
        pci.set("device_type", "pci")
        pci.set("linux,pci-domain", 0)
        pci.set("bus-range", 0, 0xff)
        pci.set("dma-coherent")
        if let messages = wired.messages { pci.set("msi-parent", messages.handle) }
        region(pci, Map.configuration)
        let io: UInt32 = 0x100_0000, memory32: UInt32 = 0x200_0000, memory64: UInt32 = 0x300_0000
        var ranges = [io, 0, 0] + DeviceTree.cells(Map.pciPorts.base) + DeviceTree.cells(Map.pciPorts.size)
        ranges += [memory32] + DeviceTree.cells(Map.pciMemory.base) + DeviceTree.cells(Map.pciMemory.base) + DeviceTree.cells(Map.pciMemory.size)
        if harts.registerBits == 64 {
            ranges += [memory64] + DeviceTree.cells(highPCIBase) + DeviceTree.cells(highPCIBase) + DeviceTree.cells(Map.highPCISize)
        }
        pci.set("ranges", cells: ranges)
        // INTA to INTD of each slot go round the four wires.
        var map: [UInt32] = []
        for slot in 0 ..< 4 as Range<UInt32> {
            for pin in 0 ..< 4 as Range<UInt32> {
                map += [slot << 11, 0, 0, pin + 1, wired.node.handle] + wired.cells(Source.pci + Int(slot + pin) % 4)
            }
        }
        pci.set("interrupt-map", cells: map)
        pci.set("interrupt-map-mask", 0x1800, 0, 0, 7)
    }
}
