// xHCI as a driver sees it: rings in memory, commands, transfers; disks and keyboards behind it; and drivers that write nonsense.

import Block
import Core
import Devices
import Host
import Testing

/// A driver of one controller, with a command ring, and an event ring of `events` entries.
final class GuestXHCI {
    let machine: GuestMachine
    let slot: DeviceSlot
    let base: UInt64
    let commands: UInt64, events: UInt64, table: UInt64, contexts: UInt64
    let entries: UInt64
    private var commandPlace: UInt64 = 0
    private var eventPlace: UInt64 = 0
    private var eventCycle: UInt64 = 1
    /// Bytes of the transfer ring of a slot's endpoint that are used, and where the ring is.
    private var rings: [Int: (base: UInt64, used: UInt64)] = [:]

    struct Event: Equatable { var parameter: UInt64, code: UInt64, left: UInt64, kind: UInt64, slot: Int, endpoint: Int }

    init(_ machine: GuestMachine, _ name: String = "qemu-xhci", _ settings: [(name: String, value: String)] = [], entries: UInt64 = 256) throws {
        self.machine = machine
        self.entries = entries
        slot = try machine.plug(name, settings)
        base = machine.function(device: 3).place(0)
        commands = machine.allocate(4096)
        events = machine.allocate(4096)
        table = machine.allocate(64)
        contexts = machine.allocate(4096)
        start()
    }

    func start() {
        (commandPlace, eventPlace, eventCycle, rings) = (0, 0, 1, [:])
        for at in [commands, events, contexts] { machine.fill(at, [UInt8](repeating: 0, count: 4096)) }
        machine.store(base + 0x40, 2, 4)
        #expect(machine.load(base + 0x44, 4) & 0x801 == 1)
        machine.store(base + 0x78, 64, 4)
        machine.store(base + 0x70, contexts, 8)
        machine.store(base + 0x58, commands | 1, 8)
        machine.store(table, events, 8)
        machine.store(table + 8, entries, 8)
        machine.store(base + 0x1028, 1, 4)
        machine.store(base + 0x1038, events, 8)
        machine.store(base + 0x1030, table, 8)
        machine.store(base + 0x1020, 2, 4)
        machine.store(base + 0x40, 5, 4)
    }

    var bus: USBBus? { slot.withDevice { (($0 as? PCIEndpoint)?.function as? XHCIController)?.bus } }

