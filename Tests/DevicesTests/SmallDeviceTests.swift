// pvpanic, the educational device, the PCI serial port, and trays of drives.

import Block
import Core
import Devices
import Host
import Testing

@Suite struct SmallDeviceTests {
    @Test func panics() throws {
        let machine = try GuestMachine(), seen = Locked<[MachineRequest]>([])
        let function = try GuestPanic(try Properties("pvpanic-pci", GuestPanic.model.properties, [("events", "3")]), requests: MachineRequests { request in seen.withLock { $0.append(request) } })
        try machine.pci.plug("panic", function, host: machine.host(), address: "3")
        let base = machine.function(device: 3).place(0)
        #expect(machine.load(base, 1) == 3)
        for value in [0, 1, 2, 3, 4, 0xff] as [UInt64] { machine.store(base, value, 1) }
        #expect(seen.withLock { $0 } == [.panicked(crashLoaded: false), .panicked(crashLoaded: true), .panicked(crashLoaded: false), .panicked(crashLoaded: false)])
        #expect(throws: ConfigurationError.self) { try GuestPanic(try Properties("pvpanic-pci", GuestPanic.model.properties, [("events", "8")]), requests: MachineRequests { _ in }) }
    }

    @Test func teaches() throws {
        let machine = try GuestMachine()
        try machine.plug("edu")
        let base = machine.function(device: 3).place(0)
        #expect(machine.load(base, 4) == 0x0100_00ed)
        machine.store(base + 4, 5, 4)
        #expect(machine.load(base + 4, 4) == 0xffff_fffa)
        machine.store(base + 0x20, 0x80, 4)
        for (number, factorial) in [(0, 1), (5, 120), (13, 1_932_053_504), (34, 0), (0xffff_ffff, 0)] as [(UInt64, UInt64)] {
            machine.store(base + 8, number, 4)
            #expect(machine.wait { machine.load(base + 0x20, 4) == 0x80 })
            #expect(machine.load(base + 8, 4) == factorial && machine.load(base + 0x24, 4) == 1)
            machine.store(base + 0x64, 1, 4)
        }
        // There and back; outside of the buffer.
        let from = machine.allocate(4096), to = machine.allocate(4096), bytes = (0 ..< 512).map { UInt8(truncatingIfNeeded: $0 * 3) }
        machine.fill(from, bytes)
        for (source, target, command) in [(from, 0x40100, 1), (0x40100, to, 7), (from, 0x40f00, 1), (0x3ffff, to, 3)] as [(UInt64, UInt64, UInt64)] {
            machine.store(base + 0x80, source, 8)
            machine.store(base + 0x88, target, 8)
            machine.store(base + 0x90, 512, 8)
            machine.store(base + 0x98, command, 8)
            #expect(machine.load(base + 0x98, 4) & 1 == 1)
            #expect(machine.wait { machine.load(base + 0x98, 4) & 1 == 0 })
        }
        // RAM is above what 28 bits reach.
        #expect(machine.bytes(to, 512) != bytes && machine.load(base + 0x24, 4) == 0x100)
    }

    @Test func showsExpansionROM() throws {
        let machine = try GuestMachine(), bytes = (0 ..< 5000).map { UInt8(truncatingIfNeeded: $0 &* 5 &+ 1) }
        try machine.plug("edu", [("romfile", "card.rom")], rom: bytes)
        let function = machine.function(device: 3), place: UInt64 = function.place(0) + 0x40_0000
        #expect(function.read(0x30, 4) == 0)
        function.write(0x30, 0xffff_ffff, 4)
        #expect(function.read(0x30, 4) == 0xffff_e001)
        // Placed, but not switched on.
        function.write(0x30, place, 4)
        #expect(machine.bytes(place, 4) != Array(bytes[..<4]))
        function.write(0x30, place | 1, 4)
        machine.store(place, 0, 4)
        #expect(machine.bytes(place, 5000) == bytes && machine.load(place + 5000, 4) == 0)
        function.write(0x30, 0, 4)
        #expect(machine.bytes(place, 4) != Array(bytes[..<4]))
        // Not asked for, hidden, too large, a size that registers cannot say.
        for settings in [[("romfile", "")], [("romfile", "card.rom"), ("rombar", "0")]] as [[(name: String, value: String)]] {
            let machine = try GuestMachine()
            try machine.plug("edu", settings, rom: bytes)
            machine.function(device: 3).write(0x30, 0xffff_ffff, 4)
            #expect(machine.function(device: 3).read(0x30, 4) == 0)
        }
        for size in ["4K", "12K"] {
            #expect(throws: ConfigurationError.self) { try GuestMachine().plug("edu", [("romfile", "card.rom"), ("romsize", size)], rom: bytes) }
        }
        #expect(throws: ConfigurationError.self) { try GuestMachine().plug("edu", [("romfile", "card.rom")]) }
    }

