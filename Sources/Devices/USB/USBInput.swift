// Keyboard, mouse and tablet of USB's human interface devices (HID 1.11): report and boot protocols, idle rates, lights.
// Keyboard and mouse can be told to use the boot protocol, which firmware does.

import Core
import Host

public final class USBInput: USBFunction {
    public enum Kind: Sendable { case keyboard, mouse, tablet }
    public static let properties = [
        Property("serial", .text, "serial number"),
        Property("usb_version", .choice(["1", "2"]), "2: the device can have high speed", default: "2"),
    ]

    private static let endpoint: UInt8 = 0x81
    /// Reports that wait for the host to ask; what people do beyond is dropped.
    private static let maximumWaiting = 64

    private let kind: Kind
    private let serial: String?
    private let isFast: Bool
    private let hub: InputHub
    private var sink: Sink?
    private var timer: MachineTimer?
    private unowned var device: USBDevice! // Set by `connect`, before anything else is called.

    /// In units of 4 ms; 0: reports come only when something has changed.
    private var idle: UInt8 = 0
    private var isBoot = false
    private var lights: UInt8 = 0
    private var mustReport = false
    // A keyboard: keys that change, and those that are held, by usage.
    private var changes: [(usage: UInt8, isDown: Bool)] = []
    private var pressed: [UInt8] = []
    private var modifiers: UInt8 = 0
    // A pointer.
    private struct Pointer: Equatable { var buttons: UInt8 = 0, x = 0, y = 0, wheel = 0 }
    private var waiting: [Pointer] = []
    private var last = Pointer()

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
        serial = properties.text("serial")
        isFast = properties.text("usb_version") != "1"
        hub = displays.input
    }

    // MARK: USBFunction

    public var productName: String {
        switch kind {
        case .keyboard: "QEMU USB Keyboard"
        case .mouse: "QEMU USB Mouse"
        case .tablet: "QEMU USB Tablet"
        }
    }
    public var speeds: [USBSpeed] { isFast ? [.full, .high] : [.full] }

    public func description(serial make: (String) -> String) -> USBDescription {
        let (prefix, classCode): (String, (UInt8, UInt8, UInt8)) = switch kind {
        case .keyboard: ("68284", (3, 1, 1))
        case .mouse: ("89126", (3, 1, 2))
        case .tablet: ("28754", (3, 0, 0))
        }
        return USBDescription(vendor: 0x0627, product: 1, strings: ["QEMU", productName, serial ?? make(prefix)], attributes: 0xa0, power: 50, classCode: classCode,
                              classDescriptors: hidDescriptor)
    }

    /// HID 1.11, no country, one report descriptor.
    private var hidDescriptor: [UInt8] { [9, 0x21, 0x11, 1, 0, 1, 0x22, UInt8(reportDescriptor.count), 0] }

    public func endpoints(_ speed: USBSpeed) -> [USBEndpoint] {
        // About 10 ms for a keyboard, 4 ms for a tablet at high speed.
        let interval: UInt8 = speed == .high ? (kind == .tablet ? 4 : 7) : 10
        return [USBEndpoint(address: Self.endpoint, kind: .interrupt, maximumPacket: kind == .mouse ? 4 : 8, interval: interval)]
    }

    public func connect(_ device: USBDevice) {
        self.device = device
        guard let host = device.host else { return }
        let kinds: InputKinds = switch kind { case .keyboard: .keys; case .mouse: [.buttons, .relative]; case .tablet: [.buttons, .absolute] }
        let sink = Sink(productName, kinds, host.callback { [weak self] (events: [InputEvent]) in self?.take(events) })
        self.sink = sink
        hub.add(sink)
        timer = host.timer { [weak self] in self?.idleEnded() }
    }

    public func disconnect() {
        sink = nil
        timer = nil
    }

    public func configured(_ isOn: Bool) { sink?.ready.store(isOn ? 1 : 0) }
    public func settle() {}
    public func abandon() {}

    public func reset() {
        timer?.cancel()
        (idle, isBoot, mustReport) = (0, false, false)
        (changes, pressed, modifiers, waiting, last) = ([], [], 0, [], Pointer())
        setLights(0)
    }

    // MARK: requests (section 7.2)

    private enum Request {
        static let getReport: UInt8 = 1, getIdle: UInt8 = 2, getProtocol: UInt8 = 3, setReport: UInt8 = 9, setIdle: UInt8 = 10, setProtocol: UInt8 = 11
    }

    public func control(_ setup: USBSetup, _ data: [UInt8]) -> [UInt8]? {
        guard setup.index == 0 else { return nil }
        switch (setup.requestType, setup.request) {
        // Descriptors of the interface.
        case (0x81, 6) where setup.value == 0x2200: return reportDescriptor
        case (0x81, 6) where setup.value == 0x2100: return hidDescriptor
        case (0xa1, Request.getReport): return setup.value >> 8 == 2 && kind == .keyboard ? [lights] : setup.value >> 8 == 1 ? report() : nil
        case (0xa1, Request.getIdle): return [idle]
        case (0xa1, Request.getProtocol) where kind != .tablet: return [isBoot ? 0 : 1]
        case (0x21, Request.setReport) where kind == .keyboard && setup.value == 0x200:
            guard let first = data.first else { return nil }
            setLights(first)
        case (0x21, Request.setIdle):
            idle = UInt8(setup.value >> 8)
            armIdle()
        case (0x21, Request.setProtocol) where kind != .tablet && setup.value <= 1: isBoot = setup.value == 0
        default: return nil
        }
        return []
    }

    private func setLights(_ value: UInt8) {
        guard kind == .keyboard, lights != value & 7 else { return }
        lights = value & 7
        hub.setLights((lights & 1 != 0 ? KeyboardLights.number : []).union(lights & 2 != 0 ? .capitals : []).union(lights & 4 != 0 ? .scroll : []))
    }

    private func armIdle() {
        guard idle > 0, let host = device.host else { return timer?.cancel() ?? () }
        timer?.arm(at: host.clock.now &+ UInt64(idle) * 4_000_000)
    }

    private func idleEnded() {
        mustReport = true
        device.wake(Self.endpoint)
    }

    // MARK: reports

    public func transfer(_ endpoint: UInt8, _ data: GuestPieces) -> USBResult {
        let isNews = kind == .keyboard ? takeChange() : takeMove()
        guard isNews || mustReport else { return .nak }
        mustReport = false
        armIdle()
        return .done(data.fill(0, bytes: report()))
    }

    private func report() -> [UInt8] {
        func clamped(_ value: Int) -> UInt8 { UInt8(bitPattern: Int8(min(max(value, -127), 127))) }
        switch kind {
        case .keyboard:
            // More keys than the report has places for: a phantom state (appendix C).
            let keys = pressed.count > 6 ? [UInt8](repeating: 1, count: 6) : pressed
            return ([modifiers, 0] as [UInt8]) + keys + [UInt8](repeating: 0, count: 6 - keys.count)
        case .mouse:
            let bytes: [UInt8] = [last.buttons & 7, clamped(last.x), clamped(last.y), clamped(last.wheel)]
            return isBoot ? Array(bytes.prefix(3)) : bytes
        case .tablet:
            return [last.buttons, UInt8(last.x & 0xff), UInt8(last.x >> 8 & 0x7f), UInt8(last.y & 0xff), UInt8(last.y >> 8 & 0x7f), clamped(last.wheel)]
        }
    }

    /// One change of a key; false: there was none.
    private func takeChange() -> Bool {
        guard !changes.isEmpty else { return false }
        let (usage, isDown) = changes.removeFirst()
        if usage >= 0xe0 {
            let bit: UInt8 = 1 << (usage & 7)
            modifiers = isDown ? modifiers | bit : modifiers & ~bit
        } else {
            pressed.removeAll { $0 == usage }
            if isDown, pressed.count < 32 { pressed.append(usage) }
        }
        return true
    }

    private func takeMove() -> Bool {
        guard var first = waiting.first else {
            // Distances are told once.
            if kind == .mouse { (last.x, last.y) = (0, 0) }
            last.wheel = 0
            return false
        }
        last = first
        func part(_ value: inout Int) -> Int {
            let now = min(max(value, -127), 127)
            value -= now
            return now
        }
        last.wheel = part(&first.wheel)
        guard kind == .mouse else {
            waiting.removeFirst()
            if first.wheel != 0, !waiting.isEmpty { waiting[0].wheel += first.wheel }
            return true
        }
        (last.x, last.y) = (part(&first.x), part(&first.y))
        if first.x == 0, first.y == 0, first.wheel == 0 { waiting.removeFirst() } else { waiting[0] = first }
        return true
    }

    // MARK: what people do

    private func take(_ events: [InputEvent]) {
        guard device.isConfigured else { return }
        for event in events { kind == .keyboard ? takeKey(event) : takePointer(event) }
        device.wake(Self.endpoint)
    }

    private func takeKey(_ event: InputEvent) {
        guard case .key(let code, let isDown) = event, let usage = HIDKeyCodes.usage(code) else { return }
        // Releases are taken even then: a key that stays down for ever is worse than one that is lost.
        guard changes.count < Self.maximumWaiting * (isDown ? 1 : 2) else { return }
        changes.append((usage, isDown))
    }

    private func takePointer(_ event: InputEvent) {
        /// What the next report says; a new one where buttons change, so that no click is lost.
        func change(_ body: (inout Pointer) -> Void) {
            var new = waiting.last ?? Pointer(buttons: last.buttons, x: kind == .tablet ? last.x : 0, y: kind == .tablet ? last.y : 0)
            let buttons = new.buttons
            body(&new)
            if new.buttons == buttons, let end = waiting.indices.last {
                waiting[end] = new
            } else if waiting.count < Self.maximumWaiting {
                if !waiting.isEmpty { if kind == .mouse { (new.x, new.y) = (0, 0) }; new.wheel = 0 }
                waiting.append(new)
            }
        }
        let far = 1 << 20
        switch event {
        case .relative(let axis, let distance):
            let step = min(max(distance, -far), far)
            change { axis == .x ? ($0.x = min(max($0.x + step, -far), far)) : ($0.y = min(max($0.y + step, -far), far)) }
        case .absolute(let axis, let place):
            let place = min(max(0, place), InputHub.fullScale)
            change { axis == .x ? ($0.x = place) : ($0.y = place) }
        case .button(let button, let isDown):
            let bits: [PointerButton: UInt8] = [.left: 1, .right: 2, .middle: 4, .side: 8, .extra: 16]
            if let bit = bits[button] { change { $0.buttons = isDown ? $0.buttons | bit : $0.buttons & ~bit } }
            if isDown, button == .wheelUp { change { $0.wheel = min($0.wheel + 1, far) } }
            if isDown, button == .wheelDown { change { $0.wheel = max($0.wheel - 1, -far) } }
        case .key: break
        }
    }

    // MARK: report descriptors (appendices B and E)

    private var reportDescriptor: [UInt8] {
        switch kind {
        case .keyboard: Self.keys
        case .mouse: Self.buttons(3) + Self.distances
        case .tablet: Self.buttons(5) + Self.places
        }
    }
    /// Eight modifiers; a reserved byte; five lights; six keys.
    private static let keys: [UInt8] = [
        0x05, 1, 0x09, 6, 0xa1, 1, 0x05, 7, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0, 0x25, 1, 0x75, 1, 0x95, 8, 0x81, 2, 0x95, 1, 0x75, 8, 0x81, 1,
        0x95, 5, 0x75, 1, 0x05, 8, 0x19, 1, 0x29, 5, 0x91, 2, 0x95, 1, 0x75, 3, 0x91, 1, 0x95, 6, 0x75, 8, 0x15, 0, 0x26, 0xff, 0,
        0x05, 7, 0x19, 0, 0x29, 0xff, 0x81, 0, 0xc0,
    ]
    /// A pointer with `count` buttons, up to eight.
    private static func buttons(_ count: UInt8) -> [UInt8] {
        [0x05, 1, 0x09, 2, 0xa1, 1, 0x09, 1, 0xa1, 0, 0x05, 9, 0x19, 1, 0x29, count, 0x15, 0, 0x25, 1, 0x95, count, 0x75, 1, 0x81, 2, 0x95, 1, 0x75, 8 - count, 0x81, 1]
    }
    /// How far it went, and the wheel.
    private static let distances: [UInt8] = [0x05, 1, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 8, 0x95, 3, 0x81, 6, 0xc0, 0xc0]
    /// Where it is, and the wheel.
    private static let places: [UInt8] = [
        0x05, 1, 0x09, 0x30, 0x09, 0x31, 0x15, 0, 0x26, 0xff, 0x7f, 0x35, 0, 0x46, 0xff, 0x7f, 0x75, 16, 0x95, 2, 0x81, 2,
        0x05, 1, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0, 0x45, 0, 0x75, 8, 0x95, 1, 0x81, 6, 0xc0, 0xc0,
    ]

    // MARK: state

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        var keys = changes.map { UInt16($0.usage) | ($0.isDown ? 0x100 : 0) }
        var moves = (waiting + [last]).flatMap { (move: Pointer) -> [Int64] in [Int64(move.buttons), Int64(move.x), Int64(move.y), Int64(move.wheel)] }
        try state.field("idle", &idle)
        try state.field("boot", &isBoot)
        try state.field("lights", &lights)
        try state.field("due", &mustReport)
        try state.field("modifiers", &modifiers)
        try state.field("pressed", &pressed, maximum: 32)
        try state.field("changes", &keys, maximum: Self.maximumWaiting * 2)
        try state.field("moves", &moves, maximum: (Self.maximumWaiting + 1) * 4)
        guard state.isLoading else { return }
        guard moves.count % 4 == 0, !moves.isEmpty, moves.allSatisfy({ abs($0.clamped) <= 1 << 20 }) else { throw .badValue("moves") }
        changes = keys.map { (UInt8(truncatingIfNeeded: $0), $0 & 0x100 != 0) }
        waiting = stride(from: 0, to: moves.count, by: 4).map { (at: Int) -> Pointer in
            Pointer(buttons: UInt8(truncatingIfNeeded: moves[at]), x: Int(moves[at + 1]), y: Int(moves[at + 2]), wheel: Int(moves[at + 3]))
        }
        last = waiting.removeLast()
        lights &= 7
        armIdle()
    }
}

private extension Int64 {
    /// A number whose magnitude exists.
    var clamped: Int64 { Swift.max(self, -Int64.max) }
}
