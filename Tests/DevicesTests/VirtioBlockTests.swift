import Block
import Core
import Devices
import Host
import Testing

/// A disk in memory.
final class MemoryStorage: WritableStorage {
    let contents: Locked<[UInt8]>
    init(_ size: Int) { contents = Locked((0 ..< size).map { UInt8(truncatingIfNeeded: $0 / 512 &+ $0) }) }
    var growsOnWrite: Bool { false }
    func length() throws(BlockError) -> UInt64 { UInt64(contents.withLock { $0.count }) }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        contents.withLock { bytes in
            for index in 0 ..< buffer.count { (buffer.base + index).storeBytes(of: Int(offset) + index < bytes.count ? bytes[Int(offset) + index] : 0, as: UInt8.self) }
        }
    }
    func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        contents.withLock { bytes in for (index, byte) in buffer.bytes.enumerated() { bytes[Int(offset) + index] = byte } }
    }
    func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        contents.withLock { bytes in for index in 0 ..< Int(count) { bytes[Int(offset) + index] = 0 } }
    }
    func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) { try writeZeroes(offset, count, unmap: true) }
    func flush() throws(BlockError) {}
    func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus { BlockStatus(length: count, isData: true, isZero: false) }
    func close() throws(BlockError) {}
}

func memoryNode(_ size: Int = 1 << 20) -> (Node, MemoryStorage) {
    let storage = MemoryStorage(size)
    return (Node(name: "disk", driver: "memory", filename: "memory", storage: storage, access: Access(writable: true, discards: true)), storage)
}

func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

@Suite struct VirtioBlockTests {
    enum Carrier: CaseIterable { case pci, mmio }

    static func driver(_ machine: GuestMachine, _ node: Node, _ carrier: Carrier, _ settings: [(name: String, value: String)] = [], isPacked: Bool = false, without: UInt64 = 0, indirect: Bool = false) throws -> GuestDriver {
        let own = settings + [("num-queues", "2")] + (isPacked ? [("packed", "on")] : [])
        let properties = try Properties("virtio-blk-pci", VirtioBlock.properties + VirtioPCI.properties, own)
        let block = try VirtioBlock(properties, node: node)
        if carrier == .pci {
            let function = try VirtioPCI(block, classCode: 0x010000, vectors: 3, properties: properties, isBehindPort: false)
            try machine.pci.plug("disk0", function, host: machine.host(), address: "3")
            return GuestDriver(machine, PCITransport(machine.function(device: 3), vectors: 3), queues: 2, without: without, usesIndirect: indirect)
        }
        let host = machine.host()
        let slot = DeviceSlot(name: "disk0", VirtioMMIO(block, host: host, line: .unconnected, options: VirtioOptions(properties)))
        host.bind(slot)
        AddressSpace.place(slot.regions()[0], in: machine.root, at: 0x1000_1000)
        return GuestDriver(machine, MMIOTransport(machine: machine, base: 0x1000_1000), queues: 2, without: without, usesIndirect: indirect)
    }

    func header(_ kind: UInt32, _ sector: UInt64) -> [UInt8] { little(kind) + little(UInt32(0)) + little(sector) }