    func plug(_ name: String, _ settings: [(name: String, value: String)] = [], node: Node? = nil, displays: DisplaySet = DisplaySet()) throws -> AttachedChild {
        let entry = try #require(DeviceCatalogue.find(name))
        guard case .child(let attach) = entry.maker else { throw ConfigurationError("\(name) hangs from no bus") }
        var context = DeviceContext(host: machine.host(), memorySize: machine.ram.size, processors: 1, node: { _ in node }, network: { _ in [] }, characters: { _ in nil }, nextMAC: { [] })
        context.displays = displays
        context.id = name
        return try attach(try Properties(name, entry.model.properties, settings), context, try #require(bus))
    }

    // MARK: events

    /// The next event; nil: none yet.
    func poll(advance: Bool = true) -> Event? {
        let at = events + eventPlace * 16, control = machine.load(at + 12, 4)
        guard control & 1 == eventCycle else { return nil }
        let status = machine.load(at + 8, 4)
        eventPlace += 1
        if eventPlace == entries { (eventPlace, eventCycle) = (0, eventCycle ^ 1) }
        if advance { acknowledge() }
        return Event(parameter: machine.load(at, 8), code: status >> 24, left: status & 0xff_ffff, kind: control >> 10 & 63, slot: Int(control >> 24), endpoint: Int(control >> 16 & 31))
    }
    func acknowledge() { machine.store(base + 0x1038, (events + eventPlace * 16) | 8, 8) }

    /// The next event of a kind.
    func event(_ kind: UInt64) -> Event? {
        var found: Event?
        _ = machine.wait { while let event = self.poll() { if event.kind == kind { found = event; return true } }; return false }
        return found
    }

    // MARK: commands

    func write(_ at: UInt64, _ parameter: UInt64, _ status: UInt64, _ control: UInt64) {
        machine.store(at, parameter, 8)
        machine.store(at + 8, status, 4)
        machine.store(at + 12, control, 4)
    }

    func add(command kind: UInt64, _ parameter: UInt64 = 0, _ more: UInt64 = 0) {
        // 255 commands are enough for a test; the last place would be a link.
        write(commands + commandPlace % 255 * 16, parameter, 0, kind << 10 | more | 1)
        commandPlace += 1
    }
    func ring(_ slot: Int, _ endpoint: Int) { machine.store(base + 0x2000 + UInt64(slot) * 4, UInt64(endpoint), 4) }

    @discardableResult
    func command(_ kind: UInt64, _ parameter: UInt64 = 0, _ more: UInt64 = 0) -> Event? {
        add(command: kind, parameter, more)
        ring(0, 0)
        return event(33)
    }

    /// Resets a port, and gives its device a slot and an address. - Parameter register: the port's register, from 1.
    func address(_ register: Int) throws -> Int {
        let port = base + 0x440 + UInt64(register - 1) * 16
        machine.store(port, 0x210, 4)
        #expect(machine.load(port, 4) & 3 == 3)
        let number = try #require(command(9)?.slot)
        let input = machine.allocate(4096), output = machine.allocate(4096)
        machine.store(contexts + UInt64(number) * 8, output, 8)
        machine.store(input + 4, 3, 4)
        machine.store(input + 0x20, 1 << 27, 4)
        machine.store(input + 0x24, UInt64(register) << 16, 4)
        makeRing(number, 1, type: 4, input)
        #expect(command(11, input, UInt64(number) << 24)?.code == 1)
        #expect(machine.load(output + 12, 4) == 2 << 27 | UInt64(number))
        return number
    }

    private func makeRing(_ number: Int, _ index: Int, type: UInt64, _ input: UInt64) {
        let ring = machine.allocate(4096)
        rings[number * 32 + index] = (ring, 0)
        machine.store(input + UInt64(index + 1) * 32 + 4, type << 3 | 512 << 16 | 6, 4)
        machine.store(input + UInt64(index + 1) * 32 + 8, ring | 1, 8)
    }

    /// Configures endpoints, by index and type, and the device.
    func configure(_ number: Int, _ endpoints: [(Int, UInt64)]) {
        let input = machine.allocate(4096)
        machine.store(input + 4, endpoints.reduce(1) { $0 | 1 << UInt64($1.0) }, 4)
        for (index, type) in endpoints { makeRing(number, index, type: type, input) }
        #expect(command(12, input, UInt64(number) << 24)?.code == 1)
        #expect(control(number, 0x0900, value: 1)?.code == 1)
    }

    // MARK: transfers

    @discardableResult
    func add(_ number: Int, _ index: Int, _ parameter: UInt64, _ status: UInt64, _ control: UInt64) -> UInt64 {
        guard let ring = rings[number * 32 + index] else { return 0 }
        let at = ring.base + ring.used
        write(at, parameter, status, control | 1)
        rings[number * 32 + index] = (ring.base, ring.used + 16)
        return at
    }

    /// A control transfer; `request` has the type in its low byte. - Returns: the event of its end.
    func control(_ number: Int, _ request: UInt64, value: UInt64, index: UInt64 = 0, length: UInt64 = 0, data: UInt64 = 0) -> Event? {
        let isIn = request & 0x80 != 0
        add(number, 1, request | value << 16 | index << 32 | length << 48, 8, 2 << 10 | 0x40)
        if length > 0 { add(number, 1, data, length, 3 << 10 | (isIn ? 0x10000 : 0)) }
        add(number, 1, 0, 0, 4 << 10 | 0x20)
        ring(number, 1)
        return event(32)
    }

    /// Bytes of a control transfer.
    func ask(_ number: Int, _ request: UInt64, value: UInt64, index: UInt64 = 0, length: Int) -> [UInt8]? {
        let room = machine.allocate(length)
        return control(number, request, value: value, index: index, length: UInt64(length), data: room)?.code == 1 ? machine.bytes(room, length) : nil
    }

    /// A transfer of one request.
    @discardableResult
    func transfer(_ number: Int, _ index: Int, _ data: UInt64, _ length: Int) -> Event? {
        add(number, index, data, UInt64(length), 1 << 10 | 0x24)
        ring(number, index)
        return event(32)
    }

    /// After a halt: the ring is begun anew behind what it had.
    func recover(_ number: Int, _ index: Int) {
        let place = UInt64(number) << 24 | UInt64(index) << 16
        #expect(command(14, 0, place)?.code == 1)
        guard let ring = rings[number * 32 + index] else { return }
        #expect(command(16, ring.base + ring.used | 1, place)?.code == 1)
    }
}

/// The host's side of bulk-only transport: endpoints 3 (IN 1) and 4 (OUT 2).
private struct Stick {
    let driver: GuestXHCI
    let number: Int

