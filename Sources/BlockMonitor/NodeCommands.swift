// blockdev-add, -del, -reopen, block_resize, query-named-block-nodes, object-add, -del.

import Block
import Core
import Host
import Monitor

extension BlockService {
    static let nodeOptions = [
        Parameter("driver", .text), Parameter("node-name", .text, optional: true), Parameter("read-only", .flag, optional: true),
        Parameter("auto-read-only", .flag, optional: true), Parameter("force-share", .flag, optional: true),
        Parameter("discard", .enumeration("BlockdevDiscardOptions", ["ignore", "unmap"]), optional: true),
        Parameter("detect-zeroes", .enumeration("BlockdevDetectZeroesOptions", ["off", "on", "unmap"]), optional: true),
        Parameter("cache", .object("BlockdevCacheOptions", [Parameter("direct", .flag, optional: true), Parameter("no-flush", .flag, optional: true)]), optional: true),
    ]

    var nodeCommands: [CommandDeclaration] {
        [
            CommandDeclaration("blockdev-add", BlockService.nodeOptions, open: true) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in try addNode(arguments.json) }
                return .nothing
            },
            CommandDeclaration("blockdev-del", [Parameter("node-name", .text)]) { [self] arguments throws(MonitorError) in
                let name = try arguments.required("node-name")
                try BlockService.reporting { () throws(BlockError) in try deleteNode(name) }
                return .nothing
            },
            CommandDeclaration("blockdev-reopen", [Parameter("options", .array(.open("BlockdevOptions", BlockService.nodeOptions)))]) { [self] arguments throws(MonitorError) in
                for options in arguments.array("options") { try BlockService.reporting { () throws(BlockError) in try reopen(options) } }
                return .nothing
            },
            CommandDeclaration("block_resize", [Parameter("device", .text, optional: true), Parameter("node-name", .text, optional: true), Parameter("size", .size)]) { [self] arguments throws(MonitorError) in
                guard let size = try arguments.size("size"), size <= UInt64(Int64.max) else { throw MonitorError("Parameter 'size' expects a >0 size") }
                let node = try BlockService.reporting { () throws(BlockError) in
                    try changing.withLock { (_) throws(BlockError) in
                        let node = try find(arguments)
                        try refuseIfBusy(node)
                        try quiesced { () throws(BlockError) in try node.setLength(size) }
                        return node
                    }
                }
                state.withLock { $0.resized }(node)
                return .nothing
            },
            CommandDeclaration("query-named-block-nodes", [Parameter("flat", .flag, optional: true)], returns: .array(NodeDescription.type)) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in
                    .array(try allNodes.map { (node) throws(BlockError) in try NodeDescription.json(node, bitmaps: bitmapDescriptions(of: node), flat: arguments.flag("flat") ?? false) })
                }
            },
            CommandDeclaration("object-add", [Parameter("qom-type", .text), Parameter("id", .text)], open: true) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in try graph.add(object: arguments.json) }
                return .nothing
            },
            CommandDeclaration("object-del", [Parameter("id", .text)]) { [self] arguments throws(MonitorError) in
                let id = try arguments.required("id")
                try BlockService.reporting { () throws(BlockError) in try graph.removeObject(id) }
                return .nothing
            },
        ]
    }

    /// Adds the node that an object describes, and those below it that have names.
    public func addNode(_ description: JSONValue) throws(BlockError) {
        guard let name = description["node-name"]?.string, !name.isEmpty else { throw .invalid("'node-name' must be specified for the root node") }
        try changing.withLock { (_) throws(BlockError) in
            guard entry(name) == nil else { throw .invalid("Duplicate nodes with node-name='\(name)'") }
            guard name.utf8.count < 32, name.first?.isLetter == true, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }) else {
                throw .invalid("Invalid node-name: '\(name)'")
            }
            let node = try graph.open(options: description, .readWrite)
            do throws(BlockError) { try adopt(node, description, isOwned: true) } catch {
                try? node.close()
                throw error
            }
        }
    }

    /// Makes a node and the named ones below it known.
    func adopt(_ node: Node, _ description: JSONValue?, isOwned: Bool) throws(BlockError) {
        var new: [(Node, JSONValue?)] = []
        func visit(_ node: Node, _ description: JSONValue?) throws(BlockError) {
            if let known = entry(node.name) {
                if known.node === node { return }
                throw .invalid("Duplicate nodes with node-name='\(node.name)'")
            }
            new.append((node, description))
            for child in node.children { try visit(child.node, description?[child.role].flatMap { $0.members == nil ? nil : $0 }) }
        }
        try visit(node, description)
        for (index, item) in new.enumerated() {
            try graph.add(item.0)
            state.withLock { $0.nodes[item.0.name] = NodeEntry(node: item.0, description: item.1, isOwned: index == 0 && isOwned) }
        }
    }

    /// Forgets a node and the nodes below it that nobody else has.
    func forget(_ node: Node) {
        graph.remove(node)
        state.withLock { state in
            if state.nodes[node.name]?.node === node { state.nodes[node.name] = nil }
        }
        for child in node.children { forgetUnlessHeld(child.node) }
    }

    /// Forgets what its last user is about to give up, but for nodes of `blockdev-add`.
    func forgetUnlessHeld(_ node: Node) {
        if entry(node.name)?.isOwned != true, node.userCount <= 1 { forget(node) }
    }

    private func deleteNode(_ name: String) throws(BlockError) {
        try changing.withLock { (_) throws(BlockError) in
            guard let entry = entry(name) else { throw .invalid("Failed to find node with node-name='\(name)'") }
            guard entry.isOwned else { throw .invalid("Node '\(name)' is not owned by the monitor") }
            guard entry.node.userCount == 1 else { throw .invalid("Node \(name) is in use") }
            dropBitmaps(of: entry.node)
            forget(entry.node)
            try entry.node.close()
        }
    }

    func refuseIfBusy(_ node: Node) throws(BlockError) {
        if let job = state.withLock({ $0.jobs.first { $0.uses(node) && !$0.hasEnded } }) {
            throw .invalid("Node '\(node.name)' is busy: block device is in use by block job: \(job.type)")
        }
    }

    // MARK: Reopening

    private func reopen(_ options: JSONValue) throws(BlockError) {
        guard let name = options["node-name"]?.string else { throw .invalid("node-name not specified") }
        try changing.withLock { (_) throws(BlockError) in
            let node = try find(name)
            try refuseIfBusy(node)
            guard options["driver"]?.string == node.driver else { throw .invalid("Cannot change the option 'driver'") }
            let keeps = options["backing"] == nil
            try quiesced { () throws(BlockError) in
                // Named children are made fit first.
                let writes = options["read-only"] != .flag(true)
                if let file = options["file"]?.string, writes { _ = try writable(try find(file)) }
                _ = try replace(node, with: options, keepsBacking: keeps)
            }
        }
    }

    /// The node, opened for writing if it was not: maybe another object, to which all have been moved. While quiesced.
    func writable(_ node: Node) throws(BlockError) -> Node {
        if node.isWritable { return node }
        let known = entry(node.name)
        var description = known?.description
        if let file = description?["file"]?.string { _ = try writable(try find(file)) }
        if description == nil {
            guard let file = node.child("file") else {
                description = .object([.init("driver", .text(node.driver)), .init("filename", .text(node.filename))])
                return try replace(node, with: description ?? .null, keepsBacking: true)
            }
            description = .object([.init("driver", .text(node.driver)),
                                   .init("file", .object([.init("driver", .text(file.driver)), .init("filename", .text(file.filename))]))])
        }
        // Everywhere in the description: its own file may be read-only as well.
        func opened(_ value: JSONValue) -> JSONValue {
            guard let members = value.members else { return value }
            return .object(members.filter { !["read-only", "auto-read-only", "backing"].contains($0.name) }.map { .init($0.name, opened($0.value)) })
        }
        var members = opened(description ?? .null).members ?? []
        members.removeAll { $0.name == "node-name" }
        members.append(.init("node-name", .text(node.name)))
        return try replace(node, with: .object(members), keepsBacking: true)
    }

    /// Opens a node anew in another way and moves all to it. While quiesced.
    private func replace(_ old: Node, with options: JSONValue, keepsBacking: Bool) throws(BlockError) -> Node {
        let known = entry(old.name)
        var members = options.members ?? []
        let backing = keepsBacking ? old.backing : nil
        if keepsBacking, old.image is any BackedImage {
            members.removeAll { $0.name == "backing" }
            members.append(.init("backing", .null))
        }
        // Files below that have no names of their own are opened anew with it: their locks would be in the way.
        let files = old.children.filter { $0.role != "backing" && entry($0.node.name)?.isOwned != true }.map(\.node)
        if old.isWritable { try old.closeEarly() }
        for file in [old] + files { try? file.giveLocksUp() }
        graph.remove(old)
        for file in files { graph.remove(file) }
        let new: Node
        do throws(BlockError) { new = try graph.open(options: .object(members), .readWrite) } catch {
            // As it was before.
            if !old.isWritable {
                for file in files { try? file.lock(holdsMetadata: true) }
                try? graph.add(old)
                for file in files { try? graph.add(file) }
            }
            throw error
        }
        if let backing, let storage = new.storage as? ImageStorage {
            backing.retain()
            storage.setBacking(backing)
        }
        state.withLock { state in
            state.nodes[old.name] = nil
            for file in files { state.nodes[file.name] = nil }
        }
        try adopt(new, options, isOwned: known?.isOwned ?? false)
        exchange(old, for: new)
        moveBitmaps(from: old, to: new)
        // The table's use of the old one, if it had one; the new one's is the table's, or nobody's.
        if known?.isOwned == true { try? old.close() } else { try? new.close() }
        return new
    }
}
