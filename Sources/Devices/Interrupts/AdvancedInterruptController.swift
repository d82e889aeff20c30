// APLIC: wired interrupts to the wires of harts (direct delivery) or to messages for their IMSICs, in a domain of machine level
// and one of supervisor level below it. "RISC-V Advanced Interrupt Architecture" 1.0, chapter 4. How a domain delivers is fixed
// (`domaincfg.DM`), registers are little-endian (`BE` is 0).

import Core

public final class AdvancedInterruptController: Device {
    /// How interrupts get to harts.
    public enum Delivery {
        /// The external-interrupt wires of each hart, of machine and of supervisor level.
        case wires(machine: [InterruptLine], supervisor: [InterruptLine])
        /// Messages: address and data.
        case messages(@Sendable (UInt64, UInt32) -> Void)
    }

    /// The windows of the machine-level and of the supervisor-level domain.
    public let banks: [Bank]
    private var machine: InterruptDomain, supervisor: InterruptDomain
    private var levels: [UInt8]
    private let wires: [[InterruptLine]]
    private let send: (@Sendable (UInt64, UInt32) -> Void)?
    /// `mmsiaddrcfg` (low half) and `mmsiaddrcfgh`, and those of supervisor level.
    private var machineAddresses: UInt64 = 0, supervisorAddresses: UInt64 = 0

    private static let lock: UInt64 = 1 << 63
    private static let machineAddressMask: UInt64 = 0x9f77_ffff_ffff_ffff, supervisorAddressMask: UInt64 = 0x0070_0fff_ffff_ffff

    /// - Parameters:
    ///   - sources: the largest source number, up to 1,023.
    ///   - size: bytes of each window.
    public init(sources: Int, harts: Int, size: UInt64, delivery: Delivery) {
        let sources = min(max(sources, 1), 1023)
        switch delivery {
        case .wires(let machine, let supervisor): (wires, send) = ([machine, supervisor], nil)
        case .messages(let body): (wires, send) = ([], body)
        }
        let sendsMessages = wires.isEmpty
        machine = InterruptDomain(isMachine: true, sendsMessages: sendsMessages, sources: sources, harts: harts)
        supervisor = InterruptDomain(isMachine: false, sendsMessages: sendsMessages, sources: sources, harts: harts)
        levels = Array(repeating: 0, count: sources + 1)
        banks = [Bank("riscv.aplic.m", size: size, widths: 4 ... 4), Bank("riscv.aplic.s", size: size, widths: 4 ... 4)]
    }

    /// A wire into source `number`.
    public static func line(_ number: Int, into slot: DeviceSlot) -> InterruptLine {
        InterruptLine { [weak slot] isHigh in
            slot?.withDevice { ($0 as? AdvancedInterruptController)?.setLevel(number, isHigh) }
        }
    }

    /// The wire of source `number` is at `isHigh`.
    public func setLevel(_ number: Int, _ isHigh: Bool) {
        guard machine.isSource(number), level(of: number) != isHigh else { return }
        levels[number] = isHigh ? 1 : 0
        if machine.isDelegated(number) { supervisor.wireChanged(number, level: isHigh) } else { machine.wireChanged(number, level: isHigh) }
        update()
    }

    private func level(of number: Int) -> Bool { levels[number] != 0 }

    // MARK: delivery

    private func update() {
        if let send {
            deliver(&machine, send)
            deliver(&supervisor, send)
        } else {
            for (wire, level) in zip(wires[0], machine.levels()) { wire.set(level) }
            for (wire, level) in zip(wires[1], supervisor.levels()) { wire.set(level) }
        }
    }

    private func deliver(_ domain: inout InterruptDomain, _ send: (UInt64, UInt32) -> Void) {
        guard domain.isEnabled else { return }
        for number in domain.due {
            let target = domain.target[number]
            domain.taken(number)
            send(address(of: target, isMachine: domain.isMachine), target & 0x7ff)
        }
    }

    /// Where a message for a target goes ("Addresses and data for outgoing MSIs").
    private func address(of target: UInt32, isMachine: Bool) -> UInt64 {
        let fields = machineAddresses >> 32, own = isMachine ? machineAddresses : supervisorAddresses
        let lowWidth = fields >> 12 & 15, highWidth = fields >> 16 & 7, highShift = fields >> 24 & 31
        let lowShift = own >> 52 & 7, base = own & 0xfff_ffff_ffff
        let hart = UInt64(target >> 18)
        let group = hart >> lowWidth & (1 << highWidth - 1), number = hart & (1 << lowWidth - 1)
        return (base | group << (highShift + 12) | number << lowShift | UInt64(target >> 12 & 0x3f)) << 12
    }

    // MARK: registers

