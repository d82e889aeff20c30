import Block
import Core

/// `map`: which parts of an image's chain hold its bytes, and where.
enum MapVerb: Verb {
    static let name = "map"
    static let summary = "tells where an image's bytes are"
    static let usage = "[-f FMT] [--output=human|json] [--start-offset OFFSET] [--max-length LENGTH] [-U] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare, .output,
        CommandOption("start-offset", "s", value: "OFFSET", "begin here"),
        CommandOption("max-length", "l", value: "LENGTH", "stop after so many bytes"),
    ]

    private struct Entry { var start: UInt64; var status: BlockStatus }

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        let json = try arguments.wantsJSON()
        var start: UInt64 = 0
        if let text = arguments.value("start-offset") { start = try tool.size(text, "start offset") }
        let most = try arguments.value("max-length").map { (text) throws(ToolFailure) in try tool.size(text, "max length") }
        let node = try tool.open(name, format: arguments.value("format"), .readOnly, try tool.graph(arguments), arguments)
        try tool.closing([node]) { () throws(BlockError) in
            let length = try node.length()
            let end = min(length, most.map { start &+ min($0, length) } ?? length)
            if !json { tool.say("Offset          Length          Mapped to       File\n") }
            var current: Entry?
            var isFirst = true
            var position = start
            while position < end {
                var status = try node.chainStatus(position, end - position)
                status.length = min(status.length, end - position)
                if let last = current, joins(last, status) { current?.status.length += status.length } else {
                    if let last = current { try print(last, json, &isFirst, tool) }
                    current = Entry(start: position, status: status)
                }
                position += status.length
            }
            if let last = current { try print(last, json, &isFirst, tool) }
            if json { tool.say(isFirst ? "[]\n" : "]\n") }
        }
        return 0
    }

    private static func joins(_ last: Entry, _ next: BlockStatus) -> Bool {
        let one = last.status
        guard one.isData == next.isData, one.isZero == next.isZero, one.isAllocated == next.isAllocated, one.isCompressed == next.isCompressed,
              one.depth == next.depth, one.file == next.file else { return false }
        guard let a = one.offset, let b = next.offset else { return one.offset == nil && next.offset == nil }
        return a &+ one.length == b
    }

    private static func print(_ entry: Entry, _ json: Bool, _ isFirst: inout Bool, _ tool: Tool) throws(BlockError) {
        let status = entry.status
        if json {
            var text = isFirst ? "[" : ",\n"
            isFirst = false
            text += "{ \"start\": \(entry.start), \"length\": \(status.length), \"depth\": \(status.depth), \"present\": \(status.isAllocated)"
            text += ", \"zero\": \(status.isZero), \"data\": \(status.isData), \"compressed\": \(status.isCompressed)"
            if let offset = status.offset { text += ", \"offset\": \(offset)" }
            return tool.say(text + "}")
        }
        guard status.isData, !status.isZero else { return }
        guard let offset = status.offset, !status.isCompressed else {
            throw .unsupported("File contains external, encrypted or compressed clusters.")
        }
        func column(_ value: UInt64) -> String {
            let text = value == 0 ? "0" : "0x" + String(value, radix: 16)
            return text + String(repeating: " ", count: max(0, 16 - text.utf8.count))
        }
        tool.say(column(entry.start) + column(status.length) + column(offset) + (status.file ?? "") + "\n")
    }
}
