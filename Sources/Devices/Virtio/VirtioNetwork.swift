// virtio-net (Virtual I/O Device 1.3, section 5.1): frames between the rings and a `NetworkPort`; the control queue.
//
// Ports carry whole Ethernet frames: what the driver leaves to the card (checksums, cutting of TCP segments) is done here. Left
// out: receiving of segments that are larger than frames, RSS, hash reports.

import Core
import Glibc
import Host

public final class VirtioNetwork: VirtioFunction {
    public static let properties = [
        Property("netdev", .reference("netdev"), "the network back end"),
        Property("mac", .mac, "the card's address"),
        Property("mq", .flag, "several pairs of queues", default: "off"),
        Property("rx_queue_size", .integer, "buffers a receive queue can hold", default: "256"),
        Property("tx_queue_size", .integer, "frames a transmit queue can hold", default: "256"),
        Property("host_mtu", .integer, "the largest packet the guest shall send; 0: it is not told", default: "0"),
        Property("csum", .flag, "the card computes checksums", default: "on"),
        Property("guest_csum", .flag, "the guest need not check frames of back ends that make right ones", default: "on"),
        Property("host_tso4", .flag, "the card cuts TCP segments (IPv4)", default: "on"),
        Property("host_tso6", .flag, "the card cuts TCP segments (IPv6)", default: "on"),
        Property("mrg_rxbuf", .flag, "frames may take several buffers", default: "on"),
        Property("status", .flag, "the guest sees the link's state", default: "on"),
        Property("ctrl_vq", .flag, "a control queue", default: "on"),
        Property("ctrl_rx", .flag, "the guest chooses what it receives", default: "on"),
        Property("ctrl_vlan", .flag, "the guest filters by VLAN", default: "on"),
        Property("ctrl_mac_addr", .flag, "the guest may change the card's address", default: "on"),
        Property("guest_announce", .flag, "the guest can be asked to announce itself", default: "on"),
    ]

    enum Feature {
        static let checksum: UInt64 = 1, guestChecksum: UInt64 = 1 << 1, segments4: UInt64 = 1 << 11, segments6: UInt64 = 1 << 12
        static let mtu: UInt64 = 1 << 3, mac: UInt64 = 1 << 5, mergeable: UInt64 = 1 << 15, status: UInt64 = 1 << 16, control: UInt64 = 1 << 17
        static let receive: UInt64 = 1 << 18, vlan: UInt64 = 1 << 19, receiveExtra: UInt64 = 1 << 20, announce: UInt64 = 1 << 21
        static let queues: UInt64 = 1 << 22, setMAC: UInt64 = 1 << 23
    }

    public let type = VirtioType.network
    public let queueSizes: [UInt16]
    public let features: UInt64
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let ports: [any NetworkPort]
    private let mtu: UInt16
    private let givenMAC: [UInt8]
    /// What the guest has set, and what is let through by it.
    private var filter: ReceiveFilter
    private var pairs = 1
    private var isLinkUp = true
    private var mustAnnounce = false
    /// Transmit queues that a job of the event loop is emptying.
    private var sending: Set<Int> = []
    private var send: (@Sendable (Int) -> Void)?
    private static let largestFrame = 65536 + 18
    private var frame = [UInt8](repeating: 0, count: VirtioNetwork.largestFrame)
    private var segment = [UInt8](repeating: 0, count: VirtioNetwork.largestFrame)

