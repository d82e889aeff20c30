import Block
import Core

/// `measure`: how large a file an image would need.
enum MeasureVerb: Verb {
    static let name = "measure"
    static let summary = "tells how large a file a new image would need"
    static let usage = "[-O FMT] [-o OPTIONS] [--output=human|json] (--size SIZE | [-f FMT] [-l SNAPSHOT] FILENAME)"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare, .output,
        CommandOption("target-format", "O", value: "FMT", "the new image's format (raw)"),
        CommandOption("options", "o", value: "OPTIONS", "its creation options"),
        CommandOption("size", "s", value: "SIZE", "of the disk"),
        CommandOption("snapshot", "l", value: "SNAPSHOT", "which snapshot of FILENAME"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let json = try arguments.wantsJSON()
        var image = try NewImage(arguments.value("target-format") ?? "raw", "measure", tool)
        try image.apply(arguments.values("options"), "measure")
        guard let measurable = image.format as? any MeasurableFormat.Type else {
            throw ToolFailure("Block driver '\(image.format.name)' does not support size measurement")
        }
        let sizeText = arguments.value("size")
        guard arguments.operands.count <= 1 else { throw ToolFailure("At most one filename argument is allowed.") }
        guard (sizeText == nil) != arguments.operands.isEmpty else {
            throw ToolFailure(sizeText == nil ? "Either --size N or one filename must be specified." : "--size N cannot be used together with a filename.")
        }
        var nodes: [Node] = []
        if let name = arguments.operands.first {
            nodes = [try tool.open(name, format: arguments.value("format"), .readOnly, try tool.graph(arguments), arguments)]
            if let which = arguments.value("snapshot") {
                guard let shown = nodes[0].image as? any SnapshottingImage else { throw ToolFailure("Failed to load snapshot: the format has no snapshots") }
                do { try shown.showSnapshot(which) } catch { throw ToolFailure("Failed to load snapshot: \(error)") }
            }
        }
        let given = try sizeText.map { (text) throws(ToolFailure) in try tool.size(text, "image size") }
        let options = image.options
        let result = try tool.closing(nodes) { () throws(BlockError) -> Measurement in
            let size: UInt64
            if let given { size = given } else { size = try nodes.first?.length() ?? 0 }
            return try measurable.measure(options, size: size, source: nodes.first)
        }
        if json {
            var members: [JSONValue.Member] = []
            if let bitmaps = result.bitmaps { members.append(.init("bitmaps", .number(bitmaps))) }
            members += [.init("required", .number(result.required)), .init("fully-allocated", .number(result.fullyAllocated))]
            tool.say(JSONValue.object(members).pretty + "\n")
        } else {
            tool.say("required size: \(result.required)\nfully allocated size: \(result.fullyAllocated)\n" + (result.bitmaps.map { "bitmaps size: \($0)\n" } ?? ""))
        }
        return 0
    }
}
