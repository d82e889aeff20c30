// How verbs open images: by name or by description, with QEMU's messages.

import Block
import Core

extension Tool {
    /// Opens the image that an operand names.
    package func open(_ name: String, format: String?, _ access: Access, _ graph: BlockGraph, _ arguments: ParsedArguments) throws(ToolFailure) -> Node {
        var access = access
        if arguments.has("force-share") { access.forceShare = true; }
        if access.forceShare, access.writable { throw ToolFailure("Force share mode needs read-only access: '\(name)'") }
        do throws(BlockError) {
            if arguments.has("image-opts") {
                if format != nil { throw BlockError.invalid("--image-opts and --format are mutually exclusive") }
                return try graph.open(options: Tool.tree(name), access)
            }
            let node = try graph.open(name, format: format, access)
            if access.writable, format == nil, node.driver == graph.catalogue.fallback.name {
                Output.error("WARNING: Image format was not specified for '\(name)' and probing guessed raw.\n"
                    + "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"
                    + "         Specify the 'raw' format explicitly to remove the restrictions.\n")
            }
            return node
        } catch { throw ToolFailure(Tool.openFailure(name, error)) }
    }

    /// `driver=…,file.filename=…` as a tree.
    package static func tree(_ text: String) -> JSONValue {
        .object(OptionTree.expanded(OptionValues.split(text).map { JSONValue.Member($0.name, .text($0.value)) }))
    }

    package static func openFailure(_ name: String, _ error: BlockError) -> String {
        let reason = error.file == nil || error.file == name ? error.place : "\(error)"
        return "Could not open '\(name)': \(reason)"
    }

    /// The cache mode that `-t` or `-T` names.
    func cache(_ arguments: ParsedArguments, _ option: String, _ standard: CacheMode) throws(ToolFailure) -> CacheMode {
        guard let name = arguments.value(option) else { return standard }
        guard let mode = CacheMode(named: name) else { throw ToolFailure("Invalid cache option: \(name)") }
        return mode
    }

    /// How the host does requests: what `-i` names, or native by the flag `native`.
    func interface(_ arguments: ParsedArguments, native: String) throws(ToolFailure) -> HostInterface {
        guard let name = arguments.value("aio") else { return arguments.has(native) ? .native : .threads }
        guard let interface = HostInterface(rawValue: name) else { throw ToolFailure("Invalid aio option: \(name)") }
        return interface
    }

    /// Runs `body`, then closes the nodes; the first failure counts.
    func closing<Result>(_ nodes: [Node], _ body: () throws(BlockError) -> Result) throws(ToolFailure) -> Result {
        var outcome: Swift.Result<Result, BlockError>
        do throws(BlockError) { outcome = .success(try body()) } catch { outcome = .failure(error) }
        for node in nodes {
            do throws(BlockError) { try node.close() } catch { if case .success = outcome { outcome = .failure(error) } }
        }
        switch outcome {
        case .success(let result): return result
        case .failure(let error): throw ToolFailure(error)
        }
    }

    /// Number of bytes a size option gives.
    package func size(_ text: String, _ what: String) throws(ToolFailure) -> UInt64 {
        guard let size = SizeText.parse(text), size <= UInt64(Int64.max) else {
            throw ToolFailure("Invalid \(what) specified. You may use k, M, G, T, P or E suffixes for \nkilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.")
        }
        return size
    }
}
