// `apus img`, also called as `qemu-img`: QEMU's verbs, options, output and exit codes. Each verb is a file in Verbs/.

import Block
import Core
import Glibc

/// What a verb ends with.
package struct ToolFailure: Error {
    package var status: Int32
    /// Empty: nothing is to be said any more.
    package var text: String
    package init(_ text: String, status: Int32 = 1) {
        self.text = text
        self.status = status
    }
    package init(_ error: BlockError) { self.init("\(error)") }
}

/// A verb of the tool.
protocol Verb: Sendable {
    static var name: String { get }
    static var summary: String { get }
    static var usage: String { get }
    static var options: [CommandOption] { get }
    /// The exit status. Standard output is the tool's.
    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32
}

/// What verbs share: the drivers, and how to speak.
package struct Tool: Sendable {
    package let catalogue: Catalogue
    /// The command's name in messages: `qemu-img` or `apus img`.
    package let name: String

    package init(catalogue: Catalogue, name: String) {
        self.catalogue = catalogue
        self.name = name
    }

    package func say(_ text: String) { Output.standard(text) }
    package func complain(_ text: String) { Output.error("\(name): \(text)\n") }
    package func graph(_ arguments: ParsedArguments) throws(ToolFailure) -> BlockGraph {
        let word = arguments.value("named-files") ?? NamedFilePolicy.files.rawValue
        guard let policy = NamedFilePolicy(rawValue: word) else {
            throw ToolFailure("--named-files expects one of \(NamedFilePolicy.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let graph = BlockGraph(catalogue, namedFiles: policy)
        do throws(BlockError) { for object in arguments.values("object") { try graph.add(object: object) } } catch { throw ToolFailure(error) }
        return graph
    }
}

/// The tool's two streams, past all buffers.
enum Output {
    static func standard(_ text: String) { write(1, text) }
    static func error(_ text: String) { write(2, text) }
    private static func write(_ descriptor: Int32, _ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 { if errno == EINTR { continue } else { return } }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// The tool's front door.
public enum ImageTool {
    static let verbs: [any Verb.Type] = [
        AmendVerb.self, BenchVerb.self, BitmapVerb.self, CheckVerb.self, CommitVerb.self, CompareVerb.self, ConvertVerb.self,
        CreateVerb.self, DdVerb.self, ImportVerb.self, InfoVerb.self, MapVerb.self, MeasureVerb.self, RebaseVerb.self, ResizeVerb.self,
        SnapshotVerb.self,
    ]

    /// Runs the verb of the command line; returns the exit status.
    public static func run(name: String, _ arguments: [String], catalogue: Catalogue) -> Int32 {
        let tool = Tool(catalogue: catalogue, name: name)
        guard let word = arguments.first else {
            tool.complain("Not enough arguments\nTry '\(name) --help' for more information")
            return 1
        }
        if ["-h", "--help", "help"].contains(word) { tool.say(usage(tool)); return 0 }
        if ["-V", "--version"].contains(word) { tool.say("\(name) version 10.0.0 (Apus)\n"); return 0 }
        guard let verb = verbs.first(where: { $0.name == word }) else {
            tool.complain(word.hasPrefix("-") ? "unrecognized option '\(word)'" : "Command not found: \(word)")
            return 1
        }
        do {
            let parsed = try ParsedArguments(Array(arguments.dropFirst()), verb.options + CommandOption.common)
            if parsed.has("help") {
                tool.say("usage: \(name) \(verb.name) \(verb.usage)\n\(verb.summary)\n\n" + CommandOption.describe(verb.options + CommandOption.common))
                return 0
            }
            return try verb.run(parsed, tool)
        } catch {
            if !error.text.isEmpty { tool.complain(error.text) }
            return error.status
        }
    }

    private static func usage(_ tool: Tool) -> String {
        var text = "usage: \(tool.name) COMMAND …\nMakes, changes, and tells about disk images. COMMAND --help says more about one.\n\n"
        for verb in verbs { text += "  " + verb.name + String(repeating: " ", count: max(1, 10 - verb.name.utf8.count)) + verb.summary + "\n" }
        text += "\nformats: " + tool.catalogue.formats.map { $0.name }.joined(separator: " ")
        return text + "\nprotocols: " + tool.catalogue.protocols.map { $0.name }.joined(separator: " ") + "\n"
    }
}
