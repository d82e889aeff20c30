// The control and status registers of a machine as data: number, name, when it exists, what reading and writing mean.

import Translation

/// One CSR. Privilege and read-only ranges follow from its number ("CSR Address Mapping Conventions").
final class ControlRegister: Sendable {
    let number: UInt16
    let name: String
    /// Whether the hart has it.
    let exists: @Sendable (Hart) -> Bool
    /// Why the current mode may not access it, beyond what its number says.
    let check: (@Sendable (Hart) -> AccessDenial?)?
    let read: @Sendable (Hart) -> UInt64
    /// nil: writes are ignored.
    let write: (@Sendable (Hart, UInt64) -> Void)?
    /// Replaces the value by `old & ~clear | set` and returns the old one: registers that others change at the same time.
    let exchange: (@Sendable (Hart, _ clear: UInt64, _ set: UInt64) -> UInt64)?

    init(_ number: UInt16, _ name: String, exists: @escaping @Sendable (Hart) -> Bool = { _ in true },
         check: (@Sendable (Hart) -> AccessDenial?)? = nil,
         read: @escaping @Sendable (Hart) -> UInt64, write: (@Sendable (Hart, UInt64) -> Void)? = nil,
         exchange: (@Sendable (Hart, _ clear: UInt64, _ set: UInt64) -> UInt64)? = nil) {
        self.number = number
        self.name = name
        self.exists = exists
        self.check = check
        self.read = read
        if let exchange { self.write = { hart, value in _ = exchange(hart, ~0, value) } } else { self.write = write }
        self.exchange = exchange
    }

    /// The lowest privilege that may access it.
    var privilege: UInt64 { UInt64(number >> 8 & 3) }
    var isReadOnly: Bool { number >> 10 == 3 }

    static let all: [ControlRegister] = machine + supervisor + hypervisor + protection + counters + identification + stateEnable + advancedInterrupts + resumableNMI + triggers
    /// By number.
    static let table: [ControlRegister?] = {
        var table = [ControlRegister?](repeating: nil, count: 4096)
        for register in all { table[Int(register.number & 0xfff)] = register }
        return table
    }()
    /// What `info registers` shows.
    static let shown: [ControlRegister] = [0xf14, 0x300, 0x344, 0x304, 0x303, 0x302, 0x305, 0x105, 0x341, 0x141, 0x342, 0x142, 0x343, 0x143, 0x340, 0x140, 0x180]
        .compactMap { table[$0] }

    /// Registers after whose change code, interrupts or translations may be others: the trace ends.
    static func endsTrace(_ number: UInt32) -> Bool {
        switch number {
        // The scratch, cause, value and program-counter registers and vectors matter only to later traps; counters to nobody.
        case 0x340 ... 0x343, 0x34a, 0x34b, 0x140 ... 0x143, 0x240 ... 0x243, 0x643, 0x64a, 0x205, 0x305, 0x105, 0x306, 0x106, 0x320 ... 0x33f, 0xb00 ... 0xb9f: false
        default: true
        }
    }
}

extension Hart {
    /// The value of `field` (XLEN bits) put in place of what `register` had, by a mask.
    fileprivate static func merge(_ old: UInt64, _ new: UInt64, _ mask: UInt64) -> UInt64 { old & ~mask | new & mask }

    /// `mstatus` with SD, as XLEN bits show it.
    fileprivate var status: UInt64 { shown(mstatus) }

    /// A status register with its SD, as XLEN bits show it.
    func shown(_ status: UInt64) -> UInt64 {
        let dirty = status & MStatus.fs == MStatus.fs || status & MStatus.vs == MStatus.vs
        return xlen == .rv64 ? status | (dirty ? 1 << 63 : 0) : status & 0xffff_ffff | (dirty ? 1 << 31 : 0)
    }

