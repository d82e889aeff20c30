import Core
import Devices
import Host
import Testing

@Suite struct PCITests {
    /// A function with a register window and MSI.
    final class Probe: PCIFunction {
        let identity = PCIIdentity(vendor: 0x1234, device: 0x11e8, classCode: 0x00ff00)
        let windows = [PCIBar(0, "probe", size: 0x10_0000), PCIBar(2, "wide", size: 0x1000, .prefetchable64), PCIBar(4, "ports", size: 32, .io)]
        let interrupts = PCIInterrupts(pin: 1, messages: 4)
        var port: PCIPort?
        var last: UInt64 = 0
        func connect(_ port: PCIPort) { self.port = port }
        func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 { UInt64(bar) << 56 | offset }
        func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) { last = value }
        func reset() { last = 0 }
        func transfer(_ state: inout StateTransfer) throws(StateError) { try state.field("last", &last) }
    }

    @Test func findsWhatIsThere() throws {
        let machine = try GuestMachine()
        #expect(machine.function(device: 0).read(0, 4) == 0x0008_1b36)
        #expect(machine.function(device: 1).read(0, 4) == 0xffff_ffff)
        try machine.pci.plug("probe", Probe(), host: machine.host())
        let function = machine.function(device: 1)
        #expect(function.read(0, 4) == 0x11e8_1234)
        #expect(function.read(8, 4) == 0x00ff_0000)
        #expect(throws: ConfigurationError.self) { try machine.pci.plug("other", Probe(), host: machine.host(), address: "1") }
        #expect(throws: ConfigurationError.self) { try machine.pci.plug("other", Probe(), host: machine.host(), address: "20") }
        #expect(throws: ConfigurationError.self) { try machine.pci.plug("other", Probe(), host: machine.host(), bus: "none") }
        #expect(throws: ConfigurationError.self) { try machine.pci.plug("other", Probe(), host: machine.host(), isHot: true) }
    }

    @Test func placesWindows() throws {
        let machine = try GuestMachine()
        try machine.pci.plug("probe", Probe(), host: machine.host())
        let function = machine.function(device: 1)
        let window = function.place(0)
        #expect(machine.load(window + 0x1234, 4) == 0x1234)
        #expect(window % 0x10_0000 == 0)
        // A wide window above 4 GiB.
        function.write(0x18, 0x1000, 4)
        function.write(0x1c, 5, 4)
        #expect(machine.load(0x5_0000_1008, 8) == 2 << 56 | 8)
        function.write(0x20, 0xc000, 4)
        #expect(machine.load(0x300_0000 + 0xc004, 4) == 4)
        // Off, moved, asleep.
        function.write(4, 0, 2)
        #expect(machine.space.read(window, width: 4) == nil)
        function.write(0x10, window + 0x20_0000, 4)
        function.write(4, 2, 2)
        #expect(machine.load(window + 0x20_0010, 4) == 0x10)
        #expect(machine.space.read(window, width: 4) == nil)
        let power = try #require(function.capabilities(1).first)
        function.write(power + 4, 3, 2)
        #expect(machine.space.read(window + 0x20_0000, width: 4) == nil)
    }

    @Test func interrupts() throws {
        let machine = try GuestMachine()
        let probe = Probe()
        let slot = try machine.pci.plug("probe", probe, host: machine.host(), address: "2")
        let function = machine.function(device: 2)
        function.place(0)
        let pin = { (level: Bool) in slot.withDevice { _ in probe.port?.setPin(level) } }
        pin(true)
        // INTA of device 2 is the third wire.
        #expect(machine.levels.withLock { $0 } == [false, false, true, false])
        #expect(function.read(6, 2) & 8 != 0)
        function.write(4, 0x407, 2)
        #expect(machine.levels.withLock { $0[2] } == false)
        function.write(4, 7, 2)
        #expect(machine.levels.withLock { $0[2] })
        let at = try #require(function.capabilities(5).first)
        function.write(at + 4, GuestMachine.messageBase, 4)
        function.write(at + 12, 0x40, 2)
        function.write(at + 2, 0x21, 2)
        #expect(machine.levels.withLock { $0[2] } == false)
        slot.withDevice { _ in probe.port?.send(3) }
        #expect(machine.messages.count(0x43) == 1)
        function.write(at + 16, 8, 4)
        slot.withDevice { _ in probe.port?.send(3) }
        #expect(machine.messages.count(0x43) == 1)
        #expect(function.read(at + 20, 4) == 8)
        function.write(at + 16, 0, 4)
        #expect(machine.messages.count(0x43) == 2)
        // Without the right to master the bus nothing is sent.
        function.write(4, 3, 2)
        slot.withDevice { _ in probe.port?.send(3) }
        #expect(machine.messages.count(0x43) == 2)
    }

    @Test func hotPlugs() throws {
        let machine = try GuestMachine()
        let port = RootPort(try Properties("pcie-root-port", RootPort.model.properties, [("slot", "3")]))
        try machine.pci.plug("rp0", port, host: machine.host(), address: "4")
        let bridge = machine.function(device: 4)
        #expect(bridge.read(0xe, 1) == 1)
        bridge.write(0x18, 0x01_0100, 4)
        bridge.write(0x1a, 1, 1)
        bridge.write(0x20, 0x4f00_4f00, 4)
        bridge.write(4, 7, 2)
        let express = try #require(bridge.capabilities(0x10).first)
        #expect(bridge.read(express + 0x14, 4) & 0x40 != 0)
        #expect(bridge.read(express + 0x1a, 2) & 0x40 == 0)
        let below = machine.function(bus: 1, device: 0)
        #expect(below.read(0, 4) == 0xffff_ffff)
        // Presence and hot-plug interrupts by the pin.
        bridge.write(express + 0x18, 0x03c0 | 0x400 | 0x1039, 2)
        bridge.write(express + 0x1a, 0x11f, 2)
        #expect(machine.levels.withLock { $0[0] } == false)
        let gone = Locked<[String]>([])
        machine.pci.onRemoval { slot in gone.withLock { $0.append(slot.name) } }
        try machine.pci.plug("probe", Probe(), host: machine.host(), bus: "rp0", isHot: true)
        #expect(machine.levels.withLock { $0[0] })
        #expect(bridge.read(express + 0x1a, 2) & 0x48 == 0x48)
        bridge.write(express + 0x1a, 0x11f, 2)
        #expect(machine.levels.withLock { $0[0] } == false)
        // On; the function behind it answers, with a window behind the bridge.
        bridge.write(express + 0x18, 0x01c0 | 0x1039, 2)
        #expect(below.read(0, 4) == 0x11e8_1234)
        #expect(!below.capabilities(0x10).isEmpty)
        below.write(0x10, 0x4f00_0000, 4)
        below.write(4, 6, 2)
        #expect(machine.load(0x4f00_0020, 4) == 0x20)
        #expect(throws: ConfigurationError.self) { try machine.pci.plug("two", Probe(), host: machine.host(), bus: "rp0", isHot: true) }
        // The button, then power off.
        try machine.pci.requestUnplug("probe")
        #expect(bridge.read(express + 0x1a, 2) & 1 == 1)
        bridge.write(express + 0x18, 0x03c0 | 0x400 | 0x1039, 2)
        #expect(machine.wait { gone.withLock { $0 } == ["probe"] })
        #expect(below.read(0, 4) == 0xffff_ffff)
        #expect(machine.space.read(0x4f00_0020, width: 4) == nil)
    }
}
