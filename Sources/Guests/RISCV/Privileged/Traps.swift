// "Trap Entry/Exit" of both manuals' privileged parts: which mode takes a trap, what it finds in its registers, and the way back.

import Translation

/// Where a trap goes.
enum TrapTarget { case machine, supervisor, virtualSupervisor }

extension Hart {
    // MARK: interrupts

    /// The interrupt that would be taken now, and by which mode.
    func pendingInterrupt() -> (number: UInt64, target: TrapTarget)? {
        guard !masksAllInterrupts else { return nil }
        if hasAdvancedInterrupts { return advancedPendingInterrupt() }
        let pending = mip & mie
        guard pending != 0 else { return nil }
        let isVirtual = hypervisor.isVirtual
        if privilege != .machine || mstatus & MStatus.mie != 0, let number = Self.first(pending & ~mideleg) { return (number, .machine) }
        guard privilege != .machine else { return nil }
        let delegated = pending & mideleg
        if isVirtual || privilege == .user || mstatus & MStatus.sie != 0, let number = Self.first(delegated & ~hypervisor.hideleg) { return (number, .supervisor) }
        if isVirtual, privilege == .user || hypervisor.vsstatus & MStatus.sie != 0, let number = Self.first(delegated & hypervisor.hideleg) {
            // A virtual machine knows its interrupts by the numbers of supervisor mode.
            return (VirtualInterrupts.all >> number & 1 != 0 ? number - 1 : number, .virtualSupervisor)
        }
        return nil
    }

    /// By "Machine Interrupt Registers": external before software before timer, machine before supervisor before virtual machine.
    private static func first(_ pending: UInt64) -> UInt64? {
        guard pending != 0 else { return nil }
        for number: UInt64 in [11, 3, 7, 9, 1, 5, 12, 10, 2, 6, 13] where pending & 1 << number != 0 { return number }
        return UInt64(pending.trailingZeroBitCount)
    }

    /// Something of what decides on interrupts has changed on this thread.
    func noteInterrupts() { if lines.hasNMI || pendingInterrupt() != nil { wakeUp() } }

    func takeInterrupt() -> Bool {
        takeOverflows()
        if takeNMI() { return true }
        guard let (number, target) = pendingInterrupt() else { return false }
        enter(target, cause: number, isInterrupt: true, RecordedException())
        return true
    }

    // MARK: exceptions

    /// Takes an exception.
    func trap(_ exception: RecordedException) {
        let number = exception.cause.rawValue
        var target = TrapTarget.machine
        if privilege != .machine, medeleg >> number & 1 != 0 {
            target = hypervisor.isVirtual && hypervisor.hedeleg >> number & 1 != 0 ? .virtualSupervisor : .supervisor
        }
        enter(target, cause: number, isInterrupt: false, exception)
    }

    private func enter(_ target: TrapTarget, cause number: UInt64, isInterrupt: Bool, _ exception: RecordedException) {
        let top: UInt64 = isInterrupt ? 1 << UInt64(xlen.bits - 1) : 0
        let pc = self.pc & xlen.mask, value = exception.value & xlen.mask
        let isVirtual = hypervisor.isVirtual
        if let log, log.items.contains(.interrupts) { log.write(describeTrap(number, isInterrupt: isInterrupt, pc: pc, value: value)) }
        let isUnderNMI = privilege == .machine && masksAllInterrupts
        let vector: UInt64
        switch target {
        case .machine:
            (mepc, mcause, mtval) = (pc, number | top, value)
            var status = mstatus & ~(MStatus.mpie | MStatus.mpp | MStatus.mpv | MStatus.gva | MStatus.mie)
            if mstatus & MStatus.mie != 0 { status |= MStatus.mpie }
            status |= privilege.rawValue << MStatus.mppShift
            if isVirtual { status |= MStatus.mpv }
            if exception.isGuest { status |= MStatus.gva }
            mstatus = status
            hypervisor.mtval2 = exception.guestAddress
            hypervisor.mtinst = exception.instruction ?? 0
            privilege = .machine
            hypervisor.isVirtual = false
            vector = isUnderNMI ? configuration.nmiExceptionVector : mtvec
        case .supervisor:
            (sepc, scause, stval) = (pc, number | top, value)
            mstatus = Self.entered(mstatus, from: privilege)
            if configuration.hasHypervisor {
                var status = hypervisor.hstatus & ~(HStatus.spv | HStatus.gva)
                if isVirtual {
                    status = status & ~HStatus.spvp | HStatus.spv | (privilege == .supervisor ? HStatus.spvp : 0)
                }
                if exception.isGuest { status |= HStatus.gva }
                hypervisor.hstatus = status
                hypervisor.htval = exception.guestAddress
                hypervisor.htinst = exception.instruction ?? 0
            }
            privilege = .supervisor
            hypervisor.isVirtual = false
            vector = stvec
        case .virtualSupervisor:
            (hypervisor.vsepc, hypervisor.vscause, hypervisor.vstval) = (pc, number | top, value)
            hypervisor.vsstatus = Self.entered(hypervisor.vsstatus, from: privilege)
            privilege = .supervisor
            vector = hypervisor.vstvec
        }
        self.pc = ((vector & ~3) &+ (isInterrupt && vector & 3 == 1 ? 4 &* number : 0)) & xlen.mask
        updateContext()
    }

    /// The fields of a supervisor's status register after a trap.
    private static func entered(_ status: UInt64, from mode: PrivilegeMode) -> UInt64 {
        status & ~(MStatus.spie | MStatus.spp | MStatus.sie) | (status & MStatus.sie != 0 ? MStatus.spie : 0)
            | (mode == .supervisor ? MStatus.spp : 0)
    }

