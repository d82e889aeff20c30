// Dirty bitmaps of nodes: those that live in this process, and those that an image stores. block-dirty-bitmap-add, -remove,
// -clear, -enable, -disable, -merge.

import Block
import Core
import Host
import Monitor
import NBD

/// A bitmap of a node that no image stores.
struct NodeBitmap: Sendable {
    var name: String
    var tracker: DirtyTracker
    var isEnabled: Bool

    static let type = ValueType.object("BlockDirtyInfo", [
        Parameter("name", .text), Parameter("count", .integer), Parameter("granularity", .integer), Parameter("recording", .flag),
        Parameter("busy", .flag), Parameter("persistent", .flag), Parameter("inconsistent", .flag, optional: true),
    ])
}

extension DirtyTracker {
    /// All dirty ranges, ascending.
    var ranges: [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        var position: UInt64 = 0
        while let next = next(from: position, limit: UInt64.max) {
            found.append(next)
            position = next.upperBound
        }
        return found
    }
    func mark(_ ranges: [Range<UInt64>]) { for range in ranges { mark(range.lowerBound, range.upperBound - range.lowerBound) } }
}

extension BlockService {
    private static let reference = [Parameter("node", .text), Parameter("name", .text)]
    static let mergeSource = ValueType.alternate("BlockDirtyBitmapOrStr", [.text, .object("BlockDirtyBitmap", reference)])
    static let bitmapParameters: [String: [Parameter]] = [
        "block-dirty-bitmap-add": reference + [Parameter("granularity", .size, optional: true), Parameter("persistent", .flag, optional: true), Parameter("disabled", .flag, optional: true)],
        "block-dirty-bitmap-remove": reference, "block-dirty-bitmap-clear": reference, "block-dirty-bitmap-enable": reference, "block-dirty-bitmap-disable": reference,
        "block-dirty-bitmap-merge": [Parameter("node", .text), Parameter("target", .text), Parameter("bitmaps", .array(mergeSource))],
    ]

