// QEMU's `virt` machine for RISC-V: the memory map, interrupt numbers and device tree of "hw/riscv/virt" as its documentation
// and its own device tree show them, so that firmware and kernels made for it run unchanged.

import Core
import Devices
import Firmware
import Host

public final class Virt: @unchecked Sendable {
    /// Base and size of everything.
    enum Map {
        static let rom = (base: 0x1000 as UInt64, size: 0xf000 as UInt64)
        static let test = 0x10_0000 as UInt64
        static let clock = 0x10_1000 as UInt64
        static let clint = (base: 0x200_0000 as UInt64, size: 0x1_0000 as UInt64)
        static let supervisorSoftware = 0x2f0_0000 as UInt64
        static let pciPorts = (base: 0x300_0000 as UInt64, size: 0x1_0000 as UInt64)
        static let plic = (base: 0xc00_0000 as UInt64, size: 0x60_0000 as UInt64)
        static let machineAPLIC = (base: 0xc00_0000 as UInt64, size: 0x8000 as UInt64)
        static let supervisorAPLIC = (base: 0xd00_0000 as UInt64, size: 0x8000 as UInt64)
        static let serial = 0x1000_0000 as UInt64
        static let virtio = (base: 0x1000_1000 as UInt64, stride: 0x1000 as UInt64)
        static let firmwareConfiguration = 0x1010_0000 as UInt64
        static let flash = (base: 0x2000_0000 as UInt64, size: 0x200_0000 as UInt64)
        static let machineIMSIC = 0x2400_0000 as UInt64, supervisorIMSIC = 0x2800_0000 as UInt64
        static let configuration = (base: 0x3000_0000 as UInt64, size: 0x1000_0000 as UInt64)
        static let pciMemory = (base: 0x4000_0000 as UInt64, size: 0x4000_0000 as UInt64)
        static let ram = 0x8000_0000 as UInt64
        static let highPCISize = 0x4_0000_0000 as UInt64
    }

    /// Interrupt sources.
    enum Source {
        static let virtio = 1, serial = 10, clock = 11, pci = 32
        static let count = 96
    }

    public static let timebaseFrequency: UInt64 = 10_000_000
    static let virtioSlots = 8
    static let maximumHarts = 512

    public let parts: BoardParts
    public let options: BoardOptions
    public let harts: HartDescription
    public let ram: RAMBlock
    public let timebase: Timebase
    public let firmwareConfiguration: FirmwareConfiguration
    public let pci: PCIHost
    /// Slots of virtio over memory-mapped registers that are taken, by number.
    private var virtio: [Int: DeviceSlot] = [:]
    /// Devices that were plugged, for names of those without one.
    public var deviceCount = 0
    let tree = DeviceTree()
    let interrupts: VirtInterrupts
    private let flashes: [RAMBlock]
    private let rom: RAMBlock
    var romHost: UnsafeMutableRawPointer { rom.host }
    /// A device tree that a person gave instead.
    var userTree: DeviceTree?
    /// What was loaded, for resets.
    var loader: HartLoader
    /// Whether the first flash holds what the harts begin with.
    let startsInFlash: Bool

    /// Puts the board together, but for `-device`s and what is loaded: see `finish`.
    /// - Parameter wires: those of each hart, by its number.
    public init(_ parts: BoardParts, _ options: BoardOptions, harts: HartDescription, wires: [HartInterrupts]) throws(ConfigurationError) {
        self.parts = parts
        self.options = options
        self.harts = harts
        guard wires.count == options.processors, (1 ... Self.maximumHarts).contains(wires.count) else {
            throw ConfigurationError("-smp: virt has 1 to \(Self.maximumHarts) harts")
        }
        timebase = Timebase(frequency: Self.timebaseFrequency, clock: parts.clock)
        let limit: UInt64 = harts.registerBits == 32 ? 0x8000_0000 : 1 << 46
        guard options.memory <= limit else { throw ConfigurationError("-m: virt has at most \(limit >> 20) MiB of memory") }
        do throws(MemoryError) {
            if let given = options.memoryBacking { ram = given } else { ram = try RAMBlock(name: "riscv_virt_board.ram", size: options.memory) }
            rom = try RAMBlock(name: "riscv_virt_board.mrom", size: Map.rom.size)
            var chips: [RAMBlock] = []
            for index in 0 ..< 2 { chips.append(try RAMBlock(name: "virt.flash\(index)", size: Map.flash.size)) }
            flashes = chips
        } catch {
            throw ConfigurationError("-m: \(error)")
        }
        loader = HartLoader(parts.memory, ram: (Map.ram, options.memory), isWide: harts.registerBits == 64)
        parts.place(ram, at: Map.ram)
        parts.place(rom, at: Map.rom.base, isReadOnly: true)

        interrupts = VirtInterrupts(options.interrupts, parts, wires)
        let interrupts = interrupts
        parts.place("swi", SoftwareInterruptDevice(wires: wires.map(\.machineSoftware)), at: Map.clint.base)
        let timerHost = parts.host()
        parts.place("mtimer", MachineTimerDevice(timerHost, timebase: timebase, wires: wires.map(\.machineTimer)), host: timerHost,
                    at: Map.clint.base + 0x4000)
        parts.place("test", TestFinisher(requests: parts.requests), at: Map.test)
        let clockHost = parts.host()
        parts.place("rtc", GoldfishRTC(clockHost, interrupt: interrupts.line(Source.clock),
                                       start: options.realTimeStart), host: clockHost, at: Map.clock)
        let serialHost = parts.host()
        let serial = Serial16550(serialHost, stream: options.serials.first ?? nil,
                                 interrupt: interrupts.line(Source.serial))
        let serialSlot = parts.place("serial0", serial, host: serialHost, at: Map.serial)
        serialSlot.withDevice { ($0 as? Serial16550)?.connect() }
        firmwareConfiguration = FirmwareConfiguration(parts.host())
        parts.place("fw_cfg", firmwareConfiguration, at: Map.firmwareConfiguration)
        pci = PCIHost(lines: (0 ..< 4).map { interrupts.line(Source.pci + $0) }, host: parts.host())
        startsInFlash = options.flashes.first.map { $0 != nil } ?? false
        for index in 0 ..< 2 { placeFlash(index, options.flashes.count > index ? options.flashes[index] : nil) }
        placePCI()
        describe()
    }

