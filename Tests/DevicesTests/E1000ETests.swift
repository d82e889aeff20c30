// A guest's e1000e driver: NVM and PHY, rings with legacy and extended descriptors, checksums and segments, interrupts, nonsense.

import Core
import Devices
import Host
import Testing

/// A card with receive and transmit rings of 64 descriptors.
final class CardGuest {
    let machine: GuestMachine
    let port = TestPort()
    let base: UInt64
    let slot: DeviceSlot
    let transmit: UInt64, receive: UInt64, buffers: UInt64
    var tail: UInt64 = 0

    init() throws {
        machine = try GuestMachine()
        slot = try machine.plug("e1000e", port: port)
        base = machine.function(device: 3).place(0)
        transmit = machine.allocate(1024)
        receive = machine.allocate(1024)
        buffers = machine.allocate(128 * 2048)
    }

    func read(_ offset: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: machine.load(base + offset, 4)) }
    func write(_ offset: UInt64, _ value: UInt32) { machine.store(base + offset, UInt64(value), 4) }

    func start(isExtended: Bool) {
        for (ring, place) in [(0x2800, receive), (0x3800, transmit)] as [(UInt64, UInt64)] {
            write(ring, UInt32(truncatingIfNeeded: place))
            write(ring + 8, 1024)
        }
        for index in 0 ..< 64 as Range<UInt64> { fillReceive(index) }
        write(0x5008, isExtended ? 0x8000 : 0)
        write(0x5000, 0)
        write(0x100, 0x0400_8002)
        write(0x2818, 60)
        write(0x400, 2)
        write(0xd0, 0x0040_0081 | 1 << 20 | 4)
    }
    func fillReceive(_ index: UInt64) {
        machine.store(receive + index * 16, buffers + index * 2048, 8)
        machine.store(receive + index * 16 + 8, 0, 8)
    }

    /// Queues a descriptor; `lower` has the length left out.
    func add(_ bytes: [UInt8], _ lower: UInt64, _ upper: UInt64 = 0) {
        let buffer = buffers + (64 + tail) * 2048
        machine.fill(buffer, bytes)
        addRaw(buffer, lower | UInt64(bytes.count), upper)
    }
    func addRaw(_ first: UInt64, _ lower: UInt64, _ upper: UInt64) {
        machine.store(transmit + tail * 16, first, 8)
        machine.store(transmit + tail * 16 + 8, lower | upper << 32, 8)
        tail = (tail + 1) % 64
    }
    func send() -> Bool {
        write(0x3818, UInt32(tail))
        return machine.wait { self.read(0x3810) == UInt32(self.tail) }
    }
}

@Suite struct E1000ETests {
    @Test func knowsItself() throws {
        let guest = try CardGuest()
        var sum: UInt16 = 0
        for word in 0 ..< 64 as Range<UInt32> {
            guest.write(0x14, word << 2 | 1)
            #expect(guest.read(0x14) & 2 != 0)
            sum &+= UInt16(truncatingIfNeeded: guest.read(0x14) >> 16)
        }
        #expect(sum == 0xbaba && guest.read(0x5400) == 0x1200_5452 && guest.read(0x5404) == 0x8000_5634)
        let phy = { (number: UInt32) -> UInt32 in
            guest.write(0x20, 2 << 26 | 1 << 21 | number << 16)
            return guest.read(0x20) & 0x5000_ffff
        }
        #expect(phy(2) == 0x1000_0141 && phy(3) == 0x1000_0cb1 && phy(1) & 0x24 == 0x24)
        guest.write(0x20, 2 << 26 | 5 << 21)
        #expect(guest.read(0x20) >> 30 == 1)
        #expect(guest.read(8) & 0x8_0002 == 0x8_0002)
        guest.write(0, guest.read(0) | 4)
        #expect(guest.read(8) & 0x8_0000 == 0)
        guest.port.handlers.withLock { $0 }?.linkChanged(false)
        #expect(guest.read(8) & 2 == 0 && phy(1) & 0x24 == 0 && guest.read(0xc0) & 4 != 0)
        guest.write(0, 1 << 26)
        #expect(guest.read(0) & 1 << 26 == 0 && guest.read(0x5404) >> 31 == 1)
    }

    @Test(arguments: [false, true]) func movesFrames(_ isExtended: Bool) throws {
        let guest = try CardGuest()
        guest.start(isExtended: isExtended)
        // Two descriptors make a frame.
        let out = VirtioDeviceTests.frame(to: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 300)
        let kind: UInt64 = isExtended ? 0x2010_0000 : 0
        guest.add(Array(out.prefix(100)), kind)
        guest.add(Array(out.dropFirst(100)), kind | 0x0b00_0000)
        #expect(guest.send())
        #expect(guest.port.sent.withLock { $0 } == [out])
        #expect(guest.machine.load(guest.transmit + 16 + 12, 1) & 1 == 1)
        #expect(guest.machine.levels.withLock { $0.contains(true) })
        #expect(guest.read(0xc0) & 0x8040_0001 == 0x8040_0001 && !guest.machine.levels.withLock { $0.contains(true) })
        #expect(guest.read(0x4080) == 1 && guest.read(0x4080) == 0 && guest.read(0x40f4) == 1 && guest.read(0x4090) == 304)
        for index in 0 ..< 100 as Range<UInt64> {
            let frame = VirtioDeviceTests.frame(to: VirtioDeviceTests.mac, 60 + Int(index) * 13), at = guest.receive + index % 64 * 16
            #expect(guest.port.deliver(frame))
            #expect(guest.machine.bytes(guest.buffers + index % 64 * 2048, frame.count) == frame)
            let length = isExtended ? guest.machine.load(at + 12, 2) : guest.machine.load(at + 8, 2), status = isExtended ? guest.machine.load(at + 8, 4) : guest.machine.load(at + 12, 1)
            #expect(length == UInt64(frame.count) && status & 3 == 3)
            guest.fillReceive(index % 64)
            guest.write(0x2818, UInt32((index + 61) % 64))
        }
        // Others' frames, and more than there is room for.
        #expect(guest.port.deliver(VirtioDeviceTests.frame(to: [2, 9, 9, 9, 9, 9], 60)) && guest.read(0x4074) == 100)
        guest.write(0x2818, guest.read(0x2810))
        #expect(!guest.port.deliver(VirtioDeviceTests.frame(to: VirtioDeviceTests.mac, 60)))
    }

