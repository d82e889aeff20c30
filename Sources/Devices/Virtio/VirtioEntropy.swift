// virtio-rng (Virtual I/O Device 1.3, section 5.4): random numbers of a source, limited to `max-bytes` in each `period`.

import Core
import Host

public final class VirtioEntropy: VirtioFunction {
    public static let properties = [
        Property("rng", .reference("rng"), "the source, else the host's generator"),
        Property("max-bytes", .integer, "bytes in each period; 0x7fffffffffffffff: no limit", default: "0x7fffffffffffffff"),
        Property("period", .integer, "milliseconds", default: "65536"),
    ]

    public let type = VirtioType.entropy
    public let features: UInt64 = 0
    public let queueSizes: [UInt16] = [8]
    public let configuration: [UInt8] = []
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let source: any RandomSource
    /// The source's object, which must not go.
    private let use: UseCount.Use?
    private let limit: UInt64
    private let period: UInt64
    private var left: UInt64
    private var timer: MachineTimer?
    private var isArmed = false
    /// The source has been asked and has not answered.
    private var isWaiting = false
    private var isAsking = false
    private var deliver: @Sendable ([UInt8]) -> Void = { _ in }
    private static let most: UInt64 = 64 << 10

    public init(_ properties: Properties, object: RandomObject? = nil) throws(ConfigurationError) {
        source = object?.source ?? BuiltinRandom()
        use = object?.use()
        limit = properties.integer("max-bytes") ?? UInt64(Int64.max)
        period = properties.integer("period") ?? 65536
        guard period > 0, period < 1 << 32 else { throw ConfigurationError("\(properties.owner): property 'period' is \(period), expected 1 to \(UInt32.max)") }
        left = limit
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        deliver = core.host.callback { [unowned self] (bytes: [UInt8]) in received(bytes) }
        timer = core.host.timer { [unowned self] in
            isArmed = false
            left = limit
            start()
        }
    }

    public func start() { for queue in core.queues where queue.isEnabled { process(queue) } }

    public func process(_ queue: VirtQueue) {
        guard !isAsking else { return }
        isAsking = true
        defer { isAsking = false }
        // The chain stays in the queue until there is something for it. A source that answers at once has the loop go on.
        while !isWaiting, left > 0, let chain = queue.next() {
            let size = Int(min(UInt64(chain.writable.count), Self.most, left))
            if size == 0 {
                queue.complete(chain, written: 0)
                queue.interrupt()
                continue
            }
            queue.takeBack(chain)
            isWaiting = true
            source.request(size, deliver)
        }
    }

    /// The source has answered; what no chain wants any more is dropped.
    private func received(_ bytes: [UInt8]) {
        isWaiting = false
        var rest = bytes[...]
        for queue in core.queues where queue.isEnabled {
            var isDone = false
            while !rest.isEmpty, left > 0, let chain = queue.next() {
                let part = rest.prefix(min(chain.writable.count, Int(min(left, Self.most))))
                rest = rest.dropFirst(part.count)
                chain.writable.fill(0, bytes: Array(part))
                queue.complete(chain, written: part.count)
                isDone = true
                charge(UInt64(part.count))
            }
            if isDone { queue.interrupt() }
        }
        start()
    }

    private func charge(_ count: UInt64) {
        guard limit < UInt64(Int64.max) else { return }
        left -= min(left, count)
        if !isArmed {
            isArmed = true
            timer?.arm(at: core.host.clock.now &+ period &* 1_000_000)
        }
    }

    public func reset() {
        left = limit
        isArmed = false
        timer?.cancel()
    }
    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        // A period begins anew after loading.
        if state.isLoading { left = limit }
    }
}
