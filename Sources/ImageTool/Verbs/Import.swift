// `import`: the machines of an OVA or OVF package: their disks as images, and a description of each machine beside them.

import Appliance
import Block
import Core
import Glibc

enum ImportVerb: Verb {
    static let name = "import"
    static let summary = "takes the machines of an OVA or OVF package over: disks and a description"
    static let usage = "[-O FMT] [-o OPTIONS] [-c] [-d FOLDER] [-p] [--describe] [--no-verify] PACKAGE"
    static let options = [
        CommandOption("target-format", "O", value: "FMT", "the format of the new images (qcow2)"),
        CommandOption("target-options", "o", value: "OPTIONS", "their creation options"),
        CommandOption("compress", "c", "compress them"),
        CommandOption("directory", "d", value: "FOLDER", "where they go (the current folder); it is made if it is not there"),
        CommandOption("describe", "only print the machines, as JSON"),
        CommandOption("no-verify", "do not compare the files with the package's manifest"),
        CommandOption.progress,
    ]

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        guard let filename = arguments.operands.first, arguments.operands.count == 1 else { throw ToolFailure("Expecting one OVA or OVF file") }
        let graph = BlockGraph(tool.catalogue, namedFiles: .none)
        let package: AppliancePackage
        do { package = try AppliancePackage(filename, graph) } catch { throw ToolFailure(error) }
        if arguments.has("describe") {
            tool.say(JSONValue.array(package.envelope.systems.map { describe($0, package, images: [:]) }).pretty + "\n")
            return 0
        }
        if !arguments.has("no-verify") {
            do {
                let count = try package.verify()
                if !arguments.isQuiet { tool.say(count.map { "\($0) files are as the manifest says\n" } ?? "no manifest: the files could not be checked\n") }
            } catch { throw ToolFailure(error) }
        }
        let folder = arguments.value("directory") ?? "."
        if mkdir(folder, 0o777) != 0, errno != EEXIST { throw ToolFailure("'\(folder)': \(String(cString: strerror(errno)))") }
        var used: Set<String> = []
        for system in package.envelope.systems {
            var stem = fileName(system.name)
            while !used.insert(stem).inserted { stem += "_" }
            try take(system, "\(folder)/\(stem)", package, graph, arguments, tool)
        }
        return 0
    }

    /// Makes the images and the description of one machine. - Parameter stem: their names begin so.
    private static func take(_ system: VirtualSystem, _ stem: String, _ package: AppliancePackage, _ graph: BlockGraph, _ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) {
        let formatName = arguments.value("target-format") ?? "qcow2"
        var images: [Int: String] = [:]
        for (index, drive) in system.drives.enumerated() {
            let target: String
            switch drive.source {
            case .none: continue
            case .disk(let id):
                guard let disk = package.envelope.disks.first(where: { $0.id == id }) else { throw ToolFailure("\(package.filename): machine '\(system.id)': there is no disk '\(id)'") }
                target = "\(stem)-disk\(images.count + 1).\(formatName)"
                try refuseExisting(target)
                let source: Node?
                do { source = try package.open(disk) } catch { throw ToolFailure(error) }
                try copy(source, capacity: disk.capacity, target, formatName, graph, arguments, tool)
            case .file(let id):
                target = "\(stem)-\(drive.medium.rawValue)\(images.count + 1).\(drive.medium == .cdrom ? "iso" : "img")"
                try refuseExisting(target)
                let source: Node
                do { source = try package.openFile(id: id) } catch { throw ToolFailure(error) }
                try copy(source, capacity: 0, target, "raw", graph, arguments, tool)
            }
            images[index] = target
            if !arguments.isQuiet { tool.say("\(target): \(describe(drive))\n") }
        }
        let description = "\(stem).json"
        try refuseExisting(description)
        let text = describe(system, package, images: images).pretty + "\n"
        guard let file = fopen(description, "wx") else { throw ToolFailure("'\(description)': \(String(cString: strerror(errno)))") }
        let isWritten = fputs(text, file) >= 0
        guard fclose(file) == 0, isWritten else { throw ToolFailure("'\(description)': \(String(cString: strerror(errno)))") }
        if !arguments.isQuiet {
            let memory = system.memory.map { ", \($0 >> 20) MiB of memory" } ?? ""
            tool.say("\(description): machine '\(system.name)': \(system.processors) processor\(system.processors == 1 ? "" : "s")\(memory), \(system.firmware)\(system.operatingSystem.map { ", \($0)" } ?? "")\n")
        }
    }

    private static func refuseExisting(_ name: String) throws(ToolFailure) {
        guard access(name, F_OK) != 0 else { throw ToolFailure("'\(name)' exists already") }
    }

    private static func copy(_ source: Node?, capacity: UInt64, _ target: String, _ formatName: String, _ graph: BlockGraph, _ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) {
        var opened = source.map { [$0] } ?? []
        do throws(ToolFailure) {
            var image = try NewImage(formatName, target, tool)
            if formatName == arguments.value("target-format") ?? "qcow2" { try image.apply(arguments.values("target-options"), target) }
            if arguments.has("compress"), !(image.format is any CompressingFormat.Type), formatName != "raw" { throw ToolFailure("Compression not supported for this file format") }
            do throws(BlockError) {
                // A package may say less than its image has, not more.
                let length = try source?.length() ?? 0
                try image.options.set("size", String(max(length, capacity)))
            } catch { throw ToolFailure(error) }
            try image.make(target, graph)
            if let source {
                let node: Node
                do { node = try graph.open(target, format: formatName, Access(writable: true, cache: .unsafe, discards: true)) } catch { throw ToolFailure(Tool.openFailure(target, error)) }
                opened.insert(node, at: 0)
                var work = Conversion(sources: [source], target: node)
                work.targetIsZero = true
                work.compresses = arguments.has("compress") && image.format is any CompressingFormat.Type || node.image is any CompressedOnlyImage
                let progress = Progress(arguments)
                work.progress = progress.report
                let conversion = work
                try tool.closing(opened) { () throws(BlockError) in try conversion.run() }
                opened = []
                progress.finish()
            }
        } catch {
            for node in opened { try? node.close() }
            unlink(target)
            throw error
        }
    }

    // MARK: the description

    private static func describe(_ drive: VirtualSystem.Drive) -> String {
        let place = drive.bus.map { ", on \($0)" + (drive.controller.map { " (\($0))" } ?? "") + (drive.unit.map { ", unit \($0)" } ?? "") }
        return drive.medium.rawValue + (place ?? "")
    }

    /// A machine as JSON. - Parameter images: the files of its drives, by their numbers.
    private static func describe(_ system: VirtualSystem, _ package: AppliancePackage, images: [Int: String]) -> JSONValue {
        func members(_ pairs: [(String, JSONValue?)]) -> JSONValue { .object(pairs.compactMap { pair in pair.1.map { JSONValue.Member(pair.0, $0) } }) }
        let drives = system.drives.enumerated().map { index, drive in
            var capacity: JSONValue?, from: JSONValue?
            switch drive.source {
            case .disk(let id):
                let disk = package.envelope.disks.first { $0.id == id }
                capacity = disk.map { .number($0.capacity) }
                from = disk?.file.flatMap { file in package.envelope.files.first { $0.id == file } }.map { .text($0.href) }
            case .file(let id): from = package.envelope.files.first { $0.id == id }.map { .text($0.href) }
            case .none: break
            }
            let name = images[index].map { path in path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path }
            return members([("medium", .text(drive.medium.rawValue)), ("filename", name.map { .text($0) }), ("source", from), ("capacity", capacity), ("bus", drive.bus.map { .text($0) }),
                            ("controller", drive.controller.map { .text($0) }), ("unit", drive.unit.map { .number($0) })])
        }
        let adapters = system.adapters.map { members([("network", $0.network.map { .text($0) }), ("model", $0.model.map { .text($0) }), ("mac", $0.address.map { .text($0) })]) }
        return members([
            ("name", .text(system.name)), ("id", .text(system.id)), ("operating-system", system.operatingSystem.map { .text($0) }), ("processors", .number(system.processors)),
            ("memory", system.memory.map { .number($0) }), ("firmware", .text(system.firmware)), ("drives", .array(drives)), ("networks", .array(adapters)),
            ("not-taken-over", .array(system.left.map { .text($0) })),
        ])
    }

    /// A name that somebody else chose as the start of file names.
    private static func fileName(_ name: String) -> String {
        let safe = String(name.unicodeScalars.prefix(64).map { scalar -> Character in
            scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil) || "._-".unicodeScalars.contains(scalar) ? Character(scalar) : "_"
        })
        guard let first = safe.first else { return "machine" }
        return first == "." || first == "-" ? "_" + safe.dropFirst() : safe
    }
}
