// The list of devices that `-device` and `device_add` make: name, properties, maker. Adding a device is a file and a line here.

import Block
import Core
import Host

/// What a machine offers to devices: back ends by their identifiers.
public struct DeviceContext {
    public let host: DeviceHost
    /// The disk of a drive or node name.
    public var node: (String) -> Node?
    /// The ports of a network back end, one for each pair of queues.
    public var network: (String) -> [any NetworkPort]
    public var characters: (String) -> (any CharacterStream)?
    /// An address for a card that was given none.
    public var nextMAC: () -> [UInt8]
    public var memorySize: UInt64
    public var processors: Int
    /// The device goes behind a PCI Express port.
    public var isBehindPort = false
    /// The device's identifier, and whether a person gave it.
    public var id = ""
    public var hasIdentifier = false
    public var displays = DisplaySet()
    /// A shared folder by its identifier.
    public var folder: (String) -> SharedFolder? = { _ in nil }
    /// Called with what is to be removed from the host's file system when the process ends.
    public var leaves: @Sendable (_ path: String) -> Void = { _ in }
    public var firmware: FirmwareConfiguration?
    /// The bytes of a file of firmware, by its path or by its name in the usual folders.
    public var firmwareFile: (_ name: String) throws(ConfigurationError) -> [UInt8] = { (name) throws(ConfigurationError) in
        throw ConfigurationError("'\(name)': there is no such file")
    }
    /// Where devices ask for what concerns the whole machine.
    public var requests = MachineRequests { _ in }
    /// An object of `-object`.
    public var object: (String) -> (any GraphObject)? = { _ in nil }

    public init(host: DeviceHost, memorySize: UInt64, processors: Int, node: @escaping (String) -> Node?, network: @escaping (String) -> [any NetworkPort],
                characters: @escaping (String) -> (any CharacterStream)?, nextMAC: @escaping () -> [UInt8]) {
        self.host = host
        self.memorySize = memorySize
        self.processors = processors
        self.node = node
        self.network = network
        self.characters = characters
        self.nextMAC = nextMAC
    }
}

/// One kind of device.
public struct CataloguedDevice: Sendable {
    public typealias MakeVirtio = @Sendable (Properties, DeviceContext) throws(ConfigurationError) -> any VirtioFunction
    public typealias MakePCI = @Sendable (Properties, DeviceContext) throws(ConfigurationError) -> any PCIFunction

    public typealias AttachChild = @Sendable (Properties, DeviceContext, any ChildBus) throws(ConfigurationError) -> AttachedChild
    public typealias MakeSystem = @Sendable (Properties, DeviceContext) throws(ConfigurationError) -> DeviceSlot

    /// What it becomes.
    public enum Maker: Sendable {
        /// A function for `PCIHost.plug`.
        case pci(MakePCI)
        /// A function for a free slot of virtio over memory-mapped registers.
        case virtio(MakeVirtio)
        /// A device without a bus: its slot, for `BoardParts.add`.
        case system(MakeSystem)
        /// A port for `VirtioConsole.addPort`.
        case consolePort(isConsole: Bool)
        /// A device on a bus that another device provides (`ChildBusOwner`).
        case child(AttachChild)
    }
    public let model: DeviceModel
    public let maker: Maker

    /// The types that it is of, by QEMU's names, its own first.
    public var types: [String] {
        var types = [model.name]
        let isVirtio = model.name.hasPrefix("virtio-")
        switch model.bus {
        case "pci" where isVirtio:
            let kind = ["-pci-non-transitional", "-pci-transitional", "-pci"].first { model.name.hasSuffix($0) }.map { String(model.name.dropLast($0.count)) }
            if let kind { types += ["\(kind)-pci-base", "\(kind)-device"] }
            types += ["virtio-pci", "virtio-device", "pci-device"]
        case "pci": types.append("pci-device")
        case "virtio-bus": types.append("virtio-device")
        case "SCSI": types += ["scsi-disk-base", "scsi-device"]
        case "usb-bus": types.append("usb-device")
        case "IDE": types.append("ide-device")
        default: break
        }
        return types + ["device"]
    }

