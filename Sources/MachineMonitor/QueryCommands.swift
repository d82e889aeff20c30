// What a machine is: query-name, -uuid, -kvm, -target, -machines, -cpus-fast, -memory-size-summary, -chardev, -events, …

import Core
import Devices
import Glibc
import Host
import Machines
import Monitor

extension MachineMonitor {
    private func query(_ name: String, _ type: ValueType, _ body: @escaping @Sendable () throws(MonitorError) -> JSONValue) -> CommandDeclaration {
        CommandDeclaration(name, returns: type) { _ throws(MonitorError) in try body() }
    }

    var queryCommands: [CommandDeclaration] {
        let machine = machine
        return [
            query("query-name", .object("NameInfo", [Parameter("name", .text, optional: true)])) { .object(machine.name.map { [.init("name", .text($0))] } ?? []) },
            query("query-uuid", .object("UuidInfo", [Parameter("UUID", .text)])) { .object([.init("UUID", .text(machine.uuid ?? "00000000-0000-0000-0000-000000000000"))]) },
            query("query-kvm", .object("KvmInfo", [Parameter("enabled", .flag), Parameter("present", .flag)])) { .object([.init("enabled", .flag(false)), .init("present", .flag(false))]) },
            // Nothing migrates yet: no capability, and no migration under way.
            query("query-migrate-capabilities", .array(.object("MigrationCapabilityStatus", [Parameter("capability", .text), Parameter("state", .flag)]))) { .array([]) },
            query("query-migrate", .object("MigrationInfo", [Parameter("status", .text, optional: true)])) { .object([]) },
            query("query-target", .object("TargetInfo", [Parameter("arch", .text)])) { .object([.init("arch", .text(machine.target))]) },
            query("query-machines", .array(.object("MachineInfo", [
                Parameter("name", .text), Parameter("is-default", .flag, optional: true), Parameter("cpu-max", .integer), Parameter("hotpluggable-cpus", .flag),
                Parameter("numa-mem-supported", .flag), Parameter("deprecated", .flag), Parameter("default-cpu-type", .text, optional: true), Parameter("acpi", .flag),
            ]))) {
                .array(MachineKind.all.map { kind in
                    let cpu: [JSONValue.Member] = kind.name == "none" ? [] : [.init("default-cpu-type", .text(machine.target == "riscv32" ? "rv32-riscv-cpu" : "rv64-riscv-cpu"))]
                    // Without -machine, it is virt.
                    let standard: [JSONValue.Member] = kind.name == "virt" ? [.init("is-default", .flag(true))] : []
                    return .object([.init("hotpluggable-cpus", .flag(false)), .init("name", .text(kind.name)), .init("numa-mem-supported", .flag(false))] + standard
                        + [.init("cpu-max", .number(kind.maximumProcessors)), .init("deprecated", .flag(false)), .init("acpi", .flag(kind.hasACPI))] + cpu)
                })
            },
            query("query-cpu-definitions", .array(.object("CpuDefinitionInfo", [Parameter("name", .text), Parameter("typename", .text), Parameter("static", .flag), Parameter("deprecated", .flag)]))) {
                .array(machine.cpuModels.map { .object([.init("name", .text($0)), .init("typename", .text("\($0)-riscv-cpu")), .init("static", .flag(false)), .init("deprecated", .flag(false))]) })
            },
            query("query-cpus-fast", .array(.object("CpuInfoFast", [
                Parameter("cpu-index", .integer), Parameter("qom-path", .text), Parameter("thread-id", .integer), Parameter("target", .text),
                Parameter("props", .object("CpuInstanceProperties", [Parameter("core-id", .integer)])),
            ]))) {
                .array((0 ..< machine.processors.count).map { number in
                    .object([.init("thread-id", .integer(Int64(machine.processors[number].threadNumber))), .init("props", .object([.init("core-id", .number(number))])),
                             .init("qom-path", .text("/machine/soc0/harts[\(number)]")), .init("cpu-index", .number(number)), .init("target", .text(machine.target))])
                })
            },
            query("query-hotpluggable-cpus", .array(.any)) { () throws(MonitorError) in throw MonitorError("The feature 'query-hotpluggable-cpus' is not enabled") },
            query("query-memory-size-summary", .object("MemoryInfo", [Parameter("base-memory", .integer), Parameter("plugged-memory", .integer, optional: true)])) {
                .object([.init("base-memory", .number(machine.ramSize)), .init("plugged-memory", .integer(0))])
            },
            query("query-chardev", .array(.object("ChardevInfo", [Parameter("label", .text), Parameter("filename", .text), Parameter("frontend-open", .flag)]))) {
                .array(machine.characters.entries.map { .object([.init("frontend-open", .flag($0.isUsed)), .init("filename", .text($0.stream.description)), .init("label", .text($0.id))]) })
            },
            query("query-pci", .array(.object("PciInfo", [Parameter("bus", .integer), Parameter("devices", .array(.any))]))) { [self] in .array(pciBuses.map(\.json)) },
            CommandDeclaration("query-rx-filter", [Parameter("name", .text, optional: true)], returns: .array(.object("RxFilterInfo", [
                Parameter("name", .text), Parameter("promiscuous", .flag), Parameter("multicast", Self.receiveState), Parameter("unicast", Self.receiveState), Parameter("vlan", Self.receiveState),
                Parameter("broadcast-allowed", .flag), Parameter("multicast-overflow", .flag), Parameter("unicast-overflow", .flag), Parameter("main-mac", .text),
                Parameter("vlan-table", .array(.integer)), Parameter("unicast-table", .array(.text)), Parameter("multicast-table", .array(.text)),
            ]))) { arguments throws(MonitorError) in
                let name = arguments.text("name")
                let cards = machine.devices.entries.filter { entry in (name == nil || entry.name == name) && entry.properties.declarations.contains { $0.name == "netdev" } }
                let filters = cards.compactMap { entry -> JSONValue? in
                    guard let virtio = entry.virtio else { return nil }
                    let fields = entry.slot.withDevice { _ in (virtio.function as? VirtioNetwork)?.receiveFilter }
                    return fields.map { .object([.init("name", .text(entry.name))] + $0.map { .init($0.name, $0.value) }) }
                }
                if let name, filters.isEmpty { throw MonitorError(cards.isEmpty ? "invalid net client name: \(name)" : "net client(\(name)) doesn't support rx-filter querying") }
                return .array(filters)
            },
            query("query-current-machine", .object("CurrentMachineParams", [Parameter("wakeup-suspend-support", .flag)])) { .object([.init("wakeup-suspend-support", .flag(false))]) },
            // No memory can be plugged in.
            query("query-memory-devices", .array(.any)) { .array([]) },
            query("query-balloon", .object("BalloonInfo", [Parameter("actual", .integer)])) { [self] () throws(MonitorError) in
                try withBalloon { .object([.init("actual", .number($0.currentSize))]) }
            },
            CommandDeclaration("balloon", [Parameter("value", .integer)]) { [self] arguments throws(MonitorError) in
                guard let size = try arguments.size("value"), size > 0 else { throw MonitorError("Parameter 'target' expects a size") }
                return try withBalloon { balloon in
                    balloon.setTarget(size)
                    return .nothing
                }
            },
        ]
    }

    private static let receiveState = ValueType.enumeration("RxState", ["normal", "none", "all"])

    private func withBalloon(_ body: (VirtioBalloon) -> JSONValue) throws(MonitorError) -> JSONValue {
        for entry in machine.devices.entries {
            guard let virtio = entry.virtio else { continue }
            if let result = entry.slot.withDevice({ _ in (virtio.function as? VirtioBalloon).map(body) }) { return result }
        }
        throw MonitorError("No balloon device has been activated", .deviceNotActive)
    }
}
