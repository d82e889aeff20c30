// Media of removable drives: eject, change, blockdev-open-tray and its kin, and what DEVICE_TRAY_MOVED tells.

import Block
import BlockMonitor
import Core
import Devices
import Monitor

extension MachineMonitor {
    /// A drive, as commands name it.
    private struct Tray {
        var entry: DeviceTable.Entry
        var drive: any RemovableDrive
        /// For messages: what the client called it.
        var name: String
    }

    /// The drive that `device` (its disk's name) or `id` (the device's) means.
    private func tray(_ arguments: Arguments) throws(MonitorError) -> Tray {
        let device = arguments.text("device"), id = arguments.text("id")
        guard (device == nil) != (id == nil), let name = device ?? id else { throw MonitorError("Need exactly one of 'device' and 'id'") }
        let found = machine.devices.entries.first { entry in
            !entry.disks.isEmpty && (device != nil ? entry.properties.text("drive") == name : entry.name == name || entry.path == name)
        }
        guard let found else { throw MonitorError("Device '\(name)' not found", .deviceNotFound) }
        guard let drive = found.drive else { throw MonitorError("Device '\(name)' is not removable") }
        return Tray(entry: found, drive: drive, name: name)
    }

    /// Opens a tray, or asks the guest to. - Returns: whether it is open now.
    private func open(_ tray: Tray, isForced: Bool) -> Bool {
        if tray.drive.isTrayOpen { return true }
        let isLocked = tray.drive.isTrayLocked
        if isLocked { tray.drive.requestEjection(unlocks: isForced) }
        if !isLocked || isForced { tray.drive.moveTray(isOpen: true) }
        return !isLocked || isForced
    }

    private func openOrFail(_ tray: Tray, isForced: Bool) throws(MonitorError) {
        guard open(tray, isForced: isForced) else {
            throw MonitorError("Device '\(tray.name)' is locked and force was not specified, wait for tray to open and try again")
        }
    }

    private func put(_ medium: Node, _ tray: Tray) throws(MonitorError) {
        let disk = tray.drive.disk
        try Self.reporting { () throws(BlockError) in
            do throws(BlockError) {
                try blocks.exchangeMedium(of: tray.entry.properties.text("drive"), old: disk.node, for: medium) { (node) throws(BlockError) in try disk.exchange(node) }
            } catch {
                try? medium.close()
                throw error
            }
        }
    }

    private static func reporting<Result>(_ body: () throws(BlockError) -> Result) throws(MonitorError) -> Result {
        do { return try body() } catch { throw MonitorError(error.file == nil ? error.place : "\(error)") }
    }

    private func remove(_ tray: Tray) throws(MonitorError) {
        guard tray.drive.isTrayOpen else { throw MonitorError("Tray of device '\(tray.name)' is not open") }
        if !tray.drive.disk.isEmpty { try put(.empty(), tray) }
    }

    private func insert(_ medium: Node, _ tray: Tray) throws(MonitorError) {
        var problem: String?
        if !tray.drive.isTrayOpen { problem = "Tray of device '\(tray.name)' is not open" }
        if !tray.drive.disk.isEmpty { problem = "There already is a medium in device '\(tray.name)'" }
        if let problem {
            try? medium.close()
            throw MonitorError(problem)
        }
        try put(medium, tray)
    }

    /// What stands for a drive in most of these commands.
    private static let named = [Parameter("device", .text, optional: true), Parameter("id", .text, optional: true)]

