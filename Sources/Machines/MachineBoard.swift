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
    func reload()
}

/// The kinds of machines there are.
public struct MachineKind: Sendable {
    public let name: String
    public let summary: String
    public let maximumProcessors: Int
    public let hasACPI: Bool

    public static let all = [
        MachineKind(name: "none", summary: "empty machine", maximumProcessors: 1, hasACPI: false),
        MachineKind(name: "spike", summary: "RISC-V Spike board", maximumProcessors: Spike.maximumHarts, hasACPI: false),
        MachineKind(name: "virt", summary: "RISC-V VirtIO board", maximumProcessors: Virt.maximumHarts, hasACPI: true),
    ]
    public static func find(_ name: String) -> MachineKind? { all.first { $0.name == name } }
}
