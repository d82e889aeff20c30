// What the device tree of `virt` says of interrupt controllers.

import Core
import Devices
import Firmware

/// The controller that wires of devices lead to, as other nodes name it.
struct WiredInterrupts {
    let node: DeviceTreeNode
    /// Behind the number of a source: that the level counts, high.
    let flags: [UInt32]
    /// Where messages go, if there is such a controller.
    let messages: DeviceTreeNode?

    func cells(_ source: Int) -> [UInt32] { [UInt32(source)] + flags }
}

extension Virt {
    private static let machineExternal: UInt32 = 11, supervisorExternal: UInt32 = 9
    private static let levelHigh: UInt32 = 4

    func describeInterrupts(_ soc: DeviceTreeNode, _ controllers: [DeviceTreeNode]) -> WiredInterrupts {
        let wired: WiredInterrupts
        switch options.interrupts {
        case .plic: wired = WiredInterrupts(node: describePLIC(soc, controllers), flags: [], messages: nil)
        case .aplic: wired = WiredInterrupts(node: describeAPLIC(soc, controllers, messages: nil), flags: [Self.levelHigh], messages: nil)
        case .imsic(let guests):
            let bits = VirtInterrupts.indexBits(guests)
            let machine = describeIMSIC(soc, controllers, Map.machineIMSIC, Self.machineExternal, indexBits: 0)
            let supervisor = describeIMSIC(soc, controllers, Map.supervisorIMSIC, Self.supervisorExternal, indexBits: bits)
            wired = WiredInterrupts(node: describeAPLIC(soc, controllers, messages: (machine, supervisor)), flags: [Self.levelHigh], messages: supervisor)
        }
        let clint = soc.node("clint@" + Self.hex(Map.clint.base))
        clint.set("interrupts-extended", cells: controllers.flatMap { [$0.handle, 3, $0.handle, 7] })
        region(clint, Map.clint)
        clint.set("compatible", strings: ["sifive,clint0", "riscv,clint0"])
        return wired
    }

    private func describePLIC(_ soc: DeviceTreeNode, _ controllers: [DeviceTreeNode]) -> DeviceTreeNode {
        let plic = soc.node("plic@" + Self.hex(Map.plic.base))
        plic.set("riscv,ndev", UInt32(Source.count - 1))
        region(plic, Map.plic)
        plic.set("interrupts-extended", cells: controllers.flatMap { [$0.handle, Self.machineExternal, $0.handle, Self.supervisorExternal] })
        plic.set("interrupt-controller")
        plic.set("compatible", strings: ["sifive,plic-1.0.0", "riscv,plic0"])
        plic.set("#address-cells", 0)
        plic.set("#interrupt-cells", 1)
        return plic
    }

    /// - Returns: the supervisor-level domain.
    private func describeAPLIC(_ soc: DeviceTreeNode, _ controllers: [DeviceTreeNode], messages: (machine: DeviceTreeNode, supervisor: DeviceTreeNode)?) -> DeviceTreeNode {
        func domain(_ map: (base: UInt64, size: UInt64), _ interrupt: UInt32, _ messages: DeviceTreeNode?) -> DeviceTreeNode {
            let node = soc.node("interrupt-controller@" + Self.hex(map.base))
            node.set("compatible", strings: ["qemu,aplic", "riscv,aplic"])
            node.set("#address-cells", 0)
            node.set("#interrupt-cells", 2)
            node.set("interrupt-controller")
            if let messages { node.set("msi-parent", messages.handle) } else {
                node.set("interrupts-extended", cells: controllers.flatMap { [$0.handle, interrupt] })
            }
            region(node, map)
            node.set("riscv,num-sources", UInt32(Source.count))
            return node
        }
        let supervisor = domain(Map.supervisorAPLIC, Self.supervisorExternal, messages?.supervisor)
        let machine = domain(Map.machineAPLIC, Self.machineExternal, messages?.machine)
        machine.set("riscv,children", supervisor.handle)
        // Under its final name, and under the one that firmware before it was final knows.
        for name in ["riscv,delegation", "riscv,delegate"] { machine.set(name, supervisor.handle, 1, UInt32(Source.count)) }
        return supervisor
    }

    private func describeIMSIC(_ soc: DeviceTreeNode, _ controllers: [DeviceTreeNode], _ base: UInt64, _ interrupt: UInt32, indexBits: Int) -> DeviceTreeNode {
        let node = soc.node("interrupt-controller@" + Self.hex(base))
        node.set("compatible", strings: ["qemu,imsics", "riscv,imsics"])
        node.set("#interrupt-cells", 0)
        node.set("interrupt-controller")
        node.set("msi-controller")
        node.set("interrupts-extended", cells: controllers.flatMap { [$0.handle, interrupt] })
        region(node, (base, UInt64(controllers.count) * MessageInterruptController.pageSize << UInt64(indexBits)))
        node.set("riscv,num-ids", UInt32(InterruptFile.identities))
        if indexBits > 0 { node.set("riscv,guest-index-bits", UInt32(indexBits)) }
        return node
    }
}
