// Displays and input as a guest's drivers see them, and what reaches consoles.

import Core
import Devices
import Host
import Testing

@Suite struct DisplayDeviceTests {
    private static func words(_ words: UInt32...) -> [UInt8] { words.flatMap { word in (0 ..< 4).map { UInt8(truncatingIfNeeded: word >> UInt32($0 * 8)) } } }

    /// Plugs a device whose consoles and input are `displays`.
    private func plug(_ machine: GuestMachine, _ name: String, _ displays: DisplaySet, _ settings: [(name: String, value: String)] = []) throws {
        let entry = try #require(DeviceCatalogue.find(name))
        guard case .pci(let make) = entry.maker else { throw ConfigurationError("\(name) is no PCI device") }
        let host = machine.host()
        var context = DeviceContext(host: host, memorySize: machine.ram.size, processors: 1, node: { _ in nil }, network: { _ in [] }, characters: { _ in nil }, nextMAC: { [] })
        context.displays = displays
        context.id = "card"
        try machine.pci.plug(name, try make(try Properties(name, entry.model.properties, settings), context), host: host, address: "3")
    }

    @Test func gpu() throws {
        let machine = try GuestMachine(), displays = DisplaySet()
        try plug(machine, "virtio-gpu-pci", displays, [("xres", "640"), ("max_hostmem", "1M")])
        let driver = GuestDriver(machine, PCITransport(machine.function(device: 3)), queues: 2)
        func ask(_ command: UInt32, _ body: [UInt8] = [], answer: Int = 24) throws -> [UInt8] {
            try #require(driver.request(0, [Self.words(command, 1, 77, 0, 0, 0) + body], input: [answer]))
        }
        func code(_ command: UInt32, _ body: [UInt8]) throws -> Int {
            let answer = try ask(command, body)
            return Int(answer[1]) << 8 | Int(answer[0])
        }
        let information = try ask(0x100, answer: 408)
        #expect(Array(information[0 ..< 2]) == [0x01, 0x11])
        #expect(Array(information[8 ..< 10]) == [77, 0])
        #expect(Array(information[32 ..< 44]) == Self.words(640, 800, 1))
        // A picture of 4 by 2 pixels.
        #expect(try code(0x101, Self.words(0, 2, 4, 2)) == 0x1203)
        #expect(try code(0x101, Self.words(5, 99, 4, 2)) == 0x1205)
        #expect(try code(0x101, Self.words(5, 2, 1024, 1024)) == 0x1201)
        #expect(try code(0x101, Self.words(5, 2, 4, 2)) == 0x1100)
        #expect(try code(0x101, Self.words(5, 2, 4, 2)) == 0x1203)
        #expect(try code(0x105, Self.words(0, 0, 4, 2, 0, 0, 5, 0)) == 0x1200)
        let memory = machine.allocate(4096)
        for pixel in 0 ..< 8 { machine.store(memory + UInt64(pixel * 4), 0xff00_0000 | UInt64(pixel + 1), 4) }
        #expect(try code(0x106, Self.words(5, 1, 0x10, 0, 32, 0)) == 0x1200)
        #expect(try code(0x106, Self.words(5, 0xffff)) == 0x1200)
        #expect(try code(0x106, Self.words(5, 1, UInt32(memory), 0, 32, 0)) == 0x1100)
        #expect(try code(0x103, Self.words(0, 0, 4, 2, 1, 5)) == 0x1202)
        #expect(try code(0x103, Self.words(1, 0, 4, 2, 0, 5)) == 0x1205)
        #expect(try code(0x103, Self.words(0xffff_ffff, 0xffff_ffff, 4, 2, 0, 5)) == 0x1205)
        #expect(try code(0x103, Self.words(0, 0, 4, 2, 0, 5)) == 0x1100)
        #expect(try code(0x105, Self.words(0, 0, 4, 3, 0, 0, 5, 0)) == 0x1205)
        #expect(try code(0x105, Self.words(0, 0, 4, 2, 0xffff_ffff, 0xffff_ffff, 5, 0)) == 0x1100)
        let console = try #require(displays.consoles.first)
        #expect(console.surface?.pixels() == [UInt32](repeating: 0, count: 8))
        #expect(try code(0x105, Self.words(0, 0, 4, 2, 0, 0, 5, 0)) == 0x1100)
        #expect(console.surface?.pixels() == [1, 2, 3, 4, 5, 6, 7, 8])
        // A part: the offset is that of its first pixel.
        machine.store(memory + 24, 0x55, 4)
        machine.store(memory + 28, 0x66, 4)
        #expect(try code(0x105, Self.words(2, 1, 2, 1, 24, 0, 5, 0)) == 0x1100)
        #expect(console.surface?.pixels() == [1, 2, 3, 4, 5, 6, 0x55, 0x66])
        #expect(try code(0x104, Self.words(0, 0, 4, 2, 5, 0)) == 0x1100)
        #expect(try code(0x104, Self.words(0, 0, 4, 2, 6, 0)) == 0x1203)
        #expect(try ask(0x10a, Self.words(0, 0), answer: 1056)[1] == 0x11)
        #expect(console.requestSize(width: 1024, height: 768))
        #expect(try ask(0x100, answer: 408)[32 ..< 40].elementsEqual(Self.words(1024, 768)))
        #expect(try code(0x102, Self.words(5, 0)) == 0x1100)
        #expect(console.surface == nil)
        #expect(try code(0x999, []) == 0x1200)
    }

