import Block
import Core

/// `convert`: copies one or more images into a new one, of another format if wanted.
enum ConvertVerb: Verb {
    static let name = "convert"
    static let summary = "copies images into another, of any format"
    static let usage = "[-f FMT] [-O FMT] [-o OPTIONS] [-c] [-p] [-n] [-B BACKING [-F FMT]] [-S SIZE] [-m THREADS] [-W] [-C] … SOURCE … TARGET"
    static let options = [
        CommandOption("source-format", "f", value: "FMT", "the sources' format"),
        CommandOption("target-format", "O", value: "FMT", "the target's format (raw)"),
        CommandOption("target-options", "o", value: "OPTIONS", "creation options; 'help' lists them"),
        CommandOption("backing", "B", value: "FILE", "the target stands on this image"),
        CommandOption("backing-format", "F", value: "FMT", "its format"),
        CommandOption("compress", "c", "compress the target"),
        CommandOption("source-cache", "T", value: "MODE", "cache mode of the sources (writeback)"),
        CommandOption("target-cache", "t", value: "MODE", "cache mode of the target (unsafe)"),
        CommandOption("no-create", "n", "the target exists already"),
        CommandOption("target-is-zero", "… and reads as zeros"),
        CommandOption("target-image-opts", "the target is a description: driver=…,file.filename=…"),
        CommandOption("sparse-size", "S", value: "SIZE", "shortest run of zeros left out (4k); 0: none"),
        CommandOption("source-snapshot", "l", value: "SNAPSHOT", "what to read: snapshot.id=…, snapshot.name=…, or either"),
        CommandOption("parallel", "m", value: "THREADS", "requests in flight, 1 to 16 (8)"),
        CommandOption("oob-writes", "W", "write in any order"),
        CommandOption("rate", "r", value: "BYTES", "at most so many bytes a second"),
        CommandOption("salvage", "what cannot be read becomes zeros"),
        CommandOption("bitmaps", "copy persistent bitmaps too"),
        CommandOption("skip-broken-bitmaps", "… but not inconsistent ones"),
        CommandOption("copy-range-offloading", "C", "let the host copy from file to file where it can"),
        CommandOption.progress, .imageOptions, .forceShare,
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let words = arguments.values("target-options")
        let formatName = arguments.value("target-format") ?? "raw"
        if NewImage.asksForHelp(words) {
            tool.say(NewImage.help(try NewImage(formatName, "", tool).format))
            return 0
        }
        guard arguments.operands.count >= 2, let targetName = arguments.operands.last else { throw ToolFailure("Must specify image file name") }
        try check(arguments)
        let graph = try tool.graph(arguments)
        var opened: [Node] = []
        do throws(ToolFailure) {
            for name in arguments.operands.dropLast() {
                opened.append(try tool.open(name, format: arguments.value("source-format"),
                                            Access(cache: try tool.cache(arguments, "source-cache", .writeBack)), graph, arguments))
            }
            if let which = arguments.value("source-snapshot") { try show(which, opened) }
            let sources = opened
            let target = try makeTarget(targetName, formatName, sources, arguments, graph, tool)
            opened.insert(target.node, at: 0)
            var work = Conversion(sources: sources, target: target.node)
            work.targetIsZero = target.isZero
            work.onlyTopLayer = arguments.has("backing")
            work.compresses = arguments.has("compress") || target.node.image is any CompressedOnlyImage
            work.sparseSize = try arguments.value("sparse-size").map { (text) throws(ToolFailure) in try tool.size(text, "sparse size") } ?? 4096
            work.offloads = arguments.has("copy-range-offloading")
            work.anyOrder = arguments.has("oob-writes")
            work.salvages = arguments.has("salvage")
            if work.salvages { work.complain = { error in if !arguments.isQuiet { Output.error("warning: error while reading \(error)\n") } } }
            if let text = arguments.value("parallel") {
                guard let count = Int(text), (1...16).contains(count) else { throw ToolFailure("Invalid number of coroutines. Allowed number of coroutines is between 1 and 16") }
                work.threads = count
            }
            if let text = arguments.value("rate") { work.limit = RateLimit(try tool.size(text, "rate limit")) }
            let progress = Progress(arguments)
            work.progress = progress.report
            let conversion = work
            try tool.closing(opened) { () throws(BlockError) in
                try conversion.run()
                if arguments.has("bitmaps"), let source = sources.first {
                    try copyBitmaps(source, target.node, skipsBroken: arguments.has("skip-broken-bitmaps"))
                }
            }
            progress.finish()
            return 0
        } catch {
            for node in opened { try? node.close() }
            throw error
        }
    }

