import Block
import Core
import Devices
import Host
import Testing

/// A cable whose other end is the test.
final class TestPort: NetworkPort {
    let sent = Locked<[[UInt8]]>([])
    let handlers = Locked<NetworkHandlers?>(nil)
    let resumed = Locked(0)
    func send(_ frame: UnsafeRawBufferPointer) { sent.withLock { $0.append(Array(frame)) } }
    func attach(_ handlers: NetworkHandlers?) { self.handlers.withLock { $0 = handlers } }
    func resume() { resumed.withLock { $0 += 1 } }
    var isLinkUp: Bool { true }
    var description: String { "test" }
    func deliver(_ frame: [UInt8]) -> Bool { frame.withUnsafeBytes { bytes in handlers.withLock { $0 }?.receive(bytes) ?? true } }
}

/// A stream whose other end is the test.
final class TestStream: CharacterStream {
    let sent = Locked<[UInt8]>([])
    let handlers = Locked<CharacterHandlers?>(nil)
    func send(_ bytes: ArraySlice<UInt8>) -> Int { sent.withLock { $0 += bytes }; return bytes.count }
    func attach(_ handlers: CharacterHandlers?) { self.handlers.withLock { $0 = handlers } }
    func resume() {}
    var description: String { "test" }
    func deliver(_ bytes: [UInt8]) { handlers.withLock { $0 }?.receive(bytes) }
    var capacity: Int { handlers.withLock { $0 }?.capacity() ?? 0 }
}

extension GuestMachine {
    /// Makes a device of the catalogue and puts it into a slot of the root bus.
    @discardableResult
    func plug(_ name: String, _ settings: [(name: String, value: String)] = [], port: TestPort = TestPort(), folder: SharedFolder? = nil, rom: [UInt8] = [], device: UInt64 = 3) throws -> DeviceSlot {
        let entry = try #require(DeviceCatalogue.find(name))
        guard case .pci(let make) = entry.maker else { throw ConfigurationError("\(name) is no PCI device") }
        let host = host()
        var context = DeviceContext(host: host, memorySize: ram.size, processors: 2, node: { _ in memoryNode().0 }, network: { _ in [port] }, characters: { _ in TestStream() },
                                    nextMAC: { [0x52, 0x54, 0, 0x12, 0x34, 0x56] })
        let shared = try folder ?? SharedFolder(path: "/usr/lib", security: .none, isReadOnly: true)
        context.folder = { _ in shared }
        let required = ["serial": "it", "mount_tag": "it", "guest-cid": "42"]
        let given = entry.model.properties.compactMap { property -> (name: String, value: String)? in
            if case .reference = property.type { ["iothread", "rng"].contains(property.name) ? nil : (property.name, "it") } else { required[property.name].map { (property.name, $0) } }
        }
        let properties = try Properties(name, entry.model.properties, given + settings)
        return try pci.plug(name, try make(properties, context), rom: try ExpansionROM(properties) { (_) throws(ConfigurationError) in rom }, host: host, address: String(device, radix: 16))
    }
}