    @Test func bochs() throws {
        let machine = try GuestMachine(), displays = DisplaySet()
        try plug(machine, "VGA", displays)
        let function = machine.function(device: 3)
        let picture = function.place(0), registers = function.place(2), interface = registers + 0x500
        #expect(machine.load(interface, 2) == 0xb0c5)
        #expect(machine.load(interface + 20, 2) == 256)
        #expect(machine.load(registers, 8) == 0x00ff_ffff_ffff_ff00)
        #expect((0 ..< 128).reduce(0) { $0 &+ UInt8(machine.load(registers + $1, 1)) } == 0)
        let console = try #require(displays.consoles.first)
        #expect(console.surface == nil)
        for (register, value) in [(1, 16), (2, 4), (3, 32), (4, 0x41)] as [(UInt64, UInt64)] { machine.store(interface + register * 2, value, 2) }
        machine.store(picture + 4, 0x12_3456, 4)
        #expect(console.surface?.pixels()[1] == 0x12_3456)
        // Eight bits a pixel, with a palette.
        machine.store(interface + 6, 8, 2)
        machine.store(registers + 0x408, 0x34, 1)
        for value in [63, 0, 63] as [UInt64] { machine.store(registers + 0x409, value, 1) }
        machine.store(picture + 5, 0x34, 1)
        #expect(console.surface?.pixels()[5] == 0xff00ff)
        // Beyond the memory there is nothing to show.
        machine.store(interface + 18, 0xffff, 2)
        machine.store(interface + 12, 0xffff, 2)
        #expect(console.surface == nil)
    }

    @Test func ramFramebuffer() throws {
        let machine = try GuestMachine(), displays = DisplaySet(), host = machine.host()
        let firmware = FirmwareConfiguration(machine.host())
        let device = RAMFramebuffer(host, firmware: firmware, id: "fb", displays: displays), slot = DeviceSlot(name: "fb", device)
        host.bind(slot)
        device.connect()
        let memory = machine.allocate(4096), request = machine.allocate(64), data = machine.allocate(64)
        machine.store(memory, 0x11_2233, 4)
        func big(_ value: UInt64, _ count: Int) -> [UInt8] { (0 ..< count).map { UInt8(truncatingIfNeeded: value >> UInt64((count - 1 - $0) * 8)) } }
        func write(_ address: UInt64, _ width: UInt64, _ height: UInt64, _ stride: UInt64) {
            machine.fill(data, big(address, 8) + big(0x3432_5258, 4) + big(0, 4) + big(width, 4) + big(height, 4) + big(stride, 4))
            // Select the first file and write it.
            machine.fill(request, big(0x20 << 16 | 8 | 16, 4) + big(28, 4) + big(data, 8))
            firmware.write(0, 16, request.byteSwapped, 8)
        }
        let console = try #require(displays.consoles.first)
        write(memory, 8, 8, 32)
        #expect(console.surface?.pixels().first == 0x11_2233)
        write(GuestMachine.ramBase + (32 << 20) - 64, 8, 8, 32)
        #expect(console.surface == nil)
        write(memory, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff)
        #expect(console.surface == nil)
        write(0x10, 8, 8, 0)
        #expect(console.surface == nil)
        write(memory, 8, 8, 0)
        #expect(console.surface != nil)
        slot.reset()
        #expect(console.surface == nil)
    }
}
