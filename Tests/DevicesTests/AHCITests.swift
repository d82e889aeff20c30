// A guest's AHCI driver: command lists, register FISes, native command queuing, errors, resets, and nonsense.

import Block
import Core
import Devices
import Host
import Testing

/// The registers and memory structures of one controller with a disk at port 0 and a CD-ROM drive at port 1.
final class AHCIGuest {
    let machine: GuestMachine
    let base: UInt64
    let storage: MemoryStorage
    let slot: DeviceSlot
    let list: UInt64, received: UInt64, tables: UInt64, buffer: UInt64

    init() throws {
        machine = try GuestMachine()
        let controller = AHCIController(), (node, storage) = memoryNode(), (medium, _) = memoryNode(1 << 16)
        self.storage = storage
        slot = try machine.pci.plug("ahci0", controller, host: machine.host(), address: "3")
        let buses = controller.childBuses.compactMap { $0 as? ATABus }
        let disk = try Properties("ide-hd", ATADisk.properties + ATABus.placeProperties, [("serial", "ABC")])
        try buses[0].attach(try ATADisk(disk, node: node, number: 0), disk)
        #expect(throws: ConfigurationError.self) { try buses[0].attach(try ATADisk(disk, node: node, number: 0), disk) }
        let drive = try Properties("ide-cd", ATAPIDrive.properties + ATABus.placeProperties)
        try buses[1].attach(try ATAPIDrive(drive, unit: try SCSIDisk(drive, node: medium, isOptical: true), number: 1), drive)
        base = machine.function(device: 3).place(5)
        list = machine.allocate(1024)
        received = machine.allocate(256)
        tables = machine.allocate(32 * 4096)
        buffer = machine.allocate(64 << 10)
    }

    func read(_ offset: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: machine.load(base + offset, 4)) }
    func write(_ offset: UInt64, _ value: UInt32) { machine.store(base + offset, UInt64(value), 4) }
    func port(_ number: UInt64) -> UInt64 { 0x100 + number * 0x80 }

    func start(_ number: UInt64) {
        let port = port(number)
        write(port, UInt32(truncatingIfNeeded: list))
        write(port + 8, UInt32(truncatingIfNeeded: received))
        write(port + 0x18, 0x16)
        write(port + 0x30, ~0)
        write(port + 0x14, ~0)
        write(4, 2)
        write(port + 0x18, 0x17)
    }

    func stop(_ number: UInt64) { write(port(number) + 0x18, 0x16) }

    /// Fills slot `slot`. `fis` from its command byte on.
    func fill(_ slot: UInt64, _ fis: [UInt8], packet: [UInt8] = [], bytes: Int = 0, isOutput: Bool = false, isCommand: Bool = true) {
        let table = tables + slot * 4096
        machine.fill(table, [UInt8](repeating: 0, count: 0x90))
        machine.fill(table, [0x27, isCommand ? 0x80 : 0] + fis)
        machine.fill(table + 0x40, packet)
        machine.store(table + 0x80, buffer + slot * 1024, 8)
        machine.store(table + 0x8c, UInt64(max(0, bytes - 1)), 4)
        let flags: UInt64 = 5 | (isOutput ? 0x40 : 0) | (packet.isEmpty ? 0 : 0x20) | (bytes > 0 ? 1 << 16 : 0)
        machine.store(list + slot * 32, flags, 4)
        machine.store(list + slot * 32 + 4, 0, 4)
        machine.store(list + slot * 32 + 8, table, 8)
    }

    /// A register FIS from its command byte on.
    static func fis(_ command: UInt8, features: UInt16 = 0, address: UInt64 = 0, count: UInt16 = 0, device: UInt8 = 0x40) -> [UInt8] {
        let part = { (shift: UInt64) in UInt8(truncatingIfNeeded: address >> shift) }
        return [command, UInt8(truncatingIfNeeded: features), part(0), part(8), part(16), device, part(24), part(32), part(40), UInt8(truncatingIfNeeded: features >> 8),
                UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8), 0, 0, 0, 0, 0, 0]
    }

    /// Does one command in slot 0. - Returns: status and error.
    func run(_ number: UInt64, _ fis: [UInt8], packet: [UInt8] = [], bytes: Int = 0, isOutput: Bool = false) -> (status: UInt32, error: UInt32) {
        fill(0, fis, packet: packet, bytes: bytes, isOutput: isOutput)
        write(port(number) + 0x10, ~0)
        write(port(number) + 0x38, 1)
        #expect(machine.wait { self.read(self.port(number) + 0x38) == 0 || self.read(self.port(number) + 0x10) & 0x6000_0000 != 0 })
        let file = read(port(number) + 0x20)
        return (file & 0xff, file >> 8 & 0xff)
    }
    func data(_ count: Int, slot: UInt64 = 0) -> [UInt8] { machine.bytes(buffer + slot * 1024, count) }
}

