// The side of a back end that faces the card: hands it frames, and keeps those it has no room for.

import Core
import Host

/// Frames on their way to a card. `deliver` is called on the loop's thread only; the rest from any.
final class CardSide: @unchecked Sendable {
    private let loop: EventLoop
    private let handlers = Locked<NetworkHandlers?>(nil)
    /// Changes whenever the card says that it has room: what it says while a frame is refused is not missed.
    private let resumes = AtomicInt(0)
    private let isBlocked = AtomicInt(0)
    /// Frames that wait for room, oldest first. Invariant: touched on the loop's thread only.
    private var waiting: [[UInt8]] = []
    private let limit: Int
    /// Told when frames wait no longer.
    let drained = Locked<(@Sendable () -> Void)?>(nil)

    /// - Parameter limit: frames that wait at most; others are dropped.
    init(loop: EventLoop, limit: Int = 1024) {
        self.loop = loop
        self.limit = limit
    }

    func attach(_ handlers: NetworkHandlers?) {
        self.handlers.withLock { $0 = handlers }
        if handlers == nil { loop.submit { [self] in waiting = [] } } else { resume() }
    }

    func linkChanged(_ isUp: Bool) { handlers.withLock { $0 }?.linkChanged(isUp) }

    func resume() {
        resumes.store(resumes.load() &+ 1)
        if isBlocked.exchange(0) != 0 { loop.submit { [weak self] in self?.drain() } }
    }

    /// Whether frames wait: a source that can stop should.
    var isFull: Bool { !waiting.isEmpty }

    /// Gives a frame to the card, or keeps it. - Returns: false: it had to be dropped.
    @discardableResult
    func deliver(_ frame: UnsafeRawBufferPointer) -> Bool {
        guard let handlers = handlers.withLock({ $0 }) else { return true }
        if waiting.isEmpty {
            let seen = resumes.load()
            if handlers.receive(frame) { return true }
            keep(frame)
            isBlocked.store(1)
            if resumes.load() != seen { loop.submit { [weak self] in self?.drain() } }
            return true
        }
        guard waiting.count < limit else { return false }
        keep(frame)
        return true
    }

    private func keep(_ frame: UnsafeRawBufferPointer) { waiting.append([UInt8](frame)) }

    private func drain() {
        guard let handlers = handlers.withLock({ $0 }) else { return }
        var done = 0
        while done < waiting.count {
            let seen = resumes.load()
            let isTaken = waiting[done].withUnsafeBytes { handlers.receive($0) }
            if isTaken {
                done += 1
                continue
            }
            isBlocked.store(1)
            // Again later, rather than at once: others want the loop, too.
            if resumes.load() != seen { loop.submit { [weak self] in self?.drain() } }
            break
        }
        waiting.removeFirst(min(done, waiting.count))
        if waiting.isEmpty { drained.withLock { $0 }?() }
    }
}
