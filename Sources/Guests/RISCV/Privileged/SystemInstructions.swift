// The instructions of the privileged manual: MRET, SRET, WFI, SFENCE.VMA and Svinval.

import IR
import Translation

enum SystemInstructions {
    enum Kind: UInt64 { case machineReturn, supervisorReturn, wait, fence, partialFence }

    private static let illegal = UInt64(ExitReason.illegalInstruction.rawValue) + 1

    /// Arguments: kind, and for fences the address and a word of bits: 1 has an address.
    static let perform = HelperTable.register { state, kind, address, bits in
        guard let hart = Hart.of(state), let kind = Kind(rawValue: kind) else { return SystemInstructions.illegal }
        let isSupervisor = hart.privilege == .supervisor
        switch kind {
        case .machineReturn:
            guard hart.privilege == .machine else { return SystemInstructions.illegal }
            hart.action = .machineReturn
        case .supervisorReturn:
            guard hart.configuration.hasSupervisor, hart.privilege == .machine || isSupervisor && hart.mstatus & MStatus.tsr == 0 else { return SystemInstructions.illegal }
            hart.action = .supervisorReturn
        case .wait:
            // With TW the bounded wait of lower modes is none at all.
            guard hart.privilege == .machine || hart.mstatus & MStatus.tw == 0 && (isSupervisor || !hart.configuration.hasSupervisor) else { return SystemInstructions.illegal }
        case .fence:
            guard hart.configuration.hasSupervisor, hart.privilege == .machine || isSupervisor && hart.mstatus & MStatus.tvm == 0 else { return SystemInstructions.illegal }
            guard let mmu = SoftMMU.of(state) else { return 0 }
            if bits & 1 != 0 { mmu.flush(page: address, indices: MMUIndex.translated) } else { mmu.flush(indices: MMUIndex.translated) }
        case .partialFence:
            // The parts of a fence that order only: SINVAL.VMA itself has done all.
            guard hart.configuration.hasSvinval, hart.configuration.hasSupervisor, hart.privilege != .user else { return SystemInstructions.illegal }
        }
        return 0
    }

    /// Argument: 1 the floating-point unit, 2 the vector unit.
    static let markDirty = HelperTable.register { state, units, _, _ in
        guard let hart = Hart.of(state) else { return 0 }
        if units & 1 != 0 { hart.mstatus |= MStatus.fs }
        if units & 2 != 0 { hart.mstatus |= MStatus.vs }
        hart.updateContext()
        return 0
    }
}

extension Emit {
    private func perform(_ kind: SystemInstructions.Kind, _ address: Value? = nil, hasAddress: Bool = false) {
        _ = builder.helper(SystemInstructions.perform, [.readsState, .writesState, .mayFault, .mayExit], constant64(kind.rawValue),
                           address ?? constant64(0), constant64(hasAddress ? 1 : 0))
    }

    mutating func trapReturn(_ kind: SystemInstructions.Kind) {
        perform(kind)
        exit(.guestException)
    }

    mutating func waitForInterrupt() {
        perform(.wait)
        exitAfter(.waitForInterrupt)
    }

    mutating func fenceTranslations(_ i: Instruction) {
        perform(.fence, zeroExtended(i.rs1), hasAddress: i.rs1 != .zero)
        endInNewContext()
    }
}

extension Pattern {
    static let privileged: [Pattern] = [
        Pattern("mret", "001100000010 00000 000 00000 1110011", .privileged) { x, _ in x.trapReturn(.machineReturn) },
        Pattern("sret", "000100000010 00000 000 00000 1110011", .privileged) { x, _ in x.trapReturn(.supervisorReturn) },
        Pattern("wfi", "000100000101 00000 000 00000 1110011", .privileged) { x, _ in x.waitForInterrupt() },
        Pattern("sfence.vma rs1, rs2", "0001001 ..... ..... 000 00000 1110011", .privileged) { x, i in x.fenceTranslations(i) },
        Pattern("sinval.vma rs1, rs2", "0001011 ..... ..... 000 00000 1110011", .privileged) { x, i in
            x.orderTranslations()
            x.fenceTranslations(i)
        },
        Pattern("sfence.w.inval", "0001100 00000 00000 000 00000 1110011", .privileged) { x, _ in x.orderTranslations() },
        Pattern("sfence.inval.ir", "0001100 00001 00000 000 00000 1110011", .privileged) { x, _ in x.orderTranslations() },
    ]
}

extension Emit {
    func orderTranslations() { perform(.partialFence) }
}
