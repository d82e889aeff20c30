// iothread: a thread that serves the queues of the devices that name it, so that no vCPU does, and no other device's requests are
// in front of theirs.

import Block
import CHost
import Core
import Glibc
import Host

public final class IOThread: ChangeableObject, NeededObject {
    private struct State: Sendable {
        var jobs: [@Sendable () -> Void] = []
        var isEnding = false
        var thread: Int32 = 0
    }
    private final class Core: Sendable {
        let state = Waiting(State())
        /// Nanoseconds of looking for more before it sleeps.
        let polling = AtomicInt(32768)
        /// Not 0 while there are jobs.
        let count = AtomicInt(0)

        func run() {
            state.change { $0.thread = Int32(truncatingIfNeeded: apus_syscall(Int(SYS_gettid), 0, 0, 0, 0, 0, 0)) }
            while true {
                spin()
                let jobs = state.wait { state -> [@Sendable () -> Void]? in
                    if state.jobs.isEmpty { return state.isEnding ? [] : nil }
                    defer { state.jobs.removeAll(keepingCapacity: true) }
                    self.count.store(0)
                    return state.jobs
                } ?? []
                if jobs.isEmpty { return }
                for job in jobs { job() }
            }
        }

        private func spin() {
            let limit = UInt64(max(0, polling.load()))
            guard limit > 0 else { return }
            let start = EventLoop.now
            while count.load() == 0, EventLoop.now &- start < limit {}
        }
    }
    private let core = Core()
    private let users = UseCount()
    private static let longestPoll: UInt64 = 1_000_000_000

    /// - Throws: the host has no thread.
    init(pollNanoseconds: UInt64) throws(BlockError) {
        core.polling.store(Int(pollNanoseconds))
        guard BackgroundThread.start({ [core] in core.run() }) else { throw .unsupported("the host has no threads left") }
        _ = core.state.wait(seconds: 5) { $0.thread != 0 ? true : nil }
    }

    deinit { core.state.change { $0.isEnding = true } }

    /// Has `job` run by the thread, after those that came before.
    func submit(_ job: @escaping @Sendable () -> Void) {
        core.state.change { $0.jobs.append(job) }
        core.count.store(1)
    }
    func use() -> UseCount.Use { users.use() }

    /// The host's number of the thread.
    public var thread: Int32 { core.state.look { $0.thread } }
    public var pollNanoseconds: UInt64 { UInt64(max(0, core.polling.load())) }

    // MARK: object

    public var typeName: String { "iothread" }
    public var isInUse: Bool { users.isInUse }
    public var properties: [ObjectProperty] { [ObjectProperty(name: "poll-max-ns", type: "int", value: .number(pollNanoseconds))] }
    public func set(_ name: String, _ value: JSONValue) throws(BlockError) {
        guard name == "poll-max-ns" else { throw .invalid("Property 'iothread.\(name)' cannot be set") }
        guard case .integer(let number) = value, number >= 0, number <= Self.longestPoll else { throw .invalid("poll-max-ns value must be in range [0, \(Self.longestPoll)]") }
        core.polling.store(Int(number))
    }
}

public enum IOThreadKind: GraphObjectKind {
    public static let typeNames = ["iothread"]
    public static let options = [OptionDeclaration("poll-max-ns", .number, default: "32768", "how long it looks for more before it sleeps")]
    public static func make(id: String, type: String, _ options: OptionValues, _ graph: BlockGraph) throws(BlockError) -> any GraphObject {
        let poll = options.number("poll-max-ns") ?? 32768
        guard poll <= 1_000_000_000 else { throw .invalid("poll-max-ns value must be in range [0, 1000000000]") }
        return try IOThread(pollNanoseconds: poll)
    }
}
