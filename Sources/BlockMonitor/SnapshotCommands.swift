// Snapshots outside of images: blockdev-snapshot, blockdev-snapshot-sync. A new image takes the place of the old one, which
// it stands on.

import Block
import Core
import Host
import Monitor

extension BlockService {
    static let snapshotParameters: [String: [Parameter]] = [
        "blockdev-snapshot": [Parameter("node", .text), Parameter("overlay", .text)],
        "blockdev-snapshot-sync": [
            Parameter("device", .text, optional: true), Parameter("node-name", .text, optional: true), Parameter("snapshot-file", .text),
            Parameter("snapshot-node-name", .text, optional: true), Parameter("format", .text, optional: true),
            Parameter("mode", .enumeration("NewImageMode", ["existing", "absolute-paths"]), optional: true),
        ],
    ]

    var snapshotCommands: [CommandDeclaration] {
        BlockService.snapshotParameters.map { name, parameters in
            CommandDeclaration(name, parameters) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in
                    try changing.withLock { (_) throws(BlockError) in
                        _ = try quiesced { () throws(BlockError) in try snapshotAction(name, arguments) }
                    }
                }
                return .nothing
            }
        }
    }

    /// Does one of the commands; returns what takes it back. With `changing` held, quiesced.
    func snapshotAction(_ command: String, _ arguments: Arguments) throws(BlockError) -> Undo {
        if command == "blockdev-snapshot" {
            let node = try find(arguments.text("node") ?? ""), overlay = try find(arguments.text("overlay") ?? "")
            return try putInFront(overlay, of: node)
        }
        let node = try find(arguments)
        try refuseIfBusy(node)
        let (overlay, made) = try makeOverlay(of: node, arguments)
        do throws(BlockError) {
            let undo = try putInFront(overlay, of: node)
            return { [self] in
                undo()
                forget(overlay)
                try? overlay.close()
                if made { BlockService.removeFile(overlay.filename) }
            }
        } catch {
            forget(overlay)
            try? overlay.close()
            throw error
        }
    }

    private func putInFront(_ overlay: Node, of node: Node) throws(BlockError) -> Undo {
        guard let storage = overlay.storage as? ImageStorage, overlay.image is any BackedImage else { throw .invalid("The overlay does not support backing images") }
        guard overlay !== node, overlay.userCount == 1 else { throw .invalid("The overlay is already in use") }
        guard storage.backing == nil else { throw .invalid("The overlay already has a backing image") }
        try refuseIfBusy(node)
        try node.flush()
        // Those that stood on the node stand on the overlay, and may have been its only users; then the overlay stands on the node.
        node.retain()
        exchange(node, for: overlay)
        storage.setBacking(node)
        return { [self] in
            storage.setBacking(nil)
            exchange(overlay, for: node)
            try? node.close()
        }
    }

    /// The new image, opened without its backing file; whether its file was made here.
    private func makeOverlay(of node: Node, _ arguments: Arguments) throws(BlockError) -> (Node, Bool) {
        let word = arguments.text("format") ?? "qcow2"
        guard let file = arguments.text("snapshot-file") else { throw .invalid("Parameter 'snapshot-file' is missing") }
        let makes = arguments.text("mode") != "existing"
        if makes {
            guard let format = graph.catalogue.format(word) as? any CreatableFormat.Type else { throw .invalid("Invalid snapshot format '\(word)'") }
            var options = OptionValues(format.createOptions)
            guard options.declares("backing_file") else { throw .invalid("Snapshot format '\(word)' has no backing files") }
            let size = try node.length()
            try options.set("size", String(size))
            try options.set("backing_file", node.filename)
            if options.declares("backing_fmt") { try options.set("backing_fmt", node.driver) }
            try graph.create(file, format: format, size: size, options: options)
        }
        var members: [JSONValue.Member] = [.init("driver", .text(word)), .init("file", .object([.init("driver", .text("file")), .init("filename", .text(file))])), .init("backing", .null)]
        if let name = arguments.text("snapshot-node-name") { members.append(.init("node-name", .text(name))) }
        var access = node.access
        access.writable = true
        let overlay = try graph.open(options: .object(members), access)
        do throws(BlockError) { try adopt(overlay, .object(members), isOwned: true) } catch {
            try? overlay.close()
            throw error
        }
        return (overlay, makes)
    }
}
