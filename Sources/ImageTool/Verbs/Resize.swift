import Block

/// `resize`: changes the size of the disk.
enum ResizeVerb: Verb {
    static let name = "resize"
    static let summary = "changes the size of an image's disk"
    static let usage = "[-f FMT] [--shrink] [--preallocation=MODE] [-q] FILENAME [+|-]SIZE"
    static let options = [
        CommandOption.format, .imageOptions,
        CommandOption("shrink", "lose what lies beyond the new size"),
        CommandOption("preallocation", value: "off|metadata|falloc|full", "how to take the new space"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let words = try arguments.operands(2, "image file name and size")
        let text = words[1]
        let sign = text.first
        let amount = try tool.size(sign == "+" || sign == "-" ? String(text.dropFirst()) : text, "image size")
        guard let mode = Preallocation(rawValue: arguments.value("preallocation") ?? "off") else {
            throw ToolFailure("Invalid preallocation mode '\(arguments.value("preallocation") ?? "")'")
        }
        let node = try tool.open(words[0], format: arguments.value("format"), .readWrite, try tool.graph(arguments), arguments)
        let done = try tool.closing([node]) { () throws(BlockError) -> Bool in
            let old = try node.length()
            let (new, overflow) = sign == "+" ? old.addingReportingOverflow(amount) : sign == "-" ? old.subtractingReportingOverflow(amount) : (amount, false)
            guard !overflow, new <= UInt64(Int64.max), sign != "-" || new > 0 else { throw .invalid("New image size must be positive") }
            if new < old, !arguments.has("shrink") {
                tool.complain("warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.")
                tool.complain("Use the --shrink option to perform a shrink operation.")
                return false
            }
            if new < old, mode != .off { throw .invalid("Preallocation can only be used for growing images") }
            try node.setLength(new, mode)
            return true
        }
        guard done else { return 1 }
        if !arguments.isQuiet { tool.say("Image resized.\n") }
        return 0
    }
}