    fileprivate func writeStatus(_ value: UInt64, _ mask: UInt64) {
        var mask = mask
        if !extensions.contains(.f) { mask &= ~MStatus.fs }
        if !extensions.contains(.zve32x) { mask &= ~MStatus.vs }
        if !configuration.hasSupervisor { mask &= ~(MStatus.sie | MStatus.spie | MStatus.spp | MStatus.sum | MStatus.mxr | MStatus.tvm | MStatus.tsr) }
        if !configuration.hasUser { mask &= ~(MStatus.mprv | MStatus.tw) }
        if !configuration.hasHypervisor { mask &= ~(MStatus.mpv | MStatus.gva) }
        // A previous mode that there is not is not written.
        let mode = value & MStatus.mpp
        if mode == 2 << MStatus.mppShift || mode == 1 << MStatus.mppShift && !configuration.hasSupervisor || mode == 0 && !configuration.hasUser { mask &= ~MStatus.mpp }
        let old = mstatus
        mstatus = Self.merge(mstatus, value, mask)
        // MXR changes what translations allow; SUM and MPRV are in the MMU index, MPP decides under MPRV.
        if (old ^ mstatus) & MStatus.mxr != 0 { SoftMMU.of(vcpu.state)?.flush(indices: MMUIndex.translated | MMUIndex.virtualTranslated) }
        updateContext()
        noteInterrupts()
    }

    static let machineInterrupts: UInt64 = 1 << 3 | 1 << 7 | 1 << 11
    /// Those of supervisor level, and the counters' overflow, which may be given to it.
    var supervisorInterrupts: UInt64 { 1 << 1 | 1 << 5 | 1 << 9 | localInterrupts }
    var localInterrupts: UInt64 { configuration.hasSscofpmf ? HartInterrupt.counterOverflow.bit : 0 }

    /// What is written to the lower half of a register, with its upper half `old` where there is one by itself.
    func widened(_ value: UInt64, _ old: UInt64) -> UInt64 { xlen == .rv64 ? value : old & ~0xffff_ffff | value & 0xffff_ffff }

    func setEnables(_ value: UInt64, _ mask: UInt64) {
        mie = Self.merge(mie, value, mask)
        noteInterrupts()
    }

    /// MRET targets and vectors: the low bits that are not there.
    func vector(_ old: UInt64, _ value: UInt64) -> UInt64 { value & 3 <= 1 ? value : old & 3 | value & ~3 }

    /// The bits of `mip` that software drives: SSIP, SEIP, VSSIP, LCOFIP and, unless `stimecmp` does, STIP.
    fileprivate var writablePending: UInt64 {
        var bits: UInt64 = 1 << 1 | localInterrupts
        if advanced.mvien & 1 << 9 == 0 { bits |= 1 << 9 }
        if !usesStimecmp { bits |= 1 << 5 }
        if configuration.hasHypervisor { bits |= VirtualInterrupts.software }
        return bits
    }

    /// Whether a translation register's value has a mode that there is.
    func knowsMode(_ value: UInt64) -> Bool {
        switch (xlen, AddressTranslationRegister(bits: value, xlen: xlen).mode) {
        case (_, 0): true
        case (.rv32, _): configuration.addressBits >= 32
        case (.rv64, 8): configuration.addressBits >= 39
        case (.rv64, 9): configuration.addressBits >= 48
        case (.rv64, 10): configuration.addressBits >= 57
        default: false
        }
    }

    fileprivate func writeTranslation(_ value: UInt64) {
        // An unsupported mode leaves the whole register as it was.
        guard knowsMode(value), value != satp else { return }
        let changed = value ^ satp
        satp = value
        let mmu = SoftMMU.of(vcpu.state)
        // Another address space under the same mode: global mappings hold in both ("Supervisor-Level ISA", global mappings).
        if AddressTranslationRegister(bits: changed, xlen: xlen).mode == 0 {
            mmu?.flushAddressSpace(indices: MMUIndex.translated)
        } else {
            mmu?.flush(indices: MMUIndex.translated)
        }
    }
}

extension ControlRegister {
    private static let word: UInt64 = 0xffff_ffff

