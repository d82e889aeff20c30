// The shell's commands that tell about an image, and those about the shell itself.

import Block
import Glibc

enum InspectCommands {
    static let all: [ShellCommand] = [
        ShellCommand(name: "length", short: "l", usage: "", help: "gets the length of the current file") { session, _ throws(ToolFailure) in
            session.say(TransferReport.size(Double(try value { () throws(BlockError) in try session.node?.length() ?? 0 })))
        },
        ShellCommand(name: "map", usage: "", help: "prints the allocated areas of a file", body: map),
        ShellCommand(name: "alloc", short: "a", least: 1, most: 2, usage: "offset [count]", help: "checks if offset is allocated in the file", body: alloc),
        ShellCommand(name: "info", short: "i", usage: "", help: "prints information about the current file", body: info),
        ShellCommand(name: "open", short: "o", flags: "Crsnkt:d:o:U", least: 0, most: 1, needsImage: false, usage: "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
                     help: "open the file specified by path", body: open),
        ShellCommand(name: "close", short: "c", usage: "", help: "close the current open file") { session, _ throws(ToolFailure) in session.close() },
        ShellCommand(name: "reopen", flags: "rwc:", usage: "[(-r|-w)] [-c cache]", help: "reopens an image with new options") { session, arguments throws(ToolFailure) in
            var cache: CacheMode?
            if let name = arguments.value("c") {
                guard let mode = CacheMode(named: name) else { throw ToolFailure("Invalid cache option: \(name)") }
                cache = mode
            }
            let writable = arguments.has("w") ? true : arguments.has("r") ? false : nil
            try value { () throws(BlockError) in try session.reopen(writable: writable, cache) }
        },
        ShellCommand(name: "sleep", least: 1, most: 1, needsImage: false, usage: "milliseconds", help: "waits for the given value in milliseconds") {
            _, arguments throws(ToolFailure) in usleep(UInt32(clamping: (try arguments.size(0)) &* 1000))
        },
        ShellCommand(name: "quit", short: "q", needsImage: false, usage: "", help: "exit the program") { session, _ throws(ToolFailure) in session.quit() },
        ShellCommand(name: "help", short: "?", most: 1, needsImage: false, usage: "[command]", help: "help for one or all commands") { session, arguments throws(ToolFailure) in
            for command in ShellCommand.all.sorted(by: { $0.name < $1.name }) where arguments.operands.first.map({ $0 == command.name }) ?? true {
                session.say("\(command.name)\(command.usage.isEmpty ? "" : " " + command.usage) -- \(command.help)")
            }
        },
    ]

    private static func value<Result>(_ body: () throws(BlockError) -> Result) throws(ToolFailure) -> Result {
        do { return try body() } catch { throw ToolFailure(error) }
    }

    private static func map(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard let node = session.node else { return }
        try value { () throws(BlockError) in
            let length = try node.length()
            var position: UInt64 = 0
            while position < length {
                let first = try node.status(position, length - position)
                var count = first.length
                while position + count < length {
                    let next = try node.status(position + count, length - position - count)
                    guard next.isAllocated == first.isAllocated else { break }
                    count += next.length
                }
                session.say("\(TransferReport.size(Double(count))) (0x\(String(count, radix: 16))) bytes \(first.isAllocated ? "    allocated" : "not allocated") at offset \(TransferReport.size(Double(position))) (0x\(String(position, radix: 16)))")
                position += count
            }
        }
    }

    private static func alloc(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard let node = session.node else { return }
        let start = try arguments.size(0), count = arguments.operands.count > 1 ? try arguments.size(1) : 512
        let sum = try value { () throws(BlockError) -> UInt64 in
            let end = min(start &+ count, try node.length())
            var position = start, sum: UInt64 = 0
            while position < end {
                let status = try node.status(position, end - position)
                if status.isAllocated { sum += min(status.length, end - position) }
                position += status.length
            }
            return sum
        }
        session.say("\(sum)/\(count) bytes allocated at offset \(TransferReport.size(Double(start)))")
    }

    private static func info(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard let node = session.node else { return }
        let details = try value { () throws(BlockError) in try (node.image as? any DescribedImage)?.information() }
        session.say("format name: \(node.driver)")
        session.say("cluster size: \(TransferReport.size(Double(details?.clusterSize ?? 0)))")
        session.say("vm state offset: \(TransferReport.size(0))")
        if let specific = details?.specific, !specific.isEmpty {
            session.say("Format specific information:")
            for line in specific.flatMap({ NodeInformation.describe($0, indent: "    ") }) { session.say(line) }
        }
    }

    private static func open(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard session.node == nil else { throw ToolFailure("file open already, try 'help close'") }
        var access = Access(writable: !arguments.has("r"))
        if let name = arguments.value("t") {
            guard let mode = CacheMode(named: name) else { throw ToolFailure("Invalid cache option: \(name)") }
            access.cache = mode
        }
        if arguments.has("n") { access.cache.direct = true }
        access.discards = arguments.value("d").map { ["unmap", "on"].contains($0) } ?? false
        if arguments.has("k") { access.interface = .native }
        access.forceShare = arguments.has("U")
        if arguments.has("s") { throw ToolFailure("open -s (temporary snapshots) is not supported") }
        do throws(BlockError) {
            if let options = arguments.value("o") {
                let file = arguments.operands.first.map { ",file.filename=\($0)" } ?? ""
                try session.open(options + file, format: nil, access, asOptions: true, copyOnRead: arguments.has("C"))
            } else if let path = arguments.operands.first {
                try session.open(path, format: nil, access, asOptions: false, copyOnRead: arguments.has("C"))
            } else { throw .invalid("open needs a path or options") }
        } catch { throw ToolFailure("can't open device \(arguments.operands.first ?? ""): \(error)") }
    }
}
