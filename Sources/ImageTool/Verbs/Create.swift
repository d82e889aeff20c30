import Block

/// `create`: a new, empty image.
enum CreateVerb: Verb {
    static let name = "create"
    static let summary = "makes a new image"
    static let usage = "[-q] [-f FMT] [-o OPTIONS] [-b BACKING [-F BACKING_FMT]] [-u] FILENAME [SIZE]"
    static let options = [
        CommandOption("format", "f", value: "FMT", "the new image's format (raw)"),
        CommandOption("options", "o", value: "OPTIONS", "name=value,…; 'help' lists them"),
        CommandOption("backing", "b", value: "FILE", "the image to stand on"),
        CommandOption("backing-format", "F", value: "FMT", "its format"),
        CommandOption("backing-unsafe", "u", "do not look at the backing file"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let words = arguments.values("options")
        let formatName = arguments.value("format") ?? "raw"
        if NewImage.asksForHelp(words) {
            tool.say(NewImage.help(try NewImage(formatName, "", tool).format))
            return 0
        }
        guard let name = arguments.operands.first else { throw ToolFailure("Expecting image file name") }
        guard arguments.operands.count <= 2 else { throw ToolFailure("Unexpected argument: \(arguments.operands[2])") }
        var image = try NewImage(formatName, name, tool)
        try image.apply(words, name)
        if arguments.operands.count == 2 {
            let size = try tool.size(arguments.operands[1], "image size")
            try image.apply(["size=\(size)"], name)
        }
        try image.back(by: arguments.value("backing"), format: arguments.value("backing-format"), name)
        let graph = try tool.graph(arguments)
        try image.inspectBacking(name, graph, unsafe: arguments.has("backing-unsafe"))
        guard image.options.has("size") else { throw ToolFailure("\(name): Image creation needs a size parameter") }
        if !arguments.isQuiet { tool.say(image.announcement(name)) }
        try image.make(name, graph)
        return 0
    }
}
