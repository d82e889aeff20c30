import Block

/// `dd`: copies a part of one image into a new one.
enum DdVerb: Verb {
    static let name = "dd"
    static let summary = "copies a part of an image into a new one"
    static let usage = "[-f FMT] [-O FMT] [-U] [bs=BYTES] [count=BLOCKS] [skip=BLOCKS] if=INPUT of=OUTPUT"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare,
        CommandOption("output-format", "O", value: "FMT", "the output's format (raw)"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        var values: [String: String] = [:]
        for word in arguments.operands {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, ["bs", "count", "skip", "if", "of"].contains(parts[0]) else { throw ToolFailure("unrecognized operand '\(parts[0])'") }
            values[parts[0]] = parts[1]
        }
        guard let input = values["if"], let output = values["of"] else { throw ToolFailure("Must specify both input and output file names") }
        func number(_ name: String, _ standard: UInt64?) throws(ToolFailure) -> UInt64? {
            guard let text = values[name] else { return standard }
            guard let value = SizeText.parse(text) else { throw ToolFailure("invalid number: '\(text)'") }
            return value
        }
        let block = try number("bs", 512) ?? 512
        guard block > 0, block <= UInt64(Int32.max) else { throw ToolFailure("invalid number: '\(values["bs"] ?? "")'") }
        let count = try number("count", nil), skip = try number("skip", 0) ?? 0
        let graph = try tool.graph(arguments)
        let source = try tool.open(input, format: arguments.value("format"), .readOnly, graph, arguments)
        do throws(ToolFailure) {
            let length: UInt64
            do { length = try source.length() } catch { throw ToolFailure(error) }
            let wanted = count.map { let (product, overflow) = $0.multipliedReportingOverflow(by: block); return overflow ? UInt64.max : product } ?? UInt64.max
            let (start, overflow) = skip.multipliedReportingOverflow(by: block)
            let end = min(length, wanted)
            // As QEMU: `count` counts from the input's beginning, what `skip` leaves out included.
            let size = overflow || start >= end ? 0 : end - start
            if overflow || start > end { tool.complain("\(input): cannot skip to specified offset") }
            var image = try NewImage(arguments.value("output-format") ?? "raw", output, tool)
            try image.apply(["size=\(size)"], output)
            try image.make(output, graph)
            let target: Node
            do { target = try graph.open(output, format: image.format.name, Access(writable: true), options: image.openOptions) } catch { throw ToolFailure(Tool.openFailure(output, error)) }
            try tool.closing([target]) { () throws(BlockError) in
                let piece = try OwnedBuffer(Int(min(max(block, 1 << 20), 64 << 20)))
                var done: UInt64 = 0
                while done < size {
                    let part = piece.buffer.slice(0, size - done)
                    try source.read(start + done, part)
                    try target.write(done, part)
                    done += UInt64(part.count)
                }
                withExtendedLifetime(piece) {}
            }
        } catch {
            try? source.close()
            throw error
        }
        do { try source.close() } catch { throw ToolFailure(error) }
        return 0
    }
}
