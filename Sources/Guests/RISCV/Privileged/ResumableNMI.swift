// "Smrnmi" 1.0: interrupts that nothing can mask but their own handler, and that a handler can return from. A machine raises one by
// the monitor's `inject-nmi`.

import Translation

/// The state of resumable non-maskable interrupts.
struct ResumableNMI {
    /// Fields of `mnstatus`.
    static let enabled: UInt64 = 1 << 3, virtual: UInt64 = 1 << 7, previousShift: UInt64 = 11, previous: UInt64 = 3 << 11
    var scratch: UInt64 = 0, epc: UInt64 = 0, cause: UInt64 = 0
    /// Out of reset they are masked, and all other interrupts with them.
    var status: UInt64 = 0
}

extension ControlRegister {
    static let resumableNMI: [ControlRegister] = [
        ControlRegister(0x740, "mnscratch", exists: { $0.configuration.hasSmrnmi }, read: { $0.nmi.scratch }, write: { $0.nmi.scratch = $1 }),
        ControlRegister(0x741, "mnepc", exists: { $0.configuration.hasSmrnmi }, read: { $0.nmi.epc & $0.pcMask }, write: { $0.nmi.epc = $1 & ~1 }),
        ControlRegister(0x742, "mncause", exists: { $0.configuration.hasSmrnmi }, read: { $0.nmi.cause }, write: { $0.nmi.cause = $1 }),
        ControlRegister(0x744, "mnstatus", exists: { $0.configuration.hasSmrnmi }, read: { $0.nmi.status }, write: { hart, value in
            // What is enabled stays so.
            var status = hart.nmi.status | value & ResumableNMI.enabled
            let mode = value & ResumableNMI.previous
            if hart.exists(mode >> ResumableNMI.previousShift) { status = status & ~ResumableNMI.previous | mode }
            if hart.configuration.hasHypervisor { status = status & ~ResumableNMI.virtual | value & ResumableNMI.virtual }
            hart.nmi.status = status
            hart.updateContext()
            hart.noteInterrupts()
        }),
    ]
}

extension Hart {
    fileprivate func exists(_ mode: UInt64) -> Bool { mode == 3 || mode == 1 && configuration.hasSupervisor || mode == 0 && configuration.hasUser }

    /// Whether the handler of one runs, or the hart has just been reset: no interrupts, and exceptions of machine mode go elsewhere.
    var masksAllInterrupts: Bool { configuration.hasSmrnmi && nmi.status & ResumableNMI.enabled == 0 }

    /// From any thread. - Returns: false: the hart has none.
    public func injectNMI() -> Bool {
        guard configuration.hasSmrnmi else { return false }
        lines.raiseNMI()
        return true
    }

    /// Takes one that waits. - Returns: whether there was one.
    func takeNMI() -> Bool {
        guard configuration.hasSmrnmi, nmi.status & ResumableNMI.enabled != 0, lines.takeNMI() else { return false }
        nmi.epc = pc & xlen.mask
        nmi.cause = 1 << UInt64(xlen.bits - 1)
        nmi.status = privilege.rawValue << ResumableNMI.previousShift | (hypervisor.isVirtual ? ResumableNMI.virtual : 0)
        privilege = .machine
        hypervisor.isVirtual = false
        pc = configuration.nmiVector
        updateContext()
        return true
    }

    /// MNRET
    func returnFromNMI() {
        let previous = nmi.status >> ResumableNMI.previousShift & 3
        privilege = PrivilegeMode(rawValue: previous) ?? .user
        hypervisor.isVirtual = configuration.hasHypervisor && previous != 3 && nmi.status & ResumableNMI.virtual != 0
        nmi.status |= ResumableNMI.enabled
        pc = nmi.epc & pcMask
        returned()
    }
}
