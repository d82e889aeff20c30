// All network back ends of a machine, by name, and the cards that use them: `-netdev`, `netdev_add`, `netdev_del`, `set_link`,
// `info network`.

import Core
import Host

/// A line of `info network`.
public struct NetworkEntry: Sendable, Equatable {
    public var name: String
    /// `index=0,type=user,net=10.0.2.0,restrict=off`
    public var description: String
    /// The card that uses it.
    public var card: String?
    public var isLinkUp: Bool
    /// The hub that it is a port of.
    public var hub: Int?
}

/// A card that a machine has.
public struct NetworkCard: Sendable, Equatable {
    /// Its device's identifier.
    public var name: String
    public var model: String
    public var mac: [UInt8]
    /// The back end's name.
    public var backEnd: String?

    public init(name: String, model: String, mac: [UInt8], backEnd: String?) {
        self.name = name
        self.model = model
        self.mac = mac
        self.backEnd = backEnd
    }
    public var description: String {
        let digits = mac.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
        return "index=0,type=nic,model=\(model),macaddr=\(digits)"
    }
}

/// The network of one machine. All methods may be called from any thread that holds no device's lock.
public final class NetworkSet: Sendable {
    /// Makes the stream of a `guestfwd` from text as `-serial` takes it.
    public typealias MakeStream = @Sendable (String) throws(ConfigurationError) -> any CharacterStream

    private struct State: Sendable {
        var order: [String] = []
        /// A wire for each pair of queues.
        var wires: [String: [NetworkWire]] = [:]
        var hubs: [Int: Hub] = [:]
        var hubOf: [String: Int] = [:]
        var users: [String: UserNetwork] = [:]
        var cards: [NetworkCard] = []
        var filters: [String: (dump: PacketDump, wires: [NetworkWire])] = [:]
        var addresses: Set<[UInt8]> = []
    }

    private let state = Locked(State())
    public let loop: EventLoop
    private let makeStream: MakeStream

    public init(loop: EventLoop, makeStream: @escaping MakeStream) {
        self.loop = loop
        self.makeStream = makeStream
    }

    // MARK: back ends

    /// Makes a back end: `type`, `id` and what belongs to the type, as `-netdev` and `netdev_add` have it.
    public func add(_ options: OptionValues) throws(ConfigurationError) {
        var options = options
        let type = try options.require("type"), id = try options.require("id")
        guard state.withLock({ $0.wires[id] == nil }) else { throw ConfigurationError("\(options.owner): id '\(id)' is in use") }
        var hub: Int?, user: UserNetwork?
        let ports: [any NetworkPort]
        switch type {
        case "user":
            let network = try UserNetwork(&options, loop: loop, makeStream: makeStream)
            user = network
            ports = [network]
        case "tap": ports = try TapPort.open(&options, loop: loop)
        case "socket": ports = [try LegacySocket.open(&options, loop: loop)]
        case "stream": ports = [try StreamPort.open(&options, loop: loop)]
        case "dgram": ports = [try DatagramPort.open(&options, loop: loop)]
        case "hubport":
            let number = try options.number("hubid", in: 0 ... 0x7fff_ffff)
            guard let number else { throw ConfigurationError("\(options.owner): parameter 'hubid' is missing") }
            hub = number
            ports = [try hubPort(number, options.take("netdev"), options.owner)]
        default: throw ConfigurationError("\(options.owner): type '\(type)' is not supported, expected user, tap, socket, stream, dgram or hubport")
        }
        try options.finish()
        state.withLock { state in
            state.order.append(id)
            state.wires[id] = ports.map { NetworkWire($0) }
            state.users[id] = user
            state.hubOf[id] = hub
        }
    }

    private func hubPort(_ number: Int, _ other: String?, _ owner: String) throws(ConfigurationError) -> HubPort {
        let hub = state.withLock { state in
            let hub = state.hubs[number] ?? Hub(loop: loop)
            state.hubs[number] = hub
            return hub
        }
        guard let other else { return hub.addPort() }
        guard let wire = state.withLock({ $0.wires[other]?.first }) else { throw ConfigurationError("\(owner): there is no back end '\(other)'") }
        guard !wire.isInUse else { throw ConfigurationError("\(owner): back end '\(other)' is in use") }
        return hub.addPort(connectedTo: wire)
    }

    /// Takes a back end away; a card that uses it loses its link.
    public func remove(_ id: String) throws(ConfigurationError) {
        let wires = state.withLock { state in
            state.order.removeAll { $0 == id }
            state.users[id] = nil
            state.hubOf[id] = nil
            return state.wires.removeValue(forKey: id)
        }
        guard let wires else { throw ConfigurationError("Device '\(id)' not found") }
        for wire in wires { wire.cut() }
    }

    /// For `DeviceContext.network`: the ports of a back end, none if there is no such name or another card has it.
    public func ports(_ id: String) -> [any NetworkPort] {
        let wires = state.withLock { $0.wires[id] } ?? []
        guard wires.allSatisfy({ !$0.isInUse }) else { return [] }
        return wires.map { wire -> any NetworkPort in wire.isTrusted ? VerifiedWire(wire) : wire }
    }

