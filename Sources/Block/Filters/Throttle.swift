// throttle: limits bytes and requests a second of the node behind: by a group that nodes share, or by limits of its own.

import Host

final class ThrottledStorage: FilterStorage {
    let file: Node
    let group: ThrottleGroup
    private let membership: UseCount.Use

    init(file: Node, _ group: ThrottleGroup) {
        self.file = file
        self.group = group
        membership = group.join()
    }

    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        group.pass(bytes: UInt64(buffer.count), isWrite: false)
        try file.read(offset, buffer)
    }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        group.pass(bytes: UInt64(buffer.count), isWrite: true)
        try file.write(offset, buffer)
    }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        group.pass(bytes: 0, isWrite: true)
        try file.writeZeroes(offset, count, unmap: unmap)
    }
}

/// The filter `throttle`.
public enum ThrottleDriver: FilterDriver, ObjectUsingFilter {
    public static let name = "throttle"
    public static let options = [OptionDeclaration("throttle-group", .text, "the object with the limits")] + ThrottleLimits.rates.map { name in
        OptionDeclaration(name, name.hasPrefix("bps") ? .size : .number, default: "0", "a limit of this node alone; 0: none")
    }

    public static func open(_ file: Node, _ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        guard !options.has("throttle-group") else { throw .invalid("there are no objects here") }
        var limits = ThrottleLimits()
        for name in ThrottleLimits.rates { limits[name] = options.number(name) ?? 0 }
        try limits.check()
        return ThrottledStorage(file: file, ThrottleGroup(limits))
    }

    public static func open(_ file: Node, _ options: OptionValues, _ access: Access, _ graph: BlockGraph) throws(BlockError) -> any Storage {
        guard let id = options.text("throttle-group") else { return try open(file, options, access) }
        guard !ThrottleLimits.rates.contains(where: { options.number($0) ?? 0 > 0 }) else { throw .invalid("throttle-group and limits exclude each other") }
        guard let group = graph.object(id) as? ThrottleGroup else { throw .invalid("Throttle group '\(id)' does not exist") }
        return ThrottledStorage(file: file, group)
    }

    /// A node in front of `file`, which it takes over, in a group.
    public static func node(_ file: Node, _ group: ThrottleGroup, _ graph: BlockGraph) -> Node {
        Node(name: graph.automaticName(), driver: name, filename: file.filename, storage: ThrottledStorage(file: file, group), access: file.access, children: [Child("file", file)])
    }
}