@Suite struct AHCITests {
    static let good: UInt32 = 0x50

    @Test func signatures() throws {
        let guest = try AHCIGuest()
        #expect(guest.read(0) == 0xc014_1f05 && guest.read(4) == 0x8000_0000 && guest.read(0xc) == 0x3f && guest.read(0x10) == 0x10000)
        #expect(guest.read(0x124) == 0xffff_ffff && guest.read(0x128) == 0 || guest.read(0x128) == 0x113)
        guest.write(4, 1)
        for number in 0 ..< 3 as Range<UInt64> { guest.start(number) }
        #expect(guest.read(0x124) == 0x101 && guest.read(0x1a4) == 0xeb14_0101 && guest.read(0x224) == 0xffff_ffff)
        #expect(guest.read(0x128) == 0x113 && guest.read(0x228) == 0 && guest.read(0x120) == 0x150)
        #expect(guest.machine.bytes(guest.received + 0x40, 4) == [0x34, 0, 0, 1])
        // A reset of the link.
        guest.stop(0)
        guest.write(0x12c, 1)
        #expect(guest.read(0x128) == 0 && guest.read(0x124) == 0xffff_ffff)
        guest.write(0x12c, 0)
        #expect(guest.read(0x128) == 0x113 && guest.read(0x124) == 0x101 && guest.read(0x130) == 0x0401_0000 && guest.read(0x110) & 0x40 != 0)
        guest.write(0x130, ~0)
        #expect(guest.read(0x110) & 0x0040_0040 == 0)
        // One by software: two FISes that are no commands.
        guest.start(0)
        guest.fill(0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4], isCommand: false)
        guest.write(0x138, 1)
        guest.fill(0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], isCommand: false)
        guest.write(0x138, 1)
        #expect(guest.read(0x138) == 0 && guest.read(0x120) == 0x150)
    }

    @Test func commands() throws {
        let guest = try AHCIGuest()
        guest.start(0)
        #expect(guest.run(0, AHCIGuest.fis(0xec), bytes: 512) == (Self.good, 0))
        let words = guest.data(512)
        #expect(Array(words[20 ..< 24]) == Array("BA C".utf8) && words.reduce(0, &+) == 0 && words[120] == 0 && words[121] == 8)
        #expect(guest.read(0x110) & 3 == 2)
        // DMA there and back, by short and long addresses; PIO.
        for (round, codes) in [(0xca, 0xc8), (0x35, 0x25), (0x30, 0x20), (0x39, 0x29)].enumerated() as EnumeratedSequence<[(UInt8, UInt8)]> {
            let data = (0 ..< 1024).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ round) }
            guest.machine.fill(guest.buffer, data)
            #expect(guest.run(0, AHCIGuest.fis(codes.0, address: 100, count: 2), bytes: 1024, isOutput: true) == (Self.good, 0))
            #expect(guest.storage.contents.withLock { Array($0[51200 ..< 52224]) } == data)
            guest.machine.fill(guest.buffer, [UInt8](repeating: 0, count: 1024))
            #expect(guest.run(0, AHCIGuest.fis(codes.1, address: 100, count: 2), bytes: 1024) == (Self.good, 0))
            #expect(guest.data(1024) == data && guest.machine.load(guest.list + 4, 4) == 1024)
        }
        // TRIM.
        guest.machine.fill(guest.buffer, little(UInt64(100 | 1 << 48)) + [UInt8](repeating: 0, count: 504))
        #expect(guest.run(0, AHCIGuest.fis(0x06, features: 1, count: 1), bytes: 512, isOutput: true) == (Self.good, 0))
        #expect(guest.storage.contents.withLock { $0[51200 ..< 51712].allSatisfy { $0 == 0 } && $0[51713] != 0 })
        for code in [0xe7, 0xea, 0xe0, 0xef] as [UInt8] { #expect(guest.run(0, AHCIGuest.fis(code, features: 0x02)) == (Self.good, 0)) }
        #expect(guest.run(0, AHCIGuest.fis(0xb0, features: 0xda, address: 0xc24f00)) == (Self.good, 0))
        #expect(guest.run(0, AHCIGuest.fis(0xb0, features: 0xd0, address: 0xc24f00), bytes: 512) == (Self.good, 0))
        #expect(guest.data(512).reduce(0, &+) == 0)
    }

    @Test func errors() throws {
        let guest = try AHCIGuest()
        let restart = {
            #expect(guest.read(0x110) & 0x4000_0000 != 0 && guest.read(0x138) == 1)
            guest.stop(0)
            #expect(guest.read(0x138) == 0)
            guest.start(0)
        }
        guest.start(0)
        // Behind the end, unknown, regions too short.
        #expect(guest.run(0, AHCIGuest.fis(0x25, address: 2048, count: 1), bytes: 512) == (0x51, 0x10))
        // The port stands still until it is started anew.
        guest.write(0x138, 2)
        #expect(guest.read(0x138) == 3)
        guest.write(0x138, 0)
        guest.stop(0)
        guest.start(0)
        for (fis, bytes) in [(AHCIGuest.fis(0xff), 0), (AHCIGuest.fis(0x25, count: 2), 512), (AHCIGuest.fis(0xef, features: 0x99), 0), (AHCIGuest.fis(0xa1), 512)] {
            #expect(guest.run(0, fis, bytes: bytes) == (0x51, 4))
            restart()
        }
        // A table that is no memory.
        guest.fill(0, AHCIGuest.fis(0xec), bytes: 512)
        guest.machine.store(guest.list + 8, 0x1000, 8)
        guest.write(0x138, 1)
        #expect(guest.read(0x110) & 0x2000_0000 != 0)
    }

    @Test func queues() throws {
        let guest = try AHCIGuest()
        guest.start(0)
        // All 32 tags: writes, then reads.
        for isWrite in [true, false] {
            for tag in 0 ..< 32 as Range<UInt64> {
                if isWrite { guest.machine.fill(guest.buffer + tag * 1024, [UInt8](repeating: UInt8(tag) + 1, count: 512)) } else { guest.machine.fill(guest.buffer + tag * 1024, [0]) }
                guest.fill(tag, AHCIGuest.fis(isWrite ? 0x61 : 0x60, features: 1, address: tag * 3, count: UInt16(tag) << 3), bytes: 512, isOutput: isWrite)
            }
            guest.write(0x110, ~0)
            guest.write(0x134, ~0)
            guest.write(0x138, ~0)
            #expect(guest.machine.wait { guest.read(0x134) == 0 })
            #expect(guest.read(0x138) == 0 && guest.read(0x110) & 8 != 0 && guest.machine.bytes(guest.received + 0x58, 1) == [0xa1])
        }
        for tag in 0 ..< 32 { #expect(guest.storage.contents.withLock { $0[tag * 3 * 512] } == UInt8(tag) + 1 && guest.data(1, slot: UInt64(tag)) == [UInt8(tag) + 1]) }
        // One fails: its bit stays, and the log tells which it was.
        guest.fill(5, AHCIGuest.fis(0x60, features: 1, address: 99999, count: 5 << 3), bytes: 512)
        guest.write(0x134, 1 << 5)
        guest.write(0x138, 1 << 5)
        #expect(guest.machine.wait { guest.read(0x110) & 0x4000_0000 != 0 })
        #expect(guest.read(0x134) == 1 << 5 && guest.read(0x120) & 1 != 0)
        guest.stop(0)
        #expect(guest.read(0x134) == 0)
        guest.start(0)
        #expect(guest.run(0, AHCIGuest.fis(0x2f, address: 0x10, count: 1), bytes: 512) == (Self.good, 0))
        #expect(Array(guest.data(4)) == [5, 0, 0x51, 0x14] && guest.data(512).reduce(0, &+) == 0)
    }

    @Test func packets() throws {
        let guest = try AHCIGuest()
        guest.start(1)
        #expect(guest.run(1, AHCIGuest.fis(0xec), bytes: 512) == (0x51, 4))
        #expect(guest.machine.bytes(guest.received + 0x44, 3) == [1, 0x14, 0xeb])
        guest.stop(1)
        guest.start(1)
        #expect(guest.run(1, AHCIGuest.fis(0xa1), bytes: 512) == (Self.good, 0))
        #expect(guest.data(2) == [0xc0, 0x85])
        // Unit attention after power-on, then its sense.
        #expect(guest.run(1, AHCIGuest.fis(0xa0), packet: [UInt8](repeating: 0, count: 12)) == (0x41, 0x60))
        guest.stop(1)
        guest.start(1)
        #expect(guest.run(1, AHCIGuest.fis(0xa0), packet: [3, 0, 0, 0, 18] + [UInt8](repeating: 0, count: 7), bytes: 18) == (Self.good, 0))
        #expect(guest.data(13)[2] == 6 && guest.data(13)[12] == 0x29)
        #expect(guest.run(1, AHCIGuest.fis(0xa0, features: 1), packet: [0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0], bytes: 1024) == (Self.good, 0))
        #expect(guest.data(1024) == (2048 ..< 3072).map { UInt8(truncatingIfNeeded: $0 / 512 &+ $0) })
    }

    @Test func keepsItsState() throws {
        let guest = try AHCIGuest()
        guest.start(0)
        _ = guest.run(0, AHCIGuest.fis(0x25, count: 1), bytes: 512)
        let used = try ConformanceTests.saved(guest.slot), other = try AHCIGuest()
        try ConformanceTests.load(used, other.slot)
        #expect(try ConformanceTests.saved(other.slot) == used)
        var random = ConformanceTests.Random(state: 3)
        for _ in 0 ..< 300 {
            var damaged = used
            for _ in 0 ..< 4 { damaged[Int.random(in: 0 ..< damaged.count, using: &random)] = UInt8.random(in: 0 ... 255, using: &random) }
            try? ConformanceTests.load(damaged, other.slot)
            other.write(0x138, ~0)
        }
    }

    @Test func standsNonsense() throws {
        let guest = try AHCIGuest()
        var random = ConformanceTests.Random(state: 7)
        let end = EventLoop.now + 2_000_000_000
        while EventLoop.now < end {
            for number in 0 ..< 2 as Range<UInt64> { guest.start(number) }
            for slot in 0 ..< 32 as Range<UInt64> {
                let fis = (0 ..< 18).map { _ in UInt8.random(in: 0 ... 255, using: &random) }
                let codes: [UInt8] = [0xec, 0xa0, 0xa1, 0x60, 0x61, 0x25, 0x35, 0xc8, 0xca, 0x06, 0xb0, 0xef, 0x2f, 0x47, 0x91, UInt8(truncatingIfNeeded: random.next())]
                let code = codes.randomElement(using: &random) ?? 0
                let packet = (0 ..< 16).map { _ in UInt8.random(in: 0 ... 255, using: &random) }
                let isSmall = Bool.random(using: &random)
                guest.fill(slot, [code] + (isSmall ? AHCIGuest.fis(code, features: UInt16.random(in: 0 ... 3, using: &random), address: UInt64.random(in: 0 ... 2050, using: &random), count: UInt16.random(in: 0 ... 9, using: &random)).dropFirst() : fis.dropFirst()),
                           packet: packet, bytes: Int.random(in: 0 ... 70000, using: &random), isOutput: Bool.random(using: &random), isCommand: UInt8.random(in: 0 ... 9, using: &random) > 0)
                if UInt8.random(in: 0 ... 20, using: &random) == 0 { guest.machine.store(guest.list + slot * 32, ConformanceTests.value(&random), 8) }
                if UInt8.random(in: 0 ... 20, using: &random) == 0 { guest.machine.store(guest.tables + slot * 4096 + 0x80, ConformanceTests.value(&random), 8) }
            }
            for _ in 0 ..< 60 {
                let number = UInt64.random(in: 0 ... 1, using: &random)
                guest.write(guest.port(number) + UInt64.random(in: 4 ... 14, using: &random) * 4, UInt32(truncatingIfNeeded: ConformanceTests.value(&random)))
                if Bool.random(using: &random) { guest.write(guest.port(number) + 0x38, UInt32(truncatingIfNeeded: random.next())) }
                if UInt8.random(in: 0 ... 9, using: &random) == 0 {
                    guest.stop(number)
                    guest.start(number)
                }
            }
            guest.write(4, 1)
        }
        guest.write(4, 1)
        guest.start(0)
        #expect(guest.run(0, AHCIGuest.fis(0xec), bytes: 512) == (Self.good, 0))
    }
}