    var bitmapCommands: [CommandDeclaration] {
        BlockService.bitmapParameters.map { name, parameters in
            CommandDeclaration(name, parameters) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in
                    try changing.withLock { (_) throws(BlockError) in _ = try bitmapAction(name, arguments) }
                }
                return .nothing
            }
        }
    }

    /// What takes an action back.
    typealias Undo = @Sendable () -> Void

    /// Does one of the commands; returns what takes it back. With `changing` held.
    func bitmapAction(_ command: String, _ arguments: Arguments) throws(BlockError) -> Undo {
        let node = try find(arguments.text("node") ?? "")
        let name = arguments.text("name") ?? arguments.text("target") ?? ""
        switch command {
        case "block-dirty-bitmap-add": return try add(node, name, arguments)
        case "block-dirty-bitmap-remove": return try remove(node, name)
        case "block-dirty-bitmap-enable": return try enable(node, name, true)
        case "block-dirty-bitmap-disable": return try enable(node, name, false)
        case "block-dirty-bitmap-clear":
            let before = try dirtyRanges(node, name)
            try clear(node, name)
            return { [self] in try? mark(node, name, before) }
        default:
            let before = try dirtyRanges(node, name)
            for source in arguments.array("bitmaps") {
                let other = try source["node"]?.string.map { (name) throws(BlockError) in try find(name) } ?? node
                guard let bitmap = source.string ?? source["name"]?.string else { continue }
                try mark(node, name, try dirtyRanges(other, bitmap))
            }
            return { [self] in
                try? clear(node, name)
                try? mark(node, name, before)
            }
        }
    }

    // MARK: One bitmap

    private func transient(_ node: Node, _ name: String) -> NodeBitmap? { state.withLock { $0.bitmaps[node.name]?.first { $0.name == name } } }
    private func stored(_ node: Node, _ name: String) throws(BlockError) -> (any BitmappedImage, BitmapRecord) {
        guard let image = node.image as? any BitmappedImage, let record = image.bitmaps.first(where: { $0.name == name }) else {
            throw .invalid("Dirty bitmap '\(name)' not found")
        }
        return (image, record)
    }

    private func add(_ node: Node, _ name: String, _ arguments: Arguments) throws(BlockError) -> Undo {
        guard !name.isEmpty else { throw .invalid("Bitmap name cannot be empty") }
        let isNew = transient(node, name) == nil && !((node.image as? any BitmappedImage)?.bitmaps.contains { $0.name == name } ?? false)
        guard isNew else { throw .invalid("Bitmap already exists: \(name)") }
        var granularity: UInt64 = 65536
        do throws(MonitorError) { granularity = try arguments.size("granularity") ?? 65536 } catch { throw .invalid(error.text) }
        guard granularity >= 512, granularity <= 1 << 31, granularity & (granularity - 1) == 0 else { throw .invalid("Granularity must be power of 2 and at least 512") }
        let enabled = !(arguments.flag("disabled") ?? false)
        if arguments.flag("persistent") == true {
            guard let image = node.image as? any BitmappedImage, node.isWritable else { throw .invalid("Driver '\(node.driver)' cannot store the bitmap '\(name)' here") }
            try image.addBitmap(BitmapRecord(name: name, granularity: granularity, isEnabled: enabled))
            return { try? image.removeBitmap(name) }
        }
        let tracker = try DirtyTracker(length: try node.length(), granularity: granularity)
        if enabled { node.attach(tracker) }
        state.withLock { $0.bitmaps[node.name, default: []].append(NodeBitmap(name: name, tracker: tracker, isEnabled: enabled)) }
        return { [self] in _ = try? remove(node, name) }
    }

    private func refuseIfExported(_ node: Node, _ name: String) throws(BlockError) {
        let isBusy = state.withLock { state in state.exports.contains { $0.export.settings.bitmaps.contains { $0.name == name } && $0.export.root.node.chain.contains { $0 === node } } }
        if isBusy { throw .invalid("Bitmap '\(name)' is currently in use by another operation and cannot be used") }
    }

    private func remove(_ node: Node, _ name: String) throws(BlockError) -> Undo {
        try refuseIfExported(node, name)
        if let bitmap = transient(node, name) {
            node.detach(bitmap.tracker)
            state.withLock { $0.bitmaps[node.name]?.removeAll { $0.name == name } }
            return { [self] in
                if bitmap.isEnabled { node.attach(bitmap.tracker) }
                state.withLock { $0.bitmaps[node.name, default: []].append(bitmap) }
            }
        }
        let (image, record) = try stored(node, name)
        let before = record.isInconsistent ? [] : try image.dirtyRanges(name)
        try image.removeBitmap(name)
        return {
            try? image.addBitmap(record)
            try? image.markDirty(name, before)
        }
    }

    private func enable(_ node: Node, _ name: String, _ enabled: Bool) throws(BlockError) -> Undo {
        try refuseIfExported(node, name)
        if let bitmap = transient(node, name) {
            if bitmap.isEnabled != enabled {
                if enabled { node.attach(bitmap.tracker) } else { node.detach(bitmap.tracker) }
                state.withLock { state in
                    if let index = state.bitmaps[node.name]?.firstIndex(where: { $0.name == name }) { state.bitmaps[node.name]?[index].isEnabled = enabled }
                }
            }
            return { [self] in _ = try? enable(node, name, bitmap.isEnabled) }
        }
        let (image, record) = try stored(node, name)
        try image.enableBitmap(name, enabled)
        return { try? image.enableBitmap(name, record.isEnabled) }
    }

    func clear(_ node: Node, _ name: String) throws(BlockError) {
        try refuseIfExported(node, name)
        if let bitmap = transient(node, name) { return bitmap.tracker.clear(0, UInt64.max) }
        try stored(node, name).0.clearBitmap(name)
    }

    func mark(_ node: Node, _ name: String, _ ranges: [Range<UInt64>]) throws(BlockError) {
        if let bitmap = transient(node, name) { return bitmap.tracker.mark(ranges) }
        try stored(node, name).0.markDirty(name, ranges)
    }

    package func dirtyRanges(_ node: Node, _ name: String) throws(BlockError) -> [Range<UInt64>] {
        if let bitmap = transient(node, name) { return bitmap.tracker.ranges }
        return try stored(node, name).0.dirtyRanges(name)
    }

    func granularity(_ node: Node, _ name: String) throws(BlockError) -> UInt64 {
        if let bitmap = transient(node, name) { return bitmap.tracker.granularity }
        return try stored(node, name).1.granularity
    }

    // MARK: All of a node

    func bitmapDescriptions(of node: Node) -> [JSONValue] {
        func describe(_ name: String, _ count: UInt64, _ granularity: UInt64, recording: Bool, persistent: Bool, inconsistent: Bool) -> JSONValue {
            .object([.init("name", .text(name)), .init("recording", .flag(recording)), .init("persistent", .flag(persistent)), .init("busy", .flag(false)),
                     .init("granularity", .number(granularity)), .init("count", .number(count))] + (inconsistent ? [.init("inconsistent", .flag(true))] : []))
        }
        var found = (state.withLock { $0.bitmaps[node.name] } ?? []).map {
            describe($0.name, $0.tracker.dirtyBytes, $0.tracker.granularity, recording: $0.isEnabled, persistent: false, inconsistent: false)
        }
        if let image = node.image as? any BitmappedImage {
            found += image.bitmaps.map { record in
                let bytes = ((try? image.dirtyRanges(record.name)) ?? []).reduce(0) { $0 &+ ($1.upperBound - $1.lowerBound) }
                return describe(record.name, bytes, record.granularity, recording: record.isEnabled && !record.isInconsistent, persistent: true, inconsistent: record.isInconsistent)
            }
        }
        return found
    }

    func dropBitmaps(of node: Node) { state.withLock { $0.bitmaps[node.name] = nil } }

    /// The node was opened anew.
    func moveBitmaps(from old: Node, to new: Node) {
        for bitmap in state.withLock({ $0.bitmaps[new.name] }) ?? [] where bitmap.isEnabled {
            old.detach(bitmap.tracker)
            new.attach(bitmap.tracker)
        }
    }

    /// A bitmap that an export shows: a name in the chain of the node, or a node's name and a bitmap's.
    func exportedBitmap(_ reference: JSONValue, _ top: Node, isWritable: Bool) throws(BlockError) -> ExportedBitmap {
        guard let name = reference.string ?? reference["name"]?.string else { throw .invalid("a bitmap is given by its name") }
        let nodes = try reference["node"]?.string.map { (name) throws(BlockError) in [try find(name)] } ?? top.chain
        for node in nodes {
            if let bitmap = transient(node, name) {
                if !isWritable, bitmap.isEnabled, node.isWritable { throw .invalid("Enabled bitmap '\(name)' incompatible with readonly export") }
                return ExportedBitmap(name: name) { () throws(BlockError) in bitmap.tracker.ranges }
            }
            if (node.image as? any BitmappedImage)?.bitmaps.contains(where: { $0.name == name }) == true { return try ExportedBitmap(named: name, in: node, isWritable: isWritable) }
        }
        throw .invalid("Bitmap '\(name)' is not found")
    }
}
