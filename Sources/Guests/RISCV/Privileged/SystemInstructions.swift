// The instructions of the privileged manual: MRET, SRET, WFI, SFENCE.VMA and Svinval.

import IR
import Translation

enum SystemInstructions {
    enum Kind: UInt64 { case machineReturn, supervisorReturn, wait, fence, partialFence, virtualFence, guestFence, nmiReturn }

    /// Arguments: kind, and for fences the address and a word of bits: 1 has an address, 2 has an address space.
    static let perform = HelperTable.register { state, kind, address, bits in
        guard let hart = Hart.of(state), let kind = Kind(rawValue: kind) else { return UInt64(ExitReason.illegalInstruction.rawValue) + 1 }
        if let denial = hart.denial(of: kind) { return hart.deny(denial) }
        func flush(_ indices: UInt16, _ hasAddress: Bool) {
            guard let mmu = SoftMMU.of(state) else { return }
            if hasAddress, !hart.splitsPages, !hart.hasPointerAliases { mmu.flush(page: address, indices: indices) } else { mmu.flush(indices: indices) }
        }
        switch kind {
        case .machineReturn: hart.action = .machineReturn
        case .nmiReturn: hart.action = .nmiReturn
        case .supervisorReturn: hart.action = .supervisorReturn
        case .wait: break
        // The fence of one address space leaves global mappings alone.
        case .fence where bits == 2 && !hart.hypervisor.isVirtual: SoftMMU.of(state)?.flushAddressSpace(indices: MMUIndex.translated)
        case .fence: flush(hart.hypervisor.isVirtual ? MMUIndex.virtualTranslated : MMUIndex.translated, bits & 1 != 0)
        // The parts of a fence that order only: SINVAL.VMA itself has done all.
        case .partialFence: break
        case .virtualFence: flush(MMUIndex.virtualTranslated, bits & 1 != 0)
        // Translations are remembered by their virtual addresses only.
        case .guestFence: flush(MMUIndex.virtualTranslated, false)
        }
        return 0
    }

    /// Argument: 1 the floating-point unit, 2 the vector unit.
    static let markDirty = HelperTable.register { state, units, _, _ in
        guard let hart = Hart.of(state) else { return 0 }
        let fields = (units & 1 != 0 ? MStatus.fs : 0) | (units & 2 != 0 ? MStatus.vs : 0)
        hart.mstatus |= fields
        if hart.hypervisor.isVirtual { hart.hypervisor.vsstatus |= fields }
        hart.updateContext()
        return 0
    }
}

extension Hart {
    /// Why the current mode may not execute such an instruction.
    fileprivate func denial(of kind: SystemInstructions.Kind) -> AccessDenial? {
        let isVirtual = hypervisor.isVirtual
        if kind == .nmiReturn { return privilege == .machine && configuration.hasSmrnmi ? nil : .illegal }
        if privilege == .machine { return kind != .machineReturn && kind != .wait && !configuration.hasSupervisor ? .illegal : nil }
        switch kind {
        case .machineReturn, .nmiReturn: return .illegal
        case .supervisorReturn:
            if isVirtual { return privilege == .user || hypervisor.hstatus & HStatus.vtsr != 0 ? .virtual : nil }
            return privilege == .user || mstatus & MStatus.tsr != 0 ? .illegal : nil
        case .wait:
            // With TW the bounded wait of lower modes is none at all.
            if mstatus & MStatus.tw != 0 { return .illegal }
            if isVirtual { return privilege == .user || hypervisor.hstatus & HStatus.vtw != 0 ? .virtual : nil }
            return privilege == .user && configuration.hasSupervisor ? .illegal : nil
        case .fence:
            if isVirtual { return privilege == .user || hypervisor.hstatus & HStatus.vtvm != 0 ? .virtual : nil }
            return privilege == .user || mstatus & MStatus.tvm != 0 ? .illegal : nil
        case .partialFence: return privilege == .user ? (isVirtual ? .virtual : .illegal) : nil
        case .virtualFence, .guestFence:
            if isVirtual { return .virtual }
            return privilege == .user || kind == .guestFence && mstatus & MStatus.tvm != 0 ? .illegal : nil
        }
    }
}

extension Emit {
    private func perform(_ kind: SystemInstructions.Kind, _ address: Value? = nil, bits: UInt64 = 0) {
        _ = builder.helper(SystemInstructions.perform, [.readsState, .writesState, .mayFault, .mayExit], constant64(kind.rawValue),
                           address ?? constant64(0), constant64(bits))
    }

    mutating func trapReturn(_ kind: SystemInstructions.Kind) {
        perform(kind)
        exit(.guestException)
    }

    mutating func waitForInterrupt() {
        perform(.wait)
        exitAfter(.waitForInterrupt)
    }

    mutating func fenceTranslations(_ i: Instruction, _ kind: SystemInstructions.Kind = .fence) {
        perform(kind, zeroExtended(i.rs1), bits: (i.rs1 != .zero ? 1 : 0) | (i.rs2 != .zero ? 2 : 0))
        endInNewContext()
    }
}

extension Pattern {
    static let privileged: [Pattern] = [
        Pattern("mret", "001100000010 00000 000 00000 1110011", .privileged) { x, _ in x.trapReturn(.machineReturn) },
        Pattern("mnret", "011100000010 00000 000 00000 1110011", .privileged) { x, _ in x.trapReturn(.nmiReturn) },
        Pattern("sret", "000100000010 00000 000 00000 1110011", .privileged) { x, _ in x.trapReturn(.supervisorReturn) },
        Pattern("wfi", "000100000101 00000 000 00000 1110011", .privileged) { x, _ in x.waitForInterrupt() },
        Pattern("sfence.vma rs1, rs2", "0001001 ..... ..... 000 00000 1110011", .privileged) { x, i in x.fenceTranslations(i) },
    ]

    static let svinval: [Pattern] = [
        Pattern("sinval.vma rs1, rs2", "0001011 ..... ..... 000 00000 1110011", .svinval) { x, i in x.fenceTranslations(i) },
        Pattern("sfence.w.inval", "0001100 00000 00000 000 00000 1110011", .svinval) { x, _ in x.orderTranslations() },
        Pattern("sfence.inval.ir", "0001100 00001 00000 000 00000 1110011", .svinval) { x, _ in x.orderTranslations() },
        Pattern("hinval.vvma rs1, rs2", "0010011 ..... ..... 000 00000 1110011", [.svinval, .h]) { x, i in x.fenceTranslations(i, .virtualFence) },
        Pattern("hinval.gvma rs1, rs2", "0110011 ..... ..... 000 00000 1110011", [.svinval, .h]) { x, i in x.fenceTranslations(i, .guestFence) },
    ]
}

extension Emit {
    func orderTranslations() { perform(.partialFence) }
}
