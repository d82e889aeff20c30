// What a machine is to those who put it together and watch it: its board.

import Core
import Devices

/// A board. What it is made of is in `BoardParts`.
public protocol MachineBoard: AnyObject, Sendable {
    /// As monitors call its memory; nil: it has none.
    var mainMemory: RAMBlock? { get }
    var timebase: Timebase { get }
    /// Where `-fw_cfg` goes; nil: nowhere.
    var firmware: FirmwareConfiguration? { get }
    /// The PCI host bridge; on boards without one, nothing is on it and nobody sees it.
    var pci: PCIHost { get }
    /// Kinds of buses (`DeviceModel.bus`) that the board itself has.
    var buses: Set<String> { get }
    /// Names, addresses and bytes of what a reset puts back.
    var contents: [(name: String, address: UInt64, size: UInt64)] { get }
    /// The device tree as it would be loaded; nil: there is none.
    var deviceTree: [UInt8]? { get }
    /// Where harts begin.
    var resetVector: UInt64 { get }
    /// Puts a virtio device into a slot of memory-mapped registers.
    func plug(_ name: String, _ function: any VirtioFunction, host: DeviceHost) throws(ConfigurationError) -> DeviceSlot
    /// Loads everything; called once, when all devices are there.
    func finish(_ files: BootFiles) throws(ConfigurationError)
    /// Resets what is not in `BoardParts`.
    func reset()
    /// Puts back what a reset must find in memory.
    /// - Returns: what is to be said of files that could not be loaded as they were.
    func reload() -> [String]
}

/// The kinds of machines there are.
public struct MachineKind: Sendable {
    public let name: String
    public let summary: String
    public let maximumProcessors: Int
    public let hasACPI: Bool

    /// What `-machine` takes.
    public var properties: [Property] {
        Self.common + (hasACPI ? Self.virt : [])
    }
    private static let common = [
        Property("memory-backend", .reference("memory-backend"), "the object whose memory is the machine's"), Property("firmware", .text, "as -bios"), Property("kernel", .text, "as -kernel"),
        Property("initrd", .text, "as -initrd"), Property("append", .text, "as -append"), Property("dtb", .text, "as -dtb"), Property("dumpdtb", .text, "writes the device tree to a file and ends"),
        Property("dump-guest-core", .flag, "core dumps of the process have the guest's memory", default: "on"), Property("mem-merge", .flag, "the host may keep equal pages once", default: "off"),
        Property("usb", .flag, "for lines written for other machines"), Property("graphics", .flag, "for lines written for other machines"),
    ]
    private static let virt = [
        Property("acpi", .choice(["auto", "on", "off"]), "ACPI tables for firmware", default: "auto"), Property("aia", .choice(["none", "aplic", "aplic-imsic"]), "interrupt controllers", default: "none"),
        Property("aia-guests", .integer, "interrupt files for guests of a hart, 0 to 7", default: "0"),
        Property("pflash0", .reference("block node"), "the first flash chip"), Property("pflash1", .reference("block node"), "the second flash chip"),
    ]

    public static let all = [
        MachineKind(name: "none", summary: "empty machine", maximumProcessors: 1, hasACPI: false),
        MachineKind(name: "spike", summary: "RISC-V Spike board", maximumProcessors: Spike.maximumHarts, hasACPI: false),
        MachineKind(name: "virt", summary: "RISC-V VirtIO board", maximumProcessors: Virt.maximumHarts, hasACPI: true),
    ]
    public static func find(_ name: String) -> MachineKind? { all.first { $0.name == name } }
}