@Suite struct VirtioDeviceTests {
    static let mac: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]
    static func frame(to target: [UInt8], _ count: Int) -> [UInt8] {
        target + [2, 0, 0, 0, 0, 1, 8, 0] + (0 ..< count - 14).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    }

    @Test func network() throws {
        let machine = try GuestMachine(), port = TestPort()
        try machine.plug("virtio-net-pci", port: port)
        let transport = PCITransport(machine.function(device: 3), vectors: 4)
        let driver = GuestDriver(machine, transport, queues: 3)
        #expect((0 ..< 6).map { UInt8(transport.configuration($0, 1)) } == Self.mac)
        #expect(transport.configuration(6, 2) & 1 == 1)
        let out = Self.frame(to: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1514)
        let header = [UInt8](repeating: 0, count: 12)
        #expect(driver.request(1, [header, out], input: []) == [])
        #expect(port.sent.withLock { $0 } == [out])
        // No buffers: the port keeps the frame. With buffers of 256 bytes it takes several.
        let frame = Self.frame(to: Self.mac, 1000)
        #expect(port.deliver(frame) == false)
        let rooms = (0 ..< 8).map { _ in machine.allocate(256) }
        for room in rooms { driver.queues[0].add([.init(address: room, count: 256, isWritable: true)]) }
        let before = port.resumed.withLock { $0 }
        transport.notify(0)
        #expect(port.resumed.withLock { $0 } > before)
        #expect(port.deliver(frame))
        var received: [UInt8] = [], buffers = 0
        while let (_, written) = driver.queues[0].take() {
            received += machine.bytes(rooms[buffers], written)
            buffers += 1
        }
        #expect(buffers == 4 && received[10] == 4)
        #expect(Array(received.dropFirst(12)) == frame)
        #expect(machine.messages.count(1) > 0)
        // Promiscuous off: strangers' frames are dropped, ours come.
        #expect(driver.request(2, [[0, 0], [0]], input: [1]) == [0])
        #expect(port.deliver(Self.frame(to: [2, 9, 9, 9, 9, 9], 60)))
        #expect(driver.queues[0].take() == nil)
        #expect(driver.request(2, [[9, 9], [0]], input: [1]) == [1])
        #expect(port.deliver(Self.frame(to: Self.mac, 60)))
        #expect(driver.queues[0].take() != nil)
    }

    @Test func entropy() throws {
        let machine = try GuestMachine()
        try machine.plug("virtio-rng-pci", [("max-bytes", "64"), ("period", "50")])
        let driver = GuestDriver(machine, PCITransport(machine.function(device: 3)), queues: 1)
        let first = try #require(driver.request(0, [], input: [48]))
        #expect(first.count == 48 && Set(first).count > 8)
        #expect(driver.request(0, [], input: [48])?.count == 16)
        // The next period brings more.
        #expect(driver.request(0, [], input: [48])?.count == 48)
    }

    @Test func balloon() throws {
        let machine = try GuestMachine()
        let slot = try machine.plug("virtio-balloon-pci")
        let transport = PCITransport(machine.function(device: 3), vectors: 2)
        let driver = GuestDriver(machine, transport, queues: 2)
        let balloon = try #require(slot.withDevice { (($0 as? PCIEndpoint)?.function as? VirtioPCI)?.function as? VirtioBalloon })
        slot.withDevice { _ in balloon.setTarget(machine.ram.size - (1 << 20)) }
        #expect(transport.configuration(0, 4) == 256)
        let page = machine.allocate(4096)
        machine.fill(page, [UInt8](repeating: 7, count: 4096))
        #expect(driver.request(0, [little(UInt32(page >> 12)) + little(UInt32.max)], input: []) == [])
        #expect(machine.bytes(page, 4096).allSatisfy { $0 == 0 })
        transport.setConfiguration(4, 256, 4)
        #expect(slot.withDevice { _ in balloon.currentSize } == machine.ram.size - (1 << 20))
    }

    @Test func console() throws {
        let machine = try GuestMachine(), first = TestStream(), second = TestStream()
        let slot = try machine.plug("virtio-serial-pci")
        let console = try #require(slot.withDevice { (($0 as? PCIEndpoint)?.function as? VirtioPCI)?.function as? VirtioConsole })
        try slot.withDevice { _ in
            try console.addPort(try Properties("virtconsole", VirtioConsole.portProperties), isConsole: true, stream: first)
            try console.addPort(try Properties("virtserialport", VirtioConsole.portProperties, [("name", "agent")]), isConsole: false, stream: second)
        }
        let driver = GuestDriver(machine, PCITransport(machine.function(device: 3)), queues: 6)
        var messages: [[UInt8]] = []
        let room = machine.allocate(4096)
        func listen() {
            for _ in 0 ..< 4 {
                driver.queues[2].add([.init(address: room, count: 64, isWritable: true)])
                driver.transport.notify(2)
                if let (_, written) = driver.queues[2].take() { messages.append(machine.bytes(room, written)) }
            }
        }
        let ready = { (port: UInt32, event: UInt16) in little(port) + little(event) + little(UInt16(1)) }
        _ = driver.request(3, [ready(.max, 0)], input: [])
        listen()
        #expect(messages == [ready(0, 1), ready(1, 1)])
    }
}
