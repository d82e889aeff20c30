// NS16550A, the UART of nearly every board (National Semiconductor's data sheet PC16550D; `ns16550a` in device trees):
// FIFOs of 16 bytes, interrupts, modem lines, loopback. Transmission takes no time; break and line errors come only from
// the stream. Left out: DMA mode signals.

import Core
import Host

/// A 16550A behind one byte-wide window of eight registers, `1 << shift` bytes apart.
public final class Serial16550: Device {
    public static let model = DeviceModel(name: "serial-16550", summary: "NS16550A serial port", bus: "sysbus", category: "misc")

    public let banks: [Bank]
    private let stream: (any CharacterStream)?
    private let interrupt: InterruptLine
    private let host: DeviceHost
    private let shift: UInt64
    private var timeout: MachineTimer?

    // Registers, by the data sheet's names.
    private var interruptEnable: UInt8 = 0
    private var fifoControl: UInt8 = 0
    private var lineControl: UInt8 = 0
    private var modemControl: UInt8 = 0
    private var lineErrors: UInt8 = 0
    private var modemStatus: UInt8 = 0
    private var scratch: UInt8 = 0
    private var divisor: UInt16 = 12
    private var received: [UInt8] = []
    private var unsent: [UInt8] = []
    private var isTransmitPending = false
    private var hasTimedOut = false

    private static let fifoBytes = 16
    private enum LineStatus { static let data: UInt8 = 1, overrun: UInt8 = 2, breakSeen: UInt8 = 16, holdingEmpty: UInt8 = 32, allEmpty: UInt8 = 64 }
    private enum ModemStatus { static let clearToSend: UInt8 = 0x10, dataSetReady: UInt8 = 0x20, ring: UInt8 = 0x40, carrier: UInt8 = 0x80 }

    /// - Parameters:
    ///   - shift: registers are `1 << shift` bytes apart (device tree: `reg-shift`).
    public init(_ host: DeviceHost, stream: (any CharacterStream)?, interrupt: InterruptLine, shift: UInt64 = 0) {
        self.host = host
        self.stream = stream
        self.interrupt = interrupt
        self.shift = min(shift, 3)
        banks = [Bank("serial", size: 8 << min(shift, 3), widths: 1 ... 4)]
        reset()
        timeout = host.timer { [unowned self] in
            hasTimedOut = !received.isEmpty
            update()
        }
    }

    /// Connects the stream; called once the device is in its slot.
    public func connect() {
        let receive = host.callback { [unowned self] (bytes: [UInt8]) in self.receive(bytes) }
        let event = host.callback { [unowned self] (event: CharacterEvent) in self.happened(event) }
        let room = Room()
        self.room = room
        room.value.store(Self.fifoBytes)
        stream?.attach(CharacterHandlers(capacity: { room.value.load() }, receive: receive, event: event))
    }

    private final class Room: Sendable { let value = AtomicInt(0) }
    private var room: Room?

    private var usesFIFO: Bool { fifoControl & 1 != 0 }
    private var capacity: Int { usesFIFO ? Self.fifoBytes : 1 }