    init(_ driver: GuestXHCI, register: Int) throws {
        self.driver = driver
        number = try driver.address(register)
        driver.configure(number, [(3, 6), (4, 2)])
    }

    func command(_ block: [UInt8], _ length: Int, isIn: Bool) -> GuestXHCI.Event? {
        let at = driver.machine.allocate(31), size = UInt32(length)
        driver.machine.fill(at, [0x55, 0x53, 0x42, 0x43, 7, 0, 0, 0] + (0 ..< 4).map { UInt8(truncatingIfNeeded: size >> ($0 * 8)) } + [isIn ? 0x80 : 0, 0, UInt8(block.count)] + block
            + [UInt8](repeating: 0, count: 16 - block.count))
        return driver.transfer(number, 4, at, 31)
    }

    /// Residue and status.
    func status() -> (UInt64, UInt64)? {
        let at = driver.machine.allocate(13)
        guard driver.transfer(number, 3, at, 13)?.code == 1, driver.machine.load(at, 8) == 0x7_5342_5355 else { return nil }
        return (driver.machine.load(at + 8, 4), driver.machine.load(at + 12, 1))
    }

    func run(_ block: [UInt8], _ data: UInt64 = 0, _ parts: [Int] = [], isIn: Bool = true) -> (left: [UInt64], residue: UInt64, status: UInt64)? {
        guard command(block, parts.reduce(0, +), isIn: isIn)?.code == 1 else { return nil }
        var at = data, left: [UInt64] = []
        for part in parts {
            guard let event = driver.transfer(number, isIn ? 3 : 4, at, part) else { return nil }
            left.append(event.left)
            at += UInt64(part)
            if event.code == 13 { break }
        }
        return status().map { (left, $0.0, $0.1) }
    }
}

@Suite struct USBTests {
    @Test func storage() throws {
        let machine = try GuestMachine(), driver = try GuestXHCI(machine), (node, _) = memoryNode()
        #expect(machine.load(driver.base, 4) == 0x0100_0040)
        #expect(machine.load(driver.base + 4, 4) == 8 << 24 | 16 << 8 | 64)
        let child = try driver.plug("usb-storage", [("drive", "it"), ("serial", "S1")], node: node)
        #expect(child.disks.count == 1)
        #expect(driver.event(34)?.parameter == 5 << 24)
        let stick = try Stick(driver, register: 5)
        let descriptor = try #require(driver.ask(stick.number, 0x0680, value: 0x100, length: 18))
        #expect(descriptor == [18, 1, 0, 3, 0, 0, 0, 9, 0xf4, 0x46, 1, 0, 0, 0, 1, 2, 3, 1])
        #expect(driver.ask(stick.number, 0x0680, value: 0x303, index: 0x409, length: 6) == [6, 3, 0x53, 0, 0x31, 0])
        #expect(driver.ask(stick.number, 0x0680, value: 0x200, length: 9)?[2] == 44)
        // A request that is none is stalled, and the endpoint goes on after that.
        #expect(driver.control(stick.number, 0x7780, value: 0)?.code == 6)
        driver.recover(stick.number, 1)
        #expect(driver.ask(stick.number, 0xfea1, value: 0, length: 1) == [0])
        let room = machine.allocate(1 << 16)
        #expect(stick.run([0x12, 0, 0, 0, 36, 0], room, [36])?.status == 0)
        #expect(machine.bytes(room + 8, 4) == Array("QEMU".utf8))
        // The first command finds that power was switched on, and moves nothing.
        #expect(stick.run([0, 0, 0, 0, 0, 0])?.status == 1)
        #expect(try #require(stick.run([0x03, 0, 0, 0, 18, 0], room, [18])).status == 0)
        #expect(machine.bytes(room + 2, 1) == [6])
        // Written in three transfers, read in one, in five, and into more room than there are data.
        let data = (0 ..< 4096).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        machine.fill(room, data)
        #expect(stick.run([0x2a, 0, 0, 0, 0, 3, 0, 0, 8, 0], room, [1024, 2048, 1024], isIn: false)?.status == 0)
        for parts in [[4096], [512, 512, 1024, 1024, 1024], [8192]] {
            machine.fill(room, [UInt8](repeating: 0xee, count: 8192))
            let result = try #require(stick.run([0x28, 0, 0, 0, 0, 3, 0, 0, 8, 0], room, parts))
            #expect(result.status == 0 && result.residue == UInt64(parts.reduce(0, +) - 4096))
            #expect(machine.bytes(room, 4096) == data)
            #expect(machine.bytes(room + 4096, 1) == [0xee])
        }
        // Past the end: no data, a failure.
        let far = try #require(stick.run([0x28, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 1, 0], room, [512]))
        #expect(far.left == [512] && far.residue == 512 && far.status == 1)
        // No command block: both endpoints stall until the reset.
        #expect(driver.transfer(stick.number, 4, room, 30)?.code == 6)
        driver.recover(stick.number, 4)
        #expect(driver.transfer(stick.number, 4, room, 31)?.code == 6)
        #expect(driver.control(stick.number, 0xff21, value: 0)?.code == 1)
        driver.recover(stick.number, 4)
        #expect(stick.run([0, 0, 0, 0, 0, 0])?.status == 0)
        // An endpoint that the device has not; a device that is gone.
        driver.configure(stick.number, [(7, 7)])
        #expect(driver.transfer(stick.number, 7, room, 8)?.code == 4)
        // A change is told once it has been acknowledged.
        machine.store(driver.base + 0x440 + 4 * 16, 1 << 9 | 1 << 17, 4)
        child.detach?()
        #expect(driver.event(34)?.parameter == 5 << 24)
        #expect(driver.transfer(stick.number, 3, room, 13)?.code == 4)
        #expect(driver.command(10, 0, UInt64(stick.number) << 24)?.code == 1)
        #expect(driver.command(10, 0, UInt64(stick.number) << 24)?.code == 11)
    }

