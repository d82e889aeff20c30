// qom-list-types, qom-list-properties and device-list-properties: what can be made, and what each takes.

import Block
import Core
import Devices
import Machines
import Monitor

extension MachineMonitor {
    /// A type of QEMU's object model.
    private struct ObjectType {
        var name: String
        var parent: String
        /// Its ancestors beyond the parent.
        var ancestors: [String] = []
        var properties: [ObjectTypeProperty]

        func implements(_ type: String) -> Bool { type == name || type == parent || type == "object" || ancestors.contains(type) }
    }

    private struct ObjectTypeProperty {
        var name: String, type: String, summary: String, standard: String?

        var json: JSONValue {
            .object([.init("name", .text(name)), .init("type", .text(type)), .init("description", .text(summary))] + (standard.map { [.init("default-value", .text($0))] } ?? []))
        }
    }

    private var objectTypes: [ObjectType] {
        let devices = DeviceCatalogue.all.map { device in
            ObjectType(name: device.model.name, parent: device.model.bus == "pci" ? "pci-device" : device.model.bus == "virtio-bus" ? "virtio-device" : "device", ancestors: ["device"],
                       properties: device.model.properties.map { .init(name: $0.name, type: $0.type.name, summary: $0.summary, standard: $0.standard) })
        }
        let objects = blocks.graph.catalogue.objects.flatMap { kind in
            kind.typeNames.map { name in
                let parent = name.hasPrefix("memory-backend-") ? "memory-backend" : name.hasPrefix("rng-") ? "rng-backend" : name.hasPrefix("tls-creds-") ? "tls-creds" : "object"
                return ObjectType(name: name, parent: parent, ancestors: ["user-creatable"], properties: kind.options.map { option in
                    .init(name: option.name, type: option.kind.typeName, summary: option.help, standard: option.standard)
                })
            }
        }
        let secret = ObjectType(name: "secret", parent: "secret_common", ancestors: ["user-creatable"], properties: ["data", "file", "format", "iv", "keyid"].map {
            .init(name: $0, type: "string", summary: "", standard: nil)
        })
        let processors = machine.cpuModels.map { ObjectType(name: "\($0)-riscv-cpu", parent: "riscv-cpu", ancestors: ["cpu", "device"], properties: []) }
        let machines = MachineKind.all.map { kind in
            ObjectType(name: kind.name + "-machine", parent: "machine", properties: kind.properties.map { .init(name: $0.name, type: $0.type.name, summary: $0.summary, standard: $0.standard) })
        }
        let accelerator = ObjectType(name: "tcg-accel", parent: "accel", properties: [
            .init(name: "thread", type: "string", summary: "single or multi", standard: nil), .init(name: "tb-size", type: "int", summary: "MiB of translated code", standard: nil),
        ])
        return devices + objects + [secret, accelerator] + processors + machines
    }

    var typeCommands: [CommandDeclaration] {
        let property = ValueType.object("ObjectPropertyInfo", [
            Parameter("name", .text), Parameter("type", .text), Parameter("description", .text, optional: true), Parameter("default-value", .any, optional: true),
        ])
        return [
            CommandDeclaration("device-list-properties", [Parameter("typename", .text)], returns: .array(property)) { [self] arguments throws(MonitorError) in
                let name = try arguments.required("typename")
                guard let type = objectTypes.first(where: { $0.name == DeviceCatalogue.find(name)?.model.name ?? name }), type.implements("device") else {
                    throw MonitorError("Device '\(name)' not found", .deviceNotFound)
                }
                return .array(type.properties.map(\.json))
            },
            CommandDeclaration("qom-list-properties", [Parameter("typename", .text)], returns: .array(property)) { [self] arguments throws(MonitorError) in
                let name = try arguments.required("typename")
                guard let type = objectTypes.first(where: { $0.name == name }) else { throw MonitorError("Class '\(name)' not found", .deviceNotFound) }
                return .array(type.properties.map(\.json))
            },
            CommandDeclaration("qom-list-types", [Parameter("implements", .text, optional: true), Parameter("abstract", .flag, optional: true)],
                               returns: .array(.object("ObjectTypeInfo", [Parameter("name", .text), Parameter("parent", .text, optional: true)]))) { [self] arguments throws(MonitorError) in
                let wanted = arguments.text("implements") ?? "object"
                return .array(objectTypes.filter { $0.implements(wanted) }.map { .object([.init("name", .text($0.name)), .init("parent", .text($0.parent))]) })
            },
        ]
    }
}

extension OptionDeclaration.Kind {
    /// As QEMU names types of properties.
    fileprivate var typeName: String {
        switch self {
        case .text, .choice: "string"
        case .flag: "bool"
        case .size: "size"
        case .number: "int"
        }
    }
}
