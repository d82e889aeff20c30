// The CSRs of Smaia and Ssaia: "RISC-V Advanced Interrupt Architecture" 1.0, chapter 2.

import Core

/// The level of an indirect register.
private enum IndirectLevel { case machine, supervisor, virtual }

extension ControlRegister {
    private static let word: UInt64 = 0xffff_ffff

    private static let hasMachine: @Sendable (Hart) -> Bool = { $0.configuration.hasSmaia }
    private static let hasVirtualEnable: @Sendable (Hart) -> Bool = { $0.configuration.hasSmaia && $0.configuration.hasSupervisor }
    private static let hasSupervisorLevel: @Sendable (Hart) -> Bool = { $0.configuration.hasSsaia && $0.configuration.hasSupervisor }
    private static let hasHypervisor: @Sendable (Hart) -> Bool = { $0.configuration.hasSsaia && $0.configuration.hasHypervisor }

    /// A register of 64 bits, of which RV32 shows the upper half as `high`.
    private static func wide(_ number: UInt16, _ high: UInt16, _ name: String, exists: @escaping @Sendable (Hart) -> Bool,
                             read: @escaping @Sendable (Hart) -> UInt64, write: @escaping @Sendable (Hart, UInt64) -> Void) -> [ControlRegister] {
        [ControlRegister(number, name, exists: exists, read: { read($0) & $0.xlen.mask }, write: { hart, value in
            write(hart, hart.xlen == .rv64 ? value : read(hart) & ~word | value)
        }), upper(high, name, exists: exists, read: read, write: write)]
    }

    /// The upper half, for RV32, of a register.
    private static func upper(_ number: UInt16, _ name: String, exists: @escaping @Sendable (Hart) -> Bool, check: (@Sendable (Hart) -> AccessDenial?)? = nil,
                              read: @escaping @Sendable (Hart) -> UInt64 = { _ in 0 }, write: @escaping @Sendable (Hart, UInt64) -> Void = { _, _ in }) -> ControlRegister {
        ControlRegister(number, name + "h", exists: { $0.xlen == .rv32 && exists($0) }, check: check, read: { read($0) >> 32 },
                        write: { hart, value in write(hart, read(hart) & word | value << 32) })
    }

    static let advancedInterrupts: [ControlRegister] = machineLevel + supervisorLevel + virtualLevel

    private static let machineLevel: [ControlRegister] = [
        ControlRegister(0x350, "miselect", exists: hasMachine, read: { $0.advanced.miselect }, write: { $0.advanced.miselect = $1 & AdvancedInterrupts.selectMask }),
        ControlRegister(0x351, "mireg", exists: hasMachine, check: { $0.indirectDenial(.machine) }, read: { $0.exchangeIndirect(.machine, 0, 0) }, exchange: { $0.exchangeIndirect(.machine, $1, $2) }),
        ControlRegister(0x35c, "mtopei", exists: { hasMachine($0) && $0.interruptFiles != nil }, read: { Hart.top($0.interruptFiles?.machine) }, exchange: { hart, _, _ in hart.claim(hart.interruptFiles?.machine) }),
        ControlRegister(0xfb0, "mtopi", exists: hasMachine, read: { $0.machineTop?.top ?? 0 }),
        upper(0x313, "mideleg", exists: hasVirtualEnable), upper(0x314, "mie", exists: hasMachine), upper(0x354, "mip", exists: hasMachine),
    ] + wide(0x308, 0x318, "mvien", exists: hasVirtualEnable, read: { $0.advanced.mvien }, write: { $0.writeMachineVirtualEnable($1) })
        + wide(0x309, 0x319, "mvip", exists: hasVirtualEnable, read: { $0.machineVirtualPending }, write: { $0.writeMachineVirtualPending($1) })

    private static let supervisorLevel: [ControlRegister] = [
        ControlRegister(0x150, "siselect", exists: hasSupervisorLevel, read: { $0.advanced.siselect }, write: { $0.advanced.siselect = $1 & AdvancedInterrupts.selectMask }),
        ControlRegister(0x151, "sireg", exists: hasSupervisorLevel, check: { $0.indirectDenial(.supervisor) }, read: { $0.exchangeIndirect(.supervisor, 0, 0) }, exchange: { $0.exchangeIndirect(.supervisor, $1, $2) }),
        ControlRegister(0x15c, "stopei", exists: hasSupervisorLevel, check: { $0.topDenial }, read: { Hart.top($0.interruptFiles?.supervisor) }, exchange: { hart, _, _ in hart.claim(hart.interruptFiles?.supervisor) }),
        ControlRegister(0xdb0, "stopi", exists: hasSupervisorLevel, read: { $0.supervisorTop?.top ?? 0 }),
        upper(0x114, "sie", exists: hasSupervisorLevel, check: { $0.stateDenial(0x114) }, read: { $0.supervisorEnable }, write: { $0.writeSupervisorEnable($1) }),
        upper(0x154, "sip", exists: hasSupervisorLevel, check: { $0.stateDenial(0x154) }, read: { $0.supervisorPending }, write: { $0.writeSupervisorPending($1) }),
    ]

