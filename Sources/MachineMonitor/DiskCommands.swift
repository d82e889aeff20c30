// Disks as devices have them: query-block, query-blockstats. Nodes, jobs and exports are BlockMonitor's.

import Block
import Core
import Devices
import Monitor

extension MachineMonitor {
    /// A disk and the device that has it.
    struct Drive: Sendable {
        var device: DeviceTable.Entry
        var disk: BlockDevice
    }
    var drives: [Drive] { machine.devices.entries.flatMap { entry in entry.disks.map { Drive(device: entry, disk: $0) } } }

    var diskCommands: [CommandDeclaration] {
        [
            CommandDeclaration("query-block", returns: .array(.object("BlockInfo", [
                Parameter("device", .text), Parameter("qdev", .text, optional: true), Parameter("type", .text), Parameter("removable", .flag), Parameter("locked", .flag), Parameter("tray_open", .flag, optional: true),
                Parameter("inserted", Self.inserted, optional: true), Parameter("io-status", .enumeration("BlockDeviceIoStatus", ["ok", "failed", "nospace"]), optional: true),
            ]))) { [self] _ throws(MonitorError) in
                .array(try drives.map { (drive) throws(MonitorError) in
                    let tray = drive.device.drive, isEmpty = drive.disk.isEmpty
                    return .object([
                        .init("io-status", .text("ok")), .init("device", .text(drive.device.properties.text("drive") ?? "")), .init("locked", .flag(tray?.isTrayLocked ?? false)),
                        .init("removable", .flag(tray != nil)),
                    ] + (isEmpty ? [] : [.init("inserted", try blocks.describe(drive.disk.node))]) + [.init("qdev", .text(drive.device.path))]
                        + (tray.map { [.init("tray_open", .flag($0.isTrayOpen))] } ?? []) + [.init("type", .text("unknown"))])
                })
            },
            CommandDeclaration("query-blockstats", [Parameter("query-nodes", .flag, optional: true)], returns: .array(.open("BlockStats", [
                Parameter("device", .text, optional: true), Parameter("qdev", .text, optional: true), Parameter("node-name", .text, optional: true), Parameter("stats", .any),
            ]))) { [self] _ in
                .array(drives.map { drive in
                    let counts = drive.disk.statistics
                    let stats: [(String, UInt64)] = [
                        ("rd_bytes", counts.readBytes), ("wr_bytes", counts.writtenBytes), ("rd_operations", counts.reads), ("wr_operations", counts.writes),
                        ("flush_operations", counts.flushes),
                    ]
                    return .object([
                        .init("device", .text(drive.device.properties.text("drive") ?? "")), .init("qdev", .text(drive.device.path)), .init("node-name", .text(drive.disk.node.name)),
                        .init("stats", .object(stats.map { .init($0.0, .number($0.1)) })),
                    ])
                })
            },
        ]
    }

    private static var inserted: ValueType { .any }
}
