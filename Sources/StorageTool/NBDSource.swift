// How `apus nbd` opens the image that it serves.

import Block
import Core
import Glibc
import ImageTool

struct NBDSource {
    private let tool: Tool
    private let arguments: ParsedArguments
    private let graph: BlockGraph
    /// Whether clients may write.
    let isWritable: Bool

    init(_ tool: Tool, _ arguments: ParsedArguments, _ graph: BlockGraph) {
        self.tool = tool
        self.arguments = arguments
        self.graph = graph
        isWritable = !arguments.has("read-only") && !arguments.has("load-snapshot")
    }

    func open(_ file: String) throws(ToolFailure) -> Node {
        let overlay = arguments.has("snapshot")
        let node = try openImage(file, try access(writable: isWritable && !overlay))
        do throws(ToolFailure) {
            if let word = arguments.value("load-snapshot") { try show(word, node) }
            return overlay && isWritable ? try self.overlay(node) : node
        } catch {
            try? node.close()
            throw error
        }
    }

    private func access(writable: Bool) throws(ToolFailure) -> Access {
        var access = Access(writable: writable)
        if arguments.has("nocache"), arguments.has("cache") { throw ToolFailure("-n and --cache can only be specified once") }
        if arguments.has("nocache") { access.cache = CacheMode(named: "none") ?? .writeBack }
        if let word = arguments.value("cache") {
            guard let mode = CacheMode(named: word) else { throw ToolFailure("Invalid cache mode `\(word)'") }
            access.cache = mode
        }
        switch arguments.value("discard") {
        case nil, "ignore", "off": break
        case "unmap", "on": access.discards = true
        case let word?: throw ToolFailure("Invalid discard mode `\(word)'")
        }
        if let word = arguments.value("detect-zeroes") {
            guard let mode = ZeroDetection(rawValue: word) else { throw ToolFailure("Failed to parse detect_zeroes mode: invalid parameter value: \(word)") }
            if mode == .unmap, !access.discards { throw ToolFailure("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap") }
            access.zeroDetection = mode
        }
        return access
    }

    private func openImage(_ file: String, _ access: Access) throws(ToolFailure) -> Node {
        let format = arguments.value("format")
        guard let mode = arguments.value("aio") else { return try tool.open(file, format: format, access, graph, arguments) }
        guard ["threads", "native", "io_uring"].contains(mode) else { throw ToolFailure("Invalid aio mode `\(mode)'") }
        if mode == "native", !access.cache.direct { throw ToolFailure("aio=native was specified, but it requires cache.direct=on, which was not specified.") }
        guard !arguments.has("image-opts") else { throw ToolFailure("--aio and --image-opts exclude each other: say file.aio=\(mode)") }
        guard case .path = ImageName(file) else { throw ToolFailure("--aio is for files, not for '\(file)'") }
        var members = [JSONValue.Member("file", .object([.init("driver", .text("file")), .init("filename", .text(file)), .init("aio", .text(mode))]))]
        if let format { members.insert(.init("driver", .text(format)), at: 0) }
        do throws(BlockError) { return try graph.open(options: .object(members), access) } catch { throw ToolFailure(Tool.openFailure(file, error)) }
    }

    private func show(_ word: String, _ node: Node) throws(ToolFailure) {
        guard let image = node.image as? any SnapshottingImage else { throw ToolFailure("Failed to load snapshot: the format has no snapshots") }
        var which = word
        if word.hasPrefix("snapshot.") {
            var id: String?, name: String?
            for part in OptionValues.split(word) {
                switch part.name {
                case "snapshot.id": id = part.value
                case "snapshot.name": name = part.value
                default: throw ToolFailure("Invalid snapshot param '\(word)'")
                }
            }
            guard let found = image.snapshots.first(where: { (id == nil || $0.id == id) && (name == nil || $0.name == name) }) else {
                throw ToolFailure("Failed to load snapshot: Can't find snapshot")
            }
            which = found.id
        }
        do throws(BlockError) { try image.showSnapshot(which) } catch { throw ToolFailure("Failed to load snapshot: \(error)") }
    }

    /// A temporary image in front of the node, which goes away with this process.
    private func overlay(_ base: Node) throws(ToolFailure) -> Node {
        guard let format = graph.catalogue.format("qcow2") as? any CreatableFormat.Type else { throw ToolFailure("-s needs the format qcow2") }
        var path = Array(((getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp") + "/apus-nbd.XXXXXX").utf8CString)
        let descriptor = mkstemp(&path)
        let name = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard descriptor >= 0 else { throw ToolFailure("Could not create temporary file '\(name)': \(String(cString: strerror(errno)))") }
        close(descriptor)
        defer { unlink(name) }
        do throws(BlockError) {
            let size = try base.length()
            var options = OptionValues(format.createOptions)
            try options.set("size", String(size))
            try graph.create(name, format: format, size: size, options: options)
            var access = Access(writable: true)
            access.discards = true
            // It need not survive anything.
            access.cache = .unsafe
            let node = try graph.open(name, format: "qcow2", access)
            (node.storage as? ImageStorage)?.setBacking(base)
            return node
        } catch { throw ToolFailure(error) }
    }
}
