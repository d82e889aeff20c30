// A guest's side of the machine without a processor: RAM, a PCI host bridge, and drivers that talk to devices through
// registers and rings as an operating system does.

import Block
import Core
import Devices
import Glibc
import Host
import Testing

/// RAM at 2 GiB and a PCI host bridge, as on `virt`.
final class GuestMachine {
    static let ramBase: UInt64 = 0x8000_0000
    static let configurationBase: UInt64 = 0x3000_0000
    static let windowBase: UInt64 = 0x4000_0000
    /// Where interrupt messages go: each is counted.
    static let messageBase: UInt64 = 0x2800_0000

    let root = Region(container: "system")
    let space: AddressSpace
    let loop: EventLoop
    let clock: MachineClock
    let ram: RAMBlock
    let pci: PCIHost
    let levels = Locked([Bool](repeating: false, count: 4))
    let messages = MessageSink()
    private var free: UInt64 = 0x1000
    private var nextWindow = GuestMachine.windowBase

    final class MessageSink: MessageReceiver {
        let seen = Locked<[UInt32]>([])
        func read(bank: Int, offset: UInt64, width: Int) -> UInt64 { 0 }
        func write(bank: Int, offset: UInt64, value: UInt64, width: Int) { seen.withLock { $0.append(UInt32(truncatingIfNeeded: value)) } }
        func widths(bank: Int) -> ClosedRange<Int> { 4 ... 4 }
        func count(_ data: UInt32) -> Int { seen.withLock { $0.count { $0 == data } } }
    }

    init(memory: UInt64 = 32 << 20) throws {
        space = AddressSpace(name: "memory", root: root)
        loop = try #require(EventLoop(name: "test"))
        clock = MachineClock(loop: loop)
        clock.start()
        ram = try RAMBlock(name: "ram", size: memory)
        AddressSpace.place(Region(ram), in: root, at: Self.ramBase)
        AddressSpace.place(Region("messages", size: 4096, .device(messages, bank: 0)), in: root, at: Self.messageBase)
        let levels = levels
        let lines = (0 ..< 4).map { wire in InterruptLine { level in levels.withLock { $0[wire] = level } } }
        pci = PCIHost(lines: lines, host: DeviceHost(memory: space, clock: clock, loop: loop))
        AddressSpace.place(pci.configurationRegion(), in: root, at: Self.configurationBase)
        AddressSpace.place(pci.memoryWindow("window", from: Self.windowBase, size: 0x4000_0000), in: root, at: Self.windowBase)
        AddressSpace.place(pci.memoryWindow("high", from: 0x4_0000_0000, size: 0x4_0000_0000), in: root, at: 0x4_0000_0000)
        AddressSpace.place(pci.portWindow(size: 0x10000), in: root, at: 0x300_0000)
    }

    deinit { loop.stop() }

    func host() -> DeviceHost { DeviceHost(memory: space, clock: clock, loop: loop) }

    /// Memory that nothing else uses.
    func allocate(_ size: Int, alignment: UInt64 = 4096) -> UInt64 {
        let at = (free + alignment - 1) & ~(alignment - 1)
        free = at + UInt64(size)
        return Self.ramBase + at
    }

    func load(_ address: UInt64, _ width: Int) -> UInt64 { space.read(address, width: width) ?? ~0 }
    func store(_ address: UInt64, _ value: UInt64, _ width: Int) { _ = space.write(address, value, width: width) }
    func fill(_ address: UInt64, _ bytes: [UInt8]) { bytes.withUnsafeBytes { _ = space.write(address, from: $0) } }
    func bytes(_ address: UInt64, _ count: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        result.withUnsafeMutableBytes { _ = space.read(address, into: $0) }
        return result
    }

    // MARK: PCI

    /// A function's configuration space, and its windows once they are placed.
    struct Function {
        let machine: GuestMachine
        let base: UInt64
        func read(_ offset: Int, _ width: Int) -> UInt64 { machine.load(base + UInt64(offset), width) }
        func write(_ offset: Int, _ value: UInt64, _ width: Int) { machine.store(base + UInt64(offset), value, width) }

        /// Where capability `identifier` begins, each time it occurs.
        func capabilities(_ identifier: UInt8) -> [Int] {
            var at = Int(read(0x34, 1)), found: [Int] = [], seen = 0
            while at != 0, seen < 48 {
                if read(at, 1) == UInt64(identifier) { found.append(at) }
                at = Int(read(at + 1, 1))
                seen += 1
            }
            return found
        }

        /// Sizes and places window `number`, and lets the function answer and master the bus.
        @discardableResult
        func place(_ number: Int) -> UInt64 {
            let at = 0x10 + number * 4
            let kind = read(at, 4)
            write(at, 0xffff_ffff, 4)
            let size = UInt64(~UInt32(truncatingIfNeeded: read(at, 4) & ~15) &+ 1)
            let address = machine.window(size)
            write(at, address, 4)
            if kind & 6 == 4 { write(at + 4, address >> 32, 4) }
            write(4, 7, 2)
            return address
        }
    }

    func function(bus: UInt64 = 0, device: UInt64, function: UInt64 = 0) -> Function {
        Function(machine: self, base: Self.configurationBase + bus << 20 + device << 15 + function << 12)
    }

    private func window(_ size: UInt64) -> UInt64 {
        let size = max(size, 4096)
        nextWindow = (nextWindow + size - 1) / size * size
        defer { nextWindow += size }
        return nextWindow
    }

    /// Waits until `condition` holds, for five seconds at most.
    func wait(_ condition: () -> Bool) -> Bool {
        for _ in 0 ..< 50_000 {
            if condition() { return true }
            usleep(100)
        }
        return false
    }
}
