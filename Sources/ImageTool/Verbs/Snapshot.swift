import Block
import Glibc

/// `snapshot`: the snapshots inside an image.
enum SnapshotVerb: Verb {
    static let name = "snapshot"
    static let summary = "lists, makes, applies or deletes snapshots inside an image"
    static let usage = "[-f FMT] [-U] [-l | -a SNAPSHOT | -c SNAPSHOT | -d SNAPSHOT] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare,
        CommandOption("list", "l", "list them (what is done without another)"),
        CommandOption("apply", "a", value: "SNAPSHOT", "go back to one"),
        CommandOption("create", "c", value: "SNAPSHOT", "make one"),
        CommandOption("delete", "d", value: "SNAPSHOT", "delete one"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        let actions = arguments.inOrder.filter { ["list", "apply", "create", "delete"].contains($0.name) }
        guard actions.count <= 1 else { throw ToolFailure("Cannot mix '-l', '-a', '-c', '-d'") }
        let action = actions.first ?? ("list", "")
        let access = Access(writable: action.name != "list")
        let node = try tool.open(name, format: arguments.value("format"), access, try tool.graph(arguments), arguments)
        return try tool.closing([node]) { () throws(BlockError) -> Int32 in
            guard let image = node.image as? any SnapshottingImage, let storage = node.storage as? ImageStorage else {
                if action.name == "list" { return 0 }
                throw .unsupported("Could not \(action.name) snapshot '\(action.value)': the format has no snapshots inside")
            }
            if action.name == "list" {
                if !image.snapshots.isEmpty { tool.say((["Snapshot list:"] + SnapshotText.table(image.snapshots)).joined(separator: "\n") + "\n") }
                return 0
            }
            do throws(BlockError) {
                try storage.exclusively { () throws(BlockError) in
                    switch action.name {
                    case "create":
                        var now = timespec()
                        clock_gettime(CLOCK_REALTIME, &now)
                        try image.createSnapshot(SnapshotRecord(id: "", name: action.value, seconds: UInt64(now.tv_sec), nanoseconds: UInt32(now.tv_nsec)))
                    case "apply": try image.applySnapshot(action.value)
                    default: try image.deleteSnapshot(action.value)
                    }
                }
            } catch {
                throw BlockError(error.kind, "Could not \(action.name) snapshot '\(action.value)': \(error)")
            }
            return 0
        }
    }
}
