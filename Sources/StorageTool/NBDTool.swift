// `apus nbd`, also called as `qemu-nbd`: serves one image over NBD, or lists what another server offers. QEMU's options and
// behaviour. Left out: --tls-authz, --selinux-label, --trace.

import Block
import CHost
import Core
import Glibc
import Host
import ImageTool
import NBD
import Sockets

public enum NBDTool {
    private static let options = [
        CommandOption("help", "h", "print this help"), CommandOption("version", "V", "print the version"),
        CommandOption("port", "p", value: "PORT", "port to listen on (10809)"),
        CommandOption("bind", "b", value: "ADDRESS", "address to listen on (0.0.0.0)"),
        CommandOption("socket", "k", value: "PATH", "socket to listen on, instead"),
        CommandOption("shared", "e", value: "N", "how many clients at a time (1); 0: any number"),
        CommandOption("persistent", "t", "go on when the last client has left"),
        CommandOption("verbose", "v", "tell of clients that come and go"),
        CommandOption("export-name", "x", value: "NAME", "the export's name (empty)"),
        CommandOption("description", "D", value: "TEXT", "its description"),
        CommandOption("handshake-limit", value: "SECONDS", "for which a client may take to choose an export (10); 0: any time"),
        CommandOption("offset", "o", value: "BYTES", "leave out the image's beginning"),
        CommandOption("allocation-depth", "A", "tell clients which image of the chain holds what"),
        CommandOption("bitmap", "B", value: "NAME", "show a dirty bitmap that the image holds"),
        CommandOption("list", "L", "list the exports of the server at -b, -p or -k"),
        CommandOption("object", value: "OBJECT", "a password (secret,id=ID,…) or TLS credentials (tls-creds-x509,id=ID,dir=…,endpoint=server)"),
        CommandOption("tls-creds", value: "ID", "demand TLS, with these credentials"),
        CommandOption("tls-hostname", value: "NAME", "for -L: the name that the server's certificate must have"),
        CommandOption("tls-authz", value: "ID", "not supported"),
        CommandOption("trace", "T", value: "PATTERN", "not supported"),
        CommandOption("selinux-label", value: "LABEL", "not supported"),
        CommandOption("fork", "serve in the background; return when clients can connect"),
        CommandOption("pid-file", value: "PATH", "write the server's process number there"),
        CommandOption("connect", "c", value: "DEVICE", "make FILE the kernel's block device DEVICE (/dev/nbd0)"),
        CommandOption("disconnect", "d", "end that; DEVICE is the operand"),
        CommandOption.format,
        CommandOption("read-only", "r", "clients may not write"),
        CommandOption("snapshot", "s", "writes go to a temporary file"),
        CommandOption("load-snapshot", "l", value: "SNAPSHOT", "a snapshot inside the image, read-only: its id or name, or snapshot.id=…,snapshot.name=…"),
        CommandOption("nocache", "n", "the same as --cache=none"),
        CommandOption("cache", value: "MODE", "none, writeback (default), writethrough, directsync, unsafe"),
        CommandOption("aio", value: "MODE", "how the host does requests: threads, native, io_uring"),
        CommandOption("discard", value: "MODE", "what clients give back: ignore (default), unmap"),
        CommandOption("detect-zeroes", value: "MODE", "what is done about writes of zeros: off (default), on, unmap"),
        CommandOption.imageOptions,
        CommandOption("named-files", value: "POLICY", "which files an image may name (backing, data): none, folder, files (default: regular files), all"),
    ]

    /// Runs the command line without the command's name; returns the exit status.
    public static func run(name: String, _ arguments: [String], catalogue: Catalogue) -> Int32 {
        let tool = Tool(catalogue: catalogue, name: name)
        do throws(ToolFailure) {
            let parsed = try ParsedArguments(arguments, options)
            if parsed.has("help") {
                tool.say("usage: \(name) [OPTION]… FILE\n       \(name) -L [OPTION]…\n       \(name) -d DEVICE\nServes a disk image over the network (NBD).\n\n"
                    + CommandOption.describe(options))
                return 0
            }
            if parsed.has("version") { tool.say("\(name) 10.0.0 (Apus)\n"); return 0 }
            for word in ["tls-authz", "trace", "selinux-label"] where parsed.has(word) { throw ToolFailure("--\(word) is not supported") }
            return try NBDCommand(tool, parsed).run()
        } catch {
            if !error.text.isEmpty { tool.complain(error.text) }
            return error.status
        }
    }
}

/// One run of the tool.
private struct NBDCommand {
    let tool: Tool
    let arguments: ParsedArguments
    let graph: BlockGraph
    let address: SocketAddress
    let isActivated: Bool

    init(_ tool: Tool, _ arguments: ParsedArguments) throws(ToolFailure) {
        self.tool = tool
        self.arguments = arguments
        // systemd's way of handing over a socket that listens already.
        let activated = getenv("LISTEN_PID").map { String(cString: $0) } == String(getpid()) && getenv("LISTEN_FDS").map { String(cString: $0) } == "1"
        isActivated = activated
        if arguments.has("socket"), arguments.has("port") || arguments.has("bind") { throw ToolFailure("-k excludes -p and -b") }
        if activated {
            for word in ["port", "bind", "socket", "list", "connect", "disconnect"] where arguments.has(word) {
                throw ToolFailure("--\(word) excludes socket activation")
            }
            unsetenv("LISTEN_PID")
            unsetenv("LISTEN_FDS")
            address = .descriptor(3)
        } else if let path = arguments.value("socket") {
            address = .unix(path: path)
        } else {
            let isClient = arguments.has("list")
            if let port = arguments.value("port"), UInt16(port) == nil { throw ToolFailure("Invalid port '\(port)'") }
            address = .inet(host: arguments.value("bind") ?? (isClient ? "localhost" : "0.0.0.0"), port: arguments.value("port") ?? "10809")
        }
        graph = try tool.graph(arguments)
    }