    /// "Machine-Level CSRs".
    private static let machine: [ControlRegister] = [
        ControlRegister(0x300, "mstatus", read: { $0.status }, write: { hart, value in
            let mask = MStatus.supervisorWritable | MStatus.mie | MStatus.mpie | MStatus.mpp | MStatus.mprv | MStatus.tvm | MStatus.tw | MStatus.tsr
            hart.writeStatus(value, hart.xlen == .rv64 ? mask | MStatus.mpv | MStatus.gva : mask)
        }),
        ControlRegister(0x310, "mstatush", exists: { $0.xlen == .rv32 }, read: { $0.mstatus >> 32 }, write: { hart, value in
            hart.writeStatus(value << 32 | hart.mstatus & word, MStatus.mpv | MStatus.gva)
        }),
        ControlRegister(0x301, "misa", read: { hart in
            var bits: UInt64 = 1 << 8
            for (letter, extensions) in Extensions.letters where letter.utf8.count == 1 && hart.extensions.isSuperset(of: extensions) {
                if let code = letter.utf8.first, letter != "b" || hart.extensions.contains(.b) { bits |= 1 << UInt64(code - 97) }
            }
            if hart.configuration.hasSupervisor { bits |= 1 << 18 }
            if hart.configuration.hasUser { bits |= 1 << 20 }
            if hart.configuration.hasHypervisor { bits |= 1 << 7 }
            return bits | (hart.xlen == .rv64 ? 2 << 62 : 1 << 30)
        }, write: { _, _ in }),
        ControlRegister(0x302, "medeleg", exists: { $0.configuration.hasSupervisor }, read: { $0.medeleg }, write: { $0.medeleg = $1 & ($0.configuration.hasHypervisor ? 0xf0_b7ff : 0xb3ff) }),
        ControlRegister(0x312, "medelegh", exists: { $0.xlen == .rv32 && $0.configuration.hasSupervisor }, read: { _ in 0 }, write: { _, _ in }),
        ControlRegister(0x303, "mideleg", exists: { $0.configuration.hasSupervisor }, read: { $0.mideleg }, write: { hart, value in
            hart.mideleg = value & hart.supervisorInterrupts | (hart.configuration.hasHypervisor ? VirtualInterrupts.delegated : 0)
            hart.noteInterrupts()
        }),
        ControlRegister(0x304, "mie", read: { $0.mie }, write: { hart, value in
            hart.setEnables(value, Hart.machineInterrupts | hart.localInterrupts | (hart.configuration.hasSupervisor ? hart.supervisorInterrupts : 0)
                | (hart.configuration.hasHypervisor ? VirtualInterrupts.delegated : 0))
        }),
        ControlRegister(0x305, "mtvec", read: { $0.mtvec }, write: { $0.mtvec = $0.vector($0.mtvec, $1) }),
        ControlRegister(0x306, "mcounteren", exists: { $0.configuration.hasUser }, read: { $0.mcounteren }, write: { $0.mcounteren = $1 & $0.counterMask }),
        ControlRegister(0x320, "mcountinhibit", read: { $0.mcountinhibit }, write: { $0.setInhibit($1) }),
        ControlRegister(0x30a, "menvcfg", exists: { $0.configuration.hasUser }, read: { $0.menvcfg & $0.xlen.mask }, write: { hart, value in
            hart.writeEnvironment(hart.xlen == .rv64 ? value : hart.menvcfg & ~word | value)
        }),
        ControlRegister(0x31a, "menvcfgh", exists: { $0.xlen == .rv32 && $0.configuration.hasUser }, read: { $0.menvcfg >> 32 }, write: { hart, value in
            hart.writeEnvironment(hart.menvcfg & word | value << 32)
        }),
        ControlRegister(0x340, "mscratch", read: { $0.mscratch }, write: { $0.mscratch = $1 }),
        ControlRegister(0x341, "mepc", read: { $0.mepc & $0.pcMask }, write: { $0.mepc = $1 & $0.pcMask }),
        ControlRegister(0x342, "mcause", read: { $0.mcause }, write: { $0.mcause = $1 }),
        ControlRegister(0x343, "mtval", read: { $0.mtval }, write: { $0.mtval = $1 }),
        ControlRegister(0x344, "mip", read: { $0.mip }, write: { hart, value in
            hart.setSoftwareBits(hart.writablePending, value)
        }),
    ]

