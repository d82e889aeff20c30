// The flattened device tree (Devicetree Specification 0.4, chapter 5): a tree of named nodes with properties, and its blob.
// Left out: overlays, and the reading of blobs beyond what merging a user's own needs.

import Core

/// One node of a device tree.
public final class DeviceTreeNode {
    public let name: String
    public private(set) var properties: [(name: String, value: [UInt8])] = []
    public private(set) var children: [DeviceTreeNode] = []
    private unowned let tree: DeviceTree
    private var assignedHandle: UInt32 = 0

    fileprivate init(_ name: String, _ tree: DeviceTree) {
        self.name = name
        self.tree = tree
    }

    /// The child called `name` (with its unit address), made if it is not there.
    @discardableResult
    public func node(_ name: String) -> DeviceTreeNode {
        if let known = children.first(where: { $0.name == name }) { return known }
        let child = DeviceTreeNode(name, tree)
        children.append(child)
        return child
    }

    /// The child called `name`.
    public func child(_ name: String) -> DeviceTreeNode? { children.first { $0.name == name } }

    public subscript(name: String) -> [UInt8]? {
        get { properties.first { $0.name == name }?.value }
        set {
            properties.removeAll { $0.name == name }
            if let newValue { properties.append((name, newValue)) }
        }
    }

    /// A property without a value.
    public func set(_ name: String) { self[name] = [] }
    public func set(_ name: String, _ text: String) { self[name] = Array(text.utf8) + [0] }
    /// A list of strings.
    public func set(_ name: String, strings: [String]) { self[name] = strings.flatMap { Array($0.utf8) + [0] } }
    /// 32-bit cells.
    public func set(_ name: String, _ cells: UInt32...) { set(name, cells: cells) }
    public func set(_ name: String, cells: [UInt32]) { self[name] = cells.flatMap { DeviceTree.bigEndian($0) } }
    /// Pairs of cells, for 64-bit numbers.
    public func set(_ name: String, wide: UInt64...) { set(name, cells: wide.flatMap { DeviceTree.cells($0) }) }

    /// The number by which properties of other nodes refer to this one.
    public var handle: UInt32 {
        if assignedHandle == 0 {
            assignedHandle = tree.nextHandle()
            set("phandle", assignedHandle)
        }
        return assignedHandle
    }
}

/// A device tree.
public final class DeviceTree {
    public private(set) lazy var root = DeviceTreeNode("", self)
    private var handles: UInt32 = 0
    /// Memory that the operating system must leave alone, by address and size.
    public var reservations: [(address: UInt64, size: UInt64)] = []

    public init() {}

    fileprivate func nextHandle() -> UInt32 {
        handles += 1
        return handles
    }

    /// The node at `path`, made with all on the way.
    @discardableResult
    public func node(_ path: String) -> DeviceTreeNode {
        path.split(separator: "/").reduce(root) { $0.node(String($1)) }
    }

    static func bigEndian(_ value: UInt32) -> [UInt8] { (0 ..< 4).map { UInt8(truncatingIfNeeded: value >> (24 - $0 * 8)) } }
    /// A 64-bit number as two cells.
    public static func cells(_ value: UInt64) -> [UInt32] { [UInt32(truncatingIfNeeded: value >> 32), UInt32(truncatingIfNeeded: value)] }

    private enum Token { static let begin: UInt32 = 1, end: UInt32 = 2, property: UInt32 = 3, finish: UInt32 = 9 }

