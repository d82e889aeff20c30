// A function on a bus: its configuration space, where its windows are, and how it interrupts. Adapts `PCIFunction` to
// `Device`. PCI 3.0 chapter 6 (header, MSI, MSI-X), PCI Power Management 1.2, PCI Express Base 7.8.
//
// Left out: AER, BIST, expansion ROMs of bridges.

import Core
import Host

/// A function with what all functions have. Its slot's lock guards it; configuration accesses hold the host bridge's too.
public final class PCIEndpoint: Device {
    public let function: any PCIFunction
    public let port: PCIPort
    /// The registers of software.
    var configuration = PCIConfiguration()
    var vectors: MessageVectors?
    private let identity: PCIIdentity
    /// The function's, and the expansion ROM's as number 6.
    private let windows: [PCIBar]
    private let interrupts: PCIInterrupts
    public let banks: [Bank]
    /// Window numbers by bank.
    private let bankBars: [Int]
    private var regions: [Int: Region] = [:]
    private var mapped: [Int: UInt64] = [:]
    private var location: Location?
    private var power: Int?
    private var messages: Int?
    /// Where the PCI Express capability begins.
    private(set) var express: Int?
    private var isPinHigh = false
    private var isWireHigh = false

    /// Its place on a bus.
    struct Location {
        let bus: PCIBus
        let number: UInt8
        let isMultifunction: Bool
        let wires: PinWires
        let wire: Int
    }

    private static let romNumber = 6

    private init(_ function: any PCIFunction, rom: ExpansionROM?, host: DeviceHost) {
        self.function = function
        port = PCIPort(host: host)
        identity = function.identity
        windows = function.windows + (rom.map { [PCIBar(Self.romNumber, $0.block.name, size: $0.block.size, .memory32, .memory($0.block))] } ?? [])
        interrupts = function.interrupts
        let registers = windows.compactMap { window -> (Int, Bank)? in
            guard case .registers(let widths) = window.contents else { return nil }
            return (window.number, Bank(window.name, size: window.size, widths: widths))
        }
        bankBars = registers.map(\.0)
        banks = registers.map(\.1)
        port.endpoint = self
    }

    /// A function in a slot of its own, not on a bus yet.
    public static func make(_ name: String, _ function: any PCIFunction, rom: ExpansionROM? = nil, host: DeviceHost) -> DeviceSlot {
        let endpoint = PCIEndpoint(function, rom: rom, host: host)
        let slot = DeviceSlot(name: name, endpoint, sendsMessages: true)
        host.bind(slot)
        for (region, bar) in zip(slot.regions(), endpoint.bankBars) { endpoint.regions[bar] = region }
        for window in endpoint.windows {
            if case .memory(let block) = window.contents { endpoint.regions[window.number] = Region(block, isReadOnly: window.number == romNumber) }
        }
        slot.withDevice { _ in function.connect(endpoint.port) }
        return slot
    }

    // MARK: the bus

    func attach(_ location: Location) {
        self.location = location
        layOut()
        configuration.seal()
        reset()
    }

    /// Leaves the bus: nothing of it can be reached any more.
    func detach() {
        for bar in Array(mapped.keys) { unmap(bar) }
        port.memory.isEnabled = false
        isPinHigh = false
        updatePin()
        location = nil
    }

    private var isBridge: Bool { function is any PCIBridge }

    private func layOut() {
        configuration = PCIConfiguration()
        configuration[word: PCIRegister.vendor] = identity.vendor
        configuration[word: PCIRegister.device] = identity.device
        configuration[byte: PCIRegister.revision] = identity.revision
        configuration[long: PCIRegister.revision] |= identity.classCode << 8
        configuration[byte: PCIRegister.headerType] = (isBridge ? 1 : 0) | (location?.isMultifunction == true ? 0x80 : 0)
        configuration[byte: PCIRegister.interruptPin] = interrupts.pin
        let hasIO = windows.contains { $0.space == .io } || isBridge
        let commands = PCICommand.memory | PCICommand.master | PCICommand.parity | PCICommand.systemError | PCICommand.interruptDisable | (hasIO ? PCICommand.io : 0)
        configuration.allow(PCIRegister.command, 4, UInt32(commands), clearing: 0xf900_0000)
        configuration.allow(PCIRegister.cacheLine, 1, 0xff)
        configuration.allow(PCIRegister.interruptLine, 1, 0xff)
        if !isBridge {
            configuration[word: PCIRegister.subsystemVendor] = identity.subsystemVendor
            configuration[word: PCIRegister.subsystem] = identity.subsystem
        }
        for window in windows { layOut(window) }
        layOutCapabilities()
    }

