import Block

/// `rebase`: puts an image on another backing file.
enum RebaseVerb: Verb {
    static let name = "rebase"
    static let summary = "puts an image on another backing file"
    static let usage = "[-f FMT] [-b BACKING [-F FMT]] [-u] [-t CACHE] [-T CACHE] [-p] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare, .progress,
        CommandOption("cache", "t", value: "MODE", "cache mode of FILENAME (writeback)"),
        CommandOption("backing-cache", "T", value: "MODE", "cache mode of the backing files (writeback)"),
        CommandOption("backing", "b", value: "BACKING", "the new backing file; an empty name: none"),
        CommandOption("backing-format", "F", value: "FMT", "its format"),
        CommandOption("backing-unsafe", "u", "change the name only: contents change if the files differ"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        let unsafe = arguments.has("backing-unsafe")
        var access = Access(writable: true, cache: try tool.cache(arguments, "cache", .writeBack))
        access.opensBacking = !unsafe
        let below = Access(cache: try tool.cache(arguments, "backing-cache", .writeBack))
        guard unsafe || arguments.has("backing") else { throw ToolFailure("Need a new backing file: -b") }
        let graph = try tool.graph(arguments)
        let node = try tool.open(name, format: arguments.value("format"), access, graph, arguments)
        let progress = Progress(arguments)
        try tool.closing([node]) { () throws(BlockError) in
            guard let image = node.image as? any RebasableImage, let storage = node.storage as? ImageStorage else {
                throw .unsupported("the format '\(node.driver)' has no backing files")
            }
            let given = arguments.value("backing") ?? ""
            let format = arguments.value("backing-format")
            if let format, graph.catalogue.format(format) == nil { throw .invalid("Invalid format name: '\(format)'") }
            let reference = given.isEmpty ? nil : FileReference(name: given, format: format)
            if !unsafe {
                var new: Node?
                if let reference {
                    let full = ImageName.resolve(reference.name, relativeTo: node.filename)
                    do throws(BlockError) { new = try graph.open(full, format: format, below) } catch {
                        throw BlockError(error.kind, "Could not open new backing file '\(given)': \(error)")
                    }
                }
                let result: BlockError?
                do throws(BlockError) {
                    try RebaseJob(node: node, old: node.backing, new: new, control: JobControl(report: progress.report)).run()
                    result = nil
                } catch { result = error }
                try new?.close()
                if let result { throw result }
            }
            var stored = reference
            if let reference, reference.format == nil {
                // A header without the format would let the backing file's contents choose it.
                let full = ImageName.resolve(reference.name, relativeTo: node.filename)
                if let probed = try? graph.open(full, Access(opensBacking: false)) {
                    stored?.format = probed.driver
                    try probed.close()
                }
            }
            try storage.exclusively { () throws(BlockError) in try image.setBacking(stored) }
        }
        progress.finish()
        return 0
    }
}