    /// The blob, version 17.
    public func flattened() -> [UInt8] {
        var structure: [UInt8] = [], strings: [UInt8] = [], offsets: [String: UInt32] = [:]
        func pad() { while structure.count & 3 != 0 { structure.append(0) } }
        func write(_ node: DeviceTreeNode) {
            structure += Self.bigEndian(Token.begin) + Array(node.name.utf8) + [0]
            pad()
            for (name, value) in node.properties {
                let offset = offsets[name] ?? UInt32(strings.count)
                if offsets[name] == nil {
                    offsets[name] = offset
                    strings += Array(name.utf8) + [0]
                }
                structure += Self.bigEndian(Token.property) + Self.bigEndian(UInt32(value.count)) + Self.bigEndian(offset) + value
                pad()
            }
            for child in node.children { write(child) }
            structure += Self.bigEndian(Token.end)
        }
        write(root)
        structure += Self.bigEndian(Token.finish)
        let reserved = (reservations + [(0, 0)]).flatMap { entry in (Self.cells(entry.0) + Self.cells(entry.1)).flatMap(Self.bigEndian) }
        let headerSize = 40
        let reservedAt = headerSize, structureAt = reservedAt + reserved.count, stringsAt = structureAt + structure.count
        let total = stringsAt + strings.count
        let header: [UInt32] = [
            0xd00d_feed, UInt32(total), UInt32(structureAt), UInt32(stringsAt), UInt32(reservedAt), 17, 16, 0,
            UInt32(strings.count), UInt32(structure.count),
        ]
        return header.flatMap(Self.bigEndian) + reserved + structure + strings
    }
}

extension DeviceTree {
    /// Why a blob cannot be read.
    public struct BlobError: Error, CustomStringConvertible { public let description: String }

    /// Reads a blob that a person gave (`-dtb`).
    public convenience init(blob: [UInt8]) throws(BlobError) {
        self.init()
        func cell(_ at: Int) throws(BlobError) -> UInt32 {
            guard at >= 0, at + 4 <= blob.count else { throw BlobError(description: "not a device tree: ends at byte \(blob.count)") }
            return (0 ..< 4).reduce(0) { $0 << 8 | UInt32(blob[at + $1]) }
        }
        func text(_ at: Int) throws(BlobError) -> (String, Int) {
            guard at >= 0, at < blob.count, let end = blob[at...].firstIndex(of: 0) else {
                throw BlobError(description: "not a device tree: a name at byte \(at) does not end")
            }
            return (String(decoding: blob[at ..< end], as: UTF8.self), end)
        }
        guard try cell(0) == 0xd00d_feed else { throw BlobError(description: "not a device tree: begins with another magic number") }
        let structureAt = Int(try cell(8)), stringsAt = Int(try cell(12)), reservedAt = Int(try cell(16))
        var at = reservedAt
        while true {
            let words = [try cell(at), try cell(at + 4), try cell(at + 8), try cell(at + 12)].map(UInt64.init)
            guard words.contains(where: { $0 != 0 }) else { break }
            reservations.append((words[0] << 32 | words[1], words[2] << 32 | words[3]))
            at += 16
        }
        at = structureAt
        var stack: [DeviceTreeNode] = []
        while true {
            let token = try cell(at)
            at += 4
            switch token {
            case Token.begin:
                let (name, end) = try text(at)
                guard stack.count < 64 else { throw BlobError(description: "device tree: nested too deeply at byte \(at)") }
                stack.append(stack.last.map { $0.node(name) } ?? root)
                at = (end + 4) & ~3
            case Token.end:
                guard stack.popLast() != nil else { throw BlobError(description: "device tree: a node ends twice at byte \(at)") }
            case Token.property:
                let size = Int(try cell(at))
                let (name, _) = try text(stringsAt + Int(try cell(at + 4)))
                guard let node = stack.last, size <= blob.count - at - 8 else { throw BlobError(description: "device tree: damaged at byte \(at)") }
                node[name] = Array(blob[(at + 8) ..< (at + 8 + size)])
                if name == "phandle", size == 4 { handles = max(handles, try cell(at + 8)) }
                at = (at + 8 + size + 3) & ~3
            case 4: break
            case Token.finish:
                return
            default:
                throw BlobError(description: "device tree: damaged at byte \(at - 4)")
            }
        }
    }
}