    private static func check(_ arguments: ParsedArguments) throws(ToolFailure) {
        if arguments.has("no-create"), arguments.has("target-options") {
            throw ToolFailure("-o has no effect when skipping image creation")
        }
        if arguments.has("target-is-zero"), !arguments.has("no-create") { throw ToolFailure("--target-is-zero requires use of -n flag") }
        if arguments.has("target-image-opts"), !arguments.has("no-create") { throw ToolFailure("--target-image-opts requires use of -n flag") }
        if arguments.has("skip-broken-bitmaps"), !arguments.has("bitmaps") { throw ToolFailure("Use of --skip-broken-bitmaps requires --bitmaps") }
        if arguments.has("bitmaps"), arguments.operands.count > 2 { throw ToolFailure("Copying bitmaps only possible with single source") }
        if arguments.has("copy-range-offloading") {
            if arguments.has("sparse-size") { throw ToolFailure("Cannot enable copy offloading when -S is used") }
            if arguments.has("compress") { throw ToolFailure("Cannot enable copy offloading when -c is used") }
        }
        if arguments.has("backing"), arguments.operands.count > 2 { throw ToolFailure("Having a backing file for the target makes no sense when concatenating multiple input images") }
    }

    private static func makeTarget(_ name: String, _ formatName: String, _ sources: [Node], _ arguments: ParsedArguments, _ graph: BlockGraph,
                                   _ tool: Tool) throws(ToolFailure) -> (node: Node, isZero: Bool) {
        var access = Access(writable: true, cache: try tool.cache(arguments, "target-cache", .unsafe), discards: true)
        if arguments.has("no-create") {
            let node: Node
            do throws(BlockError) {
                node = arguments.has("target-image-opts") ? try graph.open(options: Tool.tree(name), access) : try graph.open(name, format: arguments.value("target-format"), access)
            } catch { throw ToolFailure(Tool.openFailure(name, error)) }
            do throws(BlockError) {
                let wanted = try total(sources)
                let length = try node.length()
                guard length >= wanted else { throw .invalid("output file is smaller than input file") }
            } catch {
                try? node.close()
                throw ToolFailure(error.text)
            }
            return (node, arguments.has("target-is-zero"))
        }
        var image = try NewImage(formatName, name, tool)
        try image.apply(arguments.values("target-options"), name)
        if arguments.has("compress"), !(image.format is any CompressingFormat.Type) {
            throw ToolFailure("Compression not supported for this file format")
        }
        if arguments.has("compress"), image.options.has("encrypt.format") {
            throw ToolFailure("Compression and encryption not supported at the same time")
        }
        do throws(BlockError) { if !image.options.has("size") { try image.options.set("size", String(try total(sources))) } } catch { throw ToolFailure(error) }
        try image.back(by: arguments.value("backing"), format: arguments.value("backing-format"), name)
        try image.inspectBacking(name, graph, unsafe: false)
        try image.make(name, graph)
        access.opensBacking = true
        do {
            let node = try graph.open(name, format: formatName, access, options: image.openOptions)
            // A device is not emptied by being made anew.
            let isDevice = node.child("file")?.driver == "host_device"
            // Nor does what was never written decrypt to zeros, where it is stored at all.
            let start = node.image is any EncryptedImage ? try node.status(0, 512) : nil
            return (node, image.options.text("backing_file") == nil && !isDevice && start?.isData != true)
        } catch { throw ToolFailure(Tool.openFailure(name, error)) }
    }

    private static func total(_ sources: [Node]) throws(BlockError) -> UInt64 {
        var sum: UInt64 = 0
        for node in sources {
            let (next, overflow) = sum.addingReportingOverflow(try node.length())
            guard !overflow else { throw .invalid("the sources together are too large") }
            sum = next
        }
        return sum
    }

    private static func show(_ which: String, _ sources: [Node]) throws(ToolFailure) {
        guard sources.count == 1, let source = sources.first else { throw ToolFailure("No support for concatenating multiple snapshot") }
        guard let image = source.image as? any SnapshottingImage else { throw ToolFailure("Failed to load snapshot: the format has no snapshots") }
        var word = which
        for option in OptionValues.split(which) where option.name == "snapshot.id" || option.name == "snapshot.name" { word = option.value }
        do { try image.showSnapshot(word) } catch { throw ToolFailure("Failed to load snapshot: \(error)") }
    }

    private static func copyBitmaps(_ source: Node, _ target: Node, skipsBroken: Bool) throws(BlockError) {
        guard let from = source.image as? any BitmappedImage else { throw .unsupported("This image's format has no bitmaps") }
        guard let to = target.image as? any BitmappedImage else { throw .unsupported("Bitmaps are not supported by the target's format") }
        for record in from.bitmaps {
            if record.isInconsistent {
                if skipsBroken { continue }
                throw .invalid("Cannot copy inconsistent bitmap '\(record.name)'")
            }
            try to.addBitmap(record)
            try to.markDirty(record.name, try from.dirtyRanges(record.name))
        }
    }
}
