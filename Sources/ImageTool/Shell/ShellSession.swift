// The state of a shell: the image that is open, and whether something has failed.

import Block
import Core
import Glibc

final class ShellSession {
    let tool: Tool
    let graph: BlockGraph
    let misaligned: Bool
    private(set) var node: Node?
    private var name = ""
    private var format: String?
    private(set) var failed = false
    private(set) var isOver = false

    init(tool: Tool, graph: BlockGraph, misaligned: Bool) {
        self.tool = tool
        self.graph = graph
        self.misaligned = misaligned
    }

    func say(_ text: String) { tool.say(text + "\n") }
    func quit() { isOver = true }
    func fail(_ text: String) {
        say(text)
        failed = true
    }

    func open(_ name: String, format: String?, _ access: Access, asOptions: Bool, copyOnRead: Bool = false) throws(BlockError) {
        var opened = try asOptions ? graph.open(options: Tool.tree(name), access) : graph.open(name, format: format, access)
        if copyOnRead, let filter = graph.catalogue.filter("copy-on-read") {
            do throws(BlockError) {
                opened = Node(name: "copy-on-read", driver: filter.name, filename: opened.filename,
                              storage: try filter.open(opened, OptionValues(filter.options), access), access: access, children: [Child("file", opened)])
            } catch {
                try? opened.close()
                throw error
            }
        }
        node = opened
        self.name = name
        self.format = format
    }

    /// Opens the same image in another way.
    func reopen(writable: Bool?, _ cache: CacheMode?) throws(BlockError) {
        guard let old = node else { throw .invalid("no file open, try 'help open'") }
        var access = old.access
        if let writable { access.writable = writable }
        if let cache { access.cache = cache }
        let driver = old.driver
        try old.close()
        node = nil
        try open(name, format: format ?? driver, access, asOptions: false)
    }

    func close() {
        do throws(BlockError) { try node?.close() } catch { fail("close failed: \(error)") }
        node = nil
    }

    /// Reads commands from standard input.
    func interact() {
        while !isOver {
            tool.say("\(tool.name)> ")
            guard let line = readLine() else { return }
            run(line)
        }
    }

    /// Runs one command line.
    func run(_ line: String) {
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\n" }).map(String.init)
        guard let word = words.first else { return }
        guard let command = ShellCommand.all.first(where: { $0.name == word || $0.short == word }) else {
            return fail("command \"\(word)\" not found")
        }
        let arguments: ShellArguments
        do { arguments = try ShellArguments(Array(words.dropFirst()), command.flags, for: word) } catch { return fail(error.text) }
        let count = arguments.operands.count
        if count < command.least || count > command.most {
            let expected = command.most == Int.max ? "at least \(command.least)" : command.least == command.most ? "\(command.least)" : "between \(command.least) and \(command.most)"
            return fail("bad argument count \(count) to \(word), expected \(expected) arguments")
        }
        if command.needsImage, node == nil { return fail("no file open, try 'help open'") }
        do { try command.body(self, arguments) } catch { fail(error.text) }
    }
}

/// One command of the shell.
struct ShellCommand: Sendable {
    let name: String
    var short = ""
    /// Flags in getopt's manner: a letter, and a colon if it has a value.
    var flags = ""
    var least = 0
    var most = 0
    var needsImage = true
    let usage: String
    let help: String
    let body: @Sendable (ShellSession, ShellArguments) throws(ToolFailure) -> Void

    static var all: [ShellCommand] { TransferCommands.all + InspectCommands.all }
}

/// A command's words taken apart.
struct ShellArguments {
    private var values: [Character: String] = [:]
    var operands: [String] = []

    init(_ words: [String], _ flags: String, for command: String) throws(ToolFailure) {
        var index = 0
        while index < words.count {
            let word = words[index]
            index += 1
            guard word.hasPrefix("-"), word.count > 1, !(word.dropFirst().first?.isNumber ?? false) else { operands.append(word); continue }
            var rest = word.dropFirst()
            while let letter = rest.popFirst() {
                guard letter != ":", let at = flags.firstIndex(of: letter) else { throw ToolFailure("\(command): invalid option -- '\(letter)'") }
                let next = flags.index(after: at)
                if next < flags.endIndex, flags[next] == ":" {
                    if !rest.isEmpty { values[letter] = String(rest); rest = "" } else if index < words.count { values[letter] = words[index]; index += 1 } else {
                        throw ToolFailure("\(command): option requires an argument -- '\(letter)'")
                    }
                } else { values[letter] = "" }
            }
        }
    }

    func has(_ flag: Character) -> Bool { values[flag] != nil }
    func value(_ flag: Character) -> String? { values[flag] }

    /// A size among the operands.
    func size(_ index: Int) throws(ToolFailure) -> UInt64 {
        guard let size = SizeText.parse(operands[index]), size <= UInt64(Int64.max) else { throw ToolFailure("non-numeric length argument -- \(operands[index])") }
        return size
    }
    /// A byte that `-P` gives.
    func pattern() throws(ToolFailure) -> UInt8? {
        guard let text = value("P") else { return nil }
        guard let number = SizeText.parse(text), number <= 255 else { throw ToolFailure("\(text) is not a valid pattern byte") }
        return UInt8(number)
    }
}
