// What harts begin with, on any board: firmware, kernel, initial RAM disk, device tree, and the few instructions of the boot ROM.

import Core
import Firmware
import Host

/// Loads files into a board's memory, and loads them again at each reset.
struct HartLoader {
    static let elfMachine: UInt16 = 243
    let memory: AddressSpace
    /// The board's RAM: where it begins, and bytes.
    let ram: (base: UInt64, size: UInt64)
    let isWide: Bool
    private var kept: [KeptImage] = []

    init(_ memory: AddressSpace, ram: (base: UInt64, size: UInt64), isWide: Bool) {
        self.memory = memory
        self.ram = ram
        self.isWide = isWide
    }

    /// - Parameter origin: the file that the image's bytes are slices of.
    mutating func add(_ image: LoadedImage, _ name: String, _ origin: FileOrigin? = nil) throws(ImageError) {
        try image.place(in: memory, name: name)
        kept.append(KeptImage(image, name, origin))
    }

    /// - Returns: what is to be said of files that could not be loaded as they were.
    func reload() -> [String] { kept.compactMap { $0.place(in: memory) } }

    var contents: [(name: String, address: UInt64, size: UInt64)] { kept.flatMap(\.places) }

    /// Firmware at the beginning of memory, or where it says.
    mutating func load(firmware: BootFiles.File) throws(ImageError) -> LoadedImage {
        let image = try KernelImage.load(firmware.bytes, at: ram.base, machine: Self.elfMachine, name: firmware.name)
        try add(image, firmware.name, firmware.origin)
        return image
    }

    /// A kernel behind the firmware. - Parameter end: of the firmware; nil: there is none.
    mutating func load(kernel: BootFiles.File, behind end: UInt64?) throws(ImageError) -> LoadedImage {
        // The kernel's page tables want its beginning aligned to a large page.
        let unit: UInt64 = isWide ? 2 << 20 : 4 << 20
        let image = try KernelImage.load(kernel.bytes, at: end.map { ($0 + unit - 1) / unit * unit } ?? ram.base, machine: Self.elfMachine, name: kernel.name)
        try add(image, kernel.name, kernel.origin)
        return image
    }

    mutating func load(initrd disk: BootFiles.File, behind end: UInt64) throws(ImageError) -> Range<UInt64> {
        // Room for the kernel to unpack and grow, as far as memory allows.
        let distance = min(ram.size / 2, 512 << 20)
        let address = max(ram.base + distance, (end + 0xfff) & ~0xfff)
        let size = UInt64(disk.bytes.count)
        guard address + size <= ram.base + ram.size else {
            throw ImageError("-initrd '\(disk.name)': \(size >> 20) MiB do not fit into the machine's \(ram.size >> 20) MiB of memory")
        }
        try add(LoadedImage(parts: [.init(address: address, bytes: disk.bytes[...], size: size)], entry: address), disk.name, disk.origin)
        return address ..< address + size
    }

    /// The device tree goes to the end of memory, below 3 GiB for the sake of 32-bit firmware.
    mutating func load(tree blob: [UInt8]) throws(ImageError) -> UInt64 {
        let end = min(ram.base + ram.size, 3 << 30)
        let room: UInt64 = 2 << 20
        guard UInt64(blob.count) < room, end > ram.base + room else { throw ImageError("-m: no room for the device tree") }
        let address = (end - UInt64(blob.count)) & ~(room - 1)
        try add(LoadedImage(parts: [.init(address: address, bytes: blob[...], size: UInt64(blob.count))], entry: address), "device tree")
        return address
    }

    /// The boot ROM: a0: hart id, a1: device tree, a2: OpenSBI's description of what comes next.
    func bootROM(start: UInt64, deviceTree: UInt64, kernel: UInt64) -> [UInt8] {
        func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        let code: [UInt32] = [
            0x0000_0297, // auipc t0, 0
            0x0282_8613, // addi a2, t0, 40
            0xf140_2573, // csrr a0, mhartid
            isWide ? 0x0202_b583 : 0x0202_a583, // ld/lw a1, 32(t0)
            isWide ? 0x0182_b283 : 0x0182_a283, // ld/lw t0, 24(t0)
            0x0002_8067, // jr t0
        ]
        var bytes = code.flatMap { little($0) } + little(start) + little(deviceTree)
        // fw_dynamic_info, version 2: magic, version, next address, next mode (S), options, boot hart.
        for word: UInt64 in [0x4942_534f, 2, kernel, 1, 0, 0] { bytes += isWide ? little(word) : little(UInt32(truncatingIfNeeded: word)) }
        return bytes
    }
}

extension DeviceTreeNode {
    /// The command line, the initial RAM disk and random numbers, in `chosen`.
    func describeBoot(commandLine: String?, initrd: Range<UInt64>?) {
        let chosen = node("chosen")
        if let commandLine { chosen.set("bootargs", commandLine) }
        if let initrd {
            chosen.set("linux,initrd-start", wide: initrd.lowerBound)
            chosen.set("linux,initrd-end", wide: initrd.upperBound)
        }
        var random = SystemRandomNumberGenerator()
        chosen["rng-seed"] = (0 ..< 32).map { _ in UInt8.random(in: 0 ... 255, using: &random) }
    }
}

extension HartDescription {
    /// Writes the node `cpus`. - Returns: the interrupt controller of each hart.
    func describe(in root: DeviceTreeNode, count: Int, frequency: UInt64) -> [DeviceTreeNode] {
        let cpus = root.node("cpus")
        cpus.set("#address-cells", 1)
        cpus.set("#size-cells", 0)
        cpus.set("timebase-frequency", UInt32(truncatingIfNeeded: frequency))
        var controllers: [DeviceTreeNode] = [], nodes: [DeviceTreeNode] = []
        for number in 0 ..< count {
            let cpu = cpus.node("cpu@" + String(number, radix: 16))
            cpu.set("device_type", "cpu")
            cpu.set("reg", UInt32(number))
            cpu.set("status", "okay")
            cpu.set("compatible", "riscv")
            for block in ["cbop", "cboz", "cbom"] where extensions.contains("zi" + block) {
                cpu.set("riscv,\(block)-block-size", 64)
            }
            cpu.set("riscv,isa-extensions", strings: extensions)
            cpu.set("riscv,isa-base", "rv\(registerBits)i")
            cpu.set("riscv,isa", isaString)
            if hasSupervisor { cpu.set("mmu-type", mmuType) }
            let controller = cpu.node("interrupt-controller")
            controller.set("#interrupt-cells", 1)
            controller.set("interrupt-controller")
            controller.set("compatible", "riscv,cpu-intc")
            controllers.append(controller)
            nodes.append(cpu)
        }
        let cluster = cpus.node("cpu-map").node("cluster0")
        for (number, cpu) in nodes.enumerated() { cluster.node("core\(number)").set("cpu", cpu.handle) }
        return controllers
    }
}