    @Test func keyboard() throws {
        let machine = try GuestMachine(), driver = try GuestXHCI(machine), displays = DisplaySet()
        let child = try driver.plug("usb-kbd", displays: displays)
        let number = try driver.address(1)
        driver.configure(number, [(3, 7)])
        let room = machine.allocate(64)
        let report = try #require(driver.ask(number, 0x0681, value: 0x2200, length: 64))
        #expect(report[63] == 0xc0 && report[0 ..< 2] == [5, 1])
        // The endpoint waits; a key ends that.
        driver.add(number, 3, room, 8, 1 << 10 | 0x24)
        driver.add(number, 3, room + 8, 8, 1 << 10 | 0x24)
        driver.ring(number, 3)
        #expect(driver.poll() == nil)
        // Saved and loaded, it still waits.
        let saved = try ConformanceTests.saved(driver.slot)
        try ConformanceTests.load(saved, driver.slot)
        #expect(try ConformanceTests.saved(driver.slot) == saved)
        displays.input.send([.key(42, isDown: true), .key(30, isDown: true)])
        #expect(driver.event(32)?.code == 1)
        #expect(driver.event(32)?.left == 0)
        #expect(machine.bytes(room, 16) == [2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0])
        // Stopped with a transfer under way: it is told, and given back.
        driver.add(number, 3, room, 8, 1 << 10 | 0x24)
        driver.ring(number, 3)
        let place = UInt64(number) << 24 | 3 << 16
        driver.add(command: 15, 0, place)
        driver.ring(0, 0)
        #expect(driver.event(32)?.code == 26)
        #expect(driver.event(33)?.code == 1)
        #expect(driver.command(15, 0, place)?.code == 19)
        displays.input.send([.key(30, isDown: false)])
        driver.ring(number, 3)
        #expect(driver.event(32)?.code == 1)
        #expect(machine.bytes(room, 3) == [2, 0, 0])
        // Lights.
        machine.fill(room, [2])
        #expect(driver.control(number, 0x0921, value: 0x200, length: 1, data: room)?.code == 1)
        #expect(displays.input.lights == .capitals)
        // Every key once, more than wait at a time.
        for key in UInt16(0) ..< 256 { displays.input.send([.key(key, isDown: true)]) }
        driver.transfer(number, 3, room, 8)
        child.detach?()
        displays.input.send([.key(30, isDown: true)])
    }

