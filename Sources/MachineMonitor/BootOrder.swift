// The fw_cfg file `bootorder`: paths of devices in Open Firmware's words, one a line, those with the lowest `bootindex` first.

import Core
import Devices

extension DeviceTable {
    private enum Kind: Character { case disk = "c", optical = "d", network = "n" }

    private func kind(_ entry: Entry) -> Kind? {
        if entry.properties.text("netdev") != nil { return .network }
        guard entry.properties.isGiven("drive") else { return nil }
        return entry.driver.hasSuffix("-cd") ? .optical : .disk
    }

    /// - Parameters:
    ///   - letters: kinds of devices without a `bootindex` that follow those with one (`-boot order=`).
    ///   - isStrict: firmware tries nothing else.
    /// - Throws: two devices have one index.
    public func bootOrder(_ letters: String, isStrict: Bool) throws(ConfigurationError) -> [UInt8] {
        var given: [(index: UInt64, path: String)] = []
        let entries = entries
        for entry in entries {
            guard entry.properties.isGiven("bootindex"), let index = entry.properties.integer("bootindex"), let path = firmwarePath(entry) else { continue }
            guard !given.contains(where: { $0.index == index }) else { throw ConfigurationError("\(entry.driver): The bootindex \(index) has already been used") }
            given.append((index, path))
        }
        var lines = given.sorted { $0.index < $1.index }.map(\.path)
        for letter in letters {
            lines += entries.filter { !$0.properties.isGiven("bootindex") && kind($0)?.rawValue == letter }.compactMap { firmwarePath($0) }
        }
        if isStrict { lines.append("HALT") }
        return lines.isEmpty ? [] : Array(lines.joined(separator: "\n").utf8) + [0]
    }

    /// Where firmware finds a device; nil: it cannot boot from it.
    private func firmwarePath(_ entry: Entry) -> String? {
        let end = switch kind(entry) {
        case .network: "/ethernet-phy@0"
        case nil: ""
        default: entry.driver == "nvme" ? "/namespace@1,0" : "/disk@0,0"
        }
        guard let parent = parentPath(of: entry) else { return nil }
        if entry.isChild { return unitPath(entry).map { parent + $0 } }
        return parent + end
    }

    /// A disk behind a controller; nil: firmware has no path for it.
    private func unitPath(_ entry: Entry) -> String? {
        guard let disk = entry.disks.first else { return nil }
        if entry.driver.hasPrefix("ide-"), let port = entry.bus.split(separator: ".").last { return "/drive@\(port)/disk@0" }
        for bus in buses("SCSI") {
            guard let place = (bus as? SCSIBus)?.place(of: disk) else { continue }
            return "/channel@0/disk@\(String(place.target, radix: 16)),\(String(place.unit, radix: 16))"
        }
        return nil
    }

    private func parentPath(of entry: Entry) -> String? {
        if let path = pciPath(entry.slot) { return path }
        for range in parts.memory.ranges {
            if case .device(let target, _) = range.target, target === entry.slot { return "/virtio-mmio@" + hex16(range.start) }
        }
        return nil
    }

    /// Through all bridges, from the root bus on.
    private func pciPath(_ slot: DeviceSlot) -> String? {
        let functions = pci.functions
        var path = "", current = slot
        for _ in 0 ..< 32 {
            guard let place = functions.first(where: { $0.slot === current }) else { return nil }
            let number = place.number & 7 == 0 ? "" : ",\(place.number & 7)"
            path = "/\(Self.name(current))@\(String(place.number >> 3, radix: 16))\(number)" + path
            if place.bus == pci.root.name { return "/pci@ffffffffffffffff" + path }
            guard let bridge = functions.first(where: { $0.slot.name == place.bus }) else { return nil }
            current = bridge.slot
        }
        return nil
    }

    /// By the class of the function, or by its vendor and device.
    private static func name(_ slot: DeviceSlot) -> String {
        let identity = slot.withDevice { ($0 as? PCIEndpoint)?.function.identity }
        guard let identity else { return "device" }
        switch identity.classCode >> 8 {
        case 0x0100: return "scsi"
        case 0x0101: return "ide"
        case 0x0200: return "ethernet"
        case 0x0300: return "display"
        case 0x0604: return "pci-bridge"
        case 0x0c03: return "usb"
        default: return "pci\(hex16(UInt64(identity.vendor)).suffix(4)),\(hex16(UInt64(identity.device)).suffix(4))"
        }
    }
}
