// What `virt` begins with: firmware, kernel, device tree and the few instructions of its boot ROM.

import Core
import Devices
import Firmware
import Host

extension Virt: MachineBoard {
    public var mainMemory: RAMBlock? { ram }
    public var firmware: FirmwareConfiguration? { firmwareConfiguration }
    public var deviceTree: [UInt8]? { deviceTreeBlob }
    public var buses: Set<String> { ["pci", "virtio-bus", "sysbus"] }

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
        var firmwareEnd: UInt64?
        if let firmware = files.firmware {
            let image = try loader.load(firmware: firmware)
            (start, firmwareEnd) = (image.entry, image.end)
        }
        var kernelEntry: UInt64 = startsInFlash && !flashIsFirmware ? Map.flash.base : 0, initrd: Range<UInt64>?
        if let kernel = files.kernel, kernelEntry != 0 || flashIsFirmware {
            offer(kernel, files.initrd, files.commandLine)
        } else if let kernel = files.kernel {
            let image = try loader.load(kernel: kernel, behind: firmwareEnd)
            kernelEntry = image.entry
            if files.firmware == nil { start = image.entry }
            if let disk = files.initrd { initrd = try loader.load(initrd: disk, behind: image.end) }
        }
        if let given = files.deviceTree {
            do throws(DeviceTree.BlobError) { userTree = try DeviceTree(blob: given.bytes) } catch { throw ImageError("'\(given.name)': \(error.description)") }
        }
        tree.root.describeBoot(commandLine: files.commandLine, initrd: initrd)
        let treeAddress = try loader.load(tree: deviceTreeBlob)
        loader.bootROM(start: start, deviceTree: treeAddress, kernel: kernelEntry).withUnsafeBytes { source in
            if let base = source.baseAddress { romHost.copyMemory(from: base, byteCount: source.count) }
        }
    }

    /// What is in the flash fetches kernel, initial RAM disk and command line by fw_cfg.
    private func offer(_ kernel: BootFiles.File, _ initrd: BootFiles.File?, _ commandLine: String?) {
        func add(size: UInt16, data: UInt16, _ bytes: [UInt8]) {
            firmwareConfiguration.add(size, withUnsafeBytes(of: UInt32(truncatingIfNeeded: bytes.count).littleEndian) { Array($0) })
            firmwareConfiguration.add(data, bytes)
        }
        add(size: 0x08, data: 0x11, kernel.bytes)
        if let initrd { add(size: 0x0b, data: 0x12, initrd.bytes) }
        if let commandLine { add(size: 0x14, data: 0x15, Array(commandLine.utf8) + [0]) }
    }

    /// Puts back what a reset must find in memory.
    public func reload() -> [String] { loader.reload() }

    /// Where harts begin.
    public var resetVector: UInt64 { Map.rom.base }
}
