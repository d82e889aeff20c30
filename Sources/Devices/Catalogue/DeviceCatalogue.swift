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
    public var firmware: FirmwareConfiguration?

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
}

public enum DeviceCatalogue {
    /// All devices, by name.
    public static let all: [CataloguedDevice] = ((virtio + displayVirtio).flatMap(\.devices) + others + disks + displayDevices + usbDevices).sorted { $0.model.name < $1.model.name }

    public static func find(_ name: String) -> CataloguedDevice? { all.first { $0.model.name == name } }

    /// Names of network cards for machines with a PCI bus or slots for virtio devices.
    public static let cards = all.filter { $0.model.category == "network" }.map(\.model.name)

    /// What all devices on a PCI bus take. `PCIHost.plug` is given the values.
    public static let placeProperties = [
        Property("addr", .text, "slot, with or without .function"),
        Property("multifunction", .flag, "other functions are in the slot", default: "off"),
    ]

    private static let others: [CataloguedDevice] = [
        CataloguedDevice(model: onBus(RootPort.model), maker: .pci { (properties, _) in RootPort(properties) }),
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
            try VirtioBlock(properties, node: try node(properties, context), processors: context.processors)
        },
        Virtio(name: "virtio-net", summary: "virtio network card", category: "network", classCode: 0x020000, properties: VirtioNetwork.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioNetwork(properties, ports: try ports(properties, context), mac: properties.mac("mac") ?? context.nextMAC())
        },
        Virtio(name: "virtio-rng", summary: "virtio random numbers", category: "misc", classCode: 0x00ff00, properties: VirtioEntropy.properties) { (properties, _) throws(ConfigurationError) in
            try VirtioEntropy(properties)
        },
        Virtio(name: "virtio-balloon", summary: "virtio memory balloon", category: "misc", classCode: 0x00ff00, vectors: { _ in 2 }, properties: VirtioBalloon.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioBalloon(properties, memorySize: context.memorySize)
        },
        Virtio(name: "virtio-serial", summary: "virtio consoles and serial ports", category: "input", classCode: 0x078000, vectors: { min($0 / 2 + 1, 32) }, properties: VirtioConsole.properties) { (properties, _) throws(ConfigurationError) in
            try VirtioConsole(properties)
        },
        Virtio(name: "virtio-scsi", summary: "virtio SCSI host adapter", category: "storage", classCode: 0x010000, properties: VirtioSCSI.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioSCSI(properties, processors: context.processors)
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

    static func node(_ properties: Properties, _ context: DeviceContext) throws(ConfigurationError) -> Node {
        let name = try required("drive", properties)
        guard let node = context.node(name) else { throw ConfigurationError("\(properties.owner): property 'drive': there is no disk '\(name)'") }
        return node
    }
}
