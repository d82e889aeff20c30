// What every device must stand: saving and loading, resets, every width at every offset, and a guest that writes nonsense
// into registers, rings and configuration space.

import Block
import Core
import Devices
import Foundation
import Host
import Testing

@Suite struct ConformanceTests {
    static let names = DeviceCatalogue.all.filter { if case .pci = $0.maker { true } else { false } }.map(\.model.name)

    /// `APUS_FULL=1`: much more nonsense.
    private static let isLong = ProcessInfo.processInfo.environment["APUS_FULL"] != nil

    /// Repeatable.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state ^ state >> 29) &* 0xbf58_476d_1ce4_e5b9
        }
    }

    static func saved(_ slot: DeviceSlot) throws -> [UInt8] {
        try slot.withDevice { (device: any Device) throws(StateError) in
            var state = StateTransfer()
            try device.transfer(&state)
            return state.bytes
        }
    }

    static func load(_ bytes: [UInt8], _ slot: DeviceSlot) throws(StateError) {
        try slot.withDevice { (device: any Device) throws(StateError) in
            var state = try StateTransfer(loading: bytes)
            try device.transfer(&state)
        }
    }

    @Test(arguments: names) func keepsItsState(_ name: String) throws {
        let machine = try GuestMachine()
        let slot = try machine.plug(name), function = machine.function(device: 3)
        let fresh = try Self.saved(slot)
        slot.reset()
        #expect(try Self.saved(slot) == fresh)
        for bar in Self.windows(slot) { function.place(bar.number) }
        if name.hasPrefix("virtio"), slot.withDevice({ ($0 as? PCIEndpoint)?.function as? VirtioPCI }) != nil {
            let driver = GuestDriver(machine, PCITransport(function), queues: 1)
            #expect(driver.transport.status == 15)
        }
        let used = try Self.saved(slot)
        #expect(used != fresh)
        let other = try GuestMachine(), copy = try other.plug(name)
        try Self.load(used, copy)
        #expect(try Self.saved(copy) == used)
        slot.reset()
        slot.reset()
        #expect(try Self.saved(slot).count == fresh.count)
        // Damaged state is refused or taken, never more.
        var random = Random(state: 1)
        for _ in 0 ..< (Self.isLong ? 1000 : 60) {
            var damaged = used
            for _ in 0 ..< 4 { damaged[Int.random(in: 0 ..< damaged.count, using: &random)] = UInt8.random(in: 0 ... 255, using: &random) }
            try? Self.load(damaged, copy)
        }
    }

    private static func windows(_ slot: DeviceSlot) -> [PCIBar] { slot.withDevice { ($0 as? PCIEndpoint)?.function.windows ?? [] } }

    @Test(arguments: names) func standsNonsense(_ name: String) throws {
        let machine = try GuestMachine()
        let port = TestPort()
        let slot = try machine.plug(name, port: port), function = machine.function(device: 3)
        var random = Random(state: 42)
        for offset in 0 ..< 4096 { for width in [1, 2, 4] where offset % width == 0 { _ = function.read(offset, width) } }
        let end = EventLoop.now + (Self.isLong ? 2_000_000_000 : 250_000_000)
        while EventLoop.now < end {
            let windows = Self.windows(slot)
            let places = windows.map { (function.place($0.number), $0) }
            let isVirtio = slot.withDevice { ($0 as? PCIEndpoint)?.function is VirtioPCI } && windows.contains { $0.number == 4 }
            if isVirtio, Bool.random(using: &random) { Self.nonsense(GuestDriver(machine, PCITransport(function, vectors: 2), queues: 1, size: 16), &random) }
            for _ in 0 ..< 500 {
                let width = [1, 2, 4, 8].randomElement(using: &random) ?? 1
                guard let (base, window) = places.randomElement(using: &random) else { break }
                let offset = UInt64.random(in: 0 ..< min(window.size, 0x4000), using: &random) & ~UInt64(width - 1)
                let at = window.space == .io ? 0x300_0000 + (base & 0xffff) + offset : base + offset
                _ = machine.space.read(at, width: width)
                _ = machine.space.write(at, Self.value(&random), width: width)
            }
            for _ in 0 ..< 50 {
                let width = [1, 2, 4].randomElement(using: &random) ?? 1
                function.write(Int.random(in: 0 ..< 4096 / width, using: &random) * width, Self.value(&random), width)
            }
            _ = port.deliver(VirtioDeviceTests.frame(to: VirtioDeviceTests.mac, 60))
            slot.reset()
        }
        // It is still there.
        #expect(function.read(0, 4) != 0xffff_ffff)
    }

    static func value(_ random: inout Random) -> UInt64 {
        switch UInt8.random(in: 0 ..< 4, using: &random) {
        case 0: UInt64.random(in: 0 ... 16, using: &random)
        case 1: GuestMachine.ramBase + UInt64.random(in: 0 ..< 32 << 20, using: &random)
        case 2: UInt64.max - UInt64.random(in: 0 ... 16, using: &random)
        default: random.next()
        }
    }

    /// Rings full of what no driver writes.
    static func nonsense(_ driver: GuestDriver, _ random: inout Random) {
        let machine = driver.machine, count = max(1, driver.queues.count)
        for round in 0 ..< 40 {
            let queue = driver.queues[round % count], areas = queue.areas
            for index in 0 ..< UInt64(queue.size) {
                machine.store(areas.0 + index * 16, value(&random), 8)
                machine.store(areas.0 + index * 16 + 8, value(&random) & (Bool.random(using: &random) ? 0xfff : 0xffff_ffff), 4)
                machine.store(areas.0 + index * 16 + 12, random.next() & 0x8087, 2)
                machine.store(areas.0 + index * 16 + 14, UInt64.random(in: 0 ... UInt64(queue.size), using: &random), 2)
                machine.store(areas.1 + 4 + index * 2, UInt64.random(in: 0 ... UInt64(queue.size), using: &random), 2)
            }
            machine.store(areas.1 + 2, UInt64(round + 1), 2)
            driver.transport.notify(queue.index)
        }
    }
}
