// "Smstateen" and "Ssstateen": which state lower modes may use. Of the state that the bits stand for, a hart has `senvcfg` and
// `henvcfg` (bit 62), and the registers of the next mode themselves (bit 63), `hedelegh` (bit 56).

import Translation

/// The registers of one hart.
struct StateEnable {
    static let environment: UInt64 = 1 << 62, lower: UInt64 = 1 << 63
    /// P1P13: `hedelegh`, which RV32 has.
    static let delegation: UInt64 = 1 << 56
    static let count = 4

    var machine = [UInt64](repeating: 0, count: Self.count)
    var hypervisor = [UInt64](repeating: 0, count: Self.count)

    static func mask(_ number: Int) -> UInt64 { number == 0 ? environment | lower : lower }
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
        default: return nil
        }
        if stateEnable.machine[register] & bit == 0 { return .illegal }
        if !isHypervisors, hypervisor.isVirtual, stateEnable.hypervisor[register] & bit == 0 { return .virtual }
        return nil
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
                hart.stateEnable.machine[number] = (hart.xlen == .rv64 ? value : old & ~word | value) & machineMask
            }),
            ControlRegister(0x31c + offset, "mstateen\(number)h", exists: { $0.xlen == .rv32 && isThere($0) }, read: { $0.stateEnable.machine[number] >> 32 },
                            write: { hart, value in
                hart.stateEnable.machine[number] = (hart.stateEnable.machine[number] & word | value << 32) & machineMask
            }),
            ControlRegister(0x60c + offset, "hstateen\(number)", exists: hasHypervisors, read: { given($0) & $0.xlen.mask }, write: { hart, value in
                let old = hart.stateEnable.hypervisor[number], writable = mask & hart.stateEnable.machine[number]
                hart.stateEnable.hypervisor[number] = (hart.xlen == .rv64 ? value : old & ~word | value) & writable
            }),
            ControlRegister(0x61c + offset, "hstateen\(number)h", exists: { $0.xlen == .rv32 && hasHypervisors($0) }, read: { given($0) >> 32 }, write: { hart, value in
                let writable = mask & hart.stateEnable.machine[number]
                hart.stateEnable.hypervisor[number] = (hart.stateEnable.hypervisor[number] & word | value << 32) & writable
            }),
            ControlRegister(0x10c + offset, "sstateen\(number)", exists: { isThere($0) && $0.configuration.hasSupervisor }, read: { _ in 0 }, write: { _, _ in }),
        ]
    }
}
