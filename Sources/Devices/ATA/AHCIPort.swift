// One port of an AHCI controller (AHCI 1.3.1 sections 3.3 and 5.3): its registers, command slots, and the FISes it receives.

import Core

/// Used under the controller's lock.
final class AHCIPort {
    enum Interrupt {
        static let register: UInt32 = 1, pio: UInt32 = 1 << 1, bits: UInt32 = 1 << 3, connected: UInt32 = 1 << 6, ready: UInt32 = 1 << 22
        static let overflow: UInt32 = 1 << 24, busFatal: UInt32 = 1 << 29, taskFile: UInt32 = 1 << 30
        static let all: UInt32 = 0xfdc0_00ff
    }
    private enum Command {
        static let start: UInt32 = 1, override: UInt32 = 1 << 3, receive: UInt32 = 1 << 4, receiving: UInt32 = 1 << 14, running: UInt32 = 1 << 15
        /// Spun up, powered.
        static let fixed: UInt32 = 6
        /// Start, receive, ATAPI, and how the activity light and the link's power behave.
        static let writable: UInt32 = start | receive | 0x0f00_0000
    }
    /// Exchanged; ready changed: bits 26 and 16 of PxSERR.
    private static let exchanged: UInt32 = 1 << 26, readyChanged: UInt32 = 1 << 16
    /// Where FISes go (4.2.1).
    private enum Area { static let pio: UInt64 = 0x20, register: UInt64 = 0x40, bits: UInt64 = 0x58 }
    private static let noSignature: UInt32 = 0xffff_ffff, noDevice: UInt32 = 0x7f

    let bus: ATABus
    private var unit: (any ATAUnit)? { bus.unit }
    private var listBase: UInt64 = 0
    private var receiveBase: UInt64 = 0
    private var status: UInt32 = 0
    private var enabled: UInt32 = 0
    private var command = Command.fixed
    private var taskFile = AHCIPort.noDevice
    private var signature = AHCIPort.noSignature
    private var control: UInt32 = 0
    private var errors: UInt32 = 0
    private var active: UInt32 = 0
    private var issued: UInt32 = 0
    private var current: UInt32 = 0
    /// Slots that workers have.
    private var underWay: UInt32 = 0
    /// Those are queued commands.
    private var isQueuing = false
    /// An error has stopped the port until it is started anew.
    private var isHalted = false
    /// The device is held in a reset by software.
    private var isHeld = false

    init(_ number: Int) { bus = ATABus(number) }

    /// What its virtual interrupt wire says.
    var isInterrupting: Bool { interrupts & enabled != 0 }
    private var interrupts: UInt32 {
        status | (errors & Self.exchanged != 0 ? Interrupt.connected : 0) | (errors & Self.readyChanged != 0 ? Interrupt.ready : 0)
    }
    var isRunning: Bool { command & Command.start != 0 }

    // MARK: registers

