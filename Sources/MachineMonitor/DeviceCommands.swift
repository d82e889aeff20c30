// device_add, device_del, and the tree of objects: qom-list, qom-get.

import Block
import Core
import Devices
import Monitor

extension MachineMonitor {
    var deviceCommands: [CommandDeclaration] {
        let machine = machine
        let property = ValueType.object("ObjectPropertyInfo", [
            Parameter("name", .text), Parameter("type", .text), Parameter("description", .text, optional: true), Parameter("default-value", .any, optional: true),
        ])
        return [
            CommandDeclaration("x-query-usb", [], returns: .object("HumanReadableText", [Parameter("human-readable-text", .text)])) { [self] _ throws(MonitorError) in
                guard !machine.devices.buses("usb-bus").isEmpty else { throw MonitorError("USB support not enabled") }
                return .object([.init("human-readable-text", .text(usbDevices))])
            },
            CommandDeclaration("device_add", [Parameter("driver", .text), Parameter("bus", .text, optional: true), Parameter("id", .text, optional: true)], open: true) { arguments throws(MonitorError) in
                try addDevice(machine, arguments.json)
                return .nothing
            },
            CommandDeclaration("device_del", [Parameter("id", .text)]) { arguments throws(MonitorError) in
                let id = try arguments.required("id")
                guard let entry = machine.devices.find(id) else { throw MonitorError("Device '\(id)' not found", .deviceNotFound) }
                try Self.configuring { () throws(ConfigurationError) in try machine.devices.requestUnplug(entry) }
                return .nothing
            },
            CommandDeclaration("qom-list", [Parameter("path", .text)], returns: .array(property)) { [self] arguments throws(MonitorError) in
                let path = try arguments.required("path")
                guard let object = object(path) else { throw MonitorError("Device '\(path)' not found", .deviceNotFound) }
                return .array(object.map { .object([.init("name", .text($0.name)), .init("type", .text($0.type))]) })
            },
            CommandDeclaration("qom-get", [Parameter("path", .text), Parameter("property", .text)], returns: .any) { [self] arguments throws(MonitorError) in
                let path = try arguments.required("path"), name = try arguments.required("property")
                guard let object = object(path) else { throw MonitorError("Device '\(path)' not found", .deviceNotFound) }
                guard let property = object.first(where: { $0.name == name }) else { throw MonitorError("Property '\(path).\(name)' not found") }
                return property.value
            },
        ]
    }

    /// What is on the USB buses, a line each.
    var usbDevices: String {
        let buses = machine.devices.buses("usb-bus").compactMap { $0 as? USBBus }
        guard !buses.isEmpty else { return "Error: USB support not enabled\n" }
        return buses.enumerated().map { number, bus in
            bus.list().map { "  Device \(number).\($0.address), Port \($0.port), Speed \($0.speed.megabits) Mb/s, Product \($0.product)\($0.hasIdentifier ? ", ID: \($0.name)" : "")\n" }.joined()
        }.joined()
    }

    /// What is at a path: containers, devices, harts.
    func object(_ path: String) -> [ObjectProperty]? {
        let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        func child(_ name: String, _ type: String, _ path: String) -> ObjectProperty { .init(name: name, type: "child<\(type)>", value: .text(path)) }
        let entries = machine.devices.entries
        switch trimmed {
        case "/": return [child("machine", machine.type + "-machine", "/machine"), child("objects", "container", "/objects")]
        case "/machine":
            return [.init(name: "type", type: "string", value: .text(machine.type + "-machine")), child("peripheral", "container", "/machine/peripheral"),
                    child("peripheral-anon", "container", "/machine/peripheral-anon"), child("soc0", "riscv.hart_array", "/machine/soc0")]
        case "/machine/peripheral", "/machine/peripheral-anon":
            return entries.filter { $0.path.hasPrefix(trimmed + "/") }.map { child(String($0.path.dropFirst(trimmed.count + 1)), $0.driver, $0.path) }
        case "/machine/soc0": return (0 ..< machine.processors.count).map { child("harts[\($0)]", machine.cpuType, "/machine/soc0/harts[\($0)]") }
        default: break
        }
        if let number = (0 ..< machine.processors.count).first(where: { trimmed == "/machine/soc0/harts[\($0)]" }) {
            return [.init(name: "type", type: "string", value: .text(machine.cpuType)), .init(name: "hartid", type: "uint64", value: .number(number))]
        }
        guard let entry = machine.devices.find(trimmed) else { return objectTree(trimmed) }
        let now = balloonProperties(entry) ?? []
        return [.init(name: "type", type: "string", value: .text(entry.driver)), .init(name: "realized", type: "bool", value: .flag(true))] + now
            + entry.properties.declarations.filter { property in !now.contains { $0.name == property.name } }.map { property in
                let value: JSONValue = switch property.type {
                case .flag: .flag(entry.properties.flag(property.name))
                case .integer: entry.properties.integer(property.name).map { .number($0) } ?? .text("")
                case .size: entry.properties.size(property.name).map { .number($0) } ?? .text("")
                default: .text(entry.properties.text(property.name) ?? "")
                }
                return .init(name: property.name, type: property.type.name, value: value)
            }
    }
}

/// `device_add`'s members as a command line has them.
private func addDevice(_ machine: MachineMonitor.Machine, _ json: JSONValue) throws(MonitorError) {
    var given: [(name: String, value: String)] = []
    for member in json.members ?? [] {
        do throws(BlockError) { given.append((member.name, try OptionTree.text(member.value))) } catch {
            throw MonitorError("Parameter '\(member.name)' is neither text, number nor flag")
        }
    }
    if let driver = json["driver"]?.string, DeviceCatalogue.find(driver) == nil { throw MonitorError("'\(driver)' is not a valid device model name") }
    let options = given
    try MachineMonitor.configuring { () throws(ConfigurationError) in try machine.devices.plug(options, isHot: machine.control.hasBegun) }
}
