// `info …` of the monitor for people.

import Core
import Devices
import Monitor

extension HumanMonitor {
    struct Information: Sendable {
        var name: String
        var summary: String
        var body: @Sendable (HumanMonitor, [String], HumanState) throws(MonitorError) -> String
        init(_ name: String, _ summary: String, _ body: @escaping @Sendable (HumanMonitor, [String], HumanState) throws(MonitorError) -> String) {
            self.name = name
            self.summary = summary
            self.body = body
        }
    }

    static let infoTable: [Information] = [
        Information("status", "the current VM status (running|paused)") { (monitor, _, _) in
            let state = monitor.machine.control.state
            return "VM status: " + (state == .running || state == .paused ? state.rawValue : "paused (\(state.rawValue))") + "\n"
        },
        Information("version", "the version") { (_, _, _) in "10.0.0 (Apus)\n" },
        Information("name", "the current VM name") { (monitor, _, _) in monitor.machine.name.map { $0 + "\n" } ?? "" },
        Information("uuid", "the current VM UUID") { (monitor, _, _) in (monitor.machine.uuid ?? "00000000-0000-0000-0000-000000000000") + "\n" },
        Information("registers", "the cpu registers (-a: of all)") { (monitor, words, state) in
            let all = words.contains("-a")
            return (all ? Array(0 ..< monitor.machine.processors.count) : [state.hart]).map { "\nCPU#\($0)\n" + monitor.owner.registers($0) + "\n" }.joined()
        },
        Information("cpus", "infos for each CPU") { (monitor, _, state) in
            (0 ..< monitor.machine.processors.count).map { "\($0 == state.hart ? "*" : " ") CPU #\($0): thread_id=\(monitor.machine.processors[$0].threadNumber)\n" }.joined()
        },
        Information("mtree", "memory tree (flat)") { (monitor, _, _) in
            "FlatView #0\n AS \"memory\", root: system\n" + monitor.machine.parts.memory.ranges.map { range in
                let (kind, offset): (String, UInt64) = switch range.target {
                case .memory(_, let isReadOnly): (isReadOnly ? "rom" : "ram", range.offset)
                case .romDevice: ("romd", range.offset)
                case .device: ("i/o", range.offset)
                }
                let last = range.start &+ (range.size &- 1)
                return "  \(hex16(range.start))-\(hex16(last)) (prio 0, \(kind)): \(range.name)" + (offset > 0 ? " @\(hex16(offset))" : "") + "\n"
            }.joined()
        },
        Information("mem", "the active virtual memory mappings") { (monitor, _, state) in monitor.owner.mappings(state.hart) },
        // As in QEMU, this machine's controllers do not count.
        Information("irq", "the interrupts statistics (if available)") { (_, _, _) in "" },
        Information("pic", "PIC state") { (_, _, _) in "" },
        Information("qtree", "device tree") { (monitor, _, _) in
            monitor.machine.devices.entries.map { entry in
                "dev: \(entry.driver), id \"\(entry.hasIdentifier ? entry.name : "")\", bus \(entry.bus)\n" + entry.properties.declarations.map { property in
                    "  \(property.name) = \(entry.properties.text(property.name) ?? "\"\"")\n"
                }.joined()
            }.joined()
        },
        Information("qom-tree", "QOM composition tree") { (monitor, _, _) in monitor.objectTree("/", 0) },
        Information("block", "info of one block device or all block devices") { (monitor, _, _) in
            monitor.owner.drives.map { drive in
                let node = drive.disk.node, name = drive.device.properties.text("drive") ?? drive.device.name
                let removable = drive.device.drive.map { "    Removable device: \($0.isTrayLocked ? "" : "not ")locked, tray \($0.isTrayOpen ? "open" : "closed")\n" } ?? ""
                guard !node.isEmpty else { return "\(name): [not inserted]\n    Attached to:      \(drive.device.path)\n" + removable }
                return "\(name) (\(node.name)): \(node.filename) (\(node.driver)\(node.isWritable ? "" : ", read-only"))\n"
                    + "    Attached to:      \(drive.device.path)\n\(removable)    Cache mode:       \(drive.disk.isWriteCacheEnabled ? "writeback" : "writethrough")\n"
                    + (node.backing.map { "    Backing file:     \($0.filename)\n" } ?? "")
            }.joined(separator: "\n")
        },
        Information("blockstats", "block device statistics") { (monitor, _, _) in
            monitor.owner.drives.map { drive in
                let counts = drive.disk.statistics
                return "\(drive.device.properties.text("drive") ?? ""): rd_bytes=\(counts.readBytes) wr_bytes=\(counts.writtenBytes) rd_operations=\(counts.reads) wr_operations=\(counts.writes) flush_operations=\(counts.flushes)\n"
            }.joined()
        },
        Information("pci", "PCI info") { (monitor, _, _) in monitor.owner.pciBuses.flatMap(\.entries).map(describe).joined() },
        Information("usb", "the guest USB devices") { (monitor, _, _) in monitor.owner.usbDevices },
        Information("chardev", "the character devices") { (monitor, _, _) in monitor.machine.characters.entries.map { "\($0.id): filename=\($0.stream.description)\n" }.joined() },
        Information("balloon", "balloon information") { (monitor, _, _) throws(MonitorError) in
            guard case .integer(let size)? = try monitor.ask("query-balloon")["actual"] else { return "" }
            return "balloon: actual=\(size >> 20)\n"
        },
        Information("iothreads", "iothreads") { (monitor, _, _) in
            monitor.owner.threads.map { "\($0.id):\n  thread_id=\($0.object.thread)\n  poll-max-ns=\($0.object.pollNanoseconds)\n  poll-grow=0\n  poll-shrink=0\n  aio-max-batch=0\n" }.joined()
        },
        Information("memdev", "memory backends") { (monitor, _, _) in
            monitor.owner.memoryBackends.map { entry in
                let backend = entry.object
                return "memory backend: \(entry.id)\n  size:  \(backend.memory.size)\n  merge: \(backend.merges)\n  dump: \(backend.dumps)\n  prealloc: \(backend.isPreallocated)\n"
                    + "  share: \(backend.isShared)\n  policy: default\n  host nodes: \n"
            }.joined() + "\n"
        },
        Information("roms", "roms") { (monitor, _, _) in monitor.machine.loaded.map { "addr=\(hex16($0.address)) size=0x\(String($0.size, radix: 16)) mem=ram name=\"\($0.name)\"\n" }.joined() },
        Information("memory_size_summary", "the amount of initially allocated and present hotpluggable memory in bytes") { (monitor, _, _) in
            "base memory: \(monitor.machine.ramSize)\nplugged memory: 0\n"
        },
        Information("kvm", "KVM information") { (_, _, _) in "kvm support: not compiled\n" },
    ]

    func info(_ words: [String], _ state: inout HumanState) throws(MonitorError) -> String {
        guard let name = words.first else { return Self.infoTable.map { "info \($0.name) -- show \($0.summary)\n" }.joined() }
        guard let entry = Self.infoTable.first(where: { $0.name == name }) else { return "unknown command: 'info \(name)'\n" }
        return try entry.body(self, Array(words.dropFirst()), state)
    }

    private func objectTree(_ path: String, _ depth: Int) -> String {
        guard depth < 8, let object = owner.object(path) else { return "" }
        return object.filter { $0.type.hasPrefix("child<") }.map { child in
            let inner = child.value.string ?? ""
            return String(repeating: " ", count: depth * 2) + "/\(child.name) (\(child.type.dropFirst(6).dropLast()))\n" + objectTree(inner, depth + 1)
        }.joined()
    }

    private static func describe(_ entry: PCIEntry) -> String {
        func hex4(_ value: UInt64) -> String { let text = String(value, radix: 16); return String(repeating: "0", count: max(0, 4 - text.count)) + text }
        var text = "  Bus \(entry.bus), device \(entry.slot), function \(entry.function):\n    Class \(hex4(entry.read(0xa, 2))): PCI device \(hex4(entry.read(0, 2))):\(hex4(entry.read(2, 2)))\n"
        if !entry.isBridge { text += "      PCI subsystem \(hex4(entry.read(0x2c, 2))):\(hex4(entry.read(0x2e, 2)))\n" } else { text += "      BUS \(entry.read(0x18, 1)).\n      secondary bus \(entry.read(0x19, 1)).\n      subordinate bus \(entry.read(0x1a, 1)).\n" }
        if entry.read(0x3d, 1) > 0 { text += "      IRQ \(entry.read(0x3c, 1)), pin \(["A", "B", "C", "D"][Int(entry.read(0x3d, 1) - 1) & 3])\n" }
        for bar in entry.bars {
            let width = bar.space == .io ? "I/O" : bar.space == .memory32 ? "32 bit memory" : "64 bit" + (bar.space == .prefetchable64 ? " prefetchable" : "") + " memory"
            let address = entry.address(bar)
            text += "      BAR\(bar.number): \(width) at 0x\(address.map { String($0, radix: 16) } ?? "ffffffffffffffff") [0x\(address.map { String($0 &+ (bar.size &- 1), radix: 16) } ?? "ffffffffffffffff")].\n"
        }
        return text + "      id \"\(entry.name)\"\n"
    }
}

/// Sixteen digits.
func hex16(_ value: UInt64) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
}
