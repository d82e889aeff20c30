// Block nodes, exports and jobs of one process, as QMP sees them. The commands are in the other files of this folder.
//
// Locks: the monitor runs one command at a time; `changing` is held by whoever changes the graph, be it a command or the
// end of a job; `state` guards the tables. Requests of exports are kept out by `quiesced` while nodes are exchanged.

import Block
import Core
import Host
import Monitor
import NBD
import Sockets

/// The block side of a monitor.
public final class BlockService: Sendable {
    public let graph: BlockGraph
    let monitor: Monitor

    /// A node that has a name.
    package struct NodeEntry: Sendable {
        package var node: Node
        /// How it was described; nil for nodes that came by a file's header.
        var description: JSONValue?
        /// It was added by itself, and goes by blockdev-del.
        var isOwned: Bool
    }
    struct ExportEntry: Sendable {
        var id: String
        var export: Export
        var nodeName: String
        var isLeaving = false
    }
    struct State {
        var nodes: [String: NodeEntry] = [:]
        var exports: [ExportEntry] = []
        var server: (server: Server, listener: Listener)?
        var jobs: [BlockJob] = []
        var bitmaps: [String: [NodeBitmap]] = [:]
        var counter = 0
        /// Disks of devices and drives, by what monitors call them.
        var roots: [(name: String, root: Root)] = []
        var resized: @Sendable (Node) -> Void = { _ in }
    }
    let state = Locked(State())
    let changing = Locked(())

    /// Makes the block commands and events known to `monitor`.
    public init(_ graph: BlockGraph, _ monitor: Monitor) {
        self.graph = graph
        self.monitor = monitor
        monitor.register(nodeCommands + exportCommands + bitmapCommands + jobCommands + snapshotCommands + transactionCommands, events: BlockService.events)
    }

    static let events = [
        EventDeclaration("JOB_STATUS_CHANGE", [Parameter("id", .text), Parameter("status", .enumeration("JobStatus", BlockJob.statusWords))]),
        EventDeclaration("BLOCK_JOB_READY", jobEvent), EventDeclaration("BLOCK_JOB_COMPLETED", jobEvent + [Parameter("error", .text, optional: true)]),
        EventDeclaration("BLOCK_JOB_CANCELLED", jobEvent),
        EventDeclaration("BLOCK_JOB_PENDING", [Parameter("type", .enumeration("JobType", BlockJob.typeWords)), Parameter("id", .text)]),
        EventDeclaration("BLOCK_EXPORT_DELETED", [Parameter("id", .text)]),
    ]
    private static let jobEvent = [
        Parameter("type", .enumeration("JobType", BlockJob.typeWords)), Parameter("device", .text), Parameter("len", .integer),
        Parameter("offset", .integer), Parameter("speed", .integer),
    ]

    /// Runs `body`; what goes wrong in the block layer is told to the client.
    static func reporting<Result>(_ body: () throws(BlockError) -> Result) throws(MonitorError) -> Result {
        do { return try body() } catch { throw MonitorError(error.file == nil ? error.place : "\(error)") }
    }

    // MARK: Devices

    /// A device or drive uses what is in `root`, by a use of its own; it can be called by `name`.
    public func attach(_ name: String, _ root: Root) { state.withLock { $0.roots.append((name, root)) } }
    /// At the end: closes what drives hold.
    public func closeDrives() {
        for entry in state.withLock({ $0.roots }) { try? entry.root.node.close() }
        state.withLock { $0.roots = [] }
    }
    /// Told of nodes that have got another length by `block_resize`.
    public func onResize(_ body: @escaping @Sendable (Node) -> Void) { state.withLock { $0.resized = body } }
    /// It does so no longer; its use of the node is not given up.
    public func detach(_ root: Root) { state.withLock { $0.roots.removeAll { $0.root === root } } }

    /// Makes a node and those below it known that a drive has opened.
    public func adopt(_ node: Node) throws(BlockError) { try adopt(node, nil, isOwned: false) }
    /// Forgets such a node, unless it is one of `blockdev-add`, or somebody else uses it, as after a snapshot; its user closes it.
    public func release(_ node: Node) { changing.withLock { _ in forgetUnlessHeld(node) } }
    /// A node by its own name, or that of its drive.
    public func node(_ name: String) -> Node? { do throws(BlockError) { return try find(name) } catch { return nil } }
    /// All nodes with something to write.
    public func flushAll() -> [BlockError] {
        var failures: [BlockError] = []
        for node in allNodes where node.isWritable { do throws(BlockError) { try node.flush() } catch { failures.append(error) } }
        return failures
    }
    /// What `query-block` and `query-named-block-nodes` say of a node.
    public func describe(_ node: Node) throws(MonitorError) -> JSONValue {
        try BlockService.reporting { () throws(BlockError) in try NodeDescription.json(node, bitmaps: bitmapDescriptions(of: node), flat: false) }
    }
    /// The type of that.
    public static var nodeDescription: ValueType { NodeDescription.type }

    // MARK: Finding

    package func entry(_ name: String) -> NodeEntry? { state.withLock { $0.nodes[name] } }

    /// A node by its name. - Throws: `invalid` if there is none.
    func find(_ name: String) throws(BlockError) -> Node {
        guard let node = entry(name)?.node ?? state.withLock({ $0.roots.first { $0.name == name }?.root })?.node else { throw .invalid("Cannot find device='\(name)' nor node-name='\(name)'") }
        return node
    }
    /// The node that `device` or `node-name` means.
    func find(_ arguments: Arguments) throws(BlockError) -> Node {
        guard let name = arguments.text("node-name") ?? arguments.text("device") else { throw .invalid("Parameter 'node-name' is missing") }
        return try find(name)
    }

    // MARK: Exchanging

    /// Runs `body` while no export has a request in flight. With `changing` held; not to be nested.
    func quiesced<Result>(_ body: () throws(BlockError) -> Result) throws(BlockError) -> Result {
        let roots = state.withLock { $0.exports.map(\.export.root) + $0.roots.map(\.root) }
        for root in roots { root.enter() }
        defer { for root in roots { root.leave() } }
        return try body()
    }

    /// Who stands on `old` stands on `new` from now on, but for `new` itself. While quiesced.
    func exchange(_ old: Node, for new: Node) {
        for root in state.withLock({ $0.exports.map(\.export.root) + $0.roots.map(\.root) }) where root.held === old {
            new.retain()
            try? root.replace(new).close()
        }
        // Named nodes, and what stands below them without a name.
        for parent in allNodes where parent !== new && parent !== old && parent.backing === old {
            guard let storage = parent.storage as? ImageStorage, storage.backing === old else { continue }
            new.retain()
            storage.setBacking(new)
            try? old.close()
        }
    }

    /// All nodes there are.
    package var allNodes: [Node] {
        var found: [Node] = []
        func visit(_ node: Node, _ depth: Int) {
            guard depth < BlockGraph.deepestChain, !found.contains(where: { $0 === node }) else { return }
            found.append(node)
            for child in node.children { visit(child.node, depth + 1) }
        }
        for entry in state.withLock({ $0.nodes.values.sorted { $0.node.name < $1.node.name } }) { visit(entry.node, 0) }
        return found
    }

    // MARK: The end

    /// Ends jobs, exports, and gives all nodes up.
    public func shutDown() {
        let jobs = state.withLock { $0.jobs }
        for job in jobs { job.cancel() }
        for job in jobs { job.waitForEnd() }
        stopServer()
        let nodes = state.withLock { state in
            defer { state.nodes = [:] }
            return state.nodes.values.filter(\.isOwned).map(\.node)
        }
        for node in nodes { try? node.close() }
    }
}