    func read(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0x00: listBase.low
        case 0x04: listBase.high
        case 0x08: receiveBase.low
        case 0x0c: receiveBase.high
        case 0x10: interrupts
        case 0x14: enabled
        case 0x18: command | (isRunning ? Command.running | current << 8 : 0) | (command & Command.receive != 0 ? Command.receiving : 0)
        case 0x20: taskFile
        case 0x24: signature
        // A device is there, at 1.5 Gb/s, and awake; none while the link is being reset or off.
        case 0x28: unit == nil || control & 15 == 4 ? (control & 15 == 4 ? 4 : 0) : control & 15 == 1 ? 0 : 0x113
        case 0x2c: control
        case 0x30: errors
        case 0x34: active
        case 0x38: issued
        default: 0
        }
    }

    /// Whether requests under way must be over before this is written.
    func mustSettle(_ offset: UInt64, _ value: UInt32) -> Bool {
        guard underWay != 0 else { return false }
        return offset == 0x18 && isRunning && value & Command.start == 0 || offset == 0x2c && value & 15 != control & 15
    }

    /// - Returns: whether there may be commands to do now.
    func write(_ offset: UInt64, _ value: UInt32, _ memory: GuestMemory) -> Bool {
        switch offset {
        case 0x00: listBase.low = value & ~0x3ff
        case 0x04: listBase.high = value
        case 0x08: receiveBase.low = value & ~0xff
        case 0x0c: receiveBase.high = value
        case 0x10: status &= ~value
        case 0x14: enabled = value & Interrupt.all
        case 0x18: return writeCommand(value, memory)
        case 0x2c: writeControl(value, memory)
        case 0x30: errors &= ~value
        case 0x34: if isRunning { active |= value }
        case 0x38:
            guard isRunning else { break }
            issued |= value
            return true
        default: break
        }
        return false
    }

    private func writeCommand(_ value: UInt32, _ memory: GuestMemory) -> Bool {
        let old = command
        command = value & Command.writable | Command.fixed
        if value & Command.override != 0, !isRunning { taskFile &= ~UInt32(ATABits.busy | ATABits.request) }
        if old & Command.start != 0, !isRunning {
            (active, issued, current, isHalted) = (0, 0, 0, false)
        }
        // The device's signature waits for the place that it is received in.
        if command & Command.receive != 0, signature == Self.noSignature, control & 15 == 0 { sendSignature(memory) }
        return old & Command.start == 0 && isRunning
    }

    /// A write to PxSCTL: going from 1 to 0, DET resets the link and the device.
    private func writeControl(_ value: UInt32, _ memory: GuestMemory) {
        let old = control & 15
        control = value & 0xfff
        let now = control & 15
        if now == 1, old != 1 || now == 4 {
            (taskFile, signature) = (Self.noDevice, Self.noSignature)
        }
        if old == 1 || old == 4, now == 0 { connect(memory, isPowerOn: false) }
    }

    // MARK: resets

    /// The device answers to a reset of the link.
    private func connect(_ memory: GuestMemory, isPowerOn: Bool) {
        (taskFile, signature, isHeld) = (Self.noDevice, Self.noSignature, false)
        guard let unit else { return }
        unit.reset(isPowerOn: isPowerOn)
        errors |= Self.exchanged | Self.readyChanged
        sendSignature(memory)
    }

    /// As after power-on. Requests under way are over, or forgotten.
    func reset(_ memory: GuestMemory) {
        (listBase, receiveBase, status, enabled, command) = (0, 0, 0, 0, Command.fixed)
        (control, errors, active, issued, current, underWay) = (0, 0, 0, 0, 0, 0)
        (isQueuing, isHalted) = (false, false)
        connect(memory, isPowerOn: true)
        errors = 0
    }

    private func sendSignature(_ memory: GuestMemory) {
        guard let unit, command & Command.receive != 0 else { return }
        signature = unit.signature
        taskFile = UInt32(unit.resetStatus) | 0x100
        let place = unit.signature
        receive(Area.register, [0x34, 0, unit.resetStatus, 1, UInt8(truncatingIfNeeded: place >> 8), UInt8(truncatingIfNeeded: place >> 16), UInt8(truncatingIfNeeded: place >> 24),
                                0, 0, 0, 0, 0, UInt8(truncatingIfNeeded: place), 0, 0, 0, 0, 0, 0, 0], memory)
    }

    // MARK: commands

    /// The next command that may be begun. Register FISes that reset the device are dealt with on the way.
    func next(_ memory: GuestMemory) -> AHCIRequest? {
        for _ in 0 ..< 33 {
            let waiting = issued & ~underWay
            guard isRunning, !isHalted, waiting != 0, memory.isEnabled, control & 15 == 0, let unit else { return nil }
            // A command that is not queued runs alone.
            guard underWay == 0 || isQueuing else { return nil }
            let slot = waiting.trailingZeroBitCount, bit = UInt32(1) << UInt32(slot)
            guard let request = AHCIRequest(memory, list: listBase, slot: slot, port: bus.number, unit: unit) else {
                halt(Interrupt.busFatal, slot)
                return nil
            }
            let command = request.request.command
            if command.isCommand, !isHeld {
                guard command.isQueued || underWay == 0 else { return nil }
                isQueuing = command.isQueued
                underWay |= bit
                current = UInt32(slot)
                // The device takes a queued command at once, which frees its slot; PxSACT tells when it is over.
                if isQueuing { issued &= ~bit } else { taskFile |= UInt32(ATABits.busy) }
                return request
            }
            guard underWay == 0 else { return nil }
            issued &= ~bit
            if !command.isCommand { writeDeviceControl(command.control, memory) }
        }
        return nil
    }

    /// Bit 2 of the device's control register, set and cleared, resets it (ACS-3 7.43).
    private func writeDeviceControl(_ value: UInt8, _ memory: GuestMemory) {
        if value & 4 != 0 {
            isHeld = true
        } else if isHeld {
            isHeld = false
            unit?.reset(isPowerOn: false)
            sendSignature(memory)
        }
    }

    private func halt(_ interrupt: UInt32, _ slot: Int) {
        isHalted = true
        current = UInt32(slot)
        status |= interrupt
    }

    /// A command is over.
    func complete(_ request: AHCIRequest, _ reply: ATAReply, _ memory: GuestMemory) {
        let bit = UInt32(1) << UInt32(request.slot), command = request.request.command
        underWay &= ~bit
        // Once an error has stopped the port, the driver takes all others for aborted.
        guard isRunning, !isHalted else { return }
        memory.store(listBase &+ UInt64(request.slot) * 32 &+ 4, UInt32(clamping: reply.transferred))
        if command.isQueued { completeQueued(command, reply, memory) } else { completePlain(request, reply, memory) }
        guard reply.isError else { return }
        halt(Interrupt.taskFile | (request.isShort ? Interrupt.overflow : 0), request.slot)
    }

    private func completeQueued(_ command: ATACommand, _ reply: ATAReply, _ memory: GuestMemory) {
        let tag: UInt32 = reply.isError ? 0 : 1 << UInt32(command.tag)
        taskFile = UInt32(reply.status) | UInt32(reply.error) << 8
        active &= ~tag
        receive(Area.bits, [0xa1, 0x40, reply.status & 0x77, reply.error] + (0 ..< 4).map { UInt8(truncatingIfNeeded: tag >> ($0 * 8)) }, memory)
        status |= Interrupt.bits
    }

    private func completePlain(_ request: AHCIRequest, _ reply: ATAReply, _ memory: GuestMemory) {
        let command = request.request.command, address = reply.address ?? command.address, count = reply.count ?? command.count
        let part = { (shift: UInt64) in UInt8(truncatingIfNeeded: address >> shift) }
        var fis: [UInt8] = [0x34, 0x40, reply.status, reply.error, part(0), part(8), part(16), command.device, part(24), part(32), part(40), 0,
                            UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8), 0, 0, 0, 0, 0, 0]
        taskFile = UInt32(reply.status) | UInt32(reply.error) << 8
        if !reply.isError { issued &= ~(1 << UInt32(request.slot)) }
        if reply.isProgrammedInput {
            // From the device; the status while there was data, that at the end, and the bytes.
            fis[0] = 0x5f
            fis[1] = 0x60
            fis[2] = reply.status & ~ATABits.seekDone | ATABits.request
            fis[15] = reply.status
            fis[16] = UInt8(truncatingIfNeeded: reply.transferred)
            fis[17] = UInt8(truncatingIfNeeded: reply.transferred >> 8)
            receive(Area.pio, fis, memory)
            status |= Interrupt.pio
            // Only PACKET goes on to tell how it ended.
            guard command.code == 0xa0 else { return }
            (fis[0], fis[1], fis[2]) = (0x34, 0x40, reply.status)
            (fis[15], fis[16], fis[17]) = (0, 0, 0)
        }
        receive(Area.register, fis, memory)
        status |= Interrupt.register
    }

    private func receive(_ offset: UInt64, _ fis: [UInt8], _ memory: GuestMemory) {
        if command & Command.receive != 0 { memory.write(receiveBase &+ offset, bytes: fis) }
    }

    // MARK: state

    /// With nothing under way.
    func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("list", &listBase)
        try state.field("receive", &receiveBase)
        try state.field("status", &status)
        try state.field("enabled", &enabled)
        try state.field("command", &command)
        try state.field("taskFile", &taskFile)
        try state.field("signature", &signature)
        try state.field("control", &control)
        try state.field("errors", &errors)
        try state.field("active", &active)
        try state.field("issued", &issued)
        try state.field("current", &current)
        try state.field("halted", &isHalted)
        try state.field("held", &isHeld)
        if state.isLoading {
            (underWay, isQueuing) = (0, false)
            command = command & Command.writable | Command.fixed
            current &= 31
        }
        if let unit { try state.part("unit") { (part) throws(StateError) in try unit.transfer(&part) } }
    }
}