    private func layOut(_ window: PCIBar) {
        let at = Self.register(of: window)
        guard window.number != Self.romNumber else {
            return configuration.allow(at, 4, UInt32(truncatingIfNeeded: ~(window.size &- 1)) | 1)
        }
        let kind: UInt32 = switch window.space { case .io: 1; case .memory32: 0; case .prefetchable32: 8; case .memory64: 4; case .prefetchable64: 12 }
        configuration[long: at] = kind
        let mask = ~(window.size &- 1)
        configuration.allow(at, 4, UInt32(truncatingIfNeeded: mask) & ~(window.space == .io ? 3 : 15))
        if Self.isWide(window) { configuration.allow(at + 4, 4, UInt32(truncatingIfNeeded: mask >> 32)) }
    }

    private static func register(of window: PCIBar) -> Int { window.number == romNumber ? PCIRegister.rom : PCIRegister.bar0 + window.number * 4 }

    private static func isWide(_ window: PCIBar) -> Bool { window.space == .memory64 || window.space == .prefetchable64 }

    private func layOutCapabilities() {
        (power, messages, vectors, express) = (nil, nil, nil, nil)
        configuration.beginCapabilities(at: function.firstCapability)
        let places = function.vendorCapabilities.map { configuration.addCapability($0.first ?? 9, Array($0.dropFirst())) ?? 0 }
        if interrupts.vectors > 0, let at = configuration.addCapability(0x11, Self.vectorBody(interrupts)) {
            configuration.allow(at + 2, 2, 0xc000)
            vectors = MessageVectors(count: interrupts.vectors, tableOffset: interrupts.tableOffset, pendingOffset: interrupts.pendingOffset, capability: at)
        }
        if interrupts.messages > 0 {
            // 64-bit addresses, one mask bit a vector.
            let exponent = UInt16((interrupts.messages - 1).bitWidth - (interrupts.messages - 1).leadingZeroBitCount)
            let control: UInt16 = 0x180 | exponent << 1
            messages = configuration.addCapability(5, [UInt8(control & 0xff), UInt8(control >> 8)] + [UInt8](repeating: 0, count: 20))
            if let at = messages {
                configuration.allow(at + 2, 2, 0x71)
                configuration.allow(at + 4, 4, ~3)
                configuration.allow(at + 8, 4, ~0)
                configuration.allow(at + 12, 2, 0xffff)
                configuration.allow(at + 16, 4, ~0 >> UInt32(32 - min(32, 1 << exponent)))
            }
        }
        if location?.bus.isRoot == false || isBridge { addExpress() }
        // Version 3, no soft reset between D3hot and D0.
        power = configuration.addCapability(1, [0x03, 0x00, 0x08, 0x00, 0x00, 0x00])
        if let at = power { configuration.allow(at + 4, 2, 3) }
        (function as? any PCIConfigurationOwner)?.capabilitiesPlaced(places)
    }

    private static func vectorBody(_ interrupts: PCIInterrupts) -> [UInt8] {
        let words = [UInt32(truncatingIfNeeded: interrupts.tableOffset) | UInt32(interrupts.vectorBar), UInt32(truncatingIfNeeded: interrupts.pendingOffset) | UInt32(interrupts.vectorBar)]
        let size = UInt16(min(2048, interrupts.vectors) - 1)
        return [UInt8(size & 0xff), UInt8(size >> 8)] + words.flatMap { word in (0 ..< 4).map { UInt8(truncatingIfNeeded: word >> UInt32($0 * 8)) } }
    }

