import Block

/// `bitmap`: the dirty bitmaps stored in an image. Actions happen in the order given.
enum BitmapVerb: Verb {
    static let name = "bitmap"
    static let summary = "changes the dirty bitmaps stored in an image"
    static let usage = "(--add [-g GRANULARITY] | --remove | --clear | --enable | --disable | --merge SOURCE [-b FILE [-F FMT]])… [-f FMT] FILENAME BITMAP"
    static let options = [
        CommandOption.format, .imageOptions,
        CommandOption("add", "make it"), CommandOption("remove", "delete it"), CommandOption("clear", "mark all as clean"),
        CommandOption("enable", "record writes from now on"), CommandOption("disable", "no longer"),
        CommandOption("merge", value: "SOURCE", "add what another bitmap holds"),
        CommandOption("granularity", "g", value: "SIZE", "bytes a bit, for --add (64k)"),
        CommandOption("source-file", "b", value: "FILE", "where SOURCE is, if not in FILENAME"),
        CommandOption("source-format", "F", value: "FMT", "its format"),
    ]
    private static let actions = ["add", "remove", "clear", "enable", "disable", "merge"]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let words = try arguments.operands(2, "image file name and bitmap name")
        let bitmap = words[1]
        let wanted = arguments.inOrder.filter { actions.contains($0.name) }
        guard !wanted.isEmpty else { throw ToolFailure("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge") }
        if arguments.has("granularity"), !arguments.has("add") { throw ToolFailure("granularity only supported with --add") }
        if arguments.has("source-file"), !arguments.has("merge") { throw ToolFailure("Merge bitmap source file only supported with --merge") }
        if arguments.has("source-format"), !arguments.has("source-file") { throw ToolFailure("-F is only supported with -b") }
        let granularity = try arguments.value("granularity").map { (text) throws(ToolFailure) in try tool.size(text, "granularity") } ?? 65536
        let graph = try tool.graph(arguments)
        let node = try tool.open(words[0], format: arguments.value("format"), Access(writable: true, opensBacking: false), graph, arguments)
        var nodes = [node]
        if let file = arguments.value("source-file") {
            do throws(ToolFailure) {
                nodes.append(try tool.open(file, format: arguments.value("source-format"), Access(opensBacking: false), graph, arguments))
            } catch {
                try? node.close()
                throw error
            }
        }
        let opened = nodes
        try tool.closing(opened) { () throws(BlockError) in
            guard let image = node.image as? any BitmappedImage else { throw .unsupported("the format '\(node.driver)' stores no bitmaps") }
            for action in wanted {
                do throws(BlockError) {
                    switch action.name {
                    case "add": try image.addBitmap(BitmapRecord(name: bitmap, granularity: granularity, isEnabled: !arguments.has("disable")))
                    case "remove": try image.removeBitmap(bitmap)
                    case "clear": try image.clearBitmap(bitmap)
                    case "enable", "disable": try image.enableBitmap(bitmap, action.name == "enable")
                    default:
                        guard let source = (opened.last ?? node).image as? any BitmappedImage else { throw .unsupported("the source's format stores no bitmaps") }
                        try image.markDirty(bitmap, try source.dirtyRanges(action.value))
                    }
                } catch { throw BlockError(error.kind, "Operation \(action.name) on bitmap \(bitmap) failed: \(error)") }
            }
        }
        return 0
    }
}
