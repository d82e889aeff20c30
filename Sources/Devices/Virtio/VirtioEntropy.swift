// virtio-rng (Virtual I/O Device 1.3, section 5.4): the host's random numbers, limited to `max-bytes` in each `period`.

import CHost
import Core
import Glibc
import Host

public final class VirtioEntropy: VirtioFunction {
    public static let properties = [
        Property("max-bytes", .integer, "bytes in each period; 0x7fffffffffffffff: no limit", default: "0x7fffffffffffffff"),
        Property("period", .integer, "milliseconds", default: "65536"),
    ]

    public let type = VirtioType.entropy
    public let features: UInt64 = 0
    public let queueSizes: [UInt16] = [8]
    public let configuration: [UInt8] = []
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let limit: UInt64
    private let period: UInt64
    private var left: UInt64
    private var timer: MachineTimer?
    private var isArmed = false

    public init(_ properties: Properties) throws(ConfigurationError) {
        limit = properties.integer("max-bytes") ?? UInt64(Int64.max)
        period = properties.integer("period") ?? 65536
        guard period > 0, period < 1 << 32 else { throw ConfigurationError("\(properties.owner): property 'period' is \(period), expected 1 to \(UInt32.max)") }
        left = limit
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        timer = core.host.timer { [unowned self] in
            isArmed = false
            left = limit
            start()
        }
    }

    public func start() { for queue in core.queues where queue.isEnabled { process(queue) } }

    public func process(_ queue: VirtQueue) {
        var isDone = false
        while left > 0, let chain = queue.next() {
            let size = Int(min(UInt64(min(chain.writable.count, 1 << 20)), left))
            chain.writable.fill(0, bytes: Self.random(size))
            queue.complete(chain, written: size)
            isDone = true
            guard limit < UInt64(Int64.max) else { continue }
            left -= UInt64(size)
            if !isArmed {
                isArmed = true
                timer?.arm(at: core.host.clock.now &+ period &* 1_000_000)
            }
        }
        if isDone { queue.interrupt() }
    }

    private static func random(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let result = apus_syscall(Int(SYS_getrandom), Int(bitPattern: base + filled), count - filled, 0, 0, 0, 0)
                if result <= 0 { break }
                filled += result
            }
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