    /// "Supervisor-Level CSRs".
    private static let supervisor: [ControlRegister] = [
        ControlRegister(0x100, "sstatus", read: { hart in
            let top: UInt64 = hart.xlen == .rv64 ? 1 << 63 : 1 << 31
            return hart.status & (MStatus.supervisorView & hart.xlen.mask | top)
        }, write: { $0.writeStatus($1, MStatus.supervisorWritable) }),
        ControlRegister(0x104, "sie", read: { $0.supervisorEnable & $0.xlen.mask }, write: { $0.writeSupervisorEnable($0.widened($1, $0.supervisorEnable)) }),
        ControlRegister(0x105, "stvec", read: { $0.stvec }, write: { $0.stvec = $0.vector($0.stvec, $1) }),
        ControlRegister(0x106, "scounteren", read: { $0.scounteren }, write: { $0.scounteren = $1 & $0.counterMask }),
        ControlRegister(0x10a, "senvcfg", read: { $0.senvcfg }, write: { hart, value in
            let masking = hart.pointerMasking(hart.senvcfg, value, isThere: hart.configuration.hasSsnpm)
            if masking != hart.senvcfg & PointerMasking.field { SoftMMU.of(hart.vcpu.state)?.flush() }
            hart.senvcfg = value & EnvironmentConfiguration.cacheBits | masking
        }),
        ControlRegister(0x140, "sscratch", read: { $0.sscratch }, write: { $0.sscratch = $1 }),
        ControlRegister(0x141, "sepc", read: { $0.sepc & $0.pcMask }, write: { $0.sepc = $1 & $0.pcMask }),
        ControlRegister(0x142, "scause", read: { $0.scause }, write: { $0.scause = $1 }),
        ControlRegister(0x143, "stval", read: { $0.stval }, write: { $0.stval = $1 }),
        ControlRegister(0x144, "sip", read: { $0.supervisorPending & $0.xlen.mask }, write: { $0.writeSupervisorPending($0.widened($1, $0.supervisorPending)) }),
        ControlRegister(0x14d, "stimecmp", exists: { $0.configuration.hasSstc }, check: { $0.timerDenial }, read: { $0.stimecmp & $0.xlen.mask }, write: { hart, value in
            hart.stimecmp = hart.xlen == .rv64 ? value : hart.stimecmp & ~word | value
            hart.updateTimers()
        }),
        ControlRegister(0x15d, "stimecmph", exists: { $0.xlen == .rv32 && $0.configuration.hasSstc }, check: { $0.timerDenial }, read: { $0.stimecmp >> 32 }, write: { hart, value in
            hart.stimecmp = hart.stimecmp & word | value << 32
            hart.updateTimers()
        }),
        ControlRegister(0x180, "satp", exists: { $0.configuration.addressBits > 0 }, check: { $0.privilege == .supervisor && $0.mstatus & MStatus.tvm != 0 ? .illegal : nil },
                        read: { $0.satp }, write: { $0.writeTranslation($1) }),
    ].map { register in
        let exists = register.exists
        return ControlRegister(register.number, register.name, exists: { $0.configuration.hasSupervisor && exists($0) }, check: register.check,
                               read: register.read, write: register.write)
    }

    private static let identification: [ControlRegister] = [
        ControlRegister(0xf11, "mvendorid", read: { _ in 0 }),
        ControlRegister(0xf12, "marchid", read: { _ in 0 }),
        ControlRegister(0xf13, "mimpid", read: { _ in 0 }),
        ControlRegister(0xf14, "mhartid", read: { UInt64($0.number) }),
        ControlRegister(0xf15, "mconfigptr", read: { _ in 0 }),
    ]
}

extension Hart {
    fileprivate func writeEnvironment(_ value: UInt64) {
        var mask = EnvironmentConfiguration.cacheBits
        if configuration.hasSvadu { mask |= EnvironmentConfiguration.updates }
        if configuration.hasSvpbmt { mask |= EnvironmentConfiguration.pageTypes }
        if configuration.hasSstc { mask |= EnvironmentConfiguration.supervisorTimer }
        let old = menvcfg
        menvcfg = value & mask | pointerMasking(old, value, isThere: configuration.hasSmnpm)
        hypervisor.henvcfg &= menvcfg | ~(EnvironmentConfiguration.updates | EnvironmentConfiguration.pageTypes | EnvironmentConfiguration.supervisorTimer)
        if (old ^ menvcfg) & (EnvironmentConfiguration.updates | EnvironmentConfiguration.pageTypes | PointerMasking.field) != 0 { SoftMMU.of(vcpu.state)?.flush() }
        if (old ^ menvcfg) & EnvironmentConfiguration.supervisorTimer != 0 {
            updateTimers()
        }
    }
}