    private func addExpress() {
        let kind: UInt16 = isBridge ? 4 : 0
        guard let at = configuration.addCapability(0x10, [UInt8](repeating: 0, count: 0x3a)) else { return }
        express = at
        configuration[word: at + 2] = 2 | kind << 4 | (isBridge ? 0x100 : 0)
        // Role-based errors; endpoints can be reset by software.
        configuration[long: at + 4] = 0x8000 | (isBridge ? 0 : 1 << 28)
        configuration.allow(at + 8, 2, 0x7fff)
        configuration.allow(at + 10, 2, 0, clearing: 0xf)
        // One lane at 2.5 GT/s.
        configuration[long: at + 12] = 0x11
        configuration.allow(at + 16, 2, 0xff)
        configuration[word: at + 18] = 0x11
        configuration.allow(at + 0x28, 2, 0x001f)
    }

    // MARK: configuration accesses

    func readConfiguration(_ offset: Int, _ width: Int) -> UInt32 {
        (function as? any PCIConfigurationOwner)?.willRead(offset, width)
        return configuration.read(offset, width)
    }

    func writeConfiguration(_ offset: Int, _ value: UInt32, _ width: Int) {
        let oldVectors = vectors.map { configuration[word: $0.capability + 2] }
        configuration.write(offset, value, width)
        if let at = express, !isBridge, (at + 8 ..< at + 10).touches(offset, width), value >> UInt32(max(0, at + 9 - offset) * 8) & 0x80 != 0 {
            return reset()
        }
        if (PCIRegister.command ..< PCIRegister.rom + 4).touches(offset, width) || power.map({ ($0 ..< $0 + 6).touches(offset, width) }) == true {
            updateMapping()
            updatePin()
        }
        if let at = vectors?.capability, (at + 2 ..< at + 4).touches(offset, width) {
            let word = configuration[word: at + 2]
            for vector in vectors?.control(word) ?? [] { send(vector) }
            if oldVectors != word { updatePin() }
        }
        if let at = messages, (at ..< at + 20).touches(offset, width) { releaseMessages(at) }
        (function as? any PCIConfigurationOwner)?.didWrite(offset, width)
    }

    /// Where it is plugged in.
    var bus: PCIBus? { location?.bus }
    /// Domain, bus of the host bridge, slot and function.
    var place: String {
        guard let location else { return "" }
        let slot = String(location.number >> 3, radix: 16)
        return "0000:00:" + (slot.count < 2 ? "0" : "") + slot + ".\(location.number & 7)"
    }

    private var command: UInt16 { configuration[word: PCIRegister.command] }
    private var isAwake: Bool { power.map { configuration[word: $0 + 4] & 3 == 0 } ?? true }

    // MARK: windows

    private func address(_ window: PCIBar) -> UInt64? {
        let isIO = window.space == .io
        guard isAwake, command & (isIO ? PCICommand.io : PCICommand.memory) != 0 else { return nil }
        let at = Self.register(of: window)
        // The ROM has a switch of its own.
        guard window.number != Self.romNumber || configuration[long: at] & 1 != 0 else { return nil }
        var address = UInt64(configuration[long: at] & ~(isIO ? 3 : window.number == Self.romNumber ? 0x7ff : 15))
        if Self.isWide(window) { address |= UInt64(configuration[long: at + 4]) << 32 }
        let (end, overflow) = address.addingReportingOverflow(window.size)
        // Address 0 is one like others: firmware puts ports there.
        guard !overflow, isIO || Self.isWide(window) || end <= 1 << 32 - 1, !isIO || end <= 1 << 32 - 1 else { return nil }
        return address
    }

    private func updateMapping() {
        guard let bus = location?.bus else { return }
        let mayMaster = command & PCICommand.master != 0 && isAwake
        if port.memory.isEnabled != mayMaster {
            port.memory.isEnabled = mayMaster
            (function as? any PCIStateObserver)?.busMasteringChanged(mayMaster)
        }
        for window in windows {
            let wanted = address(window)
            guard wanted != mapped[window.number], let region = regions[window.number] else { continue }
            if let wanted {
                AddressSpace.move(region, in: window.space == .io ? bus.ports : bus.memory, to: wanted, priority: 1)
                mapped[window.number] = wanted
            } else {
                unmap(window.number)
            }
        }
    }

