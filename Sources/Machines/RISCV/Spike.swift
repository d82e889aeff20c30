// `spike`: the machine of the RISC-V ISA simulator as QEMU has it: harts, memory, CLINT, and HTIF for console and end. A program in
// ELF that has the symbols `tohost` and `fromhost` finds HTIF there; for others it is at 0x1000000, as the device tree tells.

import Core
import Devices
import Firmware
import Host

public final class Spike: MachineBoard, @unchecked Sendable {
    enum Map {
        static let rom = (base: 0x1000 as UInt64, size: 0xf000 as UInt64)
        static let htif = (base: 0x100_0000 as UInt64, size: 0x1000 as UInt64)
        static let clint = (base: 0x200_0000 as UInt64, size: 0x1_0000 as UInt64)
        static let ram = 0x8000_0000 as UInt64
    }
    static let maximumHarts = 8
    private static let frequency: UInt64 = 10_000_000

    public let mainMemory: RAMBlock?
    public let timebase: Timebase
    public let pci: PCIHost
    public var firmware: FirmwareConfiguration? { nil }
    public let buses: Set<String> = []
    public let resetVector = Map.rom.base
    private let parts: BoardParts
    private let options: BoardOptions
    private let harts: HartDescription
    private let rom: RAMBlock
    private let tree = DeviceTree()
    private var userTree: DeviceTree?
    private var loader: HartLoader

    public init(_ parts: BoardParts, _ options: BoardOptions, harts: HartDescription, wires: [HartInterrupts]) throws(ConfigurationError) {
        guard (1 ... Self.maximumHarts).contains(wires.count) else { throw ConfigurationError("-smp: spike has 1 to \(Self.maximumHarts) harts") }
        guard options.flashes.isEmpty else { throw ConfigurationError("-drive: spike has no flash") }
        let limit: UInt64 = harts.registerBits == 32 ? 0x8000_0000 : 1 << 46
        guard options.memory <= limit else { throw ConfigurationError("-m: spike has at most \(limit >> 20) MiB of memory") }
        self.parts = parts
        self.options = options
        self.harts = harts
        timebase = Timebase(frequency: Self.frequency, clock: parts.clock)
        pci = PCIHost(lines: [], host: parts.host())
        let memory: RAMBlock
        do throws(MemoryError) {
            if let given = options.memoryBacking { memory = given } else { memory = try RAMBlock(name: "riscv.spike.ram", size: options.memory) }
            rom = try RAMBlock(name: "riscv.spike.mrom", size: Map.rom.size)
        } catch { throw ConfigurationError("-m: \(error)") }
        mainMemory = memory
        loader = HartLoader(parts.memory, ram: (Map.ram, options.memory), isWide: harts.registerBits == 64)
        parts.place(memory, at: Map.ram)
        parts.place(rom, at: Map.rom.base, isReadOnly: true)
        parts.place("swi", SoftwareInterruptDevice(wires: wires.map(\.machineSoftware)), at: Map.clint.base)
        let timerHost = parts.host()
        parts.place("mtimer", MachineTimerDevice(timerHost, timebase: timebase, wires: wires.map(\.machineTimer)), host: timerHost, at: Map.clint.base + 0x4000)
    }

    private func describe(htif: UInt64?) {
        let root = tree.root
        root.set("#address-cells", 2)
        root.set("#size-cells", 2)
        root.set("compatible", "ucbbar,spike-bare-dev")
        root.set("model", "ucbbar,spike-bare,qemu")
        root.node("chosen").set("stdout-path", "/htif")
        let memory = root.node("memory@" + String(Map.ram, radix: 16))
        memory.set("device_type", "memory")
        memory.set("reg", wide: Map.ram, options.memory)
        let controllers = harts.describe(in: root, count: options.processors, frequency: Self.frequency)
        let soc = root.node("soc")
        soc.set("#address-cells", 2)
        soc.set("#size-cells", 2)
        soc.set("compatible", "simple-bus")
        soc.set("ranges")
        let clint = soc.node("clint@" + String(Map.clint.base, radix: 16))
        clint.set("interrupts-extended", cells: controllers.flatMap { [$0.handle, 3, $0.handle, 7] })
        clint.set("reg", wide: Map.clint.base, Map.clint.size)
        clint.set("compatible", strings: ["sifive,clint0", "riscv,clint0"])
        let node = root.node("htif")
        if let htif { node.set("reg", wide: htif, Map.htif.size) }
        node.set("compatible", "ucb,htif0")
    }

    public func plug(_ name: String, _ function: any VirtioFunction, host: DeviceHost) throws(ConfigurationError) -> DeviceSlot {
        throw ConfigurationError("\(name): machine spike has no slots for virtio devices")
    }

    // MARK: start

    public func finish(_ files: BootFiles) throws(ConfigurationError) {
        do throws(ImageError) { try load(files) } catch { throw ConfigurationError(error.description) }
    }

    private func load(_ files: BootFiles) throws(ImageError) {
        var start = Map.ram, firmwareEnd: UInt64?, kernelEntry: UInt64 = 0, initrd: Range<UInt64>?
        if let firmware = files.firmware {
            let image = try loader.load(firmware: firmware)
            (start, firmwareEnd) = (image.entry, image.end)
        }
        if let kernel = files.kernel {
            let image = try loader.load(kernel: kernel, behind: firmwareEnd)
            kernelEntry = image.entry
            if files.firmware == nil { start = image.entry }
            if let disk = files.initrd { initrd = try loader.load(initrd: disk, behind: image.end) }
        }
        let symbols = [files.firmware, files.kernel].compactMap(\.self).lazy.compactMap { file -> (UInt64, UInt64)? in
            let found = SymbolTable.values(of: ["fromhost", "tohost"], in: file.bytes)
            guard let from = found["fromhost"], let to = found["tohost"] else { return nil }
            return (from, to)
        }.first
        placeInterface(symbols)
        describe(htif: symbols == nil ? Map.htif.base : nil)
        if let given = files.deviceTree {
            do throws(DeviceTree.BlobError) { userTree = try DeviceTree(blob: given.bytes) } catch { throw ImageError("'\(given.name)': \(error.description)") }
        }
        (userTree ?? tree).root.describeBoot(commandLine: files.commandLine, initrd: initrd)
        let address = try loader.load(tree: deviceTree ?? [])
        loader.bootROM(start: start, deviceTree: address, kernel: kernelEntry).withUnsafeBytes { source in
            if let base = source.baseAddress { rom.host.copyMemory(from: base, byteCount: source.count) }
        }
    }

    /// In front of the memory that a program has for it, or in a place of its own.
    private func placeInterface(_ symbols: (from: UInt64, to: UInt64)?) {
        let host = parts.host()
        let interface = HostTargetInterface(host, stream: options.serials.first ?? nil, requests: parts.requests)
        let slot = DeviceSlot(name: "htif", interface)
        host.bind(slot)
        parts.add(slot)
        for (region, address) in zip(slot.regions(), [symbols?.from ?? Map.htif.base, symbols?.to ?? Map.htif.base + 8]) {
            AddressSpace.place(region, in: parts.root, at: address, priority: 1)
        }
        interface.connect()
    }

    public var contents: [(name: String, address: UInt64, size: UInt64)] { loader.contents }
    public var deviceTree: [UInt8]? { (userTree ?? tree).flattened() }
    public func reset() {}
    public func reload() -> [String] { loader.reload() }
}
