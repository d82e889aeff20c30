// "Base Cache Management Operation ISA Extensions" in machines: which mode may use them (menvcfg, senvcfg, henvcfg), and the accesses
// they count as. There are no caches to manage.

import IR
import Translation

enum CacheBlocks {
    private enum Field { static let invalidate: UInt64 = 3 << 4, clean: UInt64 = 1 << 6 }

    /// Arguments: address, MMU index, 1 for CBO.INVAL.
    static let helper = HelperTable.register { state, address, index, isInvalidate in
        let illegal = UInt64(ExitReason.illegalInstruction.rawValue) + 1
        guard let hart = Hart.of(state), let mmu = SoftMMU.of(state) else { return illegal }
        let field = isInvalidate != 0 ? Field.invalidate : Field.clean
        if hart.privilege != .machine, hart.menvcfg & field == 0 { return illegal }
        if hart.privilege == .user, hart.senvcfg & field == 0 { return illegal }
        // A block must be readable; where it is not, the fault is that of a store.
        guard mmu.load(address & ~63, bytes: 1, mmuIndex: Int(truncatingIfNeeded: index)) == nil else { return 0 }
        hart.recorded.cause = hart.recorded.cause == .loadPage ? .storePage : hart.recorded.cause == .loadAccess ? .storeAccess : hart.recorded.cause
        return UInt64(ExitReason.memoryFault.rawValue) + 1
    }
}

extension Emit {
    /// CBO.CLEAN, CBO.FLUSH, CBO.INVAL: no program has them, as Linux switches them off.
    mutating func manageCacheBlock(_ i: Instruction, isInvalidate: Bool = false) {
        guard isMachine else { return illegal() }
        _ = builder.helper(CacheBlocks.helper, [.readsState, .writesState, .mayFault, .mayExit], zeroExtended(i.rs1),
                           constant64(context >> MachineContext.indexShift & 15), constant64(isInvalidate ? 1 : 0))
    }
}
