// A machine of an appliance: what of its virtual hardware (CIM's resource allocation settings, DSP1041 and its kin) a machine
// can be built from.

import Block

/// A machine that an OVF descriptor describes.
public struct VirtualSystem: Sendable {
    /// Something that holds a disk, a CD or a floppy disk.
    public struct Drive: Sendable {
        public enum Medium: String, Sendable { case disk, cdrom, floppy }
        /// Where it gets its contents from.
        public enum Source: Sendable, Equatable { case disk(String), file(String), none }
        public let medium: Medium
        public let source: Source
        /// `ide`, `scsi`, `sata`, `nvme`, `virtio`; nil if it hangs on nothing that is described.
        public let bus: String?
        /// The controller's model in the words of who wrote the descriptor: `lsilogic`, `AHCI`.
        public let controller: String?
        /// On its controller.
        public let unit: Int?
    }
    /// A network adapter.
    public struct Adapter: Sendable {
        public let network: String?
        public let model: String?
        public let address: String?
    }

    public let id: String
    public let name: String
    public let operatingSystem: String?
    public let processors: Int
    /// Bytes; nil if it is not said.
    public let memory: UInt64?
    /// `bios` or `efi`.
    public let firmware: String
    public let drives: [Drive]
    public let adapters: [Adapter]
    /// Names of hardware that is not taken over: sound, USB, graphics …
    public let left: [String]

    private struct Controller { let bus: String; let model: String? }
    private enum Resource {
        static let processor = 3, memory = 4, ide = 5, scsi = 6, ethernet = 10, floppy = 14, cdrom = 15, dvd = 16, disk = 17, storage = 20
    }

    init(_ element: XMLElement) throws(BlockError) {
        id = element.attributes["id"] ?? ""
        name = element.text(of: "Name") ?? id
        let system = element.child("OperatingSystemSection")
        operatingSystem = system?.text(of: "Description") ?? system?.attributes["osType"]
        let hardware = element.child("VirtualHardwareSection")
        // Items of other configurations than the plain one are alternatives to it.
        let items = (hardware?.children ?? []).filter { ["Item", "StorageItem", "EthernetPortItem"].contains($0.name) && $0.attributes["configuration"] == nil && $0.attributes["bound"] == nil }
        let settings = (hardware?.children("Config") ?? []) + (hardware?.children("ExtraConfig") ?? [])
        firmware = settings.first { $0.attributes["key"] == "firmware" }?.attributes["value"] == "efi" || hardware?.child("Firmware")?.attributes["type"]?.lowercased() == "efi" ? "efi" : "bios"

        var processors = 1, memory: UInt64?
        var controllers: [String: Controller] = [:], drives: [Drive] = [], adapters: [Adapter] = [], left: [String] = []
        // They may stand behind what hangs on them.
        for item in items {
            if let bus = Self.bus(item), let instance = item.text(of: "InstanceID") { controllers[instance] = Controller(bus: bus, model: item.text(of: "ResourceSubType")) }
        }
        for item in items {
            let type = Self.type(item), model = item.text(of: "ResourceSubType")
            switch type {
            case Resource.processor:
                let count = try Self.quantity(item, id)
                guard (1...4096).contains(count) else { throw .corrupt("machine '\(id)': \(count) processors") }
                processors = Int(count)
            case Resource.memory:
                let (bytes, overflow) = try Self.quantity(item, id).multipliedReportingOverflow(by: try OVFUnits.bytes(item.text(of: "AllocationUnits") ?? "MegaBytes"))
                guard !overflow else { throw .corrupt("machine '\(id)': too much memory") }
                memory = bytes
            case Resource.ide, Resource.scsi, Resource.storage: break
            case Resource.ethernet: adapters.append(Adapter(network: item.text(of: "Connection"), model: model, address: item.text(of: "Address")))
            case Resource.disk, Resource.cdrom, Resource.dvd, Resource.floppy:
                let controller = item.text(of: "Parent").flatMap { controllers[$0] }
                drives.append(Drive(medium: type == Resource.disk ? .disk : type == Resource.floppy ? .floppy : .cdrom, source: Self.source(item.text(of: "HostResource")),
                                    bus: controller?.bus, controller: controller?.model, unit: item.text(of: "AddressOnParent").flatMap { Int($0) }))
            default: if let name = item.text(of: "ElementName") ?? item.text(of: "Caption") { left.append(name) }
            }
        }
        self.processors = processors
        self.memory = memory
        self.drives = drives
        self.adapters = adapters
        self.left = left
    }

    private static func quantity(_ item: XMLElement, _ machine: String) throws(BlockError) -> UInt64 {
        guard let text = item.text(of: "VirtualQuantity"), let number = UInt64(text) else {
            throw .corrupt("machine '\(machine)': '\(item.text(of: "ElementName") ?? "an item")' has no quantity that is a number")
        }
        return number
    }

    private static func type(_ item: XMLElement) -> Int { item.text(of: "ResourceType").flatMap { Int($0) } ?? 0 }

    /// What a controller is of.
    private static func bus(_ item: XMLElement) -> String? {
        let word = item.text(of: "ResourceSubType")?.lowercased() ?? ""
        switch type(item) {
        case Resource.ide: return "ide"
        case Resource.scsi: return word.contains("virtio") ? "virtio" : "scsi"
        case Resource.storage: return word.contains("nvme") ? "nvme" : word.contains("virtio") ? "virtio" : "sata"
        default: return nil
        }
    }

    /// `ovf:/disk/ID`, `/disk/ID`, or the same with `file`.
    private static func source(_ text: String?) -> Drive.Source {
        guard var path = text?[...] else { return .none }
        if path.hasPrefix("ovf:") { path = path.dropFirst(4) }
        if path.hasPrefix("/disk/") { return .disk(String(path.dropFirst(6))) }
        if path.hasPrefix("/file/") { return .file(String(path.dropFirst(6))) }
        return .none
    }
}
