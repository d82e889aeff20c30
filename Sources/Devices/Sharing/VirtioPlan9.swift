// virtio-9p (Virtual I/O Device 1.3, section 5.9): a folder of the host, over one queue of 9P2000.L messages. A thread of the
// device's own does them one after the other, as they may wait for the host's disk.

import Core
import Glibc
import Host

public final class VirtioPlan9: VirtioFunction {
    public static let properties = [
        Property("fsdev", .reference("fsdev"), "the folder"),
        Property("mount_tag", .text, "what the guest mounts it by"),
    ]

    private enum Feature { static let mountTag: UInt64 = 1 }
    private static let maximumTag = 32
    /// Messages that are taken at once: so many may have to end before a reset does.
    private static let batch = 8
    /// Of the process's descriptors, what one client may hold.
    private static let maximumOpen = 16384

    /// A message on its way.
    private typealias Done = (chain: VirtChain, written: Int?)
    /// Invariant: the server is used by the one job that runs, or under the device's lock while nothing is under way.
    private final class Shared: @unchecked Sendable {
        let server: Plan9Server
        let underWay = InFlight()
        let finished = Locked<[Done]>([])
        init(_ server: Plan9Server) { self.server = server }
    }

    public let type = VirtioType.plan9
    public let features = Feature.mountTag
    public let queueSizes: [UInt16] = [128]
    public let configuration: [UInt8]
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let shared: Shared
    private let pool = WorkerPool(maximum: 1)
    private var taking: @Sendable () -> [VirtChain]? = { nil }
    private var delivering: @Sendable () -> Void = {}
    private var isBusy = false

    public init(_ properties: Properties, folder: SharedFolder) throws(ConfigurationError) {
        guard let tag = properties.text("mount_tag") else { throw ConfigurationError("\(properties.owner): property 'mount_tag' is required") }
        let bytes = Array(tag.utf8)
        guard (1 ... Self.maximumTag).contains(bytes.count) else { throw ConfigurationError("\(properties.owner): property 'mount_tag' has \(bytes.count) bytes, expected 1 to \(Self.maximumTag)") }
        var fields = FieldWriter()
        fields.add(UInt16(bytes.count))
        fields.add(bytes)
        configuration = fields.bytes
        shared = Shared(Plan9Server(folder, maximumOpen: Self.descriptors()))
    }

    /// Half of the descriptors that the process may have, after asking for more.
    private static func descriptors() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(7), &limit) == 0 else { return 256 }
        let wanted = min(limit.rlim_max, rlim_t(maximumOpen * 2))
        if limit.rlim_cur < wanted {
            var more = limit
            more.rlim_cur = wanted
            if setrlimit(__rlimit_resource_t(7), &more) == 0 { limit = more }
        }
        return min(Int(clamping: limit.rlim_cur / 2), maximumOpen)
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        taking = core.host.request { [unowned self] in take() }
        delivering = core.host.callback { [unowned self] in deliver() }
    }

    public func start() { for queue in core.queues where queue.isEnabled { process(queue) } }

    public func process(_ queue: VirtQueue) {
        guard !isBusy else { return }
        isBusy = true
        let shared = shared, taking = taking, delivering = delivering
        pool.submit {
            while let chains = taking(), !chains.isEmpty {
                for chain in chains {
                    let written = shared.server.answer(chain.readable, chain.writable)
                    shared.finished.withLock { $0.append((chain, written)) }
                    shared.underWay.end()
                }
                delivering()
            }
        }
    }

    /// The next messages, counted as under way; none: the driver will tell of new ones.
    private func take() -> [VirtChain] {
        let chains = core.queues[0].batch(Self.batch) { $0 }
        if chains.isEmpty { isBusy = false } else { shared.underWay.begin(chains.count) }
        return chains
    }

    private func deliver() {
        let finished = shared.finished.withLock { list in
            defer { list = [] }
            return list
        }
        guard !finished.isEmpty else { return }
        for (chain, written) in finished {
            guard let written else { return core.fail("a 9P message that is none, or without room for its answer") }
            core.queues[0].complete(chain, written: written)
        }
        core.queues[0].interrupt()
    }

    public func reset() {
        shared.underWay.wait()
        shared.finished.withLock { $0 = [] }
        shared.server.reset()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        guard !state.isLoading else { return }
        shared.underWay.wait()
        deliver()
        // The other side would not know the guest's open files.
        if shared.server.isInUse { throw .inUse("a shared folder is mounted") }
    }
}

extension VirtioPlan9: QueueResetting {
    public func willReset(_ queue: VirtQueue) {
        shared.underWay.wait()
        deliver()
    }
}
