// The options of `-netdev`, in text and JSON, and forwarding through a hub.

import Core
import Host
import Net
import Testing

@Suite struct NetworkOptions {
    private func makeSet() throws -> NetworkSet {
        let loop = try #require(EventLoop(name: "test"))
        return NetworkSet(loop: loop) { (text) throws(ConfigurationError) in throw ConfigurationError("no streams here: \(text)") }
    }

    @Test func jsonIsFlattened() throws {
        let json = try JSONValue(parsing: #"{"type":"stream","id":"s","server":false,"addr":{"type":"inet","host":"h","port":"1"},"hostfwd":[{"str":"a"},{"str":"b"}]}"#)
        var values = try OptionValues("-netdev", json: json)
        #expect(values.take("addr.host") == "h")
        #expect(values.takeAll("hostfwd") == ["a", "b"])
        #expect(values.take("server") == "off")
    }

    @Test func badOptionsAreRefused() throws {
        let set = try makeSet()
        for pairs in [
            [("type", "user")], [("type", "foo"), ("id", "a")], [("type", "user"), ("id", "a"), ("nothing", "1")],
            [("type", "user"), ("id", "a"), ("net", "10.0.2.0/33")], [("type", "user"), ("id", "a"), ("hostfwd", "tcp::x-:22")],
            [("type", "user"), ("id", "a"), ("hostfwd", "tcp:22")], [("type", "user"), ("id", "a"), ("host", "10.1.2.2")],
            [("type", "user"), ("id", "a"), ("guestfwd", "tcp:10.0.2.100:0-null")], [("type", "tap"), ("id", "a"), ("vhost", "on")],
            [("type", "socket"), ("id", "a")], [("type", "socket"), ("id", "a"), ("udp", "127.0.0.1:9")], [("type", "hubport"), ("id", "a")],
            [("type", "dgram"), ("id", "a"), ("remote.type", "fd"), ("remote.str", "0")],
        ] as [[(name: String, value: String)]] {
            #expect(throws: ConfigurationError.self) { try set.add(OptionValues("-netdev", pairs)) }
        }
        #expect(set.list.isEmpty)
    }

    @Test func addressesCountUp() throws {
        let set = try makeSet()
        #expect(set.nextMAC() == [0x52, 0x54, 0, 0x12, 0x34, 0x56])
        set.reserve([0x52, 0x54, 0, 0x12, 0x34, 0x57])
        #expect(set.nextMAC() == [0x52, 0x54, 0, 0x12, 0x34, 0x58])
    }

    @Test func aHubSpreadsFramesAndAPulledCableStopsThem() throws {
        let set = try makeSet()
        for name in ["a", "b"] { try set.add(OptionValues("-netdev", [("type", "hubport"), ("id", name), ("hubid", "1")])) }
        let a = try #require(set.ports("a").first), b = try #require(set.ports("b").first)
        let seen = Waiting<[[UInt8]]>([]), links = Waiting<[Bool]>([]), room = AtomicInt(0)
        b.attach(NetworkHandlers(receive: { frame in
            // The first offer is refused: the frame comes again after `resume`.
            guard room.load() != 0 else { return false }
            let copy = [UInt8](frame)
            seen.change { $0.append(copy) }
            return true
        }, linkChanged: { isUp in links.change { $0.append(isUp) } }))
        #expect(set.ports("b").isEmpty)
        let frame = [UInt8](repeating: 7, count: 60)
        frame.withUnsafeBytes { a.send($0) }
        #expect(seen.wait(seconds: 0.1) { $0.isEmpty ? nil : true } == nil)
        room.store(1)
        b.resume()
        #expect(seen.wait(seconds: 5) { $0.isEmpty ? nil : $0 } == [frame])
        try set.setLink("b", isUp: false)
        #expect(!b.isLinkUp)
        frame.withUnsafeBytes { a.send($0) }
        #expect(seen.wait(seconds: 0.1) { $0.count > 1 ? true : nil } == nil)
        try set.setLink("b", isUp: true)
        #expect(links.look { $0 } == [false, true])
        #expect(set.list.map(\.hub) == [1, 1])
        try set.remove("b")
        #expect(!b.isLinkUp)
    }
}
