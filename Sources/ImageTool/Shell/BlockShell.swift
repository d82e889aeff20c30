// `apus io`, also called as `qemu-io`: single requests to an image, by commands in QEMU's words, with its output. For
// tests and for looking at what is there. Left out: breakpoints, zones, tracing, aborting on purpose. Asynchronous
// commands are done at once.

import Block
import Core
import Glibc

/// The front door.
public enum BlockShell {
    static let options: [CommandOption] = [
        CommandOption("cmd", "c", value: "COMMAND", "do this, then end; may be given again"),
        CommandOption("format", "f", value: "FMT", "the image's format; without it, it is found out"),
        CommandOption("read-only", "r", "open for reading only"),
        CommandOption("nocache", "n", "past the host's page cache"),
        CommandOption("cache", "t", value: "MODE", "cache mode (writeback)"),
        CommandOption("discard", "d", value: "unmap|ignore", "whether discards reach the host"),
        CommandOption("copy-on-read", "C", "keep what is read from backing files"),
        CommandOption("misalign", "m", "buffers at odd addresses"),
        CommandOption("native-aio", "k", "the same as -i native"),
        CommandOption("aio", "i", value: "threads|native|io_uring", "how the host does requests (threads)"),
        CommandOption("image-opts", "FILE is a description: driver=…,file.filename=…"),
        CommandOption("force-share", "U", "open even if another process writes to it"),
        CommandOption("object", value: "OBJECT", "a password: secret,id=ID,data=… or file=…"),
        CommandOption("named-files", value: "POLICY", "which files an image may name: none, folder, files (default), all"),
        CommandOption("help", "h", "print this help"),
        CommandOption("version", "V", "print the version"),
    ]

    /// Runs the command line; returns the exit status.
    public static func run(name: String, _ words: [String], catalogue: Catalogue) -> Int32 {
        let tool = Tool(catalogue: catalogue, name: name)
        do throws(ToolFailure) {
            let arguments = try ParsedArguments(words, options)
            if arguments.has("help") {
                tool.say("usage: \(name) [OPTIONS] [-c COMMAND]… [FILE]\n\n" + CommandOption.describe(options) + "\nThe command 'help' lists commands.\n")
                return 0
            }
            if arguments.has("version") { tool.say("\(name) version 10.0.0 (Apus)\n"); return 0 }
            guard arguments.operands.count <= 1 else { throw ToolFailure("expected one image file name") }
            let session = ShellSession(tool: tool, graph: try tool.graph(arguments), misaligned: arguments.has("misalign"))
            if let file = arguments.operands.first {
                var access = Access(writable: !arguments.has("read-only"), cache: try tool.cache(arguments, "cache", .writeBack))
                if arguments.has("nocache") { access.cache.direct = true }
                access.discards = arguments.value("discard").map { ["unmap", "on"].contains($0) } ?? false
                access.interface = try tool.interface(arguments, native: "native-aio")
                access.forceShare = arguments.has("force-share")
                do throws(BlockError) {
                    try session.open(file, format: arguments.value("format"), access, asOptions: arguments.has("image-opts"), copyOnRead: arguments.has("copy-on-read"))
                } catch { throw ToolFailure("can't open device \(file): \(error.text.hasPrefix("Could not open") ? error.text : Tool.openFailure(file, error))") }
            }
            let commands = arguments.values("cmd")
            if commands.isEmpty { session.interact() } else {
                for command in commands where !session.isOver { session.run(command) }
            }
            session.close()
            return session.failed ? 1 : 0
        } catch {
            tool.complain(error.text)
            return error.status
        }
    }
}