    private static let virtualLevel: [ControlRegister] = [
        ControlRegister(0x609, "hvictl", exists: hasHypervisor, read: { $0.advanced.hvictl }, write: { hart, value in
            hart.advanced.hvictl = value & AdvancedInterrupts.controlMask
            hart.noteInterrupts()
        }),
        ControlRegister(0x250, "vsiselect", exists: hasHypervisor, read: { $0.advanced.vsiselect }, write: { $0.advanced.vsiselect = $1 & AdvancedInterrupts.selectMask }),
        ControlRegister(0x251, "vsireg", exists: hasHypervisor, check: { $0.indirectDenial(.virtual) }, read: { $0.exchangeIndirect(.virtual, 0, 0) }, exchange: { $0.exchangeIndirect(.virtual, $1, $2) }),
        ControlRegister(0x25c, "vstopei", exists: hasHypervisor, check: { $0.virtualTopDenial }, read: { Hart.top($0.guestFile) }, exchange: { hart, _, _ in hart.claim(hart.guestFile) }),
        ControlRegister(0xeb0, "vstopi", exists: hasHypervisor, read: { $0.virtualTopValue }),
        upper(0x613, "hideleg", exists: hasHypervisor),
        upper(0x655, "hvip", exists: hasHypervisor, read: { $0.virtualPendingBits }, write: { $0.writeVirtualPendingBits($1) }),
        upper(0x214, "vsie", exists: hasHypervisor, check: { $0.virtualTrapDenial }, read: { $0.virtualSupervisorEnable }, write: { $0.writeVirtualSupervisorEnable($1) }),
        upper(0x254, "vsip", exists: hasHypervisor, check: { $0.virtualTrapDenial }, read: { $0.virtualSupervisorPending }, write: { $0.writeVirtualSupervisorPending($1) }),
    ] + wide(0x608, 0x618, "hvien", exists: hasHypervisor, read: { $0.advanced.hvien }, write: { hart, value in
        hart.advanced.hvien = value & AdvancedInterrupts.local
        hart.noteInterrupts()
    }) + wide(0x646, 0x656, "hviprio1", exists: hasHypervisor, read: { $0.virtualPriorities(Hart.firstPriorities) }, write: { $0.setVirtualPriorities(Hart.firstPriorities, $1) })
        + wide(0x647, 0x657, "hviprio2", exists: hasHypervisor, read: { $0.virtualPriorities(Hart.secondPriorities) }, write: { $0.setVirtualPriorities(Hart.secondPriorities, $1) })
}

extension Hart {
    // MARK: hvip and priorities of virtual supervisors

    /// `hvip`
    var virtualPendingBits: UInt64 { softwareBits & VirtualInterrupts.all | advanced.hvip }

    func writeVirtualPendingBits(_ value: UInt64) {
        if configuration.hasSsaia { advanced.hvip = value & AdvancedInterrupts.local }
        setSoftwareBits(VirtualInterrupts.all, value)
    }

    /// The interrupts of the bytes of `hviprio1` and `hviprio2`; nil: none, reads as 0.
    fileprivate static let firstPriorities: [Int?] = [nil, 1, nil, 5, nil, 13, 14, 15], secondPriorities: [Int?] = Array(16 ... 23)

    fileprivate func virtualPriorities(_ numbers: [Int?]) -> UInt64 {
        numbers.enumerated().reduce(0) { $0 | UInt64($1.element.map { advanced.virtualPriorities[$0] } ?? 0) << UInt64($1.offset * 8) }
    }

    fileprivate func setVirtualPriorities(_ numbers: [Int?], _ value: UInt64) {
        for (place, number) in numbers.enumerated() { if let number { advanced.virtualPriorities[number] = UInt8(truncatingIfNeeded: value >> UInt64(place * 8)) } }
        noteInterrupts()
    }

    // MARK: who may access what

    /// `sip`, `sie` and their upper halves of a virtual machine whose hypervisor makes up its interrupts.
    var virtualTrapDenial: AccessDenial? {
        hypervisor.isVirtual && advanced.hvictl & AdvancedInterrupts.virtualTrap != 0 ? .virtual : nil
    }

    /// `stopei` and the registers of the supervisor's interrupt file are the machine's while `mvien` filters external interrupts.
    private var isFileWithheld: Bool { privilege == .supervisor && advanced.mvien & 1 << 9 != 0 }