    /// - Parameters:
    ///   - ports: one for each pair of queues.
    ///   - mac: unless `mac` is given.
    public init(_ properties: Properties, ports: [any NetworkPort], mac: [UInt8]) throws(ConfigurationError) {
        let owner = properties.owner
        func size(_ name: String) throws(ConfigurationError) -> UInt16 {
            let value = properties.integer(name) ?? 256
            guard (256 ... 1024).contains(value), value & (value - 1) == 0 else { throw ConfigurationError("\(owner): property '\(name)' is \(value), expected a power of two from 256 to 1024") }
            return UInt16(value)
        }
        let receive = try size("rx_queue_size"), transmit = try size("tx_queue_size")
        let limit = properties.integer("host_mtu") ?? 0
        guard limit == 0 || (68 ... 65535).contains(limit) else { throw ConfigurationError("\(owner): property 'host_mtu' is \(limit), expected 0 or 68 to 65535") }
        mtu = UInt16(limit)
        self.ports = ports
        givenMAC = properties.mac("mac") ?? mac
        filter = ReceiveFilter(mac: givenMAC)
        let hasControl = properties.flag("ctrl_vq")
        var bits = Feature.mac
        for (name, bit) in [("mrg_rxbuf", Feature.mergeable), ("status", Feature.status)] where properties.flag(name) { bits |= bit }
        if properties.flag("csum") {
            bits |= Feature.checksum
            for (name, bit) in [("host_tso4", Feature.segments4), ("host_tso6", Feature.segments6)] where properties.flag(name) { bits |= bit }
        }
        if properties.flag("guest_csum"), ports.allSatisfy({ $0 is any VerifiedNetworkPort }) { bits |= Feature.guestChecksum }
        if hasControl {
            bits |= Feature.control
            for (name, bit) in [("ctrl_rx", Feature.receive | Feature.receiveExtra), ("ctrl_vlan", Feature.vlan), ("ctrl_mac_addr", Feature.setMAC), ("guest_announce", Feature.announce)] where properties.flag(name) { bits |= bit }
            if ports.count > 1, properties.flag("mq") { bits |= Feature.queues }
        }
        if mtu > 0 { bits |= Feature.mtu }
        features = bits
        let count = bits & Feature.queues != 0 ? ports.count : 1
        queueSizes = (0 ..< count).flatMap { _ in [receive, transmit] } + (hasControl ? [64] : [])
    }

    private var hasQueues: Bool { core.has(Feature.queues) }
    private var pairCount: Int { queueSizes.count / 2 }
    /// The control queue comes last: behind all pairs, or behind the first if the driver knows no others.
    private func isControl(_ queue: VirtQueue) -> Bool { queue.index == (hasQueues ? pairCount * 2 : 2) }
    private var headerSize: Int { core.has(VirtioFeature.version1) || core.has(Feature.mergeable) ? 12 : 10 }

    public func connect(_ core: VirtioCore) {
        self.core = core
        isLinkUp = ports.first?.isLinkUp ?? false
        send = core.host.callback { [unowned self] (queue: Int) in self.transmit(queue) }
        for (pair, port) in ports.prefix(pairCount).enumerated() {
            let receive = core.host.request { [unowned self] (frame: Frame) in self.receive(frame.bytes, pair) }
            let link = core.host.callback { [unowned self] (isUp: Bool) in self.linkChanged(isUp) }
            port.attach(NetworkHandlers(receive: { receive(Frame(bytes: $0)) ?? true }, linkChanged: link))
        }
    }

    /// Invariant: used during the call that brings it only.
    private struct Frame: @unchecked Sendable { let bytes: UnsafeRawBufferPointer }

    deinit { for port in ports { port.attach(nil) } }

    // MARK: configuration

