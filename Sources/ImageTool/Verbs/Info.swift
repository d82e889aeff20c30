import Block
import Core

/// `info`: what an image is.
enum InfoVerb: Verb {
    static let name = "info"
    static let summary = "tells about an image"
    static let usage = "[-f FMT] [-b] [--output=human|json] [-U] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare, .output,
        CommandOption("backing-chain", "b", "also about the images it stands on"),
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        let json = try arguments.wantsJSON()
        let wantsChain = arguments.has("backing-chain")
        let graph = try tool.graph(arguments)
        // Each image of a chain is opened by itself, so that a missing backing file is no obstacle to `info`.
        let top = try tool.open(name, format: arguments.value("format"), Access(opensBacking: wantsChain, metadataOnly: true), graph, arguments)
        return try tool.closing([top]) { () throws(BlockError) -> Int32 in
            let nodes = wantsChain ? top.chain : [top]
            if json {
                let values = try nodes.map { (node) throws(BlockError) in try NodeInformation(node).json }
                tool.say((wantsChain ? JSONValue.array(values) : values[0]).pretty + "\n")
            } else {
                tool.say(try nodes.map { (node) throws(BlockError) in try NodeInformation(node).text(indent: "") }.joined(separator: "\n"))
            }
            return 0
        }
    }
}

/// What is printed of one node.
struct NodeInformation {
    let node: Node
    let size: UInt64
    let allocated: UInt64?
    let details: ImageInformation?
    let backing: FileReference?
    let snapshots: [SnapshotRecord]

    init(_ node: Node) throws(BlockError) {
        self.node = node
        // Whole sectors, as in QEMU.
        let length = try node.length()
        size = length.roundedUp(to: 512) ?? length
        var sum: UInt64?
        for child in [node] + node.children.filter({ $0.role != "backing" }).map(\.node) {
            if let described = child.storage as? any DescribedStorage, let bytes = try described.allocatedSize() { sum = (sum ?? 0) + bytes }
        }
        allocated = sum
        do { details = try (node.image as? any DescribedImage)?.information() } catch { throw error.naming(node.filename) }
        backing = (node.image as? any BackedImage)?.backing
        snapshots = (node.image as? any SnapshottingImage)?.snapshots ?? []
    }

    private var fullBacking: String? { backing.map { ImageName.resolve($0.name, relativeTo: node.filename) } }

    var json: JSONValue {
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ value: JSONValue) { members.append(.init(name, value)) }
        // QEMU lists the latest first.
        let children = node.children.filter { $0.role != "backing" }.reversed()
        add("children", .array(children.compactMap { child in
            (try? NodeInformation(child.node)).map { .object([.init("name", .text(child.role)), .init("info", $0.json)]) }
        }))
        if !snapshots.isEmpty { add("snapshots", .array(snapshots.map(SnapshotText.json))) }
        if let format = backing?.format { add("backing-filename-format", .text(format)) }
        add("virtual-size", .number(size))
        add("filename", .text(node.filename))
        if let cluster = details?.clusterSize { add("cluster-size", .number(cluster)) }
        add("format", .text(node.driver))
        if let allocated { add("actual-size", .number(allocated)) }
        if details?.isCompressed == true { add("compressed", .flag(true)) }
        if let specific = details?.specific {
            add("format-specific", .object([.init("type", .text(node.driver)), .init("data", .object(specific))]))
        } else if node.driver == "file" || node.driver == "host_device" {
            add("format-specific", .object([.init("type", .text("file")), .init("data", .object([]))]))
        }
        if let fullBacking { add("full-backing-filename", .text(fullBacking)) }
        if let backing { add("backing-filename", .text(backing.name)) }
        if details?.isEncrypted == true { add("encrypted", .flag(true)) }
        // Not of formats that tell nothing about themselves; raw has what its file has.
        let file = node.image is any TransparentImage ? node.child("file") : node.image == nil ? node : nil
        if details != nil || file?.storage is any DescribedStorage { add("dirty-flag", .flag(details?.isDirty ?? false)) }
        return .object(members)
    }

    func text(indent: String) -> String {
        var lines: [String] = []
        func size(_ bytes: UInt64) -> String { "\(SizeText.human(bytes)) (\(bytes) bytes)" }
        let isFile = node.image == nil
        if isFile {
            lines = ["filename: \(node.filename)", "protocol type: \(node.driver)", "file length: \(size(self.size))",
                     "disk size: \(allocated.map { SizeText.human($0) } ?? "unavailable")"]
        } else {
            lines = ["image: \(node.filename)", "file format: \(node.driver)", "virtual size: \(size(self.size))",
                     "disk size: \(allocated.map { SizeText.human($0) } ?? "unavailable")"]
            if details?.isEncrypted == true { lines.append("encrypted: yes") }
            if let cluster = details?.clusterSize { lines.append("cluster_size: \(cluster)") }
            if details?.isDirty == true { lines.append("cleanly shut down: no") }
            if let backing {
                let full = fullBacking ?? backing.name
                lines.append("backing file: \(backing.name)" + (full == backing.name ? "" : " (actual path: \(full))"))
                if let format = backing.format { lines.append("backing file format: \(format)") }
            }
            if !snapshots.isEmpty { lines += ["Snapshot list:"] + SnapshotText.table(snapshots) }
            if let specific = details?.specific, !specific.isEmpty {
                lines.append("Format specific information:")
                lines += specific.flatMap { NodeInformation.describe($0, indent: "    ") }
            }
        }
        var text = lines.map { indent + $0 + "\n" }.joined()
        for child in node.children.reversed() where child.role != "backing" {
            text += indent + "Child node '/\(child.role)':\n"
            if let inner = try? NodeInformation(child.node) { text += inner.text(indent: indent + "    ") }
        }
        return text
    }

    /// One member of the format's own information: names with spaces, inner values indented.
    static func describe(_ member: JSONValue.Member, indent: String) -> [String] {
        let name = String(member.name.map { $0 == "-" ? " " : $0 })
        return describe(name, member.value, indent)
    }

    private static func describe(_ name: String, _ value: JSONValue, _ indent: String) -> [String] {
        switch value {
        case .object(let members): return [indent + name + ":"] + members.flatMap { describe($0, indent: indent + "    ") }
        case .array(let values): return [indent + name + ":"] + values.enumerated().flatMap { describe("[\($0.offset)]", $0.element, indent + "    ") }
        case .text(let text): return [indent + name + ": " + text]
        default: return [indent + name + ": " + value.compact]
        }
    }
}
