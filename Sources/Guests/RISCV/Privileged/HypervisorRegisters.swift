// "Hypervisor and Virtual Supervisor CSRs".

import Translation

extension ControlRegister {
    private static let word: UInt64 = 0xffff_ffff

    /// The register that takes the place of a supervisor's own one while V is set.
    static func virtual(_ number: UInt16) -> UInt16 {
        switch number {
        case 0x100, 0x104, 0x105, 0x140 ... 0x144, 0x14d, 0x15d, 0x180, 0x114, 0x150, 0x151, 0x154, 0x15c, 0xdb0: number + 0x100
        default: number
        }
    }

    private static func with(_ number: UInt16, _ name: String, rv32: Bool = false, _ check: (@Sendable (Hart) -> AccessDenial?)? = nil,
                             read: @escaping @Sendable (Hart) -> UInt64, write: (@Sendable (Hart, UInt64) -> Void)? = nil) -> ControlRegister {
        ControlRegister(number, name, exists: { $0.configuration.hasHypervisor && (!rv32 || $0.xlen == .rv32) }, check: check, read: read, write: write)
    }

    static let hypervisor: [ControlRegister] = [
        with(0x600, "hstatus", read: { $0.hypervisor.hstatus & $0.xlen.mask | ($0.xlen == .rv64 ? 2 << 32 : 0) }, write: { hart, value in
            let masking = hart.pointerMasking(hart.hypervisor.hstatus, value, shift: PointerMasking.guestShift, isThere: hart.configuration.hasSsnpm)
            if masking != hart.hypervisor.hstatus & PointerMasking.guestField { SoftMMU.of(hart.vcpu.state)?.flush(indices: MMUIndex.virtualTranslated) }
            hart.hypervisor.hstatus = value & HStatus.writable | hart.guestNumber(value) | masking
            hart.updateContext()
            hart.noteInterrupts()
        }),
        with(0x602, "hedeleg", read: { $0.hypervisor.hedeleg }, write: { $0.hypervisor.hedeleg = $1 & VirtualInterrupts.delegableExceptions }),
        with(0x612, "hedelegh", rv32: true, read: { _ in 0 }, write: { _, _ in }),
        with(0x603, "hideleg", read: { $0.hypervisor.hideleg }, write: { hart, value in
            hart.hypervisor.hideleg = value & VirtualInterrupts.all
            hart.noteInterrupts()
        }),
        with(0x604, "hie", read: { $0.mie & VirtualInterrupts.delegated }, write: { $0.setEnables($1, VirtualInterrupts.delegated) }),
        with(0x605, "htimedelta", read: { $0.hypervisor.htimedelta & $0.xlen.mask }, write: { hart, value in
            hart.hypervisor.htimedelta = hart.xlen == .rv64 ? value : hart.hypervisor.htimedelta & ~word | value
            hart.updateTimers()
        }),
        with(0x615, "htimedeltah", rv32: true, read: { $0.hypervisor.htimedelta >> 32 }, write: { hart, value in
            hart.hypervisor.htimedelta = hart.hypervisor.htimedelta & word | value << 32
            hart.updateTimers()
        }),
        with(0x606, "hcounteren", read: { $0.hypervisor.hcounteren }, write: { $0.hypervisor.hcounteren = $1 & $0.counterMask }),
        with(0x607, "hgeie", read: { $0.hypervisor.hgeie }, write: { hart, value in
            hart.hypervisor.hgeie = value & hart.guestInterruptMask
            hart.noteInterrupts()
        }),
        with(0x60a, "henvcfg", read: { ($0.hypervisor.henvcfg & $0.delegatedEnvironment) & $0.xlen.mask }, write: { hart, value in
            hart.writeHypervisorEnvironment(hart.xlen == .rv64 ? value : hart.hypervisor.henvcfg & ~word | value)
        }),
        with(0x61a, "henvcfgh", rv32: true, read: { ($0.hypervisor.henvcfg & $0.delegatedEnvironment) >> 32 }, write: { hart, value in
            hart.writeHypervisorEnvironment(hart.hypervisor.henvcfg & word | value << 32)
        }),
        with(0x643, "htval", read: { $0.hypervisor.htval }, write: { $0.hypervisor.htval = $1 }),
        with(0x644, "hip", read: { $0.mip & VirtualInterrupts.delegated }, write: { $0.setSoftwareBits(VirtualInterrupts.software, $1) }),
        with(0x645, "hvip", read: { $0.virtualPendingBits & $0.xlen.mask }, write: { $0.writeVirtualPendingBits($0.widened($1, $0.virtualPendingBits)) }),
        with(0x64a, "htinst", read: { $0.hypervisor.htinst }, write: { $0.hypervisor.htinst = $1 }),
        with(0x680, "hgatp", { $0.hypervisorTranslationDenial }, read: { $0.hypervisor.hgatp }, write: { $0.writeGuestTranslation($1) }),
        with(0xe12, "hgeip", read: { $0.guestInterrupts }),
        with(0x34a, "mtinst", read: { $0.hypervisor.mtinst }, write: { $0.hypervisor.mtinst = $1 }),
        with(0x34b, "mtval2", read: { $0.hypervisor.mtval2 }, write: { $0.hypervisor.mtval2 = $1 }),

        with(0x200, "vsstatus", read: { hart in
            let top: UInt64 = hart.xlen == .rv64 ? 1 << 63 : 1 << 31
            return hart.shown(hart.hypervisor.vsstatus) & (MStatus.supervisorView & hart.xlen.mask | top)
        }, write: { $0.writeVirtualStatus($1) }),
        with(0x204, "vsie", { $0.virtualTrapDenial }, read: { $0.virtualSupervisorEnable & $0.xlen.mask }, write: { hart, value in
            hart.writeVirtualSupervisorEnable(hart.widened(value, hart.virtualSupervisorEnable))
        }),
        with(0x205, "vstvec", read: { $0.hypervisor.vstvec }, write: { $0.hypervisor.vstvec = $0.vector($0.hypervisor.vstvec, $1) }),
        with(0x240, "vsscratch", read: { $0.hypervisor.vsscratch }, write: { $0.hypervisor.vsscratch = $1 }),
        with(0x241, "vsepc", read: { $0.hypervisor.vsepc & $0.pcMask }, write: { $0.hypervisor.vsepc = $1 & $0.pcMask }),
        with(0x242, "vscause", read: { $0.hypervisor.vscause }, write: { $0.hypervisor.vscause = $1 }),
        with(0x243, "vstval", read: { $0.hypervisor.vstval }, write: { $0.hypervisor.vstval = $1 }),
        with(0x244, "vsip", { $0.virtualTrapDenial }, read: { $0.virtualSupervisorPending & $0.xlen.mask }, write: { hart, value in
            hart.writeVirtualSupervisorPending(hart.widened(value, hart.virtualSupervisorPending))
        }),
        with(0x24d, "vstimecmp", { $0.timerDenial }, read: { $0.hypervisor.vstimecmp & $0.xlen.mask }, write: { hart, value in
            hart.hypervisor.vstimecmp = hart.xlen == .rv64 ? value : hart.hypervisor.vstimecmp & ~word | value
            hart.updateTimers()
        }),
        with(0x25d, "vstimecmph", rv32: true, { $0.timerDenial }, read: { $0.hypervisor.vstimecmp >> 32 }, write: { hart, value in
            hart.hypervisor.vstimecmp = hart.hypervisor.vstimecmp & word | value << 32
            hart.updateTimers()
        }),
        with(0x280, "vsatp", { $0.virtualTranslationDenial }, read: { $0.hypervisor.vsatp }, write: { $0.writeVirtualTranslation($1) }),
    ]
}