    // MARK: registers

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 { UInt64(readRegister(Int(offset >> shift) & 7)) }
    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        writeRegister(Int(offset >> shift) & 7, UInt8(truncatingIfNeeded: value))
    }

    private func readRegister(_ number: Int) -> UInt8 {
        switch number {
        case 0 where isDivisorLatch: return UInt8(truncatingIfNeeded: divisor)
        case 0: return takeReceived()
        case 1 where isDivisorLatch: return UInt8(truncatingIfNeeded: divisor >> 8)
        case 1: return interruptEnable
        case 2:
            let identification = interruptIdentification
            if identification & 0xf == 2 {
                isTransmitPending = false
                update()
            }
            return identification
        case 3: return lineControl
        case 4: return modemControl
        case 5:
            let status = lineErrors | (received.isEmpty ? 0 : LineStatus.data) | (unsent.isEmpty ? LineStatus.holdingEmpty | LineStatus.allEmpty : 0)
            lineErrors = 0
            update()
            return status
        case 6:
            if modemControl & 16 != 0 {
                // Loopback: the outputs are the inputs.
                return modemControl & 1 << 5 | modemControl & 2 << 3 | modemControl & 4 << 4 | modemControl & 8 << 4
            }
            let status = modemStatus
            modemStatus &= 0xf0
            update()
            return status
        default: return scratch
        }
    }

    private var isDivisorLatch: Bool { lineControl & 0x80 != 0 }

    private func writeRegister(_ number: Int, _ value: UInt8) {
        switch number {
        case 0 where isDivisorLatch: divisor = divisor & 0xff00 | UInt16(value)
        case 0: transmit(value)
        case 1 where isDivisorLatch: divisor = divisor & 0x00ff | UInt16(value) << 8
        case 1:
            let old = interruptEnable
            interruptEnable = value & 15
            // Enabling the interrupt of an empty transmitter raises it.
            if old & 2 == 0, value & 2 != 0, unsent.isEmpty { isTransmitPending = true }
            update()
        case 2:
            if (value ^ fifoControl) & 1 != 0 || value & 2 != 0 {
                received = []
                hasTimedOut = false
                resumeInput()
            }
            fifoControl = value & 1 == 0 ? 0 : value & 0xc9
            update()
        case 3: lineControl = value
        case 4:
            modemControl = value & 31
            update()
        case 7: scratch = value
        default: break
        }
    }

    private func transmit(_ byte: UInt8) {
        isTransmitPending = false
        if modemControl & 16 != 0 {
            receive([byte])
        } else {
            if unsent.count < 65536 { unsent.append(byte) }
            flush()
        }
        if unsent.isEmpty { isTransmitPending = true }
        update()
    }

    private func flush() {
        guard !unsent.isEmpty else { return }
        let taken = stream?.send(unsent[...]) ?? unsent.count
        unsent.removeFirst(min(taken, unsent.count))
    }

    // MARK: from the world

    private func receive(_ bytes: [UInt8]) {
        for byte in bytes {
            if received.count < capacity { received.append(byte) } else { lineErrors |= LineStatus.overrun }
        }
        room?.value.store(max(0, capacity - received.count))
        hasTimedOut = false
        // Four characters' time at 115,200 baud, for fewer bytes than the trigger level.
        if usesFIFO { timeout?.arm(at: host.clock.now + 350_000) }
        update()
    }

    private func happened(_ event: CharacterEvent) {
        switch event {
        case .interrupted:
            lineErrors |= LineStatus.breakSeen
            if received.count < capacity { received.append(0) }
        case .writable:
            flush()
            if unsent.isEmpty { isTransmitPending = true }
        case .opened, .closed: break
        }
        update()
    }

    private func takeReceived() -> UInt8 {
        guard !received.isEmpty else { return 0 }
        let byte = received.removeFirst()
        hasTimedOut = false
        if usesFIFO, !received.isEmpty { timeout?.arm(at: host.clock.now + 350_000) }
        resumeInput()
        update()
        return byte
    }

    private func resumeInput() {
        room?.value.store(max(0, capacity - received.count))
        stream?.resume()
    }

    // MARK: interrupts

    private var trigger: Int {
        guard usesFIFO else { return 1 }
        switch fifoControl >> 6 { case 0: return 1; case 1: return 4; case 2: return 8; default: return 14 }
    }

    private var interruptIdentification: UInt8 {
        let fifo: UInt8 = usesFIFO ? 0xc0 : 0
        if interruptEnable & 4 != 0, lineErrors & 0x1e != 0 { return fifo | 6 }
        if interruptEnable & 1 != 0, received.count >= trigger { return fifo | 4 }
        if interruptEnable & 1 != 0, hasTimedOut, !received.isEmpty { return fifo | 12 }
        if interruptEnable & 2 != 0, isTransmitPending { return fifo | 2 }
        if interruptEnable & 8 != 0, modemStatus & 15 != 0 { return fifo }
        return fifo | 1
    }

    private func update() { interrupt.set(interruptIdentification & 1 == 0) }

    // MARK: Device

    public func reset() {
        interruptEnable = 0
        fifoControl = 0
        lineControl = 0
        modemControl = 8
        lineErrors = 0
        modemStatus = ModemStatus.carrier | ModemStatus.dataSetReady | ModemStatus.clearToSend
        scratch = 0
        divisor = 12
        received = []
        unsent = []
        isTransmitPending = false
        hasTimedOut = false
        timeout?.cancel()
        room?.value.store(capacity)
        update()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("ier", &interruptEnable)
        try state.field("fcr", &fifoControl)
        try state.field("lcr", &lineControl)
        try state.field("mcr", &modemControl)
        try state.field("lsr", &lineErrors)
        try state.field("msr", &modemStatus)
        try state.field("scr", &scratch)
        try state.field("divisor", &divisor)
        try state.field("received", &received, maximum: Self.fifoBytes)
        try state.field("unsent", &unsent, maximum: 65536)
        try state.field("transmitPending", &isTransmitPending)
        try state.field("timedOut", &hasTimedOut)
        if state.isLoading {
            room?.value.store(max(0, capacity - received.count))
            update()
        }
    }
}
