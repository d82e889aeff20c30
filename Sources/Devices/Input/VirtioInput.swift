// virtio-input (Virtual I/O Device 1.3, section 5.8): a keyboard, a mouse or a tablet that speaks Linux's input events.

import Core
import Host

public final class VirtioInput: VirtioFunction {
    public static let properties = [Property("serial", .text, "the device's serial number")]

    public enum Kind: Sendable { case keyboard, mouse, tablet }

    /// Linux's input-event-codes.h.
    private enum Code {
        static let synchronize: UInt16 = 0, key: UInt16 = 1, relative: UInt16 = 2, absolute: UInt16 = 3, light: UInt16 = 17, repeats: UInt16 = 20
        static let wheel: UInt16 = 8, sideWheel: UInt16 = 6
        static let buttons: [PointerButton: UInt16] = [.left: 0x110, .right: 0x111, .middle: 0x112, .side: 0x113, .extra: 0x114]
    }
    private enum Select { static let name: UInt8 = 1, serial: UInt8 = 2, identity: UInt8 = 3, properties: UInt8 = 0x10, bits: UInt8 = 0x11, axis: UInt8 = 0x12 }

    public let type = VirtioType.input
    public let features: UInt64 = 0
    public let queueSizes: [UInt16] = [64, 64]
    private let kind: Kind
    private let serial: [UInt8]
    private let hub: InputHub
    private var sink: Sink?
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private var select: UInt8 = 0
    private var subselect: UInt8 = 0
    private var lights: KeyboardLights = []

    /// The device as the hub has it.
    private final class Sink: InputSink {
        let inputName: String
        let kinds: InputKinds
        let ready = AtomicInt(0)
        private let deliver: @Sendable ([InputEvent]) -> Void
        var isReady: Bool { ready.load() != 0 }

        init(_ name: String, _ kinds: InputKinds, _ deliver: @escaping @Sendable ([InputEvent]) -> Void) {
            inputName = name
            self.kinds = kinds
            self.deliver = deliver
        }
        func take(_ events: [InputEvent]) { deliver(events) }
    }

    public init(_ kind: Kind, _ properties: Properties, displays: DisplaySet) {
        self.kind = kind
        serial = Array((properties.text("serial") ?? "").utf8.prefix(128))
        hub = displays.input
    }

    private var name: String {
        switch kind {
        case .keyboard: "QEMU Virtio Keyboard"
        case .mouse: "QEMU Virtio Mouse"
        case .tablet: "QEMU Virtio Tablet"
        }
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        let kinds: InputKinds = switch kind { case .keyboard: .keys; case .mouse: [.buttons, .relative]; case .tablet: [.buttons, .absolute] }
        let sink = Sink(name, kinds, core.host.callback { [unowned self] (events: [InputEvent]) in send(events) })
        self.sink = sink
        hub.add(sink)
    }

    // MARK: configuration