    public func contains(_ id: String) -> Bool { state.withLock { $0.wires[id] != nil } }

    /// The user-mode network of that name, for forwarding rules; an empty name: the first.
    public func user(_ id: String = "") -> UserNetwork? {
        let (order, users) = state.withLock { ($0.order, $0.users) }
        return id.isEmpty ? order.lazy.compactMap { users[$0] }.first : users[id]
    }

    // MARK: cards

    /// An address for a card that was given none: 52:54:00:12:34:56 and on.
    public func nextMAC() -> [UInt8] {
        state.withLock { state in
            for number: UInt8 in 0 ..< 0xaa {
                let mac: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56 &+ number]
                if state.addresses.insert(mac).inserted { return mac }
            }
            return [0x52, 0x54, 0, 0x12, 0x34, 0x56]
        }
    }

    /// A person has given a card this address.
    public func reserve(_ mac: [UInt8]) { state.withLock { _ = $0.addresses.insert(mac) } }

    public func add(_ card: NetworkCard) { state.withLock { $0.cards.append(card) } }
    /// The card was unplugged.
    public func removeCard(_ name: String) {
        state.withLock { state in
            for card in state.cards where card.name == name { state.addresses.remove(card.mac) }
            state.cards.removeAll { $0.name == name }
        }
    }

    /// Notes a card of these properties, if they are a card's. - Returns: its address, chosen unless it is given.
    public func register(_ name: String, _ model: String, _ properties: Properties) throws(ConfigurationError) -> [UInt8] {
        guard properties.declarations.contains(where: { $0.name == "netdev" }) else { return [] }
        let given = properties.mac("mac")
        if let given { reserve(given) }
        let mac = given ?? nextMAC()
        add(NetworkCard(name: name, model: model, mac: mac, backEnd: properties.text("netdev")))
        return mac
    }

    /// For `DeviceContext.network`: an empty name has an open end.
    public func portsForCard(_ id: String) -> [any NetworkPort] { id.isEmpty ? [OpenPort()] : ports(id) }

    /// Ends all back ends: the machine is over.
    public func close() { for entry in list { do throws(ConfigurationError) { try remove(entry.name) } catch {} } }

    // MARK: for monitors

    /// Pulls or plugs a cable, by the name of a card or of its back end.
    public func setLink(_ name: String, isUp: Bool) throws(ConfigurationError) {
        let wires = state.withLock { state in
            state.wires[name] ?? state.cards.first { $0.name == name }?.backEnd.flatMap { state.wires[$0] }
        }
        guard let wires else { throw ConfigurationError("Device '\(name)' not found") }
        for wire in wires { wire.setLink(isUp) }
    }

    public var cards: [NetworkCard] { state.withLock { $0.cards } }

    /// Back ends in the order they were made.
    public var list: [NetworkEntry] {
        let (order, wires, cards, hubs) = state.withLock { ($0.order, $0.wires, $0.cards, $0.hubOf) }
        return order.compactMap { id in
            guard let wire = wires[id]?.first else { return nil }
            return NetworkEntry(name: id, description: wire.description, card: cards.first { $0.backEnd == id }?.name, isLinkUp: wire.isLinkUp, hub: hubs[id])
        }
    }

    /// As `info network` prints it.
    public var report: String {
        let entries = list, cards = cards
        var lines: [String] = []
        for (hub, ports) in Dictionary(grouping: entries.filter { $0.hub != nil }, by: { $0.hub ?? 0 }).sorted(by: { $0.key < $1.key }) {
            lines.append("hub \(hub)")
            for port in ports { lines.append(" \\ \(port.name)" + (port.card.map { ": \($0)" } ?? "")) }
        }
        for entry in entries where entry.card == nil && entry.hub == nil { lines.append("\(entry.name): \(entry.description)") }
        for card in cards {
            lines.append("\(card.name): \(card.description)")
            if let entry = entries.first(where: { $0.name == card.backEnd }) { lines.append(" \\ \(entry.name): \(entry.description)") }
        }
        return lines.map { $0 + "\n" }.joined()
    }

    // MARK: filters

    /// `filter-dump`: writes what passes a back end into a file. Options: `id`, `netdev`, `file`, `maxlen`.
    public func addDump(_ options: OptionValues) throws(ConfigurationError) {
        var options = options
        let id = try options.require("id"), name = try options.require("netdev"), path = try options.require("file")
        let limit = try options.number("maxlen", in: 1 ... 0x7fff_ffff) ?? 65536
        try options.finish()
        guard let wires = state.withLock({ $0.wires[name] }) else { throw ConfigurationError("\(options.owner): there is no back end '\(name)'") }
        guard state.withLock({ $0.filters[id] == nil }) else { throw ConfigurationError("\(options.owner): id '\(id)' is in use") }
        let dump = try PacketDump(path: path, limit: limit)
        state.withLock { $0.filters[id] = (dump, wires) }
        for wire in wires { wire.add(dump) }
    }

    public func removeDump(_ id: String) throws(ConfigurationError) {
        guard let filter = state.withLock({ $0.filters.removeValue(forKey: id) }) else { throw ConfigurationError("object '\(id)' not found") }
        for wire in filter.wires { wire.remove(filter.dump) }
    }
}