    @Test func pointers() throws {
        let machine = try GuestMachine(), driver = try GuestXHCI(machine), displays = DisplaySet()
        _ = try driver.plug("usb-mouse", displays: displays)
        let number = try driver.address(1), room = machine.allocate(64)
        driver.configure(number, [(3, 7)])
        func next() -> [UInt8] {
            machine.fill(room, [UInt8](repeating: 0, count: 8))
            driver.transfer(number, 3, room, 8)
            return machine.bytes(room, 4)
        }
        displays.input.send([.relative(.x, 300), .relative(.y, -5), .button(.left, isDown: true)])
        displays.input.send([.button(.left, isDown: false), .button(.wheelDown, isDown: true)])
        #expect(next() == [0, 127, 0xfb, 0])
        #expect(next() == [0, 127, 0, 0])
        #expect(next() == [0, 46, 0, 0])
        #expect(next() == [1, 0, 0, 0])
        #expect(next() == [0, 0, 0, 0xff])
        _ = try driver.plug("usb-tablet", displays: displays)
        let tablet = try driver.address(2)
        driver.configure(tablet, [(3, 7)])
        displays.input.send([.absolute(.x, 0x1234), .absolute(.y, 1 << 40)])
        #expect(driver.transfer(tablet, 3, room, 8)?.left == 2)
        #expect(machine.bytes(room, 6) == [0, 0x34, 0x12, 0xff, 0x7f, 0])
    }

    /// Events that have no place wait until the driver reads, and commands wait for them.
    @Test func fullEventRing() throws {
        let machine = try GuestMachine(), driver = try GuestXHCI(machine, entries: 16)
        for number in 0 ..< 40 { driver.add(command: 23, UInt64(number)) }
        driver.ring(0, 0)
        var seen = 0, full = 0
        for _ in 0 ..< 20 {
            while let event = driver.poll(advance: false) {
                if event.kind == 37, event.code == 21 { full += 1 } else if event.kind == 33, event.code == 1 { seen += 1 }
            }
            driver.acknowledge()
        }
        #expect(seen == 40 && full > 0)
    }

    @Test func commandErrors() throws {
        let machine = try GuestMachine(), driver = try GuestXHCI(machine, "nec-usb-xhci", [("slots", "2")])
        #expect(driver.command(23)?.code == 1)
        #expect(driver.command(9)?.slot == 1)
        #expect(driver.command(9)?.slot == 2)
        #expect(driver.command(9)?.code == 9)
        #expect(driver.command(60)?.code == 5)
        driver.add(command: 49)
        driver.ring(0, 0)
        #expect(driver.event(48)?.left == 0x3025)
        let input = machine.allocate(4096)
        #expect(driver.command(11, input, 1 << 24)?.code == 17)
        #expect(driver.command(12, input, 1 << 24)?.code == 19)
        machine.store(input + 4, 3, 4)
        machine.store(input + 0x24, 1 << 16, 4)
        // There is nothing in the port.
        #expect(driver.command(11, input, 1 << 24)?.code == 4)
        #expect(driver.command(11, ~15, 1 << 24)?.code == 5)
        #expect(driver.command(15, 0, 1 << 24 | 1 << 16)?.code == 19)
        #expect(driver.command(10, 0, 3 << 24)?.code == 11)
    }

