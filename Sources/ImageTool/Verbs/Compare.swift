import Block

/// `compare`: whether two images have the same contents. Exit status 0 the same, 1 different, 2 an image cannot be
/// opened, 3 it cannot be read.
enum CompareVerb: Verb {
    static let name = "compare"
    static let summary = "compares the contents of two images"
    static let usage = "[-f FMT] [-F FMT] [-s] [-p] [-T CACHE] [-U] FILENAME1 FILENAME2"
    static let options = [
        CommandOption("a-format", "f", value: "FMT", "the first image's format"),
        CommandOption("b-format", "F", value: "FMT", "the second image's format"),
        CommandOption("strict", "s", "sizes and allocation must be the same too"),
        CommandOption.progress, .imageOptions, .forceShare,
        CommandOption("cache", "T", value: "MODE", "cache mode (writeback)"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        do { return try compare(arguments, tool) } catch {
            // 0 and 1 are answers.
            throw ToolFailure(error.text, status: max(2, error.status))
        }
    }

    private static func compare(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let names = try arguments.operands(2, "two image file names")
        let access = Access(cache: try tool.cache(arguments, "cache", .writeBack))
        let graph = try tool.graph(arguments)
        let first = try tool.open(names[0], format: arguments.value("a-format"), access, graph, arguments)
        let second: Node
        do { second = try tool.open(names[1], format: arguments.value("b-format"), access, graph, arguments) } catch {
            try? first.close()
            throw error
        }
        let strict = arguments.has("strict")
        func say(_ text: String) { if !arguments.isQuiet { tool.say(text + "\n") } }
        do {
            return try tool.closing([first, second]) { () throws(BlockError) -> Int32 in
                if try first.length() != second.length() {
                    if strict { say("Strict mode: Image size mismatch!"); return 1 }
                    say("Warning: Image size mismatch!")
                }
                var comparison = Comparison(first, second)
                comparison.strict = strict
                let progress = Progress(arguments)
                comparison.progress = progress.report
                let result = try comparison.run()
                progress.finish()
                switch result {
                case .equal: say("Images are identical."); return 0
                case .differ(let offset): say("Content mismatch at offset \(offset)!"); return 1
                case .allocation(let offset): say("Strict mode: Offset \(offset) block status mismatch!"); return 1
                }
            }
        } catch { throw ToolFailure(error.text, status: 3) }
    }
}
