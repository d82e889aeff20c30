// `-netdev`, `-nic`, `-net` and `-object filter-dump`: what a command line says of the network.

import Core
import Net

/// A card that `-nic` or `-net nic` asks for.
struct CardRequest {
    var driver: String
    var backEnd: String
    var mac: String?
}

/// The network part of a command line.
struct NetworkRequest {
    private enum Item {
        case backEnd(OptionValues)
        /// `-nic`
        case both(OptionValues)
        /// `-net`
        case legacy(OptionValues)
    }
    private var items: [Item] = []
    private var dumps: [OptionValues] = []
    /// `-nic none` or `-net none`
    private var isNone = false

    /// Whether nothing is said, so that QEMU would make a network of its own.
    var isEmpty: Bool { items.isEmpty && !isNone }

    mutating func addBackEnd(_ text: String) throws(ConfigurationError) {
        guard text.hasPrefix("{") else { return items.append(.backEnd(Self.values("-netdev", text))) }
        let value: JSONValue
        do { value = try JSONValue(parsing: text) } catch { throw ConfigurationError("-netdev: \(error)") }
        items.append(.backEnd(try OptionValues("-netdev", json: value)))
    }

    mutating func addCard(_ text: String) { if text == "none" { isNone = true } else { items.append(.both(Self.values("-nic", text))) } }
    mutating func addLegacy(_ text: String) { if text == "none" { isNone = true } else { items.append(.legacy(Self.values("-net", text))) } }

    mutating func addObject(_ text: String) throws(ConfigurationError) {
        var values = Self.values("-object", text, implied: "qom-type")
        let type = values.take("qom-type") ?? ""
        guard type == "filter-dump" else { throw ConfigurationError("-object: type '\(type)' is not supported, expected filter-dump") }
        dumps.append(values)
    }

    private static func values(_ option: String, _ text: String, implied: String = "type") -> OptionValues {
        OptionValues(option, KeyValues(text, implied: implied).pairs.map { ($0.name, $0.value) })
    }

    // MARK: making it

    /// Makes all back ends. - Returns: the cards that are wanted beside `-device`s.
    func build(_ network: NetworkSet, models: [String]) throws(ConfigurationError) -> [CardRequest] {
        var cards: [CardRequest] = [], number = 0
        func unused(_ prefix: String) -> String {
            defer { number += 1 }
            return "\(prefix)\(number)"
        }
        for case .backEnd(let values) in items { try network.add(values) }
        for case .both(var values) in items {
            let model = values.take("model"), mac = values.take("mac") ?? values.take("macaddr")
            let id = values.take("id") ?? unused("#net")
            values.add("id", id)
            try network.add(values)
            cards.append(CardRequest(driver: try Self.driver(model, models, "-nic"), backEnd: id, mac: mac))
        }
        // All that `-net` makes meets in hub 0.
        for case .legacy(var values) in items {
            let port = unused("hub0port")
            guard values.type == "nic" else {
                let id = values.take("id") ?? values.take("name") ?? unused("#net")
                values.add("id", id)
                try network.add(values)
                try network.add(OptionValues("-net", [("type", "hubport"), ("id", port), ("hubid", "0"), ("netdev", id)]))
                continue
            }
            _ = values.take("type")
            let model = values.take("model"), mac = values.take("macaddr"), other = values.take("netdev")
            try values.finish()
            if other == nil { try network.add(OptionValues("-net", [("type", "hubport"), ("id", port), ("hubid", "0")])) }
            cards.append(CardRequest(driver: try Self.driver(model, models, "-net nic"), backEnd: other ?? port, mac: mac))
        }
        for dump in dumps { try network.addDump(dump) }
        return cards
    }

    private static func driver(_ model: String?, _ models: [String], _ option: String) throws(ConfigurationError) -> String {
        let driver = switch model { case nil, "virtio": "virtio-net-pci"; case let model?: model }
        guard models.contains(driver) else { throw ConfigurationError("\(option): model '\(driver)' is not supported, expected \(models.joined(separator: ", "))") }
        return driver
    }
}
