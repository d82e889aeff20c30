import Block
import Core

/// `check`: the consistency of an image's metadata, and its repair. Exit status 0 clean, 1 the check itself failed,
/// 2 corruptions, 3 leaks only, 63 the format has no check.
enum CheckVerb: Verb {
    static let name = "check"
    static let summary = "checks, and repairs, the metadata of an image"
    static let usage = "[-q] [-f FMT] [--output=human|json] [-r leaks|all] [-T CACHE] [-U] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare, .output,
        CommandOption("repair", "r", value: "leaks|all", "what to repair"),
        CommandOption("cache", "T", value: "MODE", "cache mode (writeback)"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        let json = try arguments.wantsJSON()
        let repair: Repair
        switch arguments.value("repair") {
        case nil: repair = .nothing
        case "leaks": repair = .leaks
        case "all": repair = .all
        default: throw ToolFailure("-r, --repair expects 'leaks' or 'all'")
        }
        let access = Access(writable: repair != .nothing, cache: try tool.cache(arguments, "cache", .writeBack), opensBacking: false)
        let node = try tool.open(name, format: arguments.value("format"), access, try tool.graph(arguments), arguments)
        guard let image = node.image as? any CheckableImage, let storage = node.storage as? ImageStorage else {
            try? node.close()
            if !json { tool.complain("This image format does not support checks") }
            return 63
        }
        func check(_ repair: Repair) throws(BlockError) -> CheckResult {
            try storage.exclusively { () throws(BlockError) in try image.check(repair) }
        }
        return try tool.closing([node]) { () throws(BlockError) -> Int32 in
            var result = try check(repair)
            if result.corruptionsFixed > 0 || result.leaksFixed > 0 {
                let fixed = (result.leaksFixed, result.corruptionsFixed)
                try node.flush()
                if !json, !arguments.isQuiet {
                    report(result.messages)
                    tool.say("The following inconsistencies were found and repaired:\n\n    \(fixed.0) leaked clusters\n    \(fixed.1) corruptions\n\nDouble checking the fixed image now...\n")
                }
                result = try check(.nothing)
                result.leaksFixed = fixed.0
                result.corruptionsFixed = fixed.1
            }
            if json { tool.say(describe(result, name, node.driver).pretty + "\n") } else if !arguments.isQuiet {
                report(result.messages)
                tool.say(text(result))
            }
            if result.corruptions > 0 { return 2 }
            if result.leaks > 0 { return 3 }
            return result.checkErrors > 0 ? 1 : 0
        }
    }

    private static func report(_ messages: [String]) { for line in messages { Output.error(line + "\n") } }

    private static func text(_ result: CheckResult) -> String {
        var text = ""
        if result.corruptions == 0, result.leaks == 0, result.checkErrors == 0 { text += "No errors were found on the image.\n" }
        if result.corruptions > 0 {
            text += "\n\(result.corruptions) errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n"
        }
        if result.leaks > 0 {
            text += "\n\(result.leaks) leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n"
        }
        if result.checkErrors > 0 { text += "\n\(result.checkErrors) internal errors have occurred during the check.\n" }
        if let units = result.units, units.total > 0, units.allocated > 0 {
            text += "\(units.allocated)/\(units.total) = \(percent(units.allocated, units.total))% allocated, "
                + "\(percent(units.fragmented, units.allocated))% fragmented, \(percent(units.compressed, units.allocated))% compressed clusters\n"
        }
        if let end = result.imageEnd, end > 0 { text += "Image end offset: \(end)\n" }
        return text
    }

    /// Two decimals.
    private static func percent(_ part: UInt64, _ whole: UInt64) -> String {
        let hundredths = Int((Double(part) * 10000 / Double(max(1, whole))).rounded(.toNearestOrEven))
        let cents = String(hundredths % 100)
        return "\(hundredths / 100)." + (cents.count < 2 ? "0" : "") + cents
    }

    private static func describe(_ result: CheckResult, _ name: String, _ format: String) -> JSONValue {
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ value: UInt64?) { if let value, value > 0 { members.append(.init(name, .number(value))) } }
        add("image-end-offset", result.imageEnd)
        add("total-clusters", result.units?.total)
        members.append(.init("check-errors", .number(result.checkErrors)))
        add("corruptions", result.corruptions)
        add("leaks", result.leaks)
        add("corruptions-fixed", result.corruptionsFixed)
        add("leaks-fixed", result.leaksFixed)
        add("allocated-clusters", result.units?.allocated)
        add("fragmented-clusters", result.units?.fragmented)
        add("compressed-clusters", result.units?.compressed)
        members.append(.init("filename", .text(name)))
        members.append(.init("format", .text(format)))
        return .object(members)
    }
}