    private func unmap(_ bar: Int) {
        guard mapped.removeValue(forKey: bar) != nil, let region = regions[bar], let bus = location?.bus else { return }
        let isIO = windows.contains { $0.number == bar && $0.space == .io }
        AddressSpace.remove(region, from: isIO ? bus.ports : bus.memory)
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        guard bankBars.indices.contains(bank) else { return 0 }
        let bar = bankBars[bank]
        if bar == interrupts.vectorBar, let vectors, vectors.contains(offset) { return vectors.read(offset, width) }
        return function.read(bar, offset, width)
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard bankBars.indices.contains(bank) else { return }
        let bar = bankBars[bank]
        if bar == interrupts.vectorBar, vectors?.contains(offset) == true {
            for vector in vectors?.write(offset, value, width) ?? [] { send(vector) }
            return
        }
        function.write(bar, offset, value, width)
    }

    // MARK: interrupts

    private var usesSingleMessages: Bool { messages.map { configuration[word: $0 + 2] & 1 != 0 } ?? false }
    var usesMessages: Bool { vectors?.isEnabled == true || usesSingleMessages }

    func send(_ vector: Int) {
        if vectors?.isEnabled == true {
            if let (address, data) = vectors?.fire(vector) { port.memory.sendMessage(address, data) }
        } else if let at = messages, usesSingleMessages {
            let granted = 1 << Int(configuration[word: at + 2] >> 4 & 7)
            let number = (0 ..< granted).contains(vector) ? vector : 0
            if configuration[long: at + 16] >> UInt32(number & 31) & 1 != 0 {
                configuration[long: at + 20] |= 1 << UInt32(number & 31)
            } else {
                sendMessage(at, number, granted)
            }
        }
    }

    private func sendMessage(_ at: Int, _ number: Int, _ granted: Int) {
        let address = UInt64(configuration[long: at + 4]) | UInt64(configuration[long: at + 8]) << 32
        let data = UInt32(configuration[word: at + 12])
        port.memory.sendMessage(address, data & ~UInt32(granted - 1) | UInt32(number))
    }

    private func releaseMessages(_ at: Int) {
        updatePin()
        guard usesSingleMessages else { return }
        let granted = 1 << Int(configuration[word: at + 2] >> 4 & 7)
        let due = configuration[long: at + 20] & ~configuration[long: at + 16]
        configuration[long: at + 20] &= ~due
        for number in 0 ..< min(32, granted) where due >> UInt32(number) & 1 != 0 { sendMessage(at, number, granted) }
    }

    func setPin(_ level: Bool) {
        guard isPinHigh != level else { return }
        isPinHigh = level
        updatePin()
    }

    private func updatePin() {
        configuration[word: PCIRegister.status] = configuration[word: PCIRegister.status] & ~8 | (isPinHigh ? 8 : 0)
        let isHigh = isPinHigh && command & PCICommand.interruptDisable == 0 && !usesMessages
        guard isHigh != isWireHigh, let location, interrupts.pin > 0 else { return }
        isWireHigh = isHigh
        location.wires.change(location.wire, by: isHigh ? 1 : -1)
    }

    // MARK: Device

    public func reset() {
        function.reset()
        isPinHigh = false
        configuration.reset()
        vectors?.reset()
        (function as? any PCIConfigurationOwner)?.didReset()
        updateMapping()
        updatePin()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try configuration.transfer(&state)
        try state.field("pin", &isPinHigh)
        if vectors != nil {
            let word = configuration[word: (vectors?.capability ?? 0) + 2]
            try state.part("vectors") { (part) throws(StateError) in try vectors?.transfer(&part, control: word) }
        }
        if state.isLoading { updateMapping() }
        try state.part("function") { (part) throws(StateError) in try function.transfer(&part) }
        if state.isLoading { updatePin() }
    }
}
