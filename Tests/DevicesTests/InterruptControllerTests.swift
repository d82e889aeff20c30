import Core
import Devices
import Host
import Testing

/// Interrupt files, IMSICs and APLICs by their registers.
@Suite struct InterruptControllerTests {
    /// Wires that remember their levels.
    final class Levels: Sendable {
        let levels: Locked<[Bool]>
        init(_ count: Int) { levels = Locked([Bool](repeating: false, count: count)) }
        func line(_ number: Int) -> InterruptLine { InterruptLine { level in self.levels.withLock { $0[number] = level } } }
        subscript(number: Int) -> Bool { levels.withLock { $0[number] } }
    }

    // MARK: interrupt files

    @Test func fileTakesTheLowestIdentityFirst() {
        let levels = Levels(1), file = InterruptFile(wire: levels.line(0))
        file.receive(200)
        file.receive(5)
        #expect(file.top == 0)
        _ = file.exchange(0xc0, clear: 0, set: 1 << 5, bits: 64)
        _ = file.exchange(0xc6, clear: 0, set: 1 << 8, bits: 64)
        #expect(file.top == 5)
        #expect(!levels[0])
        _ = file.exchange(0x70, clear: ~0, set: 1, bits: 64)
        #expect(levels[0])
        #expect(file.claim() == 5)
        #expect(file.claim() == 200)
        #expect(file.claim() == 0)
        #expect(!levels[0])
    }