    /// Rings of what no driver writes: nothing traps, nothing takes long, and a reset brings all back.
    @Test func nonsense() throws {
        let machine = try GuestMachine(memory: 128 << 20), driver = try GuestXHCI(machine), (node, _) = memoryNode(), displays = DisplaySet()
        var random = ConformanceTests.Random(state: 7)
        func pick(_ range: Range<UInt64>) -> UInt64 { UInt64.random(in: range, using: &random) }
        var children = [try driver.plug("usb-storage", [("drive", "it")], node: node), try driver.plug("usb-kbd", displays: displays), try driver.plug("usb-tablet", displays: displays)]
        let place = machine.allocate(1 << 16)
        let end = EventLoop.now + 3_000_000_000
        var rounds = 0
        while EventLoop.now < end {
            driver.start()
            if rounds % 2 == 0, let number = try? driver.address(5) { driver.configure(number, [(3, 6), (4, 2)]) }
            let began = EventLoop.now
            for _ in 0 ..< 40 {
                // Requests with sensible kinds and addresses, in rings that lead to each other and to themselves.
                for index in 0 ..< UInt64(256) {
                    let kind = pick(0 ..< 4) == 0 ? pick(0 ..< 64) : pick(1 ..< 25)
                    let at = place + index * 16
                    let address = pick(0 ..< 3) == 0 ? ConformanceTests.value(&random) : place + pick(0 ..< 1 << 16)
                    driver.write(at, address, pick(0 ..< 2) == 0 ? pick(0 ..< 0x2_0000) : random.next() & 0xffff_ffff,
                                 kind << 10 | (pick(0 ..< 64) << 24) & (pick(0 ..< 2) == 0 ? 0x300_0000 : ~0) | pick(0 ..< 32) << 16 | (random.next() & 0x3fe) | 1)
                }
                switch pick(0 ..< 6) {
                case 0: machine.store(driver.base + 0x58, place | 1, 8)
                case 1: machine.store(driver.base + 0x70, place + pick(0 ..< 1 << 15), 8)
                case 2:
                    machine.store(driver.table + 8, pick(0 ..< 64), 4)
                    machine.store(driver.base + 0x1030, driver.table, 8)
                case 3: machine.store(driver.base + 0x1038, driver.events + pick(0 ..< 4096), 8)
                case 4: for index in UInt64(0) ..< 256 { machine.fill(driver.commands + index * 16, machine.bytes(place + index * 16, 16)) }
                default: machine.store(driver.base + 0x440 + pick(0 ..< 9) * 16, random.next() & 0xffff_ffff, 4)
                }
                for _ in 0 ..< 8 { driver.ring(Int(pick(0 ..< 6)), Int(pick(0 ..< 32))) }
                driver.ring(0, 0)
                displays.input.send([.key(UInt16(pick(0 ..< 256)), isDown: pick(0 ..< 2) == 0), .absolute(.x, Int(truncatingIfNeeded: random.next()))])
            }
            #expect(EventLoop.now - began < 5_000_000_000)
            if pick(0 ..< 4) == 0 {
                children[0].detach?()
                children[0] = try driver.plug("usb-storage", [("drive", "it")], node: node)
            }
            if pick(0 ..< 4) == 0 { _ = try ConformanceTests.saved(driver.slot) }
            rounds += 1
        }
        #expect(rounds > 2)
        driver.start()
        let stick = try Stick(driver, register: 5)
        _ = stick.run([0, 0, 0, 0, 0, 0])
        #expect(stick.run([0, 0, 0, 0, 0, 0])?.status == 0)
    }
}
