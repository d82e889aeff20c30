import Block

/// `amend`: changes creation options of an image.
enum AmendVerb: Verb {
    static let name = "amend"
    static let summary = "changes creation options of an image"
    static let usage = "[-f FMT] [-t CACHE] [--force] [-p] [-q] -o OPTIONS FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .progress,
        CommandOption("options", "o", value: "OPTIONS", "what to change; 'help' lists it"),
        CommandOption("cache", "t", value: "MODE", "cache mode (writeback)"),
        CommandOption("force", "allow what may lose data"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let words = arguments.values("options")
        guard !words.isEmpty else { throw ToolFailure("Must specify options (-o)") }
        let name = try arguments.operands(1, "one image file name")[0]
        let access = Access(writable: true, cache: try tool.cache(arguments, "cache", .writeBack))
        let node = try tool.open(name, format: arguments.value("format"), access, try tool.graph(arguments), arguments)
        let progress = Progress(arguments)
        let result = try tool.closing([node]) { () throws(BlockError) -> Int32 in
            guard let image = node.image as? any AmendableImage, let storage = node.storage as? ImageStorage else {
                throw .unsupported("Format driver '\(node.driver)' does not support option amendment")
            }
            let declarations = type(of: image).amendOptions
            if NewImage.asksForHelp(words) {
                tool.say("Amend options for '\(node.driver)':\n" + NewImage.table(declarations))
                return 0
            }
            var values = OptionValues(declarations)
            for word in words { for option in OptionValues.split(word) { try values.set(option.name, option.value) } }
            try storage.exclusively { () throws(BlockError) in
                try image.amend(values, force: arguments.has("force")) { progress.report?($0) }
            }
            return 0
        }
        progress.finish()
        return result
    }
}