    public var configuration: [UInt8] {
        var fields = FieldWriter()
        fields.add(filter.mac)
        fields.add(UInt16((isLinkUp ? 1 : 0) | (mustAnnounce ? 2 : 0)))
        fields.add(UInt16(pairCount))
        fields.add(mtu)
        return fields.bytes
    }

    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        // Drivers of the legacy interface set the address here.
        guard !core.has(VirtioFeature.version1), !core.has(Feature.setMAC) else { return }
        for (index, byte) in bytes.enumerated() where offset + index < 6 { filter.mac[offset + index] = byte }
    }

    private func linkChanged(_ isUp: Bool) {
        guard isUp != isLinkUp else { return }
        isLinkUp = isUp
        core.configurationChanged()
    }

    /// Has the guest make itself known to the network, after a migration.
    public func announce() {
        guard core.has(Feature.announce), core.isRunning else { return }
        mustAnnounce = true
        core.configurationChanged()
    }

    // MARK: transmitting

    public func start() {
        for queue in core.queues where queue.isEnabled { process(queue) }
        for port in ports { port.resume() }
    }

    public func process(_ queue: VirtQueue) {
        if isControl(queue) { return control(queue) }
        guard queue.index & 1 == 1 else {
            // Buffers to receive into. While frames wait, the port has the rest.
            ports[min(queue.index / 2, ports.count - 1)].resume()
            return
        }
        guard sending.insert(queue.index).inserted, let send else { return }
        queue.setNotification(false)
        let index = queue.index
        core.host.loop.submit { send(index) }
    }

    private func transmit(_ index: Int) {
        sending.remove(index)
        guard core.queues.indices.contains(index), core.isRunning || core.queues[index].isEnabled else { return }
        let queue = core.queues[index], port = ports[min(index / 2, ports.count - 1)]
        let header = headerSize
        var count = 0
        while true {
            guard let chain = queue.next() else {
                queue.setNotification(true)
                guard queue.isPending else { break }
                queue.setNotification(false)
                continue
            }
            guard chain.readable.count >= header else {
                core.fail("a frame without header")
                break
            }
            let size = min(chain.readable.count - header, Self.largestFrame)
            if size > 0, isLinkUp { send(chain.readable, header, size, to: port) }
            queue.complete(chain, written: 0)
            count += 1
            // Others want the loop too.
            if count == 256, let send {
                sending.insert(index)
                core.host.loop.submit { send(index) }
                break
            }
        }
        if count > 0 { queue.interrupt() }
    }

    private func send(_ pieces: GuestPieces, _ header: Int, _ size: Int, to port: any NetworkPort) {
        // Copied: the guest may change a frame while the port looks at it.
        let wishes = core.has(Feature.checksum) ? pieces.bytes(0, 10) : []
        frame.withUnsafeMutableBytes { buffer in
            let whole = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
            pieces.copy(header, into: whole)
            if wishes.count == 10, wishes[0] & 1 != 0 { complete(whole, wishes, port) } else { port.send(UnsafeRawBufferPointer(whole)) }
        }
    }

    /// Does what the header of a frame asks for (5.1.6.2), and sends what comes of it.
    private func complete(_ frame: UnsafeMutableRawBufferPointer, _ header: [UInt8], _ port: any NetworkPort) {
        let start = Int(header.number(6, as: UInt16.self)), offset = Int(header.number(8, as: UInt16.self))
        // Whether congestion was reported does not matter here.
        let kind = header[1] & 0x7f
        switch kind {
        case 0: if FrameWork.completeChecksum(frame, start: start, offset: offset) { port.send(UnsafeRawBufferPointer(frame)) }
        case 1 where core.has(Feature.segments4), 4 where core.has(Feature.segments6):
            segment.withUnsafeMutableBytes { scratch in
                _ = FrameWork.segment(UnsafeRawBufferPointer(frame), transport: start, size: Int(header.number(4, as: UInt16.self)), isIPv6: kind == 4,
                                      scratch: scratch) { port.send($0) }
            }
        default: break
        }
    }

    // MARK: receiving

    /// - Returns: false: there is no room now.
    private func receive(_ frame: UnsafeRawBufferPointer, _ pair: Int) -> Bool {
        let queue = core.queues[pair * 2]
        guard core.isRunning, queue.isEnabled, pair < pairs else { return true }
        guard isLinkUp, frame.count >= 14, filter.admits(frame) else { return true }
        var chains: [(VirtChain, Int)] = [], done = 0
        let header = headerSize, total = header + frame.count
        while done < total {
            guard let chain = queue.next() else {
                for (chain, _) in chains.reversed() { queue.takeBack(chain) }
                // The guest says when it has made more available; look again, in case it just did.
                queue.setNotification(true)
                guard queue.isPending else { return false }
                if !chains.isEmpty || !core.isRunning { return false }
                continue
            }
            let offset = chains.isEmpty ? header : 0
            guard chain.writable.count > offset else {
                core.fail("a receive buffer of \(chain.writable.count) bytes")
                return true
            }
            let part = UnsafeRawBufferPointer(rebasing: frame[max(0, done - header)...])
            if chains.isEmpty { done = header }
            let copied = chain.writable.fill(offset, from: part)
            done += copied
            chains.append((chain, offset + copied))
            if done < total, !core.has(Feature.mergeable) {
                // Too small for the frame: it is lost, the buffer stays.
                queue.takeBack(chain)
                return true
            }
        }
        var fields = FieldWriter()
        // DATA_VALID
        if core.has(Feature.guestChecksum), FrameWork.hasTransportChecksum(frame) { fields.add(UInt8(2)) }
        fields.pad(to: 10)
        if header == 12 { fields.add(UInt16(chains.count)) }
        chains.first?.0.writable.fill(0, bytes: fields.bytes)
        for (chain, written) in chains { queue.complete(chain, written: written) }
        queue.interrupt()
        return true
    }

    // MARK: the control queue (5.1.6.5)

    private func control(_ queue: VirtQueue) {
        while let chain = queue.next() {
            let command = chain.readable.bytes(0, 65536)
            let isGood = command.count >= 2 && control(command[0], command[1], Array(command.dropFirst(2)))
            chain.writable.store(0, UInt8(isGood ? 0 : 1))
            queue.complete(chain, written: min(1, chain.writable.count))
        }
        queue.interrupt()
    }

    private func control(_ group: UInt8, _ command: UInt8, _ data: [UInt8]) -> Bool {
        switch (group, command) {
        case (0, 0 ... 5) where core.has(Feature.receive): return data.count >= 1 && filter.setMode(command, data[0] != 0)
        case (1, 0) where core.has(Feature.receive): return filter.setTable(data)
        case (1, 1) where core.has(Feature.setMAC):
            guard data.count == 6 else { return false }
            filter.mac = data
            return true
        case (2, 0 ... 1) where core.has(Feature.vlan): return data.count == 2 && filter.setVLAN(data.number(0), isOn: command == 0)
        case (3, 0) where core.has(Feature.announce):
            mustAnnounce = false
            return true
        case (4, 0) where hasQueues:
            let count = Int(data.number(0, as: UInt16.self))
            guard data.count == 2, (1 ... pairCount).contains(count) else { return false }
            pairs = count
            return true
        default: return false
        }
    }

    /// What query-rx-filter shows: names and values. Under the device's lock.
    public var receiveFilter: [(name: String, value: JSONValue)] {
        func text(_ bytes: [UInt8]) -> JSONValue { .text(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")) }
        let state = filter.summary(canFilterVLANs: core.has(Feature.vlan))
        return [
            ("promiscuous", .flag(state.isPromiscuous)), ("multicast", .text(state.multicastMode)), ("unicast", .text(state.unicastMode)), ("vlan", .text(state.vlanMode)),
            ("broadcast-allowed", .flag(state.admitsBroadcast)), ("multicast-overflow", .flag(state.overflows.multicast)), ("unicast-overflow", .flag(state.overflows.unicast)),
            ("main-mac", text(filter.mac)), ("vlan-table", .array(state.vlans.map { .number($0) })), ("unicast-table", .array(state.unicast.map(text))),
            ("multicast-table", .array(state.multicast.map(text))),
        ]
    }

    // MARK: life

    public func reset() {
        filter = ReceiveFilter(mac: givenMAC)
        pairs = 1
        mustAnnounce = false
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try filter.transfer(&state)
        try state.field("pairs", &pairs)
        try state.field("announce", &mustAnnounce)
        guard (1 ... max(1, pairCount)).contains(pairs) else { throw .badValue("pairs") }
    }
}
