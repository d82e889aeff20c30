// `apus storage`, also called as `qemu-storage-daemon`: holds block nodes, exports them over NBD, and obeys QMP. QEMU's
// options, done in the order in which they are given. Left out: exports other than nbd, --trace.

import Block
import BlockMonitor
import Core
import Glibc
import Host
import ImageTool
import Monitor
import Sockets

public enum StorageDaemon {
    private static let options = [
        CommandOption("help", "h", "print this help"), CommandOption("version", "V", "print the version"),
        CommandOption("blockdev", value: "NODE", "a block node: driver=…,node-name=NAME,…, or the same as an object in JSON"),
        CommandOption("chardev", value: "DEVICE", "where a monitor is reached: socket,id=ID,path=PATH,server=on,wait=off; socket,id=ID,host=…,port=…; stdio,id=ID"),
        CommandOption("export", value: "EXPORT", "offer a node: nbd,id=ID,node-name=NAME[,name=…][,writable=on][,bitmaps.0=…][,allocation-depth=on]"),
        CommandOption("monitor", value: "MONITOR", "obey QMP there: chardev=ID[,mode=control][,pretty=on]"),
        CommandOption("nbd-server", value: "SERVER", "listen: addr.type=inet,addr.host=…,addr.port=… or addr.type=unix,addr.path=…; tls-creds=ID, max-connections=N"),
        CommandOption("object", value: "OBJECT", "a password (secret,id=ID,…) or TLS credentials (tls-creds-x509,id=ID,dir=…,endpoint=server)"),
        CommandOption("daemonize", "go on in the background, return when all is ready"),
        CommandOption("pidfile", value: "PATH", "write the process's number there"),
        CommandOption("trace", "T", value: "PATTERN", "not supported"),
        CommandOption("named-files", value: "POLICY", "which files an image may name (backing, data): none, folder, files (default: regular files), all"),
    ]

    /// Runs the command line without the command's name; returns the exit status.
    public static func run(name: String, _ arguments: [String], catalogue: Catalogue) -> Int32 {
        let tool = Tool(catalogue: catalogue, name: name)
        do throws(ToolFailure) {
            let parsed = try ParsedArguments(arguments, options)
            if parsed.has("help") {
                tool.say("usage: \(name) [OPTION]…\nHolds block nodes, exports them, and obeys a monitor.\n\n" + CommandOption.describe(options))
                return 0
            }
            if parsed.has("version") { tool.say("\(name) version 10.0.0 (Apus)\n"); return 0 }
            if parsed.has("trace") { throw ToolFailure("--trace is not supported") }
            if let odd = parsed.operands.first { throw ToolFailure("Unexpected argument: \(odd)") }
            return try serve(tool, parsed)
        } catch {
            tool.complain(error.text)
            return error.status
        }
    }

    private static func serve(_ tool: Tool, _ parsed: ParsedArguments) throws(ToolFailure) -> Int32 {
        let ready = parsed.has("daemonize") ? try Background.enter() : nil
        let ending = Ending()
        guard ending.followSignals() else { throw ToolFailure("the host gives no thread") }
        guard let policy = NamedFilePolicy(rawValue: parsed.value("named-files") ?? NamedFilePolicy.files.rawValue) else {
            throw ToolFailure("--named-files expects one of \(NamedFilePolicy.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let graph = BlockGraph(tool.catalogue, namedFiles: policy)
        let monitor = Monitor()
        let service = BlockService(graph, monitor)
        monitor.register([CommandDeclaration("quit") { _ in
            ending.ask()
            return .nothing
        }], events: [EventDeclaration("SHUTDOWN", [])])
        var work = Setup(service: service, graph: graph, monitor: monitor)
        // Written early, so that it is there when the options have been done.
        if let path = parsed.value("pidfile") { try Background.writePID(path) }
        defer {
            service.shutDown()
            for listener in work.listeners { listener.address.cleanUp() }
            if let path = parsed.value("pidfile") { unlink(path) }
        }
        for option in parsed.inOrder { try work.take(option.name, option.value) }
        ready?()
        return ending.wait()
    }
}

/// Does the options one after the other.
private struct Setup {
    let service: BlockService
    let graph: BlockGraph
    let monitor: Monitor
    var devices: [String: CharacterSocket] = [:]
    var listeners: [Listener] = []

    mutating func take(_ name: String, _ value: String) throws(ToolFailure) {
        do throws(BlockError) {
            switch name {
            case "blockdev": try service.addNode(try Setup.tree(value, first: "driver"))
            case "object": try graph.add(object: value)
            case "nbd-server": try service.startServer(try Setup.tree(value, first: "addr"))
            case "export": try service.addExport(try Setup.tree(value, first: "type"))
            case "chardev": try addDevice(value)
            case "monitor": try addMonitor(value)
            default: break
            }
        } catch { throw ToolFailure("--\(name) \(value): \(error)") }
    }

    /// Options as an object: JSON as it is, or `name=value,…`; a first word alone is the value of `first`.
    private static func tree(_ text: String, first: String) throws(BlockError) -> JSONValue {
        if text.hasPrefix("{") {
            do { return try JSONValue(parsing: text) } catch { throw .invalid("\(error)") }
        }
        var parts = OptionValues.split(text)
        if let word = text.split(separator: ",").first, !word.contains("="), !parts.isEmpty { parts[0] = (first, String(word)) }
        return listed(.object(OptionTree.expanded(parts.map { .init($0.name, .text($0.value)) })))
    }

    /// Objects whose members are numbered are lists.
    private static func listed(_ value: JSONValue) -> JSONValue {
        guard let members = value.members else { return value }
        let inner = members.map { JSONValue.Member($0.name, listed($0.value)) }
        if !inner.isEmpty, inner.enumerated().allSatisfy({ String($0.offset) == $0.element.name }) { return .array(inner.map(\.value)) }
        return .object(inner)
    }

    private mutating func addDevice(_ text: String) throws(BlockError) {
        do throws(SocketError) {
            let device = try CharacterSocket(OptionValues.split(text))
            guard devices[device.id] == nil else { throw SocketError("Chardev with id '\(device.id)' already exists") }
            devices[device.id] = device
        } catch { throw .invalid(error.text) }
    }

    private mutating func addMonitor(_ text: String) throws(BlockError) {
        let options = try Setup.tree(text, first: "chardev")
        for member in options.members ?? [] where !["chardev", "mode", "pretty", "id"].contains(member.name) { throw .invalid("Parameter '\(member.name)' is unexpected") }
        if let mode = options["mode"]?.string, mode != "control" { throw .unsupported("monitor mode '\(mode)' is not supported: only 'control' is") }
        guard let id = options["chardev"]?.string else { throw .invalid("Parameter 'chardev' is missing") }
        guard let device = devices[id] else { throw .invalid("chardev \"\(id)\" not found") }
        let pretty = options["pretty"] == .text("on") || options["pretty"] == .flag(true)
        do throws(SocketError) {
            if let listener = try device.serve(monitor, pretty: pretty) { listeners.append(listener) }
        } catch { throw .invalid(error.text) }
    }
}
