// What query-named-block-nodes says of a node.

import Block
import Core
import Monitor

enum NodeDescription {
    private static let imageType = ValueType.open("ImageInfo", [
        Parameter("filename", .text), Parameter("format", .text), Parameter("virtual-size", .integer),
        Parameter("actual-size", .integer, optional: true), Parameter("cluster-size", .integer, optional: true),
        Parameter("dirty-flag", .flag, optional: true), Parameter("encrypted", .flag, optional: true),
        Parameter("backing-filename", .text, optional: true), Parameter("backing-filename-format", .text, optional: true),
    ])
    static let type = ValueType.object("BlockDeviceInfo", [
        Parameter("node-name", .text), Parameter("file", .text), Parameter("ro", .flag), Parameter("drv", .text),
        Parameter("encrypted", .flag), Parameter("backing_file", .text, optional: true), Parameter("backing_file_depth", .integer),
        Parameter("detect_zeroes", .enumeration("BlockdevDetectZeroesOptions", ["off", "on", "unmap"])),
        Parameter("cache", .object("BlockdevCacheInfo", [Parameter("writeback", .flag), Parameter("direct", .flag), Parameter("no-flush", .flag)])),
        Parameter("children", .array(.object("BlockdevChild", [Parameter("child", .text), Parameter("node-name", .text)]))),
        Parameter("image", imageType), Parameter("active", .flag),
        Parameter("dirty-bitmaps", .array(NodeBitmap.type), optional: true),
    ])

    static func json(_ node: Node, bitmaps: [JSONValue], flat: Bool) throws(BlockError) -> JSONValue {
        let length = try node.length()
        var image: [JSONValue.Member] = [.init("virtual-size", .number(length)), .init("filename", .text(node.filename)), .init("format", .text(node.driver))]
        var allocated: UInt64?
        for part in [node] + node.children.filter({ $0.role != "backing" }).map(\.node) {
            if let described = part.storage as? any DescribedStorage, let bytes = try described.allocatedSize() { allocated = (allocated ?? 0) + bytes }
        }
        if let allocated { image.append(.init("actual-size", .number(allocated))) }
        let details = try (node.image as? any DescribedImage)?.information()
        if let details {
            if let cluster = details.clusterSize { image.append(.init("cluster-size", .number(cluster))) }
            image.append(.init("dirty-flag", .flag(details.isDirty)))
            if details.isEncrypted { image.append(.init("encrypted", .flag(true))) }
        }
        if let backing = (node.image as? any BackedImage)?.backing {
            image.append(.init("backing-filename", .text(backing.name)))
            if let format = backing.format { image.append(.init("backing-filename-format", .text(format))) }
        }
        var members: [JSONValue.Member] = [
            .init("node-name", .text(node.name)), .init("file", .text(node.filename)), .init("ro", .flag(!node.isWritable)), .init("drv", .text(node.driver)),
            .init("active", .flag(true)), .init("encrypted", .flag(details?.isEncrypted ?? false)),
            .init("backing_file_depth", .number(flat ? 0 : node.chain.count - 1)), .init("detect_zeroes", .text(node.access.zeroDetection.rawValue)),
            .init("cache", .object([.init("writeback", .flag(!node.access.cache.writeThrough)), .init("direct", .flag(node.access.cache.direct)),
                                    .init("no-flush", .flag(node.access.cache.ignoresFlush))])),
            .init("children", .array(node.children.map { .object([.init("child", .text($0.role)), .init("node-name", .text($0.node.name))]) })),
            .init("image", .object(image)),
        ]
        if let backing = node.backing { members.append(.init("backing_file", .text(backing.filename))) }
        if !bitmaps.isEmpty { members.append(.init("dirty-bitmaps", .array(bitmaps))) }
        return .object(members)
    }
}
