// virtio-balloon (Virtual I/O Device 1.3, section 5.5): the guest gives memory back, tells of its use, and reports free pages.
//
// Left out: hints of free pages for migration, page poison.

import Core
import Glibc
import Host

public final class VirtioBalloon: VirtioFunction {
    public static let properties = [
        Property("deflate-on-oom", .flag, "the guest may take memory back before it runs out", default: "off"),
        Property("free-page-reporting", .flag, "the guest tells of free pages", default: "off"),
        Property("guest-stats-polling-interval", .integer, "seconds between statistics; 0: none", default: "0"),
    ]
    private enum Feature { static let statistics: UInt64 = 1 << 1, deflate: UInt64 = 1 << 2, reporting: UInt64 = 1 << 5 }
    /// Queues in the order that features bring them.
    private enum Queue { static let inflate = 0, deflate = 1, statistics = 2, reporting = 3 }
    private static let pageBits: UInt64 = 12

    public let type = VirtioType.balloon
    public let features: UInt64
    public let queueSizes: [UInt16]
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let memorySize: UInt64
    private var wanted: UInt32 = 0
    private var actual: UInt32 = 0
    private var interval: UInt64
    private var waiting: VirtChain?
    private var timer: MachineTimer?
    /// What the guest has told last, by the specification's tags; `stat-…` in QEMU's words.
    public private(set) var statistics: [UInt16: UInt64] = [:]
    /// When it did: seconds since 1970; 0: not yet.
    public private(set) var statisticsTime: UInt64 = 0
    /// Told of each change of the balloon, with the memory that the guest has now (QMP's BALLOON_CHANGE).
    private var changed: @Sendable (UInt64) -> Void = { _ in }

    /// - Parameter memorySize: bytes of RAM that the guest begins with.
    public init(_ properties: Properties, memorySize: UInt64) throws(ConfigurationError) {
        self.memorySize = memorySize
        interval = properties.integer("guest-stats-polling-interval") ?? 0
        guard interval < 1 << 31 else { throw ConfigurationError("\(properties.owner): property 'guest-stats-polling-interval' is \(interval), expected less than 2147483648") }
        let reports = properties.flag("free-page-reporting")
        features = Feature.statistics | (properties.flag("deflate-on-oom") ? Feature.deflate : 0) | (reports ? Feature.reporting : 0)
        queueSizes = [128, 128, 128] + (reports ? [32] : [])
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        timer = core.host.timer { [unowned self] in askForStatistics() }
    }

    public var configuration: [UInt8] {
        var fields = FieldWriter()
        fields.add(wanted)
        fields.add(actual)
        return fields.bytes
    }

    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        var fields = configuration
        for (index, byte) in bytes.enumerated() where offset + index >= 4 { fields[offset + index] = byte }
        let new: UInt32 = fields.number(4)
        guard new != actual else { return }
        actual = new
        changed(currentSize)
    }

    // MARK: for monitors

    public func onChange(_ body: @escaping @Sendable (UInt64) -> Void) { changed = body }
    /// Bytes that the guest has.
    public var currentSize: UInt64 { memorySize - min(memorySize, UInt64(actual) << Self.pageBits) }
    /// Asks the guest to live with `size` bytes.
    public func setTarget(_ size: UInt64) {
        wanted = UInt32(clamping: (memorySize - min(memorySize, size)) >> Self.pageBits)
        core.configurationChanged()
    }
    public var pollingInterval: UInt64 {
        get { interval }
        set {
            interval = min(newValue, 1 << 31)
            arm()
        }
    }

    private func arm() {
        if interval > 0 { timer?.arm(at: core.host.clock.now &+ interval &* 1_000_000_000) } else { timer?.cancel() }
    }

    /// The guest answers when it gets its buffer back.
    private func askForStatistics() {
        if waiting == nil, core.isRunning { takeStatistics(core.queues[Queue.statistics]) }
        if let chain = waiting, core.isRunning {
            waiting = nil
            core.queues[Queue.statistics].complete(chain, written: 0)
            core.queues[Queue.statistics].interrupt()
        }
        arm()
    }

    // MARK: queues

    public func start() {
        for queue in core.queues where queue.isEnabled { process(queue) }
        arm()
    }

    public func process(_ queue: VirtQueue) {
        if queue.index == Queue.statistics { return takeStatistics(queue) }
        var isDone = false
        while let chain = queue.next() {
            switch queue.index {
            case Queue.inflate: give(pages: chain.readable, .discard)
            case Queue.deflate: give(pages: chain.readable, .need)
            case Queue.reporting: for piece in chain.writable.pieces { Self.advise(piece.block, piece.offset, UInt64(piece.count), .discard) }
            default: break
            }
            queue.complete(chain, written: 0)
            isDone = true
        }
        if isDone { queue.interrupt() }
    }

    private enum Advice { case discard, need }

    private func give(pages: GuestPieces, _ advice: Advice) {
        for at in stride(from: 0, to: pages.count - 3, by: 4) {
            guard let number: UInt32 = pages.load(at), advice == .discard,
                  let piece = core.memory.piece(UInt64(number) << Self.pageBits, 1 << Self.pageBits, writable: true) else { continue }
            Self.advise(piece.block, piece.offset, UInt64(piece.count), advice)
        }
    }

    /// Gives whole pages back to the host: they read as zeros afterwards.
    private static func advise(_ block: RAMBlock, _ offset: UInt64, _ count: UInt64, _ advice: Advice) {
        let page = RAMBlock.pageBytes
        let start = (offset + page - 1) & ~(page - 1), end = (offset + count) & ~(page - 1)
        guard start < end, end <= block.size else { return }
        block.willWrite(start, end - start)
        madvise(block.host + Int(start), Int(end - start), Int32(MADV_DONTNEED))
        block.willWrite(start, end - start)
    }

    private func takeStatistics(_ queue: VirtQueue) {
        while let chain = queue.next() {
            // The driver keeps one buffer here; an earlier one goes back.
            if let old = waiting { queue.complete(old, written: 0) }
            waiting = chain
            statisticsTime = UInt64(max(0, time(nil)))
            for at in stride(from: 0, to: min(chain.readable.count, 1024) - 9, by: 10) {
                guard let tag: UInt16 = chain.readable.load(at), let value: UInt64 = chain.readable.load(at + 2), tag < 32 else { continue }
                statistics[tag] = value
            }
        }
    }

    // MARK: life

    public func reset() {
        actual = 0
        waiting = nil
        statistics = [:]
        statisticsTime = 0
        timer?.cancel()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        // The buffer that waits is taken again when there is something to ask, here or after loading.
        if !state.isLoading, let chain = waiting {
            waiting = nil
            core.queues[Queue.statistics].takeBack(chain)
        }
        try state.field("wanted", &wanted)
        try state.field("actual", &actual)
    }
}
