// The disks of `-drive`, and those that monitors add: opened, and made known by name to devices and monitors.

import Block
import BlockMonitor
import Core
import Devices
import Host
import MachineMonitor
import Monitor

/// The drives of a machine.
final class DriveSet: Sendable {
    private struct State {
        var drives: [String: (root: Root, option: DriveOption)] = [:]
        var groups: [String: ThrottleGroup] = [:]
    }
    private let graph: BlockGraph
    private let blocks: BlockService
    /// `-snapshot`
    private let isSnapshot: Bool
    private let state = Locked(State())

    init(_ graph: BlockGraph, _ blocks: BlockService, isSnapshot: Bool) {
        self.graph = graph
        self.blocks = blocks
        self.isSnapshot = isSnapshot
    }

    /// Opens a drive's image for it.
    func open(_ drive: DriveOption) throws(ConfigurationError) -> Node {
        var access = drive.isReadOnly ? Access.readOnly : .readWrite
        access.discards = drive.discards
        if let word = drive.cache {
            guard let cache = CacheMode(named: word) else { throw ConfigurationError("-drive: cache is '\(word)', expected writeback, none, writethrough, directsync or unsafe") }
            access.cache = cache
        }
        if let word = drive.aio {
            guard let interface = HostInterface(rawValue: word) else { throw ConfigurationError("-drive: aio is '\(word)', expected threads, native or io_uring") }
            access.interface = interface
        }
        if let isDirect = drive.isDirect { access.cache.direct = isDirect }
        if let ignoresFlush = drive.ignoresFlush { access.cache.ignoresFlush = ignoresFlush }
        access.zeroDetection = drive.zeroDetection
        do throws(BlockError) {
            let isTemporary = !drive.isReadOnly && drive.interface != "pflash" && (isSnapshot || drive.isTemporary)
            let node = isTemporary ? try TemporaryDisk.over(try image(drive, graph.backingAccess(access)), graph) : try image(drive, access)
            return drive.copiesOnRead && !drive.isReadOnly ? try CopyOnReadDriver.node(node, graph) : node
        } catch {
            throw ConfigurationError("-drive: '\(drive.file ?? drive.id ?? "")': \(error)")
        }
    }

    private func image(_ drive: DriveOption, _ access: Access) throws(BlockError) -> Node {
        let options = drive.options.map { JSONValue.Member($0.name, .text($0.value)) }
        guard options.contains(where: { $0.name.hasPrefix("file.") }) else { return try graph.open(drive.file ?? "", format: drive.format, access, options: options) }
        let format = drive.format.map { [JSONValue.Member("driver", .text($0))] } ?? [], file = drive.file.map { [JSONValue.Member("file.filename", .text($0))] } ?? []
        return try graph.open(options: .object(format + file + options), access)
    }

    /// Opens a drive, for devices and monitors to find by `id`.
    func add(_ drive: DriveOption, id: String) throws(ConfigurationError) {
        guard state.withLock({ $0.drives[id] }) == nil else { throw ConfigurationError("-drive: id '\(id)' is given twice") }
        guard drive.file != nil || !drive.options.isEmpty else { return keep(Root(.empty()), drive, id) }
        let node = try throttled(try open(drive), drive, id)
        do throws(BlockError) { try blocks.adopt(node) } catch {
            try? node.close()
            throw ConfigurationError("-drive: '\(id)': \(error)")
        }
        keep(Root(node), drive, id)
    }

    private func keep(_ root: Root, _ drive: DriveOption, _ id: String) {
        state.withLock { $0.drives[id] = (root, drive) }
        blocks.attach(id, root)
    }

    /// Closes a drive that no device uses any more. - Returns: whether there is one of that name.
    @discardableResult
    func remove(_ id: String) -> Bool {
        guard let (root, _) = state.withLock({ $0.drives.removeValue(forKey: id) }) else { return false }
        blocks.detach(root)
        blocks.release(root.node)
        try? root.node.close()
        return true
    }

    /// As in QEMU, drives of one group share the limits of the one that named them last.
    private func throttled(_ node: Node, _ drive: DriveOption, _ id: String) throws(ConfigurationError) -> Node {
        guard drive.throttleGroup != nil || !drive.limits.isUnlimited else { return node }
        let name = drive.throttleGroup ?? id
        let group = graph.object(name) as? ThrottleGroup ?? state.withLock { $0.groups[name] } ?? ThrottleGroup(drive.limits)
        state.withLock { $0.groups[name] = group }
        do throws(BlockError) { if !drive.limits.isUnlimited { try group.change(drive.limits) } } catch { throw ConfigurationError("-drive: \(error)") }
        return ThrottleDriver.node(node, group, graph)
    }

    /// Has disks do with failed requests what their device, or their drive, says: as in QEMU, the machine stops if the host has no
    /// space for a write.
    func watchFailures(_ devices: DeviceTable, _ requests: MachineRequests, _ gate: RunGate) {
        devices.onDiskArrival { [self] (disk, properties, path) in
            let drive = properties.text("drive") ?? "", option = state.withLock { $0.drives[drive]?.option }
            func policy(_ name: String, _ own: FailurePolicy?, _ usual: FailurePolicy) -> FailurePolicy { properties.text(name).flatMap { FailurePolicy(rawValue: $0) } ?? own ?? usual }
            disk.onFailure(FailureHandling(reads: policy("rerror", option?.readFailures, .report), writes: policy("werror", option?.writeFailures, .enospc),
                                           drive: option == nil ? "" : drive, path: path, requests: requests, gate: gate))
        }
    }

    // MARK: monitors

    /// Makes drive_add and drive_del known.
    func register(_ human: MachineMonitor, _ devices: DeviceTable) {
        // As in QEMU, a drive goes with the device that uses it.
        devices.onDiskDeparture { [self, unowned devices] name in if !devices.uses(drive: name) { remove(name) } }
        human.add("drive_add", "[[domain:]bus:]slot OPTION[,…]", "add a drive: file=…,if=none,id=…") { [self] words throws(MonitorError) in
            guard words.count == 2 else { throw MonitorError("drive_add: expected a slot and the options of a drive") }
            do throws(ConfigurationError) {
                let drive = try DriveOption(words[1])
                guard drive.interface == "none", let id = drive.id else { throw ConfigurationError("drive_add: expected if=none and an id") }
                guard blocks.node(id) == nil else { throw ConfigurationError("Duplicate ID '\(id)' for drive") }
                try add(drive, id: id)
            } catch { throw MonitorError(error.description) }
            return "OK\n"
        }
        human.add("drive_del", "id", "remove a drive that no device uses") { [self] words throws(MonitorError) in
            guard let id = words.first, words.count == 1 else { throw MonitorError("drive_del: expected the name of a drive") }
            guard !devices.uses(drive: id) else { throw MonitorError("drive_del: a device uses '\(id)': remove it with device_del, its drive goes with it") }
            guard remove(id) else { throw MonitorError("Device '\(id)' not found") }
            return ""
        }
    }
}