    // MARK: returns

    func returnFromMachine() {
        let previous = mstatus >> MStatus.mppShift & 3
        let isVirtual = configuration.hasHypervisor && previous != 3 && mstatus & MStatus.mpv != 0
        privilege = PrivilegeMode(rawValue: previous) ?? .user
        mstatus = mstatus & ~MStatus.mie | (mstatus & MStatus.mpie != 0 ? MStatus.mie : 0) | MStatus.mpie
        mstatus = mstatus & ~(MStatus.mpp | MStatus.mpv) | (configuration.hasUser ? 0 : PrivilegeMode.machine.rawValue << MStatus.mppShift)
        hypervisor.isVirtual = isVirtual
        self.pc = mepc & pcMask
        returned()
    }

    func returnFromSupervisor() {
        let status = hypervisor.isVirtual ? hypervisor.vsstatus : mstatus
        let left = status & ~(MStatus.sie | MStatus.spp) | (status & MStatus.spie != 0 ? MStatus.sie : 0) | MStatus.spie
        privilege = status & MStatus.spp != 0 ? .supervisor : .user
        if hypervisor.isVirtual {
            hypervisor.vsstatus = left
            self.pc = hypervisor.vsepc & pcMask
        } else {
            mstatus = left
            hypervisor.isVirtual = configuration.hasHypervisor && hypervisor.hstatus & HStatus.spv != 0
            hypervisor.hstatus &= ~HStatus.spv
            self.pc = sepc & pcMask
        }
        returned()
    }

    func returned() {
        if privilege != .machine { mstatus &= ~MStatus.mprv }
        updateContext()
        noteInterrupts()
    }

    var pcMask: UInt64 { extensions.contains(.zca) ? ~1 : ~3 }

    // MARK: the translation context

    /// Puts what code generation depends on into the context: see `MachineContext`.
    func updateContext() {
        var context = translationContext & MachineContext.unprivileged
        context |= privilege.rawValue << MachineContext.privilegeShift
        context |= UInt64(dataIndex) << MachineContext.indexShift
        context |= unit(MStatus.fsShift) << MachineContext.floatShift
        context |= unit(MStatus.vsShift) << MachineContext.vectorShift
        if hypervisor.isVirtual { context |= MachineContext.virtual }
        translationContext = context
        if counters.isFiltered { switchCounters() }
    }

    /// Under virtualisation a unit must be on for the hypervisor and for the virtual machine.
    private func unit(_ shift: UInt64) -> UInt64 {
        let own = MachineContext.unitState(mstatus >> shift & 3)
        return hypervisor.isVirtual ? min(own, MachineContext.unitState(hypervisor.vsstatus >> shift & 3)) : own
    }

    /// The MMU index of loads and stores.
    var dataIndex: Int {
        var mode = privilege, isVirtual = hypervisor.isVirtual
        if mode == .machine, mstatus & MStatus.mprv != 0, !masksAllInterrupts {
            mode = PrivilegeMode(rawValue: mstatus >> MStatus.mppShift & 3) ?? .user
            isVirtual = mode != .machine && configuration.hasHypervisor && mstatus & MStatus.mpv != 0
        }
        return MMUIndex.of(mode, isVirtual: isVirtual, sum: (isVirtual ? hypervisor.vsstatus : mstatus) & MStatus.sum != 0)
    }

    /// The MMU index of HLV, HLVX and HSV.
    var hypervisorAccessIndex: Int {
        MMUIndex.of(hypervisor.hstatus & HStatus.spvp != 0 ? .supervisor : .user, isVirtual: true, sum: hypervisor.vsstatus & MStatus.sum != 0)
    }
}

/// The MMU indices of RISC-V harts.
enum MMUIndex {
    static let user = 0, supervisor = 1
    /// Supervisor mode with `SUM`.
    static let supervisorUser = 2
    static let machine = 3
    /// Added to the first three: the same under virtualisation.
    static let virtual = 4
    static let count = 7
    /// All that `satp` translates, and all that `vsatp` and `hgatp` do.
    static let translated: UInt16 = 0b0111, virtualTranslated: UInt16 = 0b0111_0000

    static func of(_ mode: PrivilegeMode, isVirtual: Bool, sum: Bool) -> Int {
        switch mode {
        case .machine: machine
        case .supervisor: (sum ? supervisorUser : supervisor) + (isVirtual ? virtual : 0)
        case .user: user + (isVirtual ? virtual : 0)
        }
    }
    static func isVirtual(_ index: Int) -> Bool { index >= virtual }
    static func mode(_ index: Int) -> PrivilegeMode { index == machine ? .machine : index & 3 == user ? .user : .supervisor }
    static func hasSUM(_ index: Int) -> Bool { index & 3 == supervisorUser }
}

/// The bits of the translation context that a machine adds to `frm` and the state of `jvt`.
enum MachineContext {
    static let unprivileged: UInt64 = 0xffff
    static let privilegeShift: UInt64 = 16, indexShift: UInt64 = 18
    /// Two bits each: 0 the unit is off, 1 it is on, 2 its state is dirty.
    static let floatShift: UInt64 = 22, vectorShift: UInt64 = 24
    /// V is set.
    static let virtual: UInt64 = 1 << 26

    /// From a status field.
    static func unitState(_ field: UInt64) -> UInt64 { field == 0 ? 0 : field == 3 ? 2 : 1 }
}
