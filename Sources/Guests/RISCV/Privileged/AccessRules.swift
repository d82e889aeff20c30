// Who may access which control register: "CSR Access", the counter-enable and environment-configuration registers, and what the
// hypervisor extension makes of them for virtual machines.

import Translation

/// What an access that is not allowed raises.
enum AccessDenial { case illegal, virtual }

extension Hart {
    /// The register that an instruction means by `number`, or why it may not have it.
    func register(_ number: UInt16, isWritten: Bool) -> (ControlRegister?, AccessDenial?) {
        let isVirtual = hypervisor.isVirtual
        guard let named = ControlRegister.table[Int(number & 0xfff)], named.exists(self), !(isWritten && named.isReadOnly) else { return (nil, .illegal) }
        switch named.privilege {
        case 0: break
        case 1:
            if privilege == .user { return (nil, virtualDenial(number)) }
        case 2:
            // Registers of hypervisors and of virtual supervisors.
            if isVirtual { return (nil, virtualDenial(number)) }
            if privilege == .user { return (nil, .illegal) }
        default:
            if privilege != .machine { return (nil, .illegal) }
        }
        var register = named
        if isVirtual {
            let other = ControlRegister.virtual(number)
            if other != number {
                guard let replacement = ControlRegister.table[Int(other)], replacement.exists(self) else { return (nil, .illegal) }
                register = replacement
            }
        }
        // A virtual machine whose hypervisor makes up its interrupts must not clear one by its timer.
        if isWritten, register.number == 0x24d || register.number == 0x25d, let denial = virtualTrapDenial { return (nil, denial) }
        if let denial = register.check?(self) ?? stateDenial(number) { return (nil, denial) }
        return (register, nil)
    }

    /// What a mode raises that is not the register's: to virtual machines, virtual instruction where HS mode would be let have it.
    private func virtualDenial(_ number: UInt16) -> AccessDenial {
        hypervisor.isVirtual && stateDenial(number) != .illegal ? .virtual : .illegal
    }

    /// Whether counter `number` may not be read in the current mode.
    func counterDenial(_ number: UInt64) -> AccessDenial? {
        if privilege == .machine { return nil }
        let bit: UInt64 = 1 << number
        if mcounteren & bit == 0 { return .illegal }
        if hypervisor.isVirtual, hypervisor.hcounteren & bit == 0 { return .virtual }
        if privilege == .user, configuration.hasSupervisor, scounteren & bit == 0 { return hypervisor.isVirtual ? .virtual : .illegal }
        return nil
    }

    /// Whether `stimecmp` or `vstimecmp` may not be accessed: all but machine mode need the timer's own bit and that of `time`.
    var timerDenial: AccessDenial? {
        if privilege == .machine { return nil }
        if !usesStimecmp || mcounteren & 2 == 0 { return .illegal }
        if hypervisor.isVirtual, !usesVirtualTimer || hypervisor.hcounteren & 2 == 0 { return .virtual }
        return nil
    }

    /// The counters that the counter-enable registers have bits for.
    var counterMask: UInt64 { (1 << UInt64(min(3 + max(configuration.hartCounters, 0), 32))) - 1 }
}
