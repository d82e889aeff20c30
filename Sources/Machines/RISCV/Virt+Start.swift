// What `virt` begins with: firmware, kernel, device tree and the few instructions of its boot ROM.

import Core
import Firmware
import Host

/// What a person asks to be loaded.
public struct BootFiles: Sendable {
    /// Unpacked contents and names for messages.
    public struct File: Sendable {
        public var name: String
        public var bytes: [UInt8]
        public init(name: String, bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }
    }
    public var firmware: File?
    public var kernel: File?
    public var initrd: File?
    public var deviceTree: File?
    public var commandLine: String?
    public init() {}
}

extension Virt {
    private static let elfMachine: UInt16 = 243

    /// Loads everything; called when all devices are there. What is loaded is kept and put back at each reset.
    public func finish(_ files: BootFiles) throws(ConfigurationError) {
        placeEmptySlots()
        if options.hasACPI { try describeACPI() }
        do throws(ImageError) { try load(files) } catch { throw ConfigurationError(error.description) }
    }

    private func load(_ files: BootFiles) throws(ImageError) {
        // As in QEMU: with firmware in memory the flash holds what that starts in S-mode; alone, it is the firmware.
        let flashIsFirmware = startsInFlash && files.firmware == nil
        var start = flashIsFirmware ? Map.flash.base : Map.ram
        var firmwareEnd = Map.ram
        if let firmware = files.firmware {
            let image = try KernelImage.load(firmware.bytes, at: Map.ram, machine: Self.elfMachine, name: firmware.name)
            try add(image, firmware.name)
            firmwareEnd = image.end
            start = image.entry
        }
        var kernelEntry: UInt64 = startsInFlash && !flashIsFirmware ? Map.flash.base : 0, initrd: Range<UInt64>?
        if let kernel = files.kernel {
            guard kernelEntry == 0 else { throw ImageError("-kernel '\(kernel.name)': the flash (-drive if=pflash) holds what the firmware starts; '-bios none' starts in the flash itself") }
            // The kernel's page tables want its beginning aligned to a large page.
            let unit: UInt64 = harts.registerBits == 64 ? 2 << 20 : 4 << 20
            let address = files.firmware == nil ? Map.ram : (firmwareEnd + unit - 1) / unit * unit
            let image = try KernelImage.load(kernel.bytes, at: address, machine: Self.elfMachine, name: kernel.name)
            try add(image, kernel.name)
            kernelEntry = image.entry
            if files.firmware == nil, !flashIsFirmware { start = image.entry }
            if let disk = files.initrd { initrd = try load(initrd: disk, behind: image.end) }
        }
        if let given = files.deviceTree {
            do throws(DeviceTree.BlobError) { userTree = try DeviceTree(blob: given.bytes) } catch { throw ImageError("'\(given.name)': \(error.description)") }
        }
        describeBoot(commandLine: files.commandLine, initrd: initrd)
        let blob = (userTree ?? tree).flattened()
        let treeAddress = try place(tree: blob)
        writeROM(start: start, deviceTree: treeAddress, kernel: kernelEntry)
    }

    private func load(initrd disk: BootFiles.File, behind end: UInt64) throws(ImageError) -> Range<UInt64> {
        // Room for the kernel to unpack and grow, as far as memory allows.
        let distance = min(options.memory / 2, 512 << 20)
        let address = max(Map.ram + distance, (end + 0xfff) & ~0xfff)
        let size = UInt64(disk.bytes.count)
        guard address + size <= Map.ram + options.memory else {
            throw ImageError("-initrd '\(disk.name)': \(size >> 20) MiB do not fit into the machine's \(options.memory >> 20) MiB of memory")
        }
        let image = LoadedImage(parts: [.init(address: address, bytes: disk.bytes[...], size: size)], entry: address)
        try add(image, disk.name)
        return address ..< address + size
    }

    /// The device tree goes to the end of memory, below 3 GiB for the sake of 32-bit firmware.
    private func place(tree blob: [UInt8]) throws(ImageError) -> UInt64 {
        let end = min(Map.ram + options.memory, 3 << 30)
        let room: UInt64 = 2 << 20
        guard UInt64(blob.count) < room, end > Map.ram + room else { throw ImageError("-m: no room for the device tree") }
        let address = (end - UInt64(blob.count)) & ~(room - 1)
        try add(LoadedImage(parts: [.init(address: address, bytes: blob[...], size: UInt64(blob.count))], entry: address), "device tree")
        return address
    }

    private func add(_ image: LoadedImage, _ name: String) throws(ImageError) {
        try image.place(in: parts.memory, name: name)
        loaded.append((image, name))
    }

    /// Puts back what a reset must find in memory.
    public func reload() {
        for (image, name) in loaded { do throws(ImageError) { try image.place(in: parts.memory, name: name) } catch {} }
    }

    /// a0: hart id, a1: device tree, a2: OpenSBI's description of what comes next.
    private func writeROM(start: UInt64, deviceTree: UInt64, kernel: UInt64) {
        let isWide = harts.registerBits == 64
        let code: [UInt32] = [
            0x0000_0297, // auipc t0, 0
            0x0282_8613, // addi a2, t0, 40
            0xf140_2573, // csrr a0, mhartid
            isWide ? 0x0202_b583 : 0x0202_a583, // ld/lw a1, 32(t0)
            isWide ? 0x0182_b283 : 0x0182_a283, // ld/lw t0, 24(t0)
            0x0002_8067, // jr t0
        ]
        var bytes = code.flatMap(Self.little)
        bytes += Self.little(start) + Self.little(deviceTree)
        // fw_dynamic_info, version 2: magic, version, next address, next mode (S), options, boot hart.
        for word: UInt64 in [0x4942_534f, 2, kernel, 1, 0, 0] {
            bytes += isWide ? Self.little(word) : Self.little(UInt32(truncatingIfNeeded: word))
        }
        bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { romHost.copyMemory(from: base, byteCount: source.count) }
        }
    }

    private static func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    /// Where harts begin.
    public var resetVector: UInt64 { Map.rom.base }
}