    @Test func cutsAndSums() throws {
        let guest = try CardGuest()
        guest.start(isExtended: true)
        // TCP over IPv4: 20 and 20 bytes of headers, 2,900 of payload.
        let payload = (0 ..< 2900).map { UInt8(truncatingIfNeeded: $0 &* 11) }
        var frame: [UInt8] = VirtioDeviceTests.mac + [2, 0, 0, 0, 0, 1, 8, 0]
        frame += [0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2] + [0, 80, 0, 81, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, 0x19, 0x10, 0, 0, 0, 0, 0]
        // Context: IP header from 14, checksum at 24, ends at 33; TCP from 34, checksum at 50; 54 bytes of headers, 1,448 a segment.
        let context = { (isTCP: Bool) in guest.addRaw(14 | 24 << 8 | 33 << 16 | UInt64(34 | 50 << 8) << 32, 0x2000_0000 | (isTCP ? 0x0700_0000 : 0x0200_0000) | 2900, 54 << 8 | 1448 << 16) }
        context(true)
        guest.add(frame + Array(payload.prefix(1500)), 0x2410_0000, 0x300)
        guest.add(Array(payload.dropFirst(1500)), 0x2d10_0000, 0x300)
        #expect(guest.send())
        let sent = guest.port.sent.withLock { $0 }
        #expect(sent.map(\.count) == [54 + 1448, 54 + 1448, 54 + 4])
        #expect(sent.flatMap { $0.dropFirst(54) } == payload)
        for (index, segment) in sent.enumerated() {
            #expect(Self.sum(segment[14 ..< 34]) == 0xffff && segment[19] == UInt8(1 + index) && segment[47] == (index == 2 ? 0x19 : 0x10))
            #expect(Self.sum(segment[26 ..< 34] + [0, 6] + Self.big(segment.count - 34) + segment[34...]) == 0xffff)
        }
        // One frame whose TCP checksum is the card's.
        guest.port.sent.withLock { $0 = [] }
        var small = frame + payload.prefix(99)
        let pseudo = Self.sum(small[26 ..< 34] + [0, 6] + Self.big(119))
        (small[50], small[51]) = (UInt8(pseudo >> 8), UInt8(pseudo & 0xff))
        context(false)
        guest.add(small, 0x2b10_0000, 0x200)
        #expect(guest.send())
        let one = try #require(guest.port.sent.withLock { $0.first })
        #expect(Self.sum(one[26 ..< 34] + [0, 6] + Self.big(119) + one[34...]) == 0xffff)
    }

    private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xff), UInt8(value & 0xff)] }
    private static func sum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let all = Array(bytes)
        var total: UInt32 = 0
        for at in stride(from: 0, to: all.count, by: 2) { total += UInt32(all[at]) << 8 | (at + 1 < all.count ? UInt32(all[at + 1]) : 0) }
        while total > 0xffff { total = total & 0xffff + total >> 16 }
        return total
    }

    @Test func standsNonsense() throws {
        let guest = try CardGuest()
        var random = ConformanceTests.Random(state: 11)
        let end = EventLoop.now + 1_500_000_000
        let interesting: [UInt64] = [0, 0x10, 0x14, 0x18, 0x20, 0xc0, 0xc8, 0xd0, 0xe4, 0x100, 0x400, 0x2170, 0x2800, 0x2808, 0x2810, 0x2818, 0x3800, 0x3808, 0x3810, 0x3818, 0x3908, 0x3918, 0x5000, 0x5008]
        while EventLoop.now < end {
            guest.start(isExtended: Bool.random(using: &random))
            for index in 0 ..< 64 as Range<UInt64> {
                let isSound = UInt8.random(in: 0 ... 3, using: &random) > 0
                let lower = random.next() & 0xffff_ffff, length = isSound ? UInt64.random(in: 0 ... 2000, using: &random) : lower & 0xf_ffff
                guest.machine.store(guest.transmit + index * 16, isSound ? guest.buffers + UInt64.random(in: 0 ..< 100_000, using: &random) : ConformanceTests.value(&random), 8)
                guest.machine.store(guest.transmit + index * 16 + 8, lower & 0xff1f_0000 | length, 4)
                guest.machine.store(guest.transmit + index * 16 + 12, random.next(), 4)
            }
            for _ in 0 ..< 40 {
                guest.write(interesting.randomElement(using: &random) ?? 0, UInt32(truncatingIfNeeded: ConformanceTests.value(&random)))
                guest.write(0x3818, UInt32.random(in: 0 ... 66, using: &random))
                _ = guest.port.deliver(VirtioDeviceTests.frame(to: VirtioDeviceTests.mac, Int.random(in: 14 ... 9000, using: &random)))
            }
            guest.write(0, 1 << 26)
        }
        guest.slot.reset()
        #expect(guest.read(0x5404) >> 31 == 1)
    }
}
