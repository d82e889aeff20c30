import Block

/// `commit`: writes an image's contents into the image it stands on.
enum CommitVerb: Verb {
    static let name = "commit"
    static let summary = "writes an image's contents into its backing file"
    static let usage = "[-f FMT] [-b BASE] [-d] [-r RATE] [-t CACHE] [-p] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .progress,
        CommandOption("cache", "t", value: "MODE", "cache mode (writeback)"),
        CommandOption("drop", "d", "leave FILENAME as it is instead of emptying it"),
        CommandOption("base", "b", value: "BASE", "the image of the chain to write to (the nearest); implies -d"),
        CommandOption("rate", "r", value: "BYTES", "at most so many bytes a second"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        let access = Access(writable: true, cache: try tool.cache(arguments, "cache", .writeBack), discards: true)
        let rate = try arguments.value("rate").map { (text) throws(ToolFailure) in try tool.size(text, "rate limit") } ?? 0
        let graph = try tool.graph(arguments)
        let base = arguments.value("base")
        let chain: [Node]
        do {
            chain = try graph.openChain(name, format: arguments.value("format"), access, base: base)
        } catch { throw ToolFailure(Tool.openFailure(name, error)) }
        let progress = Progress(arguments)
        try tool.closing(Array(chain.prefix(1))) { () throws(BlockError) in
            guard let top = chain.first, let bottom = chain.last, chain.count > 1 else { throw .invalid("Image does not have a backing file") }
            try CommitJob(top: top, base: bottom, control: JobControl(rate: rate, report: progress.report)).run()
            if !arguments.has("drop"), base == nil, let image = top.image as? any EmptyableImage, let storage = top.storage as? ImageStorage {
                try storage.exclusively { () throws(BlockError) in try image.makeEmpty() }
            }
        }
        progress.finish()
        if !arguments.isQuiet { tool.say("Image committed.\n") }
        return 0
    }
}