    @Test func fileKeepsWhatThereIs() {
        let file = InterruptFile(wire: .unconnected)
        #expect(file.exchange(0x80, clear: ~0, set: ~0, bits: 64) == 0)
        #expect(file.exchange(0x80, clear: 0, set: 0, bits: 64) == ~1)
        #expect(file.exchange(0x87, clear: ~0, set: ~0, bits: 32) == 0)
        #expect(file.exchange(0x86, clear: 0, set: 0, bits: 64) == 0xffff_ffff_0000_0000)
        #expect(file.exchange(0x88, clear: ~0, set: ~0, bits: 64) == 0)
        #expect(file.exchange(0x88, clear: 0, set: 0, bits: 64) == 0)
        _ = file.exchange(0x72, clear: ~0, set: 300, bits: 64)
        #expect(file.exchange(0x72, clear: 0, set: 0, bits: 64) == 300 & 255)
        _ = file.exchange(0x70, clear: ~0, set: 0x4000_0000, bits: 64)
        #expect(file.exchange(0x70, clear: 0, set: 0, bits: 64) == 0)
        for number in [0x71, 0x73, 0x7f, 0, -1, 0x100] { #expect(file.exchange(number, clear: ~0, set: ~0, bits: 64) == 0) }
        file.receive(0)
        file.receive(256)
        file.receive(.max)
        file.reset()
        #expect(file.exchange(0x80, clear: 0, set: 0, bits: 64) == 0)
    }

    @Test func thresholdHidesIdentities() {
        let levels = Levels(1), file = InterruptFile(wire: levels.line(0))
        _ = file.exchange(0x70, clear: ~0, set: 1, bits: 64)
        _ = file.exchange(0xc0, clear: 0, set: ~0, bits: 64)
        file.receive(7)
        _ = file.exchange(0x72, clear: ~0, set: 7, bits: 64)
        #expect(file.top == 0)
        #expect(!levels[0])
        _ = file.exchange(0x72, clear: ~0, set: 8, bits: 64)
        #expect(file.top == 7)
        #expect(levels[0])
    }

    @Test func pagesOfFilesTakeMessages() {
        let files = (0 ..< 2).map { _ in (0 ..< 4).map { _ in InterruptFile(wire: .unconnected) } }
        for file in files.joined() { _ = file.exchange(0xc0, clear: 0, set: ~0, bits: 64) }
        let controller = MessageInterruptController(files: files, indexBits: 2)
        #expect(controller.size == 8 * 4096)
        controller.write(bank: 0, offset: 0, value: 3, width: 4)
        controller.write(bank: 0, offset: 5 * 4096, value: 9, width: 4)
        controller.write(bank: 0, offset: 7 * 4096 + 4, value: 0x0b00_0000, width: 4)
        controller.write(bank: 0, offset: 8, value: 2, width: 4)
        controller.write(bank: 0, offset: 8 * 4096, value: 2, width: 4)
        #expect(files.joined().map(\.top) == [3, 0, 0, 0, 0, 9, 0, 11])
        #expect(controller.read(bank: 0, offset: 0, width: 4) == 0)
    }

    // MARK: APLIC

    private func direct(_ levels: Levels) -> AdvancedInterruptController {
        AdvancedInterruptController(sources: 96, harts: 2, size: 0x8000, delivery: .wires(machine: [levels.line(0), levels.line(1)], supervisor: [levels.line(2), levels.line(3)]))
    }
    private func load(_ device: AdvancedInterruptController, _ bank: Int, _ offset: UInt64) -> UInt64 { device.read(bank, offset, 4) }
    private func store(_ device: AdvancedInterruptController, _ bank: Int, _ offset: UInt64, _ value: UInt64) { device.write(bank, offset, value, 4) }

    @Test func directDeliveryGoesByPriority() {
        let levels = Levels(4), aplic = direct(levels)
        store(aplic, 0, 0, 0x100)
        for (source, priority) in [(10, 3), (11, 2), (12, 2)] as [(UInt64, UInt64)] {
            store(aplic, 0, source * 4, 4)
            store(aplic, 0, 0x3000 + source * 4, 1 << 18 | priority)
            store(aplic, 0, 0x1edc, source)
        }
        store(aplic, 0, 0x4020, 1)
        for source in [10, 11, 12] { aplic.setLevel(source, true) }
        #expect(levels[1] && !levels[0])
        #expect(load(aplic, 0, 0x4038) == 11 << 16 | 2)
        store(aplic, 0, 0x4028, 2)
        #expect(!levels[1])
        store(aplic, 0, 0x4028, 0)
        #expect([0, 0, 0, 0].map { _ in load(aplic, 0, 0x403c) } == [11 << 16 | 2, 12 << 16 | 2, 10 << 16 | 3, 0])
        #expect(!levels[1])
    }

    @Test func levelSourcesFollowTheirWires() {
        let levels = Levels(4), aplic = direct(levels)
        store(aplic, 0, 40, 0x400)
        store(aplic, 1, 0, 0x100)
        store(aplic, 1, 40, 6)
        store(aplic, 1, 0x1edc, 10)
        store(aplic, 1, 0x4000, 1)
        #expect(load(aplic, 1, 0x3028) == 1)
        aplic.setLevel(10, true)
        #expect(levels[2])
        #expect(load(aplic, 1, 0x1d00) == 1 << 10)
        #expect(load(aplic, 1, 0x401c) == 10 << 16 | 1)
        store(aplic, 1, 0x1ddc, 10)
        #expect(levels[2])
        aplic.setLevel(10, false)
        store(aplic, 1, 0x1cdc, 10)
        #expect(!levels[2])
        // Taken back by the machine's domain.
        aplic.setLevel(10, true)
        store(aplic, 0, 40, 0)
        #expect(!levels[2])
        #expect(load(aplic, 1, 40) == 0)
        store(aplic, 1, 40, 6)
        #expect(load(aplic, 1, 40) == 0)
    }

    @Test func messagesGoToTheTargetsFile() {
        let sent = Locked<[[UInt64]]>([])
        let aplic = AdvancedInterruptController(sources: 96, harts: 4, size: 0x8000, delivery: .messages { address, data in
            sent.withLock { $0.append([address, UInt64(data)]) }
        })
        func taken() -> [[UInt64]] { sent.withLock { list in defer { list = [] }; return list } }
        #expect(load(aplic, 0, 0) == 0x8000_0004)
        store(aplic, 0, 0x1bc0, 0x24000)
        store(aplic, 0, 0x1bc4, 2 << 12)
        store(aplic, 0, 0x1bc8, 0x28000)
        store(aplic, 0, 0x1bcc, 2 << 20)
        store(aplic, 0, 40, 0x400)
        store(aplic, 1, 0, 0x100)
        store(aplic, 1, 40, 6)
        store(aplic, 1, 0x3028, 3 << 18 | 2 << 12 | 0x25)
        store(aplic, 1, 0x1edc, 10)
        #expect(taken().isEmpty)
        aplic.setLevel(10, true)
        #expect(taken() == [[0x2800_e000, 0x25]])
        // Once for a rise; again only if software asks while it is high.
        store(aplic, 1, 0x1cdc, 10)
        #expect(taken() == [[0x2800_e000, 0x25]])
        aplic.setLevel(10, false)
        store(aplic, 1, 0x1cdc, 10)
        #expect(taken().isEmpty)
        store(aplic, 0, 0x3000, 1 << 18 | 0x7ff)
        #expect(taken() == [[0x2400_1000, 0x7ff]])
        // Locked addresses stay.
        store(aplic, 0, 0x1bc4, 1 << 31 | 2 << 12)
        store(aplic, 0, 0x1bc0, 0)
        store(aplic, 0, 0x1bc8, 0)
        #expect([load(aplic, 0, 0x1bc0), load(aplic, 0, 0x1bc8)] == [0x24000, 0x28000])
        #expect(load(aplic, 1, 0x1bc0) == 0)
    }

    @Test func anythingMayBeWritten() {
        var random = SystemRandomNumberGenerator()
        let controllers = [direct(Levels(4)), AdvancedInterruptController(sources: 96, harts: 4, size: 0x8000, delivery: .messages { _, _ in })]
        for aplic in controllers {
            for _ in 0 ..< 20_000 {
                let offset = UInt64.random(in: 0 ..< 0x2000, using: &random) * 4, bank = Int.random(in: 0 ... 1, using: &random)
                let value: UInt64 = Bool.random(using: &random) ? .random(in: 0 ..< 128, using: &random) : .random(in: 0 ... 0xffff_ffff, using: &random)
                if Bool.random(using: &random) { store(aplic, bank, offset, value) } else { _ = load(aplic, bank, offset) }
                aplic.setLevel(Int.random(in: -1 ... 130, using: &random), Bool.random(using: &random))
            }
            aplic.reset()
            #expect(load(aplic, 0, 0) & 0x100 == 0)
            #expect(load(aplic, 1, 0x1c00) == 0)
        }
    }
}
