// The NBD server and its exports: nbd-server-start, -stop, -add, -remove, block-export-add, -del, query-block-exports.

import Block
import Core
import Host
import Monitor
import NBD
import Sockets

extension BlockService {
    private static let addressType = ValueType.open("SocketAddress", [Parameter("type", .enumeration("SocketAddressType", ["inet", "unix", "fd"]))])
    private static let bitmapReference = ValueType.alternate("BlockDirtyBitmapOrStr", [
        .text, .object("BlockDirtyBitmap", [Parameter("node", .text), Parameter("name", .text)]),
    ])
    private static let removeMode = Parameter("mode", .enumeration("BlockExportRemoveMode", ["safe", "hard"]), optional: true)

    var exportCommands: [CommandDeclaration] {
        [
            CommandDeclaration("nbd-server-start", [
                Parameter("addr", BlockService.addressType), Parameter("tls-creds", .text, optional: true), Parameter("max-connections", .size, optional: true),
                Parameter("handshake-max-seconds", .size, optional: true),
            ]) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in try startServer(arguments.json) }
                return .nothing
            },
            CommandDeclaration("nbd-server-stop") { [self] _ throws(MonitorError) in
                guard state.withLock({ $0.server != nil }) else { throw MonitorError("NBD server not running") }
                stopServer()
                return .nothing
            },
            CommandDeclaration("nbd-server-add", [
                Parameter("device", .text), Parameter("name", .text, optional: true), Parameter("description", .text, optional: true),
                Parameter("writable", .flag, optional: true), Parameter("bitmap", .text, optional: true),
            ]) { [self] arguments throws(MonitorError) in
                let device = try arguments.required("device")
                var members: [JSONValue.Member] = [.init("type", .text("nbd")), .init("id", .text(arguments.text("name") ?? device)), .init("node-name", .text(device)),
                                                   .init("name", .text(arguments.text("name") ?? device))]
                if let text = arguments.text("description") { members.append(.init("description", .text(text))) }
                if let flag = arguments.flag("writable") { members.append(.init("writable", .flag(flag))) }
                if let bitmap = arguments.text("bitmap") { members.append(.init("bitmaps", .array([.text(bitmap)]))) }
                let description = JSONValue.object(members)
                try BlockService.reporting { () throws(BlockError) in try addExport(description) }
                return .nothing
            },
            CommandDeclaration("nbd-server-remove", [Parameter("name", .text), BlockService.removeMode]) { [self] arguments throws(MonitorError) in
                let name = try arguments.required("name")
                guard let entry = state.withLock({ $0.exports.first { $0.export.name == name } }) else { throw MonitorError("Export '\(name)' is not found") }
                try removeExport(entry.id, hard: arguments.text("mode") == "hard")
                return .nothing
            },
            CommandDeclaration("block-export-add", [
                Parameter("type", .enumeration("BlockExportType", ["nbd", "vhost-user-blk", "fuse", "vduse-blk"])), Parameter("id", .text), Parameter("node-name", .text),
                Parameter("writable", .flag, optional: true), Parameter("name", .text, optional: true), Parameter("description", .text, optional: true),
                Parameter("bitmaps", .array(BlockService.bitmapReference), optional: true), Parameter("allocation-depth", .flag, optional: true),
                Parameter("fixed-iothread", .flag, optional: true),
            ]) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in try addExport(arguments.json) }
                return .nothing
            },
            CommandDeclaration("block-export-del", [Parameter("id", .text), BlockService.removeMode]) { [self] arguments throws(MonitorError) in
                try removeExport(try arguments.required("id"), hard: arguments.text("mode") == "hard")
                return .nothing
            },
            CommandDeclaration("query-block-exports", returns: .array(.object("BlockExportInfo", [
                Parameter("id", .text), Parameter("type", .enumeration("BlockExportType", ["nbd", "vhost-user-blk", "fuse", "vduse-blk"])),
                Parameter("node-name", .text), Parameter("shutting-down", .flag),
            ]))) { [self] _ in
                .array(state.withLock { $0.exports }.map { entry in
                    .object([.init("node-name", .text(entry.export.root.node.name)), .init("shutting-down", .flag(entry.isLeaving)), .init("type", .text("nbd")),
                             .init("id", .text(entry.id))])
                })
            },
        ]
    }

    /// Starts the server: `addr`, `tls-creds`, `max-connections`, `handshake-max-seconds`.
    public func startServer(_ options: JSONValue) throws(BlockError) {
        guard state.withLock({ $0.server == nil }) else { throw .invalid("NBD server already running") }
        for member in options.members ?? [] where !["addr", "tls-creds", "max-connections", "handshake-max-seconds"].contains(member.name) {
            throw .unsupported("NBD server: the option '\(member.name)' is not supported")
        }
        func number(_ name: String, _ standard: UInt64) throws(BlockError) -> UInt64 {
            switch options[name] {
            case nil: return standard
            case .integer(let value)? where value >= 0: return UInt64(value)
            case .text(let text)?:
                guard let value = UInt64(text) else { throw .invalid("Parameter '\(name)' expects a number") }
                return value
            default: throw .invalid("Parameter '\(name)' expects a number")
            }
        }
        guard let address = options["addr"] else { throw .invalid("Parameter 'addr' is missing") }
        let credentials = try options["tls-creds"]?.string.map { (id) throws(BlockError) in try TLSObject.credentials(id, graph, isServer: true) }
        let server = Server(credentials: credentials, mostClients: Int(clamping: try number("max-connections", 100)),
                            handshakeSeconds: Double(try number("handshake-max-seconds", 10)))
        do throws(SocketError) {
            let listener = try Listener(try SocketAddress(json: address))
            try listener.start { server.admit($0) }
            state.withLock { $0.server = (server, listener) }
        } catch { throw .invalid(error.text) }
    }

    /// Stops the server with all its exports.
    func stopServer() {
        guard let running = state.withLock({ state in
            defer { state.server = nil }
            return state.server
        }) else { return }
        // First: the listener may wait for room among the clients.
        running.server.stop()
        running.listener.stop()
        for entry in state.withLock({ $0.exports }) { drop(entry) }
    }

    /// Adds an export: the arguments of block-export-add.
    public func addExport(_ options: JSONValue) throws(BlockError) {
        guard let type = options["type"]?.string else { throw .invalid("Parameter 'type' is missing") }
        guard type == "nbd" else { throw .unsupported("exports of the type '\(type)' are not supported (nbd is)") }
        let known = ["type", "id", "node-name", "writable", "name", "description", "bitmaps", "bitmap", "allocation-depth", "fixed-iothread"]
        if let odd = options.members?.first(where: { !known.contains($0.name) }) { throw .invalid("export: Parameter '\(odd.name)' is unexpected") }
        guard let id = options["id"]?.string, let name = options["node-name"]?.string else { throw .invalid("Parameter 'id' or 'node-name' is missing") }
        guard options["fixed-iothread"] != .flag(true) else { throw .unsupported("export: fixed-iothread is not supported: there are no iothreads") }
        func flag(_ name: String) throws(BlockError) -> Bool {
            switch options[name] {
            case nil, .flag(false)?, .text("off")?: return false
            case .flag(true)?, .text("on")?: return true
            default: throw .invalid("Parameter '\(name)' expects 'on' or 'off'")
            }
        }
        try changing.withLock { (_) throws(BlockError) in
            guard let server = state.withLock({ $0.server?.server }) else { throw .invalid("NBD server not running") }
            guard !state.withLock({ $0.exports.contains { $0.id == id } }) else { throw .invalid("Block export id '\(id)' is already in use") }
            let node = try find(name)
            var settings = Export.Settings(name: options["name"]?.string ?? name, isWritable: try flag("writable"))
            settings.description = options["description"]?.string
            settings.offersDepth = try flag("allocation-depth")
            var wanted: [JSONValue] = []
            if case .array(let list)? = options["bitmaps"] { wanted = list }
            if let bitmap = options["bitmap"] { wanted.append(bitmap) }
            for reference in wanted { settings.bitmaps.append(try exportedBitmap(reference, node, isWritable: settings.isWritable)) }
            let export = try Export(Root(node), settings)
            try server.add(export)
            node.retain()
            state.withLock { $0.exports.append(ExportEntry(id: id, export: export, nodeName: name)) }
        }
    }

    private func removeExport(_ id: String, hard: Bool) throws(MonitorError) {
        guard let entry = state.withLock({ $0.exports.first { $0.id == id } }) else { throw MonitorError("Export '\(id)' is not found") }
        if entry.export.isBusy, !hard { throw MonitorError("export '\(id)' still in use") }
        drop(entry)
    }

    private func drop(_ entry: ExportEntry) {
        state.withLock { state in
            if let index = state.exports.firstIndex(where: { $0.export === entry.export }) { state.exports[index].isLeaving = true }
            state.server?.server.remove(entry.export)
        }
        entry.export.retire()
        changing.withLock { _ in
            state.withLock { $0.exports.removeAll { $0.export === entry.export } }
            try? entry.export.root.node.close()
        }
        monitor.emit("BLOCK_EXPORT_DELETED", .object([.init("id", .text(entry.id))]))
    }
}