    @Test(arguments: Carrier.allCases, [false, true]) func readsAndWrites(_ carrier: Carrier, _ isPacked: Bool) throws {
        for (indirect, without) in [(false, 0), (true, 0), (false, VirtioFeature.eventIndex)] as [(Bool, UInt64)] {
            let machine = try GuestMachine(), (node, storage) = memoryNode()
            let driver = try Self.driver(machine, node, carrier, isPacked: isPacked, without: without, indirect: indirect)
            #expect(driver.transport.configuration(0, 4) == 2048)
            for round in 0 ..< 200 {
                let sector = UInt64(round * 7 % 2000)
                let old = storage.contents.withLock { Array($0[Int(sector) * 512 ..< Int(sector) * 512 + 1536]) }
                let read = driver.request(round & 1, [header(0, sector)], input: [512, 1024, 1])
                #expect(read == old + [0])
                let data = (0 ..< 1024).map { UInt8(truncatingIfNeeded: $0 &* 3 &+ round) }
                #expect(driver.request(round & 1, [header(1, sector), Array(data.prefix(700)), Array(data.dropFirst(700))], input: [1]) == [0])
                #expect(storage.contents.withLock { Array($0[Int(sector) * 512 ..< Int(sector) * 512 + 1024]) } == data)
            }
            #expect(driver.transport.status == 15)
            if carrier == .pci { #expect(machine.messages.count(1) > 0 && machine.messages.count(2) > 0) }
        }
    }

    @Test func answersWhatCannotBe() throws {
        let machine = try GuestMachine(), (node, storage) = memoryNode()
        let driver = try Self.driver(machine, node, .pci, [("serial", "ABC-1")])
        // Behind the end, at an overflowing sector, not a whole sector, unknown.
        #expect(driver.request(0, [header(0, 2048)], input: [512, 1])?.count == 1)
        #expect(driver.request(0, [header(1, 2047), [UInt8](repeating: 1, count: 1024)], input: [1]) == [1])
        #expect(driver.request(0, [header(1, .max), [UInt8](repeating: 1, count: 512)], input: [1]) == [1])
        #expect(driver.request(0, [header(1, 0), [1]], input: [1]) == [1])
        #expect(driver.request(0, [header(99, 0)], input: [1]) == [2])
        #expect(driver.request(0, [header(8, 0)], input: [20, 1]) == Array("ABC-1".utf8) + [UInt8](repeating: 0, count: 16))
        #expect(driver.request(0, [header(4, 0)], input: [1]) == [0])
        #expect(driver.request(0, [header(13, 0), little(UInt64(4)) + little(UInt32(2)) + little(UInt32(1))], input: [1]) == [0])
        #expect(storage.contents.withLock { $0[2048 ..< 3072].allSatisfy { $0 == 0 } && $0[2047] != 0 && $0[3073] != 0 })
        #expect(driver.request(0, [header(11, 0), little(UInt64(2047)) + little(UInt32(2)) + little(UInt32(0))], input: [1]) == [1])
    }

    @Test func needsResetAfterNonsense() throws {
        let machine = try GuestMachine(), (node, _) = memoryNode()
        let bad: [[GuestQueue.Buffer]] = [
            [.init(address: 0x10, count: 16, isWritable: false), .init(address: GuestMachine.ramBase, count: 1, isWritable: true)],
            [.init(address: GuestMachine.ramBase + (32 << 20) - 8, count: 16, isWritable: false)],
            [.init(address: .max - 7, count: 16, isWritable: false)],
            [.init(address: GuestMachine.ramBase, count: 1, isWritable: true), .init(address: GuestMachine.ramBase, count: 16, isWritable: false)],
            [.init(address: GuestMachine.ramBase, count: 4, isWritable: false)],
        ]
        let first = try Self.driver(machine, node, .pci)
        for (number, chain) in bad.enumerated() {
            let driver = number == 0 ? first : GuestDriver(machine, PCITransport(machine.function(device: 3), vectors: 3), queues: 2)
            driver.queues[0].add(chain)
            driver.transport.notify(0)
            #expect(machine.wait { driver.transport.status & 64 != 0 }, "chain \(number)")
            #expect(driver.queues[0].take() == nil)
        }
        // A loop.
        let driver = GuestDriver(machine, PCITransport(machine.function(device: 3), vectors: 3), queues: 2)
        driver.queues[0].add([.init(address: GuestMachine.ramBase, count: 16, isWritable: false), .init(address: GuestMachine.ramBase, count: 16, isWritable: false)])
        machine.store(driver.queues[0].areas.0 + 16 + 12, 1, 2)
        driver.transport.notify(0)
        #expect(machine.wait { driver.transport.status & 64 != 0 })
        // It works again after a reset.
        let again = GuestDriver(machine, PCITransport(machine.function(device: 3), vectors: 3), queues: 2)
        #expect(again.request(0, [header(4, 0)], input: [1]) == [0])
    }
}
