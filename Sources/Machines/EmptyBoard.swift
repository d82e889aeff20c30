// `none`: no processors, and memory only if it is asked for, from address 0 on. For monitors, which tell what else there could be.

import Core
import Devices
import Firmware

public final class EmptyBoard: MachineBoard {
    public let mainMemory: RAMBlock?
    public let timebase: Timebase
    public let pci: PCIHost
    public var firmware: FirmwareConfiguration? { nil }
    public let buses: Set<String> = []
    public let contents: [(name: String, address: UInt64, size: UInt64)] = []
    public let deviceTree: [UInt8]? = nil
    public let resetVector: UInt64 = 0

    /// - Parameter hasMemory: `options.memory` was asked for.
    public init(_ parts: BoardParts, _ options: BoardOptions, hasMemory: Bool) throws(ConfigurationError) {
        guard options.flashes.isEmpty else { throw ConfigurationError("-drive: none has no flash") }
        timebase = Timebase(frequency: 10_000_000, clock: parts.clock)
        pci = PCIHost(lines: [], host: parts.host())
        if let given = options.memoryBacking { mainMemory = given } else if hasMemory {
            do throws(MemoryError) { mainMemory = try RAMBlock(name: "ram", size: options.memory) } catch { throw ConfigurationError("-m: \(error)") }
        } else { mainMemory = nil }
        if let mainMemory { parts.place(mainMemory, at: 0) }
    }

    public func plug(_ name: String, _ function: any VirtioFunction, host: DeviceHost) throws(ConfigurationError) -> DeviceSlot {
        throw ConfigurationError("\(name): machine none has no slots for virtio devices")
    }
    public func finish(_ files: BootFiles) throws(ConfigurationError) {
        for (file, option) in [(files.kernel, "-kernel"), (files.deviceTree, "-dtb")] where file != nil { throw ConfigurationError("\(option): machine none starts nothing") }
    }
    public func reset() {}
    public func reload() -> [String] { [] }
}