    private enum Register {
        static let domain: UInt64 = 0, sources: UInt64 = 4, sourcesEnd: UInt64 = 0x1000
        static let machineAddress: UInt64 = 0x1bc0, supervisorAddress: UInt64 = 0x1bc8
        static let setPending: UInt64 = 0x1c00, setPendingNumber: UInt64 = 0x1cdc, clearPending: UInt64 = 0x1d00, clearPendingNumber: UInt64 = 0x1ddc
        static let setEnable: UInt64 = 0x1e00, setEnableNumber: UInt64 = 0x1edc, clearEnable: UInt64 = 0x1f00, clearEnableNumber: UInt64 = 0x1fdc
        static let setPendingLittle: UInt64 = 0x2000, setPendingBig: UInt64 = 0x2004
        static let extempore: UInt64 = 0x3000, targets: UInt64 = 0x3004, delivery: UInt64 = 0x4000, deliveryStride: UInt64 = 32
        /// Bytes of an array of one bit for each source.
        static let arraySize: UInt64 = 0x80
    }

    /// Bits 8 (IE) and 2 (DM) of `domaincfg`, and what always reads so.
    private enum DomainConfiguration { static let constant: UInt32 = 0x8000_0000, enable: UInt32 = 1 << 8, messages: UInt32 = 1 << 2 }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        if bank == 0, let value = readAddresses(offset) { return value }
        if offset >= Register.delivery, send == nil { return UInt64(readDelivery(bank, offset)) }
        let domain = bank == 0 ? machine : supervisor
        switch offset {
        case Register.domain:
            return UInt64(DomainConfiguration.constant | (domain.isEnabled ? DomainConfiguration.enable : 0) | (send != nil ? DomainConfiguration.messages : 0))
        case Register.sources ..< Register.sourcesEnd:
            let number = Int(offset / 4)
            return domain.isSource(number) ? UInt64(domain.configuration[number]) : 0
        case Register.setPending ..< Register.setPending + Register.arraySize: return UInt64(Self.word(domain.pending, offset))
        case Register.setEnable ..< Register.setEnable + Register.arraySize: return UInt64(Self.word(domain.enabled, offset))
        case Register.clearPending ..< Register.clearPending + Register.arraySize:
            var value: UInt64 = 0
            for number in Self.numbers(offset, .max) where domain.isSource(number) && domain.isAsserted(number, level: level(of: number)) {
                value |= 1 << UInt64(number % 32)
            }
            return value
        case Register.extempore: return UInt64(domain.extempore)
        case Register.targets ..< Register.delivery:
            let number = Int((offset - Register.extempore) / 4)
            return domain.isSource(number) ? UInt64(domain.target[number]) : 0
        default: return 0
        }
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let value = UInt32(truncatingIfNeeded: value)
        if bank == 0 {
            writeAddresses(offset, value)
            change(&machine, offset, value)
            // What the machine's domain keeps is not the other's.
            for number in configured(offset) where !machine.isDelegated(number) { supervisor.configure(number, 0, level: false) }
        } else if configured(offset).allSatisfy({ machine.isDelegated($0) }) {
            change(&supervisor, offset, value)
        }
        update()
    }

    /// The source whose `sourcecfg` is at `offset`, if it is one.
    private func configured(_ offset: UInt64) -> [Int] {
        let number = Int(offset / 4)
        return offset < Register.sourcesEnd && machine.isSource(number) ? [number] : []
    }

    private func change(_ domain: inout InterruptDomain, _ offset: UInt64, _ value: UInt32) {
        let number = Int(value)
        switch offset {
        case Register.domain: domain.isEnabled = value & DomainConfiguration.enable != 0
        case Register.sources ..< Register.sourcesEnd:
            let number = Int(offset / 4)
            if domain.isSource(number) { domain.configure(number, value, level: level(of: number)) }
        case Register.setPending ..< Register.setPending + Register.arraySize: setPending(&domain, Self.numbers(offset, value), true)
        case Register.clearPending ..< Register.clearPending + Register.arraySize: setPending(&domain, Self.numbers(offset, value), false)
        case Register.setPendingNumber, Register.setPendingLittle: setPending(&domain, [number], true)
        case Register.setPendingBig: setPending(&domain, [Int(value.byteSwapped)], true)
        case Register.clearPendingNumber: setPending(&domain, [number], false)
        case Register.setEnable ..< Register.setEnable + Register.arraySize:
            for number in Self.numbers(offset, value) { domain.setEnabled(number, true) }
        case Register.clearEnable ..< Register.clearEnable + Register.arraySize:
            for number in Self.numbers(offset, value) { domain.setEnabled(number, false) }
        case Register.setEnableNumber: domain.setEnabled(number, true)
        case Register.clearEnableNumber: domain.setEnabled(number, false)
        case Register.extempore:
            guard let send else { return }
            domain.extempore = value & 0xfffc_07ff
            send(address(of: domain.extempore, isMachine: domain.isMachine), value & 0x7ff)
        case Register.targets ..< Register.delivery: domain.setTarget(Int((offset - Register.extempore) / 4), value)
        case Register.delivery...: writeDelivery(&domain, offset, value)
        default: return
        }
    }

    private func setPending(_ domain: inout InterruptDomain, _ numbers: [Int], _ value: Bool) {
        for number in numbers where domain.isSource(number) { domain.requestPending(number, value, level: level(of: number)) }
    }

    private static func word(_ bits: [UInt32], _ offset: UInt64) -> UInt32 {
        let word = Int(offset % 0x100 / 4)
        return bits.indices.contains(word) ? bits[word] : 0
    }

    /// The sources whose bits are set in word `offset` of an array.
    private static func numbers(_ offset: UInt64, _ bits: UInt32) -> [Int] {
        let first = Int(offset % 0x100 / 4) * 32
        return (0 ..< 32).filter { bits >> UInt32($0) & 1 != 0 }.map { first + $0 }
    }

    // MARK: addresses of messages, in the root domain

    private func readAddresses(_ offset: UInt64) -> UInt64? {
        guard send != nil else { return nil }
        switch offset {
        case Register.machineAddress: return machineAddresses & 0xffff_ffff
        case Register.machineAddress + 4: return machineAddresses >> 32
        case Register.supervisorAddress: return supervisorAddresses & 0xffff_ffff
        case Register.supervisorAddress + 4: return supervisorAddresses >> 32
        default: return nil
        }
    }

    private func writeAddresses(_ offset: UInt64, _ value: UInt32) {
        guard send != nil, machineAddresses & Self.lock == 0 else { return }
        func merged(_ old: UInt64) -> UInt64 { offset & 4 == 0 ? old & ~0xffff_ffff | UInt64(value) : old & 0xffff_ffff | UInt64(value) << 32 }
        switch offset {
        case Register.machineAddress, Register.machineAddress + 4: machineAddresses = merged(machineAddresses) & Self.machineAddressMask
        case Register.supervisorAddress, Register.supervisorAddress + 4: supervisorAddresses = merged(supervisorAddresses) & Self.supervisorAddressMask
        default: return
        }
    }

    // MARK: interrupt delivery control

    private enum Delivered { static let delivery: UInt64 = 0, force: UInt64 = 4, threshold: UInt64 = 8, top: UInt64 = 0x18, claim: UInt64 = 0x1c }

    private func readDelivery(_ bank: Int, _ offset: UInt64) -> UInt32 {
        let hart = Int((offset - Register.delivery) / Register.deliveryStride), register = (offset - Register.delivery) % Register.deliveryStride
        let domain = bank == 0 ? machine : supervisor
        guard domain.delivers.indices.contains(hart) else { return 0 }
        switch register {
        case Delivered.delivery: return domain.delivers[hart]
        case Delivered.force: return domain.forced[hart]
        case Delivered.threshold: return domain.threshold[hart]
        case Delivered.top: return domain.tops()[hart]
        case Delivered.claim:
            let top = domain.tops()[hart]
            if bank == 0 { machine.claim(hart, top) } else { supervisor.claim(hart, top) }
            update()
            return top
        default: return 0
        }
    }

    private func writeDelivery(_ domain: inout InterruptDomain, _ offset: UInt64, _ value: UInt32) {
        let hart = Int((offset - Register.delivery) / Register.deliveryStride)
        guard send == nil, domain.delivers.indices.contains(hart) else { return }
        switch (offset - Register.delivery) % Register.deliveryStride {
        case Delivered.delivery: domain.delivers[hart] = value & 1
        case Delivered.force: domain.forced[hart] = value & 1
        case Delivered.threshold: domain.threshold[hart] = value & InterruptDomain.priorityMask
        default: return
        }
    }

    // MARK: state

    public func reset() {
        let old = machine
        machine = InterruptDomain(isMachine: true, sendsMessages: old.sendsMessages, sources: old.sources, harts: old.delivers.count)
        supervisor = InterruptDomain(isMachine: false, sendsMessages: old.sendsMessages, sources: old.sources, harts: old.delivers.count)
        (machineAddresses, supervisorAddresses) = (0, 0)
        update()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("mmsiaddrcfg", &machineAddresses)
        try state.field("smsiaddrcfg", &supervisorAddresses)
        try state.field("levels", &levels)
        try machine.transfer(&state, "m.")
        try supervisor.transfer(&state, "s.")
        if state.isLoading { update() }
    }
}
