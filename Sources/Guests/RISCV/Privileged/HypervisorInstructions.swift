// "Hypervisor Instructions": loads and stores through the translations of a virtual machine, and fences of its translations.

import IR
import Translation

enum HypervisorAccess {
    /// Bits of the descriptor above the access's bytes.
    static let executable: UInt64 = 16

    /// Arguments: address, descriptor (bytes; `executable`: HLVX). What was read, zero-extended, goes to `RISCVState.readValue`.
    static let load = HelperTable.register { state, address, descriptor, _ in
        guard let hart = Hart.of(state), let mmu = SoftMMU.of(state) else { return UInt64(ExitReason.illegalInstruction.rawValue) + 1 }
        if let denial = hart.hypervisorAccessDenial { return hart.deny(denial) }
        hart.forgetOtherMasking(mmu)
        defer { hart.forgetOtherMasking(mmu) }
        let bytes = Int(descriptor & 15)
        let value = descriptor & HypervisorAccess.executable == 0
            ? mmu.load(address, bytes: bytes, mmuIndex: hart.hypervisorAccessIndex) : hart.loadExecutable(address, bytes: bytes, mmu)
        guard let value else { return UInt64(ExitReason.memoryFault.rawValue) + 1 }
        state.storeBytes(of: value, toByteOffset: Int(RISCVState.readValue), as: UInt64.self)
        return 0
    }

    /// Arguments: address, value, bytes.
    static let store = HelperTable.register { state, address, value, bytes in
        guard let hart = Hart.of(state), let mmu = SoftMMU.of(state) else { return UInt64(ExitReason.illegalInstruction.rawValue) + 1 }
        if let denial = hart.hypervisorAccessDenial { return hart.deny(denial) }
        hart.forgetOtherMasking(mmu)
        defer { hart.forgetOtherMasking(mmu) }
        guard mmu.store(address, value, bytes: Int(bytes & 15), mmuIndex: hart.hypervisorAccessIndex) else { return UInt64(ExitReason.memoryFault.rawValue) + 1 }
        return 0
    }
}

extension Hart {
    fileprivate var hypervisorAccessDenial: AccessDenial? {
        if hypervisor.isVirtual { return .virtual }
        return privilege == .user && hypervisor.hstatus & HStatus.hu == 0 ? .illegal : nil
    }

    /// User mode's accesses for a virtual machine go by `hstatus.HUPMM`, the virtual machine's own by `senvcfg.PMM`; both by the same
    /// translations.
    fileprivate func forgetOtherMasking(_ mmu: SoftMMU) {
        guard configuration.hasSsnpm, privilege == .user, hypervisor.hstatus >> PointerMasking.guestShift & 3 != senvcfg >> PointerMasking.shift & 3 else { return }
        mmu.flush(indices: MMUIndex.virtualTranslated)
    }

    /// HLVX: from what may be executed, readable or not. Its translations are not remembered.
    fileprivate func loadExecutable(_ address: UInt64, bytes: Int, _ mmu: SoftMMU) -> UInt64? {
        let index = hypervisorAccessIndex
        var value: UInt64 = 0
        // A piece on each page that the access touches.
        let first = min(bytes, Int(4096 - address & 4095))
        for (start, count) in [(0, first), (first, bytes - first)] where count > 0 {
            let place = address &+ UInt64(start)
            guard let page = translate(place, .load, bytes: count, index: index, memory: mmu.memory, needsExecute: true) else { return nil }
            for part in 0 ..< count {
                // One read where the width is one that buses know, byte by byte where it is not.
                if part == 0, count == bytes {
                    guard let whole = mmu.memory.read(page.physical, width: count) else { busError(place, .load, index: index); return nil }
                    return whole
                }
                guard let byte = mmu.memory.read(page.physical &+ UInt64(part), width: 1) else { busError(place, .load, index: index); return nil }
                value |= byte << UInt64((start + part) * 8)
            }
        }
        return value
    }
}

extension Emit {
    func loadVirtual(_ i: Instruction, bytes: Int, signed: Bool, executable: Bool = false) {
        let descriptor = UInt64(bytes) | (executable ? HypervisorAccess.executable : 0)
        _ = builder.helper(HypervisorAccess.load, [.readsState, .writesState, .mayFault, .mayExit], zeroExtended(i.rs1), constant64(descriptor))
        var value = builder.get(RISCVState.readValue)
        if signed, bytes < 8 {
            let shift = constant64(UInt64(64 - bytes * 8))
            value = (value << shift).shiftedRightSigned(by: shift)
        }
        self[i.rd] = value
    }

    func storeVirtual(_ i: Instruction, bytes: Int) {
        _ = builder.helper(HypervisorAccess.store, [.readsState, .writesState, .mayFault, .mayExit], zeroExtended(i.rs1), zeroExtended(i.rs2),
                           constant64(UInt64(bytes)))
    }
}

extension Pattern {
    static let hypervisor: [Pattern] = [
        Pattern("hlv.b rd, (rs1)", "0110000 00000 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 1, signed: true) },
        Pattern("hlv.bu rd, (rs1)", "0110000 00001 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 1, signed: false) },
        Pattern("hlv.h rd, (rs1)", "0110010 00000 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 2, signed: true) },
        Pattern("hlv.hu rd, (rs1)", "0110010 00001 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 2, signed: false) },
        Pattern("hlvx.hu rd, (rs1)", "0110010 00011 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 2, signed: false, executable: true) },
        Pattern("hlv.w rd, (rs1)", "0110100 00000 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 4, signed: true) },
        Pattern("hlv.wu rd, (rs1)", "0110100 00001 ..... 100 ..... 1110011", [.h, .rv64]) { x, i in x.loadVirtual(i, bytes: 4, signed: false) },
        Pattern("hlvx.wu rd, (rs1)", "0110100 00011 ..... 100 ..... 1110011", .h) { x, i in x.loadVirtual(i, bytes: 4, signed: false, executable: true) },
        Pattern("hlv.d rd, (rs1)", "0110110 00000 ..... 100 ..... 1110011", [.h, .rv64]) { x, i in x.loadVirtual(i, bytes: 8, signed: false) },
        Pattern("hsv.b rs2, (rs1)", "0110001 ..... ..... 100 00000 1110011", .h) { x, i in x.storeVirtual(i, bytes: 1) },
        Pattern("hsv.h rs2, (rs1)", "0110011 ..... ..... 100 00000 1110011", .h) { x, i in x.storeVirtual(i, bytes: 2) },
        Pattern("hsv.w rs2, (rs1)", "0110101 ..... ..... 100 00000 1110011", .h) { x, i in x.storeVirtual(i, bytes: 4) },
        Pattern("hsv.d rs2, (rs1)", "0110111 ..... ..... 100 00000 1110011", [.h, .rv64]) { x, i in x.storeVirtual(i, bytes: 8) },
        Pattern("hfence.vvma rs1, rs2", "0010001 ..... ..... 000 00000 1110011", .h) { x, i in x.fenceTranslations(i, .virtualFence) },
        Pattern("hfence.gvma rs1, rs2", "0110001 ..... ..... 000 00000 1110011", .h) { x, i in x.fenceTranslations(i, .guestFence) },
    ]
}