extension Hart {
    /// The bits of `hgeip` and `hgeie` that there are.
    var guestInterruptMask: UInt64 { ((1 << UInt64(min(max(configuration.guestExternalInterrupts, 0), 63))) &- 1) << 1 }

    /// VGEIN of a value for `hstatus`; a guest that there is not leaves the field as it was.
    fileprivate func guestNumber(_ value: UInt64) -> UInt64 {
        let number = value >> HStatus.vgeinShift & 0x3f
        return (number <= UInt64(configuration.guestExternalInterrupts) ? value : hypervisor.hstatus) & HStatus.vgein
    }

    /// What of `henvcfg` `menvcfg` lets be anything but 0.
    fileprivate var delegatedEnvironment: UInt64 {
        EnvironmentConfiguration.cacheBits | PointerMasking.field
            | menvcfg & (EnvironmentConfiguration.updates | EnvironmentConfiguration.pageTypes | EnvironmentConfiguration.supervisorTimer)
    }

    fileprivate func writeHypervisorEnvironment(_ value: UInt64) {
        let masking = pointerMasking(hypervisor.henvcfg, value, isThere: configuration.hasSsnpm)
        hypervisor.henvcfg = value & delegatedEnvironment & ~PointerMasking.field | masking
        SoftMMU.of(vcpu.state)?.flush(indices: MMUIndex.virtualTranslated)
        updateTimers()
    }

    fileprivate func writeVirtualStatus(_ value: UInt64) {
        var mask = MStatus.supervisorWritable
        if !extensions.contains(.f) { mask &= ~MStatus.fs }
        if !extensions.contains(.zve32x) { mask &= ~MStatus.vs }
        let old = hypervisor.vsstatus
        hypervisor.vsstatus = old & ~mask | value & mask
        if (old ^ hypervisor.vsstatus) & MStatus.mxr != 0 { SoftMMU.of(vcpu.state)?.flush(indices: MMUIndex.virtualTranslated) }
        updateContext()
        noteInterrupts()
    }

    /// As `satp`: a mode that there is not leaves the register as it was.
    fileprivate func writeVirtualTranslation(_ value: UInt64) {
        guard knowsMode(value), value != hypervisor.vsatp else { return }
        hypervisor.vsatp = value
        SoftMMU.of(vcpu.state)?.flush(indices: MMUIndex.virtualTranslated)
    }

    fileprivate func writeGuestTranslation(_ value: UInt64) {
        // The root table is of 16 KiB; VMIDs have 14 bits (RV32: 7).
        let mask: UInt64 = xlen == .rv64 ? 0xf3ff_ffff_ffff_fffc & ~(0xfff << 44) | 0x3fff << 44 : 0x9fff_fffc | 0x7f << 22
        guard knowsMode(value), value & mask != hypervisor.hgatp else { return }
        hypervisor.hgatp = value & mask
        SoftMMU.of(vcpu.state)?.flush(indices: MMUIndex.virtualTranslated)
    }

    fileprivate var hypervisorTranslationDenial: AccessDenial? {
        privilege == .supervisor && mstatus & MStatus.tvm != 0 ? .illegal : nil
    }
    fileprivate var virtualTranslationDenial: AccessDenial? {
        hypervisor.isVirtual && hypervisor.hstatus & HStatus.vtvm != 0 ? .virtual : nil
    }
}