    /// What firmware can boot from has a place in its order.
    var withBootIndex: CataloguedDevice {
        guard model.properties.contains(where: { $0.name == "drive" || $0.name == "netdev" }) else { return self }
        var model = model
        model.properties.append(Property("bootindex", .integer, "place in the order in which firmware tries devices"))
        return CataloguedDevice(model: model, maker: maker)
    }
}

public enum DeviceCatalogue {
    /// All devices, by name.
    public static let all: [CataloguedDevice] = ((virtio + displayVirtio + sharing).flatMap(\.devices) + others + disks + displayDevices + usbDevices).map(\.withBootIndex)
        .sorted { $0.model.name < $1.model.name }

    public static func find(_ name: String) -> CataloguedDevice? {
        let name = aliases[name] ?? name
        return all.first { $0.model.name == name }
    }

    /// Other names that QEMU knows devices by.
    private static let aliases = ["ahci": "ich9-ahci"]

    /// Names of network cards for machines with a PCI bus or slots for virtio devices.
    public static let cards = all.filter { $0.model.category == "network" }.map(\.model.name)

    /// What all devices on a PCI bus take. `PCIHost.plug` is given the values.
    public static let placeProperties = [
        Property("addr", .text, "slot, with or without .function"),
        Property("multifunction", .flag, "other functions are in the slot", default: "off"),
    ] + ExpansionROM.properties

    private static let others: [CataloguedDevice] = [
        CataloguedDevice(model: onBus(RootPort.model), maker: .pci { (properties, _) in RootPort(properties) }),
        CataloguedDevice(model: onBus(GuestPanic.model), maker: .pci { (properties, context) throws(ConfigurationError) in try GuestPanic(properties, requests: context.requests) }),
        CataloguedDevice(model: onBus(EducationalDevice.model), maker: .pci { (properties, _) in EducationalDevice(properties) }),
        CataloguedDevice(model: onBus(E1000E.model), maker: .pci { (properties, context) throws(ConfigurationError) in
            let ports = try ports(properties, context)
            guard let port = ports.first else { throw ConfigurationError("\(properties.owner): property 'netdev' is required") }
            return E1000E(network: port, mac: properties.mac("mac") ?? context.nextMAC())
        }),
        CataloguedDevice(model: onBus(PCISerial.model), maker: .pci { (properties, context) throws(ConfigurationError) in
            let name = properties.text("chardev"), stream = name.flatMap { context.characters($0) }
            guard name == nil || stream != nil else { throw ConfigurationError("\(properties.owner): property 'chardev': there is no character device '\(name ?? "")', or it is in use") }
            return try PCISerial(properties, stream: stream)
        }),
        CataloguedDevice(model: DeviceModel(name: "virtconsole", summary: "console port", bus: "virtio-serial-bus", category: "misc", properties: VirtioConsole.portProperties), maker: .consolePort(isConsole: true)),
        CataloguedDevice(model: DeviceModel(name: "virtserialport", summary: "serial port", bus: "virtio-serial-bus", category: "misc", properties: VirtioConsole.portProperties), maker: .consolePort(isConsole: false)),
    ]

    static func onBus(_ model: DeviceModel) -> DeviceModel {
        var model = model
        model.properties += placeProperties
        return model
    }

    // MARK: virtio

    /// A virtio device, from which its forms on PCI and on memory-mapped registers follow.
    struct Virtio: Sendable {
        var name: String
        var summary: String
        var category: String
        var classCode: UInt32
        /// MSI-X vectors for a number of queues.
        var vectors: @Sendable (Int) -> Int = { $0 + 1 }
        /// There never was a legacy interface.
        var isModern = false
        var properties: [Property]
        var make: CataloguedDevice.MakeVirtio

        var devices: [CataloguedDevice] { isModern ? [onPCI("-pci", "on"), onMMIO] : [onPCI("-pci", nil), onPCI("-pci-transitional", "off"), onPCI("-pci-non-transitional", "on"), onMMIO] }

        private var onMMIO: CataloguedDevice {
            CataloguedDevice(model: DeviceModel(name: name + "-device", summary: summary, bus: "virtio-bus", category: category, properties: properties + VirtioOptions.properties),
                             maker: .virtio(make))
        }