    private func placeFlash(_ index: Int, _ image: FlashImage?) {
        let block = flashes[index], address = Map.flash.base + UInt64(index) * Map.flash.size
        if let contents = image?.contents {
            contents.prefix(Int(block.size)).withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { block.host.copyMemory(from: base, byteCount: bytes.count) }
            }
        }
        // The chip shows or hides its memory in front of its registers; stores reach the registers always.
        let shown = Shown()
        let chip = ParallelFlash(block, storage: image?.storage, isReadOnly: image?.isReadOnly ?? false) { isShown in
            if let region = shown.region.withLock({ $0 }) { AddressSpace.setEnabled(isShown, region) }
        }
        let slot = parts.place(block.name, chip, at: address)
        let memory = Region(block.name + ".memory", size: block.size, .romDevice(block, slot, bank: 0))
        AddressSpace.place(memory, in: parts.root, at: address, priority: 1)
        shown.region.withLock { $0 = memory }
    }

    private final class Shown: Sendable { let region = Locked<Region?>(nil) }

    private func placePCI() {
        AddressSpace.place(pci.configurationRegion(), in: parts.root, at: Map.configuration.base)
        AddressSpace.place(pci.portWindow(size: Map.pciPorts.size), in: parts.root, at: Map.pciPorts.base)
        AddressSpace.place(pci.memoryWindow("gpex_mmio", from: Map.pciMemory.base, size: Map.pciMemory.size), in: parts.root, at: Map.pciMemory.base)
        if harts.registerBits == 64 {
            AddressSpace.place(pci.memoryWindow("gpex_mmio_high", from: highPCIBase, size: Map.highPCISize), in: parts.root, at: highPCIBase)
        }
    }

    /// Puts a virtio device into a free slot, the last ones first as QEMU does.
    @discardableResult
    public func plug(_ name: String, _ function: any VirtioFunction, host: DeviceHost) throws(ConfigurationError) -> DeviceSlot {
        guard let slot = (0 ..< Self.virtioSlots).last(where: { virtio[$0] == nil }) else {
            throw ConfigurationError("\(name): no slot for a virtio device is free (virt has \(Self.virtioSlots))")
        }
        deviceCount += 1
        return placeVirtio(slot, name, function, host)
    }

    @discardableResult
    private func placeVirtio(_ slot: Int, _ name: String, _ function: (any VirtioFunction)?, _ host: DeviceHost) -> DeviceSlot {
        let placed = parts.place(name, VirtioMMIO(function, host: host, line: line(Source.virtio + slot)), host: host,
                                   at: Map.virtio.base + UInt64(slot) * Map.virtio.stride)
        virtio[slot] = placed
        return placed
    }

    /// Empty slots answer too.
    func placeEmptySlots() { for slot in 0 ..< Self.virtioSlots where virtio[slot] == nil { placeVirtio(slot, "virtio-mmio\(slot)", nil, parts.host()) } }

    /// Resets what is not in `parts`.
    public func reset() {
        pci.reset()
        interrupts.reset()
    }

    /// The interrupt files of a hart: its machine's, its supervisor's, those of its guests; nil: the board has none.
    public func interruptFiles(ofHart number: Int) -> (machine: InterruptFile, supervisor: InterruptFile, guests: [InterruptFile])? {
        interrupts.files.indices.contains(number) ? interrupts.files[number] : nil
    }

    /// The device tree as it would be loaded.
    public var deviceTreeBlob: [UInt8] { (userTree ?? tree).flattened() }

    /// The wire of interrupt source `number`.
    public func line(_ number: Int) -> InterruptLine { interrupts.line(number) }
    /// Where a 64-bit PCI window begins.
    public var highPCIBase: UInt64 { (Map.ram + options.memory + Map.highPCISize - 1) / Map.highPCISize * Map.highPCISize }
}
