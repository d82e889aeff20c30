// A hub: what comes in at one port goes out at all others (`-netdev hubport`, and the network of `-net`).

import Core
import Host

final class Hub: @unchecked Sendable {
    let loop: EventLoop
    private let ports = Locked<[Weak]>([])

    private struct Weak: Sendable { weak var port: HubPort? }

    init(loop: EventLoop) { self.loop = loop }

    /// A port for a card, or with a back end at its other side.
    func addPort(connectedTo wire: NetworkWire? = nil) -> HubPort {
        let port = HubPort(self, wire)
        ports.withLock { $0.append(Weak(port: port)) }
        return port
    }

    /// A frame that has come in at `port`; on the loop's thread.
    fileprivate func spread(_ frame: UnsafeRawBufferPointer, from port: HubPort) {
        for other in ports.withLock({ $0.compactMap(\.port) }) where other !== port { other.take(frame) }
    }
}

final class HubPort: NetworkPort {
    private let hub: Hub
    private let card: CardSide
    private let wire: NetworkWire?

    fileprivate init(_ hub: Hub, _ wire: NetworkWire?) {
        self.hub = hub
        self.wire = wire
        card = CardSide(loop: hub.loop)
        wire?.attach(NetworkHandlers(receive: { [weak self] frame in
            self?.send(frame)
            return true
        }))
    }

    deinit { wire?.attach(nil) }

    func send(_ frame: UnsafeRawBufferPointer) {
        if hub.loop.isCurrent { return hub.spread(frame, from: self) }
        let copy = [UInt8](frame)
        hub.loop.submit { [self] in copy.withUnsafeBytes { hub.spread($0, from: self) } }
    }

    fileprivate func take(_ frame: UnsafeRawBufferPointer) {
        if let wire { wire.send(frame) } else { card.deliver(frame) }
    }

    func attach(_ handlers: NetworkHandlers?) { card.attach(handlers) }
    func resume() { card.resume() }
    var isLinkUp: Bool { true }
    var description: String { "index=0,type=hubport" + (wire.map { ",netdev=" + $0.description } ?? "") }
}