        private func onPCI(_ suffix: String, _ legacy: String?) -> CataloguedDevice {
            let all = properties + VirtioPCI.properties.filter { legacy == nil || !$0.name.hasPrefix("disable-") }
            let make = make, classCode = classCode, vectors = vectors
            return CataloguedDevice(model: onBus(DeviceModel(name: name + suffix, summary: summary + " over PCI", bus: "pci", category: category, properties: all)), maker: .pci { (properties, context) throws(ConfigurationError) in
                let function = try make(properties, context)
                return try VirtioPCI(function, classCode: classCode, vectors: vectors(function.queueSizes.count), properties: properties,
                                     isBehindPort: context.isBehindPort, legacy: legacy)
            })
        }
    }

    private static let virtio: [Virtio] = [
        Virtio(name: "virtio-blk", summary: "virtio disk", category: "storage", classCode: 0x010000, properties: VirtioBlock.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioBlock(properties, node: try node(properties, context), processors: context.processors, thread: try thread(properties, context))
        },
        Virtio(name: "virtio-net", summary: "virtio network card", category: "network", classCode: 0x020000, properties: VirtioNetwork.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioNetwork(properties, ports: try ports(properties, context), mac: properties.mac("mac") ?? context.nextMAC())
        },
        Virtio(name: "virtio-rng", summary: "virtio random numbers", category: "misc", classCode: 0x00ff00, properties: VirtioEntropy.properties) { (properties, context) throws(ConfigurationError) in
            let object = try object("rng", of: RandomObject.self, properties, context)
            if let source = object?.source as? any ConnectedSource { try source.connect(context.characters) }
            return try VirtioEntropy(properties, object: object)
        },
        Virtio(name: "virtio-balloon", summary: "virtio memory balloon", category: "misc", classCode: 0x00ff00, vectors: { _ in 2 }, properties: VirtioBalloon.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioBalloon(properties, memorySize: context.memorySize)
        },
        Virtio(name: "virtio-serial", summary: "virtio consoles and serial ports", category: "input", classCode: 0x078000, vectors: { min($0 / 2 + 1, 32) }, properties: VirtioConsole.properties) { (properties, _) throws(ConfigurationError) in
            try VirtioConsole(properties)
        },
        Virtio(name: "virtio-scsi", summary: "virtio SCSI host adapter", category: "storage", classCode: 0x010000, properties: VirtioSCSI.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioSCSI(properties, processors: context.processors, thread: try thread(properties, context))
        },
    ]

    static func required(_ name: String, _ properties: Properties) throws(ConfigurationError) -> String {
        guard let value = properties.text(name) else { throw ConfigurationError("\(properties.owner): property '\(name)' is required") }
        return value
    }

    /// The ports of `netdev`; without one the context has an open end for the name "".
    static func ports(_ properties: Properties, _ context: DeviceContext) throws(ConfigurationError) -> [any NetworkPort] {
        let name = properties.text("netdev") ?? "", ports = context.network(name)
        guard !ports.isEmpty else { throw ConfigurationError("\(properties.owner): property 'netdev': there is no network back end '\(name)', or it is in use") }
        return ports
    }

    /// The medium of `drive`; a drive that names none is empty.
    static func medium(_ properties: Properties, _ context: DeviceContext) throws(ConfigurationError) -> Node {
        properties.isGiven("drive") ? try node(properties, context) : .empty()
    }

    /// The object that property `name` names; nil: it is not given.
    static func object<Object>(_ name: String, of type: Object.Type, _ properties: Properties, _ context: DeviceContext) throws(ConfigurationError) -> Object? {
        guard let id = properties.text(name) else { return nil }
        guard let object = context.object(id) as? Object else { throw ConfigurationError("\(properties.owner): property '\(name)': there is no object '\(id)' of that kind") }
        return object
    }

    private static func thread(_ properties: Properties, _ context: DeviceContext) throws(ConfigurationError) -> IOThread? {
        try object("iothread", of: IOThread.self, properties, context)
    }

    static func node(_ properties: Properties, _ context: DeviceContext) throws(ConfigurationError) -> Node {
        let name = try required("drive", properties)
        guard let node = context.node(name) else { throw ConfigurationError("\(properties.owner): property 'drive': there is no disk '\(name)'") }
        return node
    }
}