    public var configuration: [UInt8] {
        let answer = answer(select, subselect)
        var fields = FieldWriter()
        fields.add([select, subselect, UInt8(min(128, answer.count)), 0, 0, 0, 0, 0])
        fields.add(Array(answer.prefix(128)))
        fields.pad(to: 136)
        return fields.bytes
    }

    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        for (index, byte) in bytes.enumerated() {
            if offset + index == 0 { select = byte }
            if offset + index == 1 { subselect = byte }
        }
    }

    private func answer(_ select: UInt8, _ subselect: UInt8) -> [UInt8] {
        switch select {
        case Select.name: return subselect == 0 ? Array(name.utf8) : []
        case Select.serial: return subselect == 0 ? serial : []
        case Select.identity where subselect == 0:
            // Bus (virtual), vendor, product, version.
            let product: UInt16 = switch kind { case .keyboard: 1; case .mouse: 2; case .tablet: 3 }
            var fields = FieldWriter()
            for word in [6, 0x0627, product, 1] as [UInt16] { fields.add(word) }
            return fields.bytes
        case Select.bits: return Self.bitmap(codes(UInt16(subselect)))
        case Select.axis where kind == .tablet && subselect < 2:
            var fields = FieldWriter()
            for number in [0, InputHub.fullScale, 0, 0, 0] { fields.add(UInt32(number)) }
            return fields.bytes
        default: return []
        }
    }

    /// What events of a type the device has.
    private func codes(_ type: UInt16) -> [UInt16] {
        switch (kind, type) {
        case (.keyboard, Code.key): Array(1 ... 248)
        case (.keyboard, Code.repeats): [0, 1]
        case (.keyboard, Code.light): [0, 1, 2]
        case (.mouse, Code.key), (.tablet, Code.key): Code.buttons.values.sorted()
        case (.mouse, Code.relative): [0, 1, Code.sideWheel, Code.wheel]
        case (.tablet, Code.relative): [Code.sideWheel, Code.wheel]
        case (.tablet, Code.absolute): [0, 1]
        default: []
        }
    }

    private static func bitmap(_ codes: [UInt16]) -> [UInt8] {
        var bits = [UInt8](repeating: 0, count: codes.max().map { Int($0) / 8 + 1 } ?? 0)
        for code in codes { bits[Int(code) / 8] |= 1 << UInt8(code & 7) }
        return bits
    }

    // MARK: queues

    public func start() {
        sink?.ready.store(1)
        if core.queues[1].isEnabled { process(core.queues[1]) }
    }

    /// Only the second queue has something to do: the guest switches lights.
    public func process(_ queue: VirtQueue) {
        guard queue.index == 1 else { return }
        var isDone = false
        while let chain = queue.next() {
            let type = chain.readable.load(0, as: UInt16.self), code = chain.readable.load(2, as: UInt16.self), value = chain.readable.load(4, as: UInt32.self)
            if type == Code.light, let code, let value { light(code, value != 0) }
            queue.complete(chain, written: 0)
            isDone = true
        }
        if isDone { queue.interrupt() }
    }

    private func light(_ code: UInt16, _ isOn: Bool) {
        guard kind == .keyboard, let light: KeyboardLights = [0: .number, 1: .capitals, 2: .scroll][code] else { return }
        if isOn { lights.insert(light) } else { lights.remove(light) }
        hub.setLights(lights)
    }

    // MARK: events

    private func send(_ events: [InputEvent]) {
        guard core.isRunning else { return }
        var wire = events.flatMap(translate)
        guard !wire.isEmpty else { return }
        wire.append((Code.synchronize, 0, 0))
        let queue = core.queues[0]
        // All that belongs together, or nothing: half of it would be another event.
        var chains: [VirtChain] = []
        while chains.count < wire.count, let chain = queue.next() { chains.append(chain) }
        guard chains.count == wire.count else {
            for chain in chains.reversed() { queue.takeBack(chain) }
            return
        }
        for (chain, event) in zip(chains, wire) {
            var fields = FieldWriter()
            fields.add(event.type)
            fields.add(event.code)
            fields.add(UInt32(bitPattern: event.value))
            queue.complete(chain, written: chain.writable.fill(0, bytes: fields.bytes))
        }
        queue.interrupt()
    }

    private func translate(_ event: InputEvent) -> [(type: UInt16, code: UInt16, value: Int32)] {
        switch event {
        case .key(let code, let isDown): return (1 ... 248).contains(code) ? [(Code.key, code, isDown ? 1 : 0)] : []
        case .relative(let axis, let distance): return [(Code.relative, UInt16(axis.rawValue), Int32(clamping: distance))]
        case .absolute(let axis, let place): return [(Code.absolute, UInt16(axis.rawValue), Int32(min(max(0, place), InputHub.fullScale)))]
        case .button(let button, let isDown):
            let wheels: [PointerButton: (UInt16, Int32)] = [.wheelUp: (Code.wheel, 1), .wheelDown: (Code.wheel, -1), .wheelLeft: (Code.sideWheel, -1), .wheelRight: (Code.sideWheel, 1)]
            if let (code, value) = wheels[button] { return isDown ? [(Code.relative, code, value)] : [] }
            return Code.buttons[button].map { [(Code.key, $0, isDown ? 1 : 0)] } ?? []
        }
    }

    public func reset() {
        sink?.ready.store(0)
        (select, subselect) = (0, 0)
        lights = []
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("select", &select)
        try state.field("subselect", &subselect)
    }
}
