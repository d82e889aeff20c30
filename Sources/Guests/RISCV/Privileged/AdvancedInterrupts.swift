// Smaia and Ssaia: what is pending for machine, supervisor and virtual supervisor level when interrupts can be virtual and have
// priorities. "RISC-V Advanced Interrupt Architecture" 1.0, chapters 2, 5 and 6. Major interrupts 16 to 63 are virtual only:
// `mip` and `mie` have none of them. An APLIC or PLIC does not tell the hart its interrupt's priority: it counts as 256.

import Core

/// The state of one hart.
struct AdvancedInterrupts {
    /// The interrupts of which `mvien` has a bit: those of software and external ones, and all local ones.
    static let local: UInt64 = ~0xffff
    static let virtualizable: UInt64 = local | 1 << 1 | 1 << 9
    /// VTI, IID, DPR, IPRIOM and IPRIO of `hvictl`.
    static let controlMask: UInt64 = virtualTrap | 0xfff << 16 | 0x3ff
    static let virtualTrap: UInt64 = 1 << 30, lowerRank: UInt64 = 1 << 9, showsPriority: UInt64 = 1 << 8
    /// `miselect`, `siselect` and `vsiselect` keep the numbers that there may be registers for.
    static let selectMask: UInt64 = 0x1ff

    var mvien: UInt64 = 0
    /// Bits 16 and up, and bit 1 where `mvien` makes it one of its own; bit 9 is the software-writable SEIP of `mip`.
    var mvip: UInt64 = 0
    /// The bits of `sie` that are not those of `mie`.
    var sie: UInt64 = 0
    var hvien: UInt64 = 0, hvip: UInt64 = 0, vsie: UInt64 = 0
    var hvictl: UInt64 = 0
    var miselect: UInt64 = 0, siselect: UInt64 = 0, vsiselect: UInt64 = 0
    var machinePriorities = [UInt8](repeating: 0, count: 64), supervisorPriorities = [UInt8](repeating: 0, count: 64)
    /// `hviprio1` and `hviprio2`.
    var virtualPriorities = [UInt8](repeating: 0, count: 64)
}

/// The interrupt files of one hart.
public struct HartInterruptFiles: Sendable {
    public var machine: any MessageInterruptFile
    public var supervisor: any MessageInterruptFile
    /// Those of guests 1, 2 …
    public var guests: [any MessageInterruptFile]
    public init(machine: any MessageInterruptFile, supervisor: any MessageInterruptFile, guests: [any MessageInterruptFile]) {
        self.machine = machine
        self.supervisor = supervisor
        self.guests = guests
    }
}

extension Hart {
    var hasAdvancedInterrupts: Bool { configuration.hasSmaia || configuration.hasSsaia }

    /// The file that `hstatus.VGEIN` selects.
    var guestFile: (any MessageInterruptFile)? {
        let number = Int(hypervisor.hstatus >> HStatus.vgeinShift & 0x3f)
        guard number > 0, let guests = interruptFiles?.guests, guests.indices.contains(number - 1) else { return nil }
        return guests[number - 1]
    }

    // MARK: sip, sie, vsip, vsie

    /// The interrupts that `mvien` gives to supervisor level.
    private var given: UInt64 { advanced.mvien & ~mideleg }

    /// `mvip`
    var machineVirtualPending: UInt64 {
        var bits = advanced.mvip & AdvancedInterrupts.local | softwareBits & 1 << 9
        bits |= (advanced.mvien & 2 != 0 ? advanced.mvip : softwareBits) & 2
        if !usesStimecmp { bits |= softwareBits & 1 << 5 }
        return bits
    }

    func writeMachineVirtualPending(_ value: UInt64) {
        let own = AdvancedInterrupts.local | advanced.mvien & 2
        advanced.mvip = advanced.mvip & ~own | value & own
        setSoftwareBits(1 << 9 | (advanced.mvien & 2 == 0 ? 2 : 0) | (usesStimecmp ? 0 : 1 << 5), value)
    }

    func writeMachineVirtualEnable(_ value: UInt64) {
        advanced.mvien = value & AdvancedInterrupts.virtualizable
        noteInterrupts()
    }

    /// `sip`
    var supervisorPending: UInt64 {
        let own = mip & mideleg & supervisorInterrupts
        return hasAdvancedInterrupts ? own | machineVirtualPending & given : own
    }

    func writeSupervisorPending(_ value: UInt64) {
        let writable = given & (AdvancedInterrupts.local | 2)
        advanced.mvip = advanced.mvip & ~writable | value & writable
        setSoftwareBits((2 | localInterrupts) & mideleg, value)
    }

