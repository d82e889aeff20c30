// "Smstateen" and "Ssstateen": which state lower modes may use. Of the state that the bits stand for, a hart has `senvcfg` and
// `henvcfg` (bit 62), and the registers of the next mode themselves (bit 63), `hedelegh` (bit 56).

import Translation

/// The registers of one hart.
struct StateEnable {
    static let environment: UInt64 = 1 << 62, lower: UInt64 = 1 << 63
    /// P1P13: `hedelegh`, which RV32 has.
    static let delegation: UInt64 = 1 << 56
    /// CSRIND, AIA and IMSIC: what the Advanced Interrupt Architecture adds.
    static let indirect: UInt64 = 1 << 60, advancedInterrupts: UInt64 = 1 << 59, interruptFiles: UInt64 = 1 << 58
    static let count = 4

    var machine = [UInt64](repeating: 0, count: Self.count)
    var hypervisor = [UInt64](repeating: 0, count: Self.count)

    static func mask(_ number: Int) -> UInt64 { number == 0 ? environment | lower : lower }

    /// The bits of registers 0 that only some harts have.
    static func optional(_ number: Int, _ hart: Hart) -> UInt64 {
        guard number == 0, hart.configuration.hasSsaia else { return 0 }
        return indirect | advancedInterrupts | (hart.interruptFiles == nil ? 0 : interruptFiles)
    }
}

extension Hart {
    /// Why the mode may not have CSR `number`, by the state-enable registers.
    func stateDenial(_ number: UInt16) -> AccessDenial? {
        guard configuration.hasSmstateen, privilege != .machine else { return nil }
        let index = Int(number & 3)
        let bit: UInt64, isHypervisors: Bool, register: Int
        switch number {
        case 0x10a: (bit, isHypervisors, register) = (StateEnable.environment, false, 0)
        case 0x60a, 0x61a: (bit, isHypervisors, register) = (StateEnable.environment, true, 0)
        case 0x612: (bit, isHypervisors, register) = (StateEnable.delegation, true, 0)
        case 0x10c ... 0x10f: (bit, isHypervisors, register) = (StateEnable.lower, false, index)
        case 0x60c ... 0x60f, 0x61c ... 0x61f: (bit, isHypervisors, register) = (StateEnable.lower, true, index)
        default:
            guard configuration.hasSsaia, let (own, isOthers) = Self.advancedBit(number) else { return nil }
            (bit, isHypervisors, register) = (own, isOthers, 0)
        }
        if stateEnable.machine[register] & bit == 0 { return .illegal }
        if !isHypervisors, hypervisor.isVirtual, stateEnable.hypervisor[register] & bit == 0 { return .virtual }
        return nil
    }
}

extension Hart {
    /// The bit for a CSR of the Advanced Interrupt Architecture, and whether the register is a hypervisor's.
    private static func advancedBit(_ number: UInt16) -> (UInt64, Bool)? {
        switch number {
        case 0x150, 0x151: (StateEnable.indirect, false)
        case 0x250, 0x251: (StateEnable.indirect, true)
        case 0x15c: (StateEnable.interruptFiles, false)
        case 0x25c: (StateEnable.interruptFiles, true)
        case 0x114, 0x154, 0xdb0: (StateEnable.advancedInterrupts, false)
        case 0x214, 0x254, 0xeb0, 0x608, 0x609, 0x613, 0x618, 0x646, 0x647, 0x655 ... 0x657: (StateEnable.advancedInterrupts, true)
        default: nil
        }
    }

    /// Why the mode may not have what an indirect register means.
    func indirectStateDenial(_ bit: UInt64) -> AccessDenial? {
        guard configuration.hasSmstateen, privilege != .machine else { return nil }
        if stateEnable.machine[0] & bit == 0 { return .illegal }
        return hypervisor.isVirtual && stateEnable.hypervisor[0] & bit == 0 ? .virtual : nil
    }
}

extension ControlRegister {
    private static let word: UInt64 = 0xffff_ffff

    static let stateEnable: [ControlRegister] = (0 ..< StateEnable.count).flatMap { number in
        let offset = UInt16(number), mask = StateEnable.mask(number), machineMask = mask | (number == 0 ? StateEnable.delegation : 0)
        let isThere: @Sendable (Hart) -> Bool = { $0.configuration.hasSmstateen }
        let hasHypervisors: @Sendable (Hart) -> Bool = { $0.configuration.hasSmstateen && $0.configuration.hasHypervisor }
        // What machine mode withholds from lower ones reads as 0 there.
        let given: @Sendable (Hart) -> UInt64 = { $0.stateEnable.hypervisor[number] & $0.stateEnable.machine[number] }
        return [
            ControlRegister(0x30c + offset, "mstateen\(number)", exists: isThere, read: { $0.stateEnable.machine[number] & $0.xlen.mask }, write: { hart, value in
                let old = hart.stateEnable.machine[number]
                hart.stateEnable.machine[number] = (hart.xlen == .rv64 ? value : old & ~word | value) & (machineMask | StateEnable.optional(number, hart))
            }),
            ControlRegister(0x31c + offset, "mstateen\(number)h", exists: { $0.xlen == .rv32 && isThere($0) }, read: { $0.stateEnable.machine[number] >> 32 },
                            write: { hart, value in
                hart.stateEnable.machine[number] = (hart.stateEnable.machine[number] & word | value << 32) & (machineMask | StateEnable.optional(number, hart))
            }),
            ControlRegister(0x60c + offset, "hstateen\(number)", exists: hasHypervisors, read: { given($0) & $0.xlen.mask }, write: { hart, value in
                let old = hart.stateEnable.hypervisor[number], writable = (mask | StateEnable.optional(number, hart)) & hart.stateEnable.machine[number]
                hart.stateEnable.hypervisor[number] = (hart.xlen == .rv64 ? value : old & ~word | value) & writable
            }),
            ControlRegister(0x61c + offset, "hstateen\(number)h", exists: { $0.xlen == .rv32 && hasHypervisors($0) }, read: { given($0) >> 32 }, write: { hart, value in
                let writable = (mask | StateEnable.optional(number, hart)) & hart.stateEnable.machine[number]
                hart.stateEnable.hypervisor[number] = (hart.stateEnable.hypervisor[number] & word | value << 32) & writable
            }),
            ControlRegister(0x10c + offset, "sstateen\(number)", exists: { isThere($0) && $0.configuration.hasSupervisor }, read: { _ in 0 }, write: { _, _ in }),
        ]
    }
}
