// The targets: every format, opened for reading and for writing, mapped, checked, told about, repaired; and what reads text.

import Block
import Core
import Formats

struct FuzzTarget: Sendable {
    let name: String
    let run: @Sendable ([UInt8]) -> Void

    static let catalogue = Catalogue(formats: DiskFormats.all, protocols: BlockProtocols.all + DiskFormats.protocols, filters: BlockFilters.all, fallback: RawFormat.self)

    static let all: [FuzzTarget] = images + nbd + folders

    private static let images: [FuzzTarget] = DiskFormats.all.map { format in
        FuzzTarget(name: format.name) { bytes in
            let image = SparseInput(bytes).image
            read(format.name, image)
            write(format.name, image)
        }
    } + [
        FuzzTarget(name: "probe") { bytes in
            for format in DiskFormats.all { _ = format.probe(Array(bytes.prefix(probeLength)), name: "image") }
        },
        FuzzTarget(name: "json") { bytes in
            guard let value = try? JSONValue(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
            let again = try? JSONValue(parsing: value.compact)
            if again?.compact != value.compact { fatalError("JSON that was printed reads as something else") }
            _ = value.pretty
            _ = value.members.map { OptionTree.expanded($0) }
        },
        FuzzTarget(name: "options") { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            _ = SizeText.parse(text)
            _ = ImageName(text)
            let members = OptionValues.split(text).map { JSONValue.Member($0.name, .text($0.value)) }
            _ = OptionTree.expanded(members)
        },
    ]

    /// A node on bytes, which may open no other file.
    private static func open(_ format: String, _ bytes: [UInt8], _ access: Access) -> Node? {
        let graph = BlockGraph(catalogue, namedFiles: .none)
        let file = Node(name: "file", driver: "file", filename: "/nowhere/image", storage: MemoryStorage(bytes), access: access)
        return try? graph.open(on: file, format: format, access)
    }

    private static func read(_ format: String, _ bytes: [UInt8]) {
        if let node = open(format, bytes, Access(opensBacking: false, metadataOnly: true)) {
            _ = try? (node.image as? any DescribedImage)?.information()
            try? node.close()
        }
        guard let node = open(format, bytes, Access(opensBacking: false)) else { return }
        defer { try? node.close() }
        guard let length = try? node.length(), length > 0 else { return }
        var position: UInt64 = 0
        for _ in 0..<100 where position < length {
            guard let status = try? node.status(position, length - position) else { break }
            if status.length == 0 || status.length > length - position { fatalError("a status of \(status.length) bytes") }
            position += status.length
        }
        for place in [0, length / 3, length - min(length, 5000)] { _ = try? node.bytes(place, Int(min(length - place, 5000))) }
        if let image = node.image as? any CheckableImage { _ = try? image.check(.nothing) }
        if let image = node.image as? any SnapshottingImage, let first = image.snapshots.first {
            if (try? image.showSnapshot(first.id)) != nil { _ = try? node.bytes(0, 4096) }
        }
    }

    private static func write(_ format: String, _ bytes: [UInt8]) {
        guard let node = open(format, bytes, Access(writable: true, cache: .unsafe, opensBacking: false)) else { return }
        defer { try? node.close() }
        guard let length = try? node.length(), length > 0 else { return }
        for place in [0, length / 2, length - min(length, 700)] { try? node.write(place, bytes: [UInt8](repeating: 7, count: Int(min(length - place, 700)))) }
        try? node.writeZeroes(0, min(length, 300_000))
        try? node.discard(length / 2, min(length - length / 2, 1 << 20))
        try? node.flush()
        guard let storage = node.storage as? ImageStorage else { return }
        try? storage.exclusively { () throws(BlockError) in
            if let image = storage.image as? any SnapshottingImage {
                try? image.createSnapshot(SnapshotRecord(id: "", name: "fuzz"))
                if let first = image.snapshots.first { try? image.applySnapshot(first.id) }
                if let first = image.snapshots.first { try? image.deleteSnapshot(first.id) }
            }
            if let image = storage.image as? any BitmappedImage {
                for record in image.bitmaps.prefix(3) { _ = try? image.dirtyRanges(record.name) }
                if let first = image.bitmaps.first { try? image.removeBitmap(first.name) }
            }
            if let image = storage.image as? any CheckableImage { _ = try? image.check(.all) }
        }
        if length < 16 << 20 { try? storage.setLength(length.roundedDown(to: 512) + (1 << 20), .off) }
        try? node.write(0, bytes: [1, 2, 3])
        try? node.flush()
    }
}