    @Test func reachesMemory() throws {
        let machine = try GuestMachine()
        try machine.plug("edu", [("dma_mask", "0xffffffffff")])
        let base = machine.function(device: 3).place(0)
        let from = machine.allocate(4096), to = machine.allocate(4096), bytes = (0 ..< 4096).map { UInt8(truncatingIfNeeded: $0 * 3) }
        machine.fill(from, bytes)
        for (source, target, command) in [(from, 0x40000, 1), (0x40000, to, 3)] as [(UInt64, UInt64, UInt64)] {
            machine.store(base + 0x80, source, 8)
            machine.store(base + 0x88, target, 8)
            machine.store(base + 0x90, 4096, 8)
            machine.store(base + 0x98, command, 8)
            #expect(machine.wait { machine.load(base + 0x98, 4) & 1 == 0 })
        }
        #expect(machine.bytes(to, 4096) == bytes)
    }

    @Test func talks() throws {
        let machine = try GuestMachine(), stream = TestStream()
        try machine.pci.plug("serial", try PCISerial(try Properties("pci-serial", PCISerial.model.properties), stream: stream), host: machine.host(), address: "3")
        let function = machine.function(device: 3)
        function.place(0)
        // Ports have 16 bits.
        function.write(0x10, 0xc000, 4)
        let base: UInt64 = 0x300_c000
        machine.store(base + 7, 0x5a, 1)
        #expect(machine.load(base + 7, 1) == 0x5a)
        machine.store(base, 0x41, 1)
        #expect(stream.sent.withLock { $0 } == [0x41])
        machine.store(base + 1, 1, 1)
        stream.deliver([0x42])
        #expect(machine.levels.withLock { $0.contains(true) } && machine.load(base, 1) == 0x42 && !machine.levels.withLock { $0.contains(true) })
    }

    @Test func movesTrays() throws {
        let machine = try GuestMachine(), (one, _) = memoryNode(1 << 16), (two, _) = memoryNode(1 << 17), moves = Locked<[Bool]>([])
        let drive = try SCSIDisk(try Properties("scsi-cd", SCSIDisk.properties), node: one, isOptical: true)
        drive.onTrayMove { isOpen in moves.withLock { $0.append(isOpen) } }
        let room = machine.allocate(4096), memory = GuestMemory(machine.space)
        let run = { (command: [UInt8]) -> (Bool, [UInt8]) in
            let reply = drive.execute(SCSIRequest(command + [UInt8](repeating: 0, count: 12 - command.count), input: GuestPieces(memory, room, 4096, writable: true) ?? GuestPieces()))
            return (reply.status == .good, machine.bytes(room, 8))
        }
        let event = { run([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).1[4 ..< 6].map { $0 } }
        _ = run([0])
        #expect(run([0]).0 && event() == [0, 2])
        // Shut by the guest: a person only asks.
        #expect(run([0x1e, 0, 0, 0, 1]).0 && drive.isTrayLocked && !run([0x1b, 0, 0, 0, 2]).0)
        drive.requestEjection(unlocks: false)
        #expect(event() == [1, 2] && event() == [0, 2])
        #expect(run([0x1e]).0 && run([0x1b, 0, 0, 0, 2]).0 && drive.isTrayOpen && !run([0]).0 && event() == [3, 1])
        let old = try drive.disk.exchange(.empty())
        #expect(old === one && drive.disk.isEmpty && drive.disk.size == 0)
        drive.moveTray(isOpen: false)
        #expect(event() == [0, 0] && !run([0]).0 && !run([0x25]).0)
        drive.moveTray(isOpen: true)
        _ = try drive.disk.exchange(two)
        #expect(run([0x1b, 0, 0, 0, 3]).0 && event() == [2, 2])
        // The medium may have changed, then it is the new one.
        #expect(!run([0x25]).0 && run([0x25]).1[2 ..< 4].map { $0 } == [0, 63])
        #expect(moves.withLock { $0 } == [true, false, true, false])
        #expect(throws: ConfigurationError.self) { try BlockDevice(.empty(), isReadOnly: true) }
    }
}