    var mediaCommands: [CommandDeclaration] {
        let force = Parameter("force", .flag, optional: true)
        return [
            CommandDeclaration("eject", Self.named + [force]) { [self] arguments throws(MonitorError) in
                let tray = try tray(arguments)
                try openOrFail(tray, isForced: arguments.flag("force") ?? false)
                try remove(tray)
                return .nothing
            },
            CommandDeclaration("blockdev-open-tray", Self.named + [force]) { [self] arguments throws(MonitorError) in
                // A locked one opens when the guest wants.
                _ = open(try tray(arguments), isForced: arguments.flag("force") ?? false)
                return .nothing
            },
            CommandDeclaration("blockdev-close-tray", Self.named) { [self] arguments throws(MonitorError) in
                try tray(arguments).drive.moveTray(isOpen: false)
                return .nothing
            },
            CommandDeclaration("blockdev-remove-medium", [Parameter("id", .text)]) { [self] arguments throws(MonitorError) in
                try remove(try tray(arguments))
                return .nothing
            },
            CommandDeclaration("blockdev-insert-medium", [Parameter("id", .text), Parameter("node-name", .text)]) { [self] arguments throws(MonitorError) in
                let tray = try tray(arguments), name = try arguments.required("node-name")
                guard let node = blocks.node(name) else { throw MonitorError("Node '\(name)' not found") }
                guard !machine.devices.entries.contains(where: { $0.disks.contains { $0.node === node } }) else { throw MonitorError("Node '\(name)' is already in use") }
                node.retain()
                try insert(node, tray)
                return .nothing
            },
            CommandDeclaration("blockdev-change-medium", Self.named + [
                Parameter("filename", .text), Parameter("format", .text, optional: true), force,
                Parameter("read-only-mode", .enumeration("BlockdevChangeReadOnlyMode", ["retain", "read-only", "read-write"]), optional: true),
            ]) { [self] arguments throws(MonitorError) in
                let tray = try tray(arguments), file = try arguments.required("filename"), mode = arguments.text("read-only-mode")
                let medium = try Self.reporting { () throws(BlockError) in
                    try blocks.openMedium(file, format: arguments.text("format"), isReadOnly: mode == "read-only" || mode != "read-write" && tray.drive.disk.isReadOnly)
                }
                do throws(MonitorError) {
                    try openOrFail(tray, isForced: arguments.flag("force") ?? false)
                    try remove(tray)
                } catch {
                    blocks.release(medium)
                    try? medium.close()
                    throw error
                }
                try insert(medium, tray)
                tray.drive.moveTray(isOpen: false)
                return .nothing
            },
        ]
    }

    static let trayEvent = EventDeclaration("DEVICE_TRAY_MOVED", [Parameter("device", .text), Parameter("id", .text), Parameter("tray-open", .flag)])

    static func watchTray(_ entry: DeviceTable.Entry, _ monitor: Monitor) {
        let device = JSONValue.Member("device", .text(entry.properties.text("drive") ?? "")), id = JSONValue.Member("id", .text(entry.hasIdentifier ? entry.name : entry.path))
        entry.drive?.onTrayMove { isOpen in monitor.emit("DEVICE_TRAY_MOVED", .object([device, .init("tray-open", .flag(isOpen)), id])) }
    }
}

extension HumanMonitor {
    static let mediaTable: [Entry] = [
        Entry("eject", takes: "[-f] device", "eject a removable medium (use -f to force it)") { (monitor, words, _) throws(MonitorError) in
            let rest = words.filter { $0 != "-f" }
            return try monitor.run("eject", [.init(monitor.isDrive(rest.first) ? "device" : "id", .text(try word(rest, "device"))), .init("force", .flag(rest.count < words.count))])
        },
        Entry("change", takes: "[-f] device filename [format [read-only-mode]]", "change a removable medium (use -f to force it)") { (monitor, words, _) throws(MonitorError) in
            let rest = words.filter { $0 != "-f" }
            guard (2 ... 4).contains(rest.count) else { throw MonitorError("device, filename and at most format and read-only-mode are expected") }
            let further = zip(["format", "read-only-mode"], rest.dropFirst(2)).map { JSONValue.Member($0, .text($1)) }
            return try monitor.run("blockdev-change-medium", [.init(monitor.isDrive(rest[0]) ? "device" : "id", .text(rest[0])), .init("filename", .text(rest[1])),
                                                              .init("force", .flag(rest.count < words.count))] + further)
        },
    ]

    private func isDrive(_ name: String?) -> Bool { name == nil || machine.devices.entries.contains { $0.properties.text("drive") == name } }
}
