// What all jobs share: progress, a speed limit, pause and cancel.

import Glibc
import Host

/// The handle by which a user steers a job that runs on other threads.
public final class JobControl: Sendable {
    private struct State { var isPaused = false; var isCancelled = false; var done: UInt64 = 0; var total: UInt64 = 0 }
    private let state = Locked(State())
    /// Bytes a second; 0: no limit.
    public let limit: RateLimit
    private let report: (@Sendable (Double) -> Void)?

    public init(rate: UInt64 = 0, report: (@Sendable (Double) -> Void)? = nil) {
        limit = RateLimit(rate)
        self.report = report
    }

    public func pause() { state.withLock { $0.isPaused = true } }
    public func resume() { state.withLock { $0.isPaused = false } }
    public func cancel() { state.withLock { $0.isCancelled = true } }
    public var isCancelled: Bool { state.withLock { $0.isCancelled } }
    public var isPaused: Bool { state.withLock { $0.isPaused } }
    /// Bytes handled, and how many there are to handle as far as is known.
    public var progress: (done: UInt64, total: UInt64) { state.withLock { ($0.done, $0.total) } }

    func begin(_ total: UInt64) { state.withLock { $0.total = total; $0.done = 0 } }
    func extend(_ more: UInt64) { state.withLock { $0.total &+= more } }

    /// Before each piece: waits while paused and while the limit says so. - Throws: `cancelled`.
    func checkpoint(moving count: UInt64) throws(BlockError) {
        while true {
            let (paused, cancelled) = state.withLock { ($0.isPaused, $0.isCancelled) }
            if cancelled { throw BlockError(.cancelled, "the job was cancelled") }
            if !paused { break }
            usleep(20_000)
        }
        // In short sleeps: a slow job can be cancelled, and given another speed.
        let rate = limit.rate
        var wait = limit.delay(count)
        while wait > 0, limit.rate == rate {
            if isCancelled { throw BlockError(.cancelled, "the job was cancelled") }
            let nap = min(wait, 0.05)
            usleep(UInt32(nap * 1e6))
            wait -= nap
        }
    }

    /// After each piece.
    func advance(_ count: UInt64) {
        let fraction = state.withLock { state -> Double in
            state.done &+= count
            return state.total == 0 ? 1 : Double(min(state.done, state.total)) / Double(state.total)
        }
        report?(fraction)
    }
}

/// The piece in which jobs copy.
let jobPiece: UInt64 = 1 << 20

/// Copies a range that both nodes have, zeros as zeros.
func copyRange(_ source: Node, _ target: Node, _ range: Range<UInt64>, _ buffer: BlockBuffer) throws(BlockError) {
    var position = range.lowerBound
    while position < range.upperBound {
        let known = try source.wholeStatus(position, range.upperBound - position)
        if known.isZero {
            try target.writeZeroes(position, known.length)
            position += known.length
            continue
        }
        let part = buffer.slice(0, min(known.length, range.upperBound - position))
        try source.read(position, part)
        try target.write(position, part)
        position += UInt64(part.count)
    }
}