    func run() throws(ToolFailure) -> Int32 {
        if arguments.has("list") {
            guard arguments.operands.isEmpty else { throw ToolFailure("List mode takes no file name") }
            let listing = try credentials(isServer: false)
            do throws(SocketError) {
                var host = arguments.value("tls-hostname")
                if host == nil, case .inet(let name, _) = address { host = name }
                tool.say(ExportText.describe(try ExportListing.fetch(address, credentials: listing, host: host)))
            } catch { throw ToolFailure(error.text) }
            return 0
        }
        if arguments.has("tls-hostname") { throw ToolFailure("TLS hostname is only supported with export list") }
        guard arguments.operands.count == 1, let file = arguments.operands.first else {
            throw ToolFailure("Invalid number of arguments\nTry '\(tool.name) --help' for more information.")
        }
        if arguments.has("disconnect") {
            try KernelDevice.disconnect(file)
            tool.say("\(file) disconnected\n")
            return 0
        }
        return try serve(file)
    }

    private func number(_ option: String, _ standard: Int, _ range: ClosedRange<Int>) throws(ToolFailure) -> Int {
        guard let text = arguments.value(option) else { return standard }
        guard let number = Int(text), range.contains(number) else { throw ToolFailure("Invalid \(option) '\(text)': expected a number from \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    private func credentials(isServer: Bool) throws(ToolFailure) -> TLSCredentials? {
        guard let id = arguments.value("tls-creds") else { return nil }
        do throws(BlockError) { return try TLSObject.credentials(id, graph, isServer: isServer) } catch { throw ToolFailure(error) }
    }

    // MARK: Serving

    private func serve(_ file: String) throws(ToolFailure) -> Int32 {
        let device = arguments.value("connect")
        let credentials = try credentials(isServer: true)
        if credentials != nil, device != nil { throw ToolFailure("TLS is not supported with a host device") }
        let shared = try number("shared", 1, 0...Int(Int32.max))
        let limit = try number("handshake-limit", 10, 0...Int(Int32.max))
        let offset = try arguments.value("offset").map { (text) throws(ToolFailure) in try tool.size(text, "offset") } ?? 0
        let kernel = try device.map { (path) throws(ToolFailure) in try KernelDevice(path) }
        var ready: (@Sendable () -> Void)?
        if arguments.has("fork") || device != nil && !arguments.has("verbose") { ready = try Background.enter() }
        let ending = Ending()
        guard ending.followSignals() else { throw ToolFailure("the host gives no thread") }
        let source = NBDSource(tool, arguments, graph)
        let node = try source.open(file)
        let root = Root(node)
        do throws(ToolFailure) {
            let export: Export
            do throws(BlockError) {
                var settings = Export.Settings(name: arguments.value("export-name") ?? "", isWritable: source.isWritable)
                settings.description = arguments.value("description")
                settings.offersDepth = arguments.has("allocation-depth")
                settings.offset = offset
                settings.isShared = shared != 1
                for name in arguments.values("bitmap") { settings.bitmaps.append(try ExportedBitmap(named: name, in: node, isWritable: settings.isWritable)) }
                export = try Export(root, settings)
            } catch { throw ToolFailure(error) }
            if let kernel { try serveKernel(kernel, export, ending, ready) } else { try serveNetwork(export, credentials, shared, limit, ending, ready) }
        } catch {
            try? node.close()
            throw error
        }
        do throws(BlockError) { try node.close() } catch { throw ToolFailure(error) }
        return 0
    }

    private func serveNetwork(_ export: Export, _ credentials: TLSCredentials?, _ shared: Int, _ limit: Int, _ ending: Ending,
                              _ ready: (@Sendable () -> Void)?) throws(ToolFailure) {
        let persistent = arguments.has("persistent"), verbose = arguments.has("verbose")
        let server = Server(credentials: credentials, mostClients: shared, handshakeSeconds: Double(limit)) { [tool] remaining, negotiated in
            if verbose { tool.complain("a client has left\(negotiated ? "" : " without an export"); \(remaining) are there") }
            if negotiated, remaining == 0, !persistent { ending.ask() }
        }
        let listener: Listener
        do {
            try server.add(export)
            listener = try Listener(address)
            if let path = arguments.value("pid-file") { try Background.writePID(path) }
            try listener.start { [tool] channel in
                if verbose { tool.complain("a client has come") }
                server.admit(channel)
            }
        } catch let error as SocketError { throw ToolFailure(error.text) } catch let error as BlockError { throw ToolFailure(error) } catch {
            throw error as? ToolFailure ?? ToolFailure("\(error)")
        }
        ready?()
        _ = ending.wait()
        server.stop()
        listener.stop()
        arguments.value("pid-file").map { _ = unlink($0) }
    }

    private func serveKernel(_ kernel: KernelDevice, _ export: Export, _ ending: Ending, _ ready: (@Sendable () -> Void)?) throws(ToolFailure) {
        let channel = try kernel.attach(size: export.size, flags: export.kernelFlags)
        guard BackgroundThread.start({
            Server.serve(channel, export)
            ending.ask()
        }) else { throw ToolFailure("the host gives no thread") }
        if let path = arguments.value("pid-file") { try Background.writePID(path) }
        tool.say("NBD device \(kernel.path) is now connected to \(arguments.operands[0])\n")
        ready?()
        _ = ending.wait()
        kernel.detach()
        channel.shutDown()
        export.retire()
        arguments.value("pid-file").map { _ = unlink($0) }
    }
}
