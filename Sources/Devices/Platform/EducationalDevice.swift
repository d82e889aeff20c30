// QEMU's educational device (docs/specs/edu): factorials that take their time, interrupts, and DMA into 4 KiB of its own.

import Core
import Host

public final class EducationalDevice: PCIFunction {
    public static let model = DeviceModel(name: "edu", summary: "educational device", bus: "pci", category: "misc", properties: [
        Property("dma_mask", .integer, "addresses that its DMA reaches", default: "0xfffffff"),
    ])
    private enum Status { static let computing: UInt32 = 1, interrupts: UInt32 = 0x80 }
    private enum Cause { static let factorial: UInt32 = 1, transfer: UInt32 = 0x100 }
    private enum Command { static let run: UInt64 = 1, fromDevice: UInt64 = 2, interrupts: UInt64 = 4 }
    private static let bufferBase: UInt64 = 0x40000, bufferSize = 4096
    /// Nanoseconds.
    private static let transferTime: UInt64 = 100_000_000, multiplicationTime: UInt64 = 10

    public let identity = PCIIdentity(vendor: 0x1234, device: 0x11e8, revision: 0x10, classCode: 0x00ff00)
    public let windows = [PCIBar(0, "edu-mmio", size: 1 << 20, .memory32, .registers(widths: 4 ... 8))]
    public let interrupts = PCIInterrupts(pin: 1, messages: 1)
    private let mask: UInt64
    private var port: PCIPort?
    private var factorialTimer: MachineTimer?
    private var transferTimer: MachineTimer?

    private var check: UInt32 = 0
    private var number: UInt32 = 0
    private var status: UInt32 = 0
    private var causes: UInt32 = 0
    private var source: UInt64 = 0
    private var destination: UInt64 = 0
    private var count: UInt64 = 0
    private var command: UInt64 = 0
    private var buffer = [UInt8](repeating: 0, count: EducationalDevice.bufferSize)

    public init(_ properties: Properties) { mask = properties.integer("dma_mask") ?? 0xfff_ffff }

    public func connect(_ port: PCIPort) {
        self.port = port
        factorialTimer = port.host.timer { [unowned self] in computed() }
        transferTimer = port.host.timer { [unowned self] in transferred() }
    }

    // MARK: registers

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        // Registers below 0x80 have 4 bytes, those of DMA 4 or 8.
        guard offset >= 0x80 || width == 4 else { return .max }
        let value: UInt64 = switch offset {
        case 0x00: 0x0100_00ed
        case 0x04: UInt64(check)
        case 0x08: UInt64(number)
        case 0x20: UInt64(status)
        case 0x24: UInt64(causes)
        case 0x80: source
        case 0x88: destination
        case 0x90: count
        case 0x98: command
        default: .max
        }
        return width == 4 ? value & 0xffff_ffff : value
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard offset >= 0x80 || width == 4 else { return }
        switch offset {
        case 0x04: check = ~value.low
        case 0x08:
            guard status & Status.computing == 0 else { break }
            number = value.low
            status |= Status.computing
            arm(factorialTimer, UInt64(min(number, 1000)) * Self.multiplicationTime)
        case 0x20: status = status & ~Status.interrupts | value.low & Status.interrupts
        case 0x60: raise(value.low)
        case 0x64:
            causes &= ~value.low
            if causes == 0 { port?.setPin(false) }
        // A transfer under way is not changed.
        case 0x80 where command & Command.run == 0: source = value
        case 0x88 where command & Command.run == 0: destination = value
        case 0x90 where command & Command.run == 0: count = value
        case 0x98 where command & Command.run == 0:
            command = value
            if command & Command.run != 0 { arm(transferTimer, Self.transferTime) }
        default: break
        }
    }

    private func arm(_ timer: MachineTimer?, _ delay: UInt64) { timer?.arm(at: (port?.host.clock.now ?? 0) &+ delay) }

    private func raise(_ cause: UInt32) {
        causes |= cause
        guard causes != 0 else { return }
        if port?.usesMessages == true { port?.send(0) } else { port?.setPin(true) }
    }

    private func computed() {
        // From 34 on there are 32 factors of 2.
        number = number >= 34 ? 0 : (0 ..< number).reduce(UInt32(1)) { $0 &* ($1 + 1) }
        status &= ~Status.computing
        if status & Status.interrupts != 0 { raise(Cause.factorial) }
    }

    /// Moves bytes, if all of them are inside of the buffer.
    private func transferred() {
        let inside = command & Command.fromDevice != 0 ? source : destination, outside = (command & Command.fromDevice != 0 ? destination : source) & mask
        let offset = inside &- Self.bufferBase
        if offset <= UInt64(Self.bufferSize), count <= UInt64(Self.bufferSize) - offset {
            let range = Int(offset) ..< Int(offset + count)
            if command & Command.fromDevice != 0 {
                port?.memory.write(outside, bytes: Array(buffer[range]))
            } else if let bytes = port?.memory.bytes(outside, range.count) {
                buffer.replaceSubrange(range, with: bytes)
            }
        }
        command &= ~Command.run
        if command & Command.interrupts != 0 { raise(Cause.transfer) }
    }

    // MARK: life

    public func reset() {
        factorialTimer?.cancel()
        transferTimer?.cancel()
        (check, number, status, causes, source, destination, count, command) = (0, 0, 0, 0, 0, 0, 0, 0)
        buffer = [UInt8](repeating: 0, count: Self.bufferSize)
        port?.setPin(false)
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("check", &check)
        try state.field("number", &number)
        try state.field("status", &status)
        try state.field("causes", &causes)
        try state.field("source", &source)
        try state.field("destination", &destination)
        try state.field("count", &count)
        try state.field("command", &command)
        try state.field("buffer", &buffer)
        guard state.isLoading else { return }
        factorialTimer?.cancel()
        transferTimer?.cancel()
        if status & Status.computing != 0 { arm(factorialTimer, 0) }
        if command & Command.run != 0 { arm(transferTimer, Self.transferTime) }
    }
}
