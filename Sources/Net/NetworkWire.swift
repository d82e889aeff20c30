// What is between a back end and the card that uses it: the cable that can be pulled (`set_link`), and those who listen in.

import Core
import Host

/// Somebody who sees the frames on a wire (`-object filter-dump`).
public protocol FrameObserver: AnyObject, Sendable {
    /// - Parameter isFromCard: the card sends it; else it comes from the world.
    func observe(_ frame: UnsafeRawBufferPointer, isFromCard: Bool)
}

/// The port that cards are given. The back end behind it can be taken away while a card uses it.
final class NetworkWire: NetworkPort {
    private struct State: Sendable {
        var backEnd: (any NetworkPort)?
        var handlers: NetworkHandlers?
        var observers: [any FrameObserver] = []
        var isPulled = false
        /// The back end's own carrier.
        var hasCarrier = true
        var isUp: Bool { backEnd != nil && hasCarrier && !isPulled }
    }

    private let state: Locked<State>
    /// Frames a card sends that the back end's checksums need not be looked at.
    let isTrusted: Bool

    init(_ backEnd: any NetworkPort) {
        state = Locked(State(backEnd: backEnd))
        isTrusted = backEnd is any VerifiedNetworkPort
        state.withLock { $0.hasCarrier = backEnd.isLinkUp }
        backEnd.attach(NetworkHandlers(receive: { [weak self] in self?.receive($0) ?? true }, linkChanged: { [weak self] in self?.carrierChanged($0) }))
    }

    func send(_ frame: UnsafeRawBufferPointer) {
        let (backEnd, observers) = state.withLock { ($0.isUp ? $0.backEnd : nil, $0.observers) }
        guard let backEnd else { return }
        for observer in observers { observer.observe(frame, isFromCard: true) }
        backEnd.send(frame)
    }

    private func receive(_ frame: UnsafeRawBufferPointer) -> Bool {
        let (handlers, observers) = state.withLock { ($0.isUp ? $0.handlers : nil, $0.observers) }
        guard let handlers, handlers.receive(frame) else { return handlers == nil }
        for observer in observers { observer.observe(frame, isFromCard: false) }
        return true
    }

    func attach(_ handlers: NetworkHandlers?) {
        let backEnd = state.withLock { state in
            state.handlers = handlers
            return state.backEnd
        }
        backEnd?.resume()
    }

    func resume() { state.withLock { $0.backEnd }?.resume() }
    var isLinkUp: Bool { state.withLock { $0.isUp } }
    var description: String { state.withLock { $0.backEnd }?.description ?? "" }
    var isInUse: Bool { state.withLock { $0.handlers != nil } }

    // MARK: changes

    private func change(_ body: (inout State) -> Void) {
        let changed = state.withLock { state -> (NetworkHandlers?, Bool)? in
            let before = state.isUp
            body(&state)
            return before == state.isUp ? nil : (state.handlers, state.isUp)
        }
        if let (handlers, isUp) = changed { handlers?.linkChanged(isUp) }
    }

    private func carrierChanged(_ isUp: Bool) { change { $0.hasCarrier = isUp } }

    /// Plugs the cable in or pulls it.
    func setLink(_ isUp: Bool) {
        change { $0.isPulled = !isUp }
        if isUp { resume() }
    }

    /// Takes the back end away.
    func cut() {
        let backEnd = state.withLock { $0.backEnd }
        backEnd?.attach(nil)
        change { $0.backEnd = nil }
    }

    func add(_ observer: any FrameObserver) { state.withLock { $0.observers.append(observer) } }
    func remove(_ observer: any FrameObserver) { state.withLock { $0.observers.removeAll { $0 === observer } } }
}

/// A wire whose frames have right checksums.
final class VerifiedWire: VerifiedNetworkPort {
    private let wire: NetworkWire
    init(_ wire: NetworkWire) { self.wire = wire }
    func send(_ frame: UnsafeRawBufferPointer) { wire.send(frame) }
    func attach(_ handlers: NetworkHandlers?) { wire.attach(handlers) }
    func resume() { wire.resume() }
    var isLinkUp: Bool { wire.isLinkUp }
    var description: String { wire.description }
}

/// Where nothing is connected: a card without a back end.
public final class OpenPort: NetworkPort {
    public init() {}
    public func send(_ frame: UnsafeRawBufferPointer) {}
    public func attach(_ handlers: NetworkHandlers?) {}
    public func resume() {}
    public var isLinkUp: Bool { true }
    public var description: String { "" }
}