    fileprivate var topDenial: AccessDenial? { interruptFiles == nil || isFileWithheld ? .illegal : stateDenial(0x15c) }
    fileprivate var virtualTopDenial: AccessDenial? {
        if interruptFiles != nil, let denial = stateDenial(hypervisor.isVirtual ? 0x15c : 0x25c) { return denial }
        return guestFile == nil ? (hypervisor.isVirtual ? .virtual : .illegal) : nil
    }

    fileprivate func indirectDenial(_ level: IndirectLevel) -> AccessDenial? {
        let select = level == .machine ? advanced.miselect : level == .supervisor ? advanced.siselect : advanced.vsiselect
        if level != .machine, let denial = stateDenial(level == .supervisor || hypervisor.isVirtual ? 0x151 : 0x251) { return denial }
        let isVirtual = level == .virtual && hypervisor.isVirtual
        let inaccessible: AccessDenial = isVirtual ? .virtual : .illegal
        switch select {
        case 0x30 ... 0x3f:
            if level == .virtual { return inaccessible }
            if level == .supervisor, let denial = indirectStateDenial(StateEnable.advancedInterrupts) { return denial }
            return xlen == .rv64 && select & 1 != 0 ? .illegal : nil
        case 0x70 ... 0xff:
            if level != .machine, interruptFiles != nil, let denial = indirectStateDenial(StateEnable.interruptFiles) { return denial }
            if level == .supervisor, isFileWithheld { return .illegal }
            if file(level) == nil { return inaccessible }
            return xlen == .rv64 && select >= 0x80 && select & 1 != 0 ? inaccessible : nil
        default: return .illegal
        }
    }

    // MARK: indirect registers

    private func file(_ level: IndirectLevel) -> (any MessageInterruptFile)? {
        switch level {
        case .machine: interruptFiles?.machine
        case .supervisor: interruptFiles?.supervisor
        case .virtual: guestFile
        }
    }

    fileprivate func exchangeIndirect(_ level: IndirectLevel, _ clear: UInt64, _ set: UInt64) -> UInt64 {
        defer { if clear | set != 0 { noteInterrupts() } }
        switch level {
        case .machine where advanced.miselect < 0x40: return exchangePriorities(\.machinePriorities, advanced.miselect, machinePriorityMask, clear, set)
        case .supervisor where advanced.siselect < 0x40: return exchangePriorities(\.supervisorPriorities, advanced.siselect, supervisorPriorityMask, clear, set)
        case .machine: return file(level)?.exchange(Int(advanced.miselect), clear: clear, set: set, bits: xlen.bits) ?? 0
        case .supervisor: return file(level)?.exchange(Int(advanced.siselect), clear: clear, set: set, bits: xlen.bits) ?? 0
        case .virtual: return file(level)?.exchange(Int(advanced.vsiselect), clear: clear, set: set, bits: xlen.bits) ?? 0
        }
    }

    /// The interrupts whose priorities can be set: those that can be enabled, but for the level's own external one.
    private var machinePriorityMask: UInt64 { Self.machineInterrupts & ~(1 << 11) | (configuration.hasSupervisor ? supervisorInterrupts : 0) }
    private var supervisorPriorityMask: UInt64 {
        1 << 1 | 1 << 5 | (configuration.hasHypervisor ? VirtualInterrupts.delegated : 0) | (configuration.hasSmaia ? AdvancedInterrupts.local : 0)
    }

    /// `iprio`: a byte for each interrupt.
    private func exchangePriorities(_ level: WritableKeyPath<AdvancedInterrupts, [UInt8]>, _ select: UInt64, _ mask: UInt64, _ clear: UInt64, _ set: UInt64) -> UInt64 {
        let first = Int(select & 15) * 4
        var old: UInt64 = 0, bytes = advanced[keyPath: level]
        for place in 0 ..< xlen.bytes where bytes.indices.contains(first + place) {
            let number = first + place, shift = UInt64(place * 8), byte = bytes[number]
            old |= UInt64(byte) << shift
            if mask >> UInt64(number) & 1 != 0 { bytes[number] = byte & ~UInt8(truncatingIfNeeded: clear >> shift) | UInt8(truncatingIfNeeded: set >> shift) }
        }
        advanced[keyPath: level] = bytes
        return old
    }

    /// `mtopei`, `stopei`, `vstopei`: identity and priority, which are the same.
    fileprivate static func top(_ file: (any MessageInterruptFile)?) -> UInt64 { UInt64(file?.top ?? 0) * 0x1_0001 }

    /// Any write to such a register claims what it shows.
    fileprivate func claim(_ file: (any MessageInterruptFile)?) -> UInt64 {
        defer { noteInterrupts() }
        return UInt64(file?.claim() ?? 0) * 0x1_0001
    }
}