    /// `sie`
    var supervisorEnable: UInt64 { mie & mideleg & supervisorInterrupts | advanced.sie & given }

    func writeSupervisorEnable(_ value: UInt64) {
        advanced.sie = advanced.sie & ~given | value & given
        setEnables(value, mideleg & supervisorInterrupts)
    }

    private var virtualGiven: UInt64 { advanced.hvien & ~hypervisor.hideleg }

    /// `vsip`
    var virtualSupervisorPending: UInt64 {
        (mip & hypervisor.hideleg & VirtualInterrupts.all) >> 1 | advanced.hvip & virtualGiven
    }

    func writeVirtualSupervisorPending(_ value: UInt64) {
        advanced.hvip = advanced.hvip & ~virtualGiven | value & virtualGiven
        setSoftwareBits(VirtualInterrupts.software & hypervisor.hideleg, value << 1)
    }

    /// `vsie`
    var virtualSupervisorEnable: UInt64 {
        (mie & hypervisor.hideleg & VirtualInterrupts.all) >> 1 | advanced.vsie & virtualGiven
    }

    func writeVirtualSupervisorEnable(_ value: UInt64) {
        advanced.vsie = advanced.vsie & ~virtualGiven | value & virtualGiven
        setEnables(value << 1, hypervisor.hideleg & VirtualInterrupts.all)
    }

    // MARK: the first interrupt of each level

    /// What `mtopi` shows.
    var machineTop: RankedInterrupt? {
        let pending = mip & mie & ~mideleg
        guard pending != 0 else { return nil }
        return InterruptPriorities.first(pending, advanced.machinePriorities, external: 11) { Self.priority(interruptFiles?.machine) }
    }

    /// What `stopi` shows.
    var supervisorTop: RankedInterrupt? {
        let pending = mip & mie & mideleg & ~hypervisor.hideleg | machineVirtualPending & given & advanced.sie
        guard pending != 0 else { return nil }
        return InterruptPriorities.first(pending, advanced.supervisorPriorities, external: 9) {
            wireBits & 1 << 9 != 0 ? Self.priority(interruptFiles?.supervisor) : 256
        }
    }

    private static func priority(_ file: (any MessageInterruptFile)?) -> Int {
        let top = file?.top ?? 0
        return top == 0 ? 256 : top
    }

    /// What `vstopi` shows.
    var virtualTop: RankedInterrupt? {
        let pending = virtualSupervisorPending & virtualSupervisorEnable, external: UInt64 = 1 << 9, control = advanced.hvictl
        let named = control >> 16 & 0xfff, number = Int(control & 0xff), isTrapping = control & AdvancedInterrupts.virtualTrap != 0
        guard pending != 0 || isTrapping else { return nil }
        var best: RankedInterrupt?
        if pending & external != 0 {
            var priority = 256
            if let file = guestFile { priority = Self.priority(file) } else if hypervisor.hstatus & HStatus.vgein == 0, named == 9, number != 0 { priority = number }
            best = RankedInterrupt(number: 9, priority: priority, rank: 0, isExternal: true)
        }
        if !isTrapping {
            let other = InterruptPriorities.first(pending & ~external, advanced.virtualPriorities, external: 9) { 256 }
            best = RankedInterrupt.first(best, other)
        } else if named != 9 {
            let rank = control & AdvancedInterrupts.lowerRank != 0 ? 1 : -1
            best = RankedInterrupt.first(best, RankedInterrupt(number: named, priority: number, rank: rank, isExternal: false))
        }
        return best
    }

    /// `vstopi`
    var virtualTopValue: UInt64 {
        guard let top = virtualTop else { return 0 }
        return advanced.hvictl & AdvancedInterrupts.showsPriority != 0 ? top.top : top.number << 16 | 1
    }

    /// The interrupt that would be taken now, and by which mode; to virtual supervisors by the number that they know it by.
    func advancedPendingInterrupt() -> (number: UInt64, target: TrapTarget)? {
        if privilege != .machine || mstatus & MStatus.mie != 0, let top = machineTop { return (top.number, .machine) }
        guard privilege != .machine else { return nil }
        let isVirtual = hypervisor.isVirtual
        if isVirtual || privilege == .user || mstatus & MStatus.sie != 0, let top = supervisorTop { return (top.number, .supervisor) }
        if isVirtual, privilege == .user || hypervisor.vsstatus & MStatus.sie != 0, let top = virtualTop { return (top.number, .virtualSupervisor) }
        return nil
    }

    /// Whether something is pending for any level: WFI ends.
    var hasPendingInterrupt: Bool {
        lines.hasNMI || (hasAdvancedInterrupts ? machineTop != nil || supervisorTop != nil || virtualTop != nil : mip & mie != 0)
    }
}
